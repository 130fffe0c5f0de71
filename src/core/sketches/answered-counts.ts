import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { bitCount } from "./bit-count.ts";

const buckets = 32;
const wordBits = 32;
const multiplier = 0x9e3779b1;

/** In V8's heap, in bytes. Measured. */
const countsBytes = 2 * buckets * 4 + 300;

/**
 * How many distinct attempts were answered, for any one service and for any one target: by each, 32 bitmaps of 32 bits.
 *
 * Of a group it tells the most that there can have been, since others share its bitmap; without end where all bits are
 * set. A union of bits: any order, cut or repetition gives the same.
 *
 * Error: linear counting, to within a fifth up to 60.
 * Source: Whang et al., A Linear-Time Probabilistic Counting Algorithm, TODS 1990.
 */
export class AnsweredCounts {
  static readonly memoryBytes = countsBytes;
  readonly #bits = new Uint32Array(2 * buckets);

  /** Whether anything changed. */
  add(hash: number, service: number, target: number): boolean {
    const bit = 1 << (hash & (wordBits - 1));
    const bits = this.#bits;
    const [s, t] = [bucketOf(service), buckets + bucketOf(target)];
    if ((bits[s] & bits[t] & bit) !== 0) return false;
    bits[s] |= bit;
    bits[t] |= bit;
    return true;
  }

  ofService(service: number): number {
    return countOf(this.#bits[bucketOf(service)]);
  }

  ofTarget(target: number): number {
    return countOf(this.#bits[buckets + bucketOf(target)]);
  }

  merge(other: AnsweredCounts): void {
    for (let i = 0; i < 2 * buckets; i++) this.#bits[i] |= other.#bits[i];
  }

  save(writer: StateWriter): void {
    for (const word of this.#bits) writer.u32(word);
  }

  static load(reader: StateReader): AnsweredCounts {
    const counts = new AnsweredCounts();
    for (let i = 0; i < 2 * buckets; i++) counts.#bits[i] = reader.u32();
    return counts;
  }
}

function bucketOf(key: number): number {
  return Math.imul(key, multiplier) >>> 27;
}

function countOf(bits: number): number {
  return wordBits * Math.log(wordBits / (wordBits - bitCount(bits)));
}
