import type { AddressWords } from "../verdict.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";

/** Per element: hash, four address words, a label, flags. */
const stride = 7;

/** In V8's heap, in bytes: of a sketch, and of an element with the slack that a growing array has. Measured. */
const sketchBytes = 150;
const elementBytes = 75;

/**
 * The `k` elements of lowest keyed hash out of all that were added, each an address with a label and flags; up to
 * `k` it is the exact set, beyond it a uniform sample, and the count follows from the greatest hash kept.
 *
 * State is canonical: any order, cut or repetition of the same additions ends in the same bytes, since an element
 * once displaced can never return, so that one that is kept has seen all of its additions. Labels merge to the
 * least, flags by union. Elements are told apart by their 32-bit hash alone.
 *
 * Bounds: 28 bytes per element kept. Error: (k − 1) / kth hash has a standard error of 1/√(k − 2), 12.7 % at k = 64.
 * Source: Bar-Yossef et al., Counting Distinct Elements in a Data Stream, RANDOM 2002; Cohen & Kaplan, PODC 2007.
 */
export class BottomK {
  readonly k: number;
  size = 0;
  /** Sorted by hash. A plain array: most sketches hold a few elements, and typed arrays cost more to make. */
  #entries: number[] = [];

  constructor(k: number) {
    this.k = k;
  }

  /** Whether anything changed: a sketch of a longer span that saw the same additions needs only those that did. */
  add(hash: number, addresses: Uint32Array, index: number, label: number, flags: number): boolean {
    const entries = this.#entries;
    if (this.size === this.k && hash > entries[(this.k - 1) * stride]) return false;
    const at = this.#find(hash);
    if (at === this.size || entries[at * stride] !== hash) {
      this.#insert(at, hash, addresses, index * 4, label, flags);
      return true;
    }
    const entry = at * stride;
    if (label >= entries[entry + 5] && (entries[entry + 6] | flags) === entries[entry + 6]) return false;
    entries[entry + 5] = Math.min(label, entries[entry + 5]);
    entries[entry + 6] |= flags;
    return true;
  }

  /** How many distinct elements were added: exact while `isExact`. */
  count(): number {
    return this.isExact ? this.size : Math.round(((this.k - 1) * 2 ** 32) / this.#entries[(this.size - 1) * stride]);
  }

  /** Whether nothing can have been displaced. */
  get isExact(): boolean {
    return this.size < this.k;
  }

  /** Memory, in bytes. */
  get memoryBytes(): number {
    return sketchBytes + this.size * elementBytes;
  }

  hash(i: number): number {
    return this.#entries[i * stride];
  }

  address(i: number): AddressWords {
    const entries = this.#entries;
    const e = i * stride;
    return [entries[e + 1], entries[e + 2], entries[e + 3], entries[e + 4]];
  }

  /** Position of the first element with the same address as element `i`: groups the sample by address. */
  firstWithAddress(i: number): number {
    const entries = this.#entries;
    const e = i * stride;
    for (let f = 0; ; f++) {
      const o = f * stride;
      if (
        entries[o + 4] === entries[e + 4] &&
        entries[o + 3] === entries[e + 3] &&
        entries[o + 2] === entries[e + 2] &&
        entries[o + 1] === entries[e + 1]
      ) {
        return f;
      }
    }
  }

  label(i: number): number {
    return this.#entries[i * stride + 5];
  }

  flags(i: number): number {
    return this.#entries[i * stride + 6];
  }

  save(writer: StateWriter): void {
    writer.words(this.#entries);
  }

  static load(k: number, reader: StateReader): BottomK {
    const sketch = new BottomK(k);
    sketch.#entries = reader.words();
    sketch.size = sketch.#entries.length / stride;
    return sketch;
  }

  /** Position of the hash, or of the first greater one. */
  #find(hash: number): number {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#entries[middle * stride] < hash) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(at: number, hash: number, addresses: Uint32Array, word: number, label: number, flags: number): void {
    if (this.size < this.k) this.size++;
    const entries = this.#entries;
    const e = at * stride;
    for (let i = this.size * stride - 1; i >= e + stride; i--) entries[i] = entries[i - stride];
    entries[e] = hash;
    entries[e + 1] = addresses[word];
    entries[e + 2] = addresses[word + 1];
    entries[e + 3] = addresses[word + 2];
    entries[e + 4] = addresses[word + 3];
    entries[e + 5] = label;
    entries[e + 6] = flags;
  }
}
