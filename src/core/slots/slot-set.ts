import { slotCount } from "../flow/keyed-hash.ts";

/** A set of slots, one bit each, in eight words. */
export class SlotSet {
  readonly words: Uint32Array<ArrayBuffer>;

  constructor(words: ArrayLike<number> = new Uint32Array(slotCount / 32)) {
    this.words = Uint32Array.from(words);
  }

  has(slot: number): boolean {
    return (this.words[slot >>> 5] & (1 << (slot & 31))) !== 0;
  }

  add(slot: number): void {
    this.words[slot >>> 5] |= 1 << (slot & 31);
  }

  delete(slot: number): void {
    this.words[slot >>> 5] &= ~(1 << (slot & 31));
  }

  /** Those that `other` lacks. */
  without(other: SlotSet): SlotSet {
    return new SlotSet(this.words.map((word, i) => word & ~other.words[i]));
  }

  union(other: SlotSet): SlotSet {
    return new SlotSet(this.words.map((word, i) => word | other.words[i]));
  }

  intersection(other: SlotSet): SlotSet {
    return new SlotSet(this.words.map((word, i) => word & other.words[i]));
  }

  get isEmpty(): boolean {
    return this.words.every((word) => word === 0);
  }

  /** Ascending. */
  *[Symbol.iterator](): Iterator<number> {
    for (let slot = 0; slot < slotCount; slot++) if (this.has(slot)) yield slot;
  }
}
