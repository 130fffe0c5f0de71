import { isBefore, startsMax, type PairContacts } from "../flow/contacts.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";

/** Per start: bucket, start in ms relative to the window, bytes sent. */
const stride = 3;

/** What 32 bits hold: flows of up to 24 days, requests of up to 4 GiB. Beyond, they count as these. */
const earliestMs = -(2 ** 31);
const bytesMax = 2 ** 32 - 1;

/** Starts kept per pair: the latest ones, by whole 10-second buckets. */
export const startsKept = 64;

/** In V8's heap, in bytes: of a ring, and of a start with the slack that a growing array has. Measured. */
const ringBytes = 150;
const startBytes = 32;

/**
 * The latest starts of a pair within one window, for timing and size regularity.
 *
 * State is canonical: per bucket the `startsMax` earliest starts; of the buckets, the latest whole ones that fit into
 * `startsKept`. A bucket once dropped stays dropped, since what pushed it out only grows; `#floor` remembers it.
 *
 * Bounds: three numbers per start; 768 bytes saved, twice that in memory, when full.
 */
export class StartRing {
  size = 0;
  /** Greatest bucket that was dropped, −1 while none was. */
  #floor = -1;
  /** Sorted by (bucket, start, bytes). */
  #entries: number[] = [];

  /** Merges the starts of one contact. */
  add(pairs: PairContacts, i: number, windowStartMs: number): void {
    const bucket = pairs.bucket[i];
    if (bucket <= this.#floor) return;
    const from = pairs.startsAt[i];
    for (let s = from; s < from + pairs.startCount[i]; s++) {
      this.#insert(
        bucket,
        Math.max(earliestMs, pairs.startMs[s] - windowStartMs),
        Math.min(bytesMax, pairs.startBytes[s]),
      );
    }
    this.#trim();
  }

  /** Of the latest start; −1 while there is none. */
  get latestBucket(): number {
    return this.size === 0 ? -1 : this.#entries[(this.size - 1) * stride];
  }

  /** Start times relative to the window, in ms, ascending; and the bytes of each. */
  starts(): { atMs: number[]; bytes: number[] } {
    const order = Array.from({ length: this.size }, (_, i) => i * stride).sort(
      (x, y) => this.#entries[x + 1] - this.#entries[y + 1] || this.#entries[x + 2] - this.#entries[y + 2],
    );
    return { atMs: order.map((e) => this.#entries[e + 1]), bytes: order.map((e) => this.#entries[e + 2]) };
  }

  /** Memory, in bytes. */
  get memoryBytes(): number {
    return ringBytes + this.size * startBytes;
  }

  save(writer: StateWriter): void {
    writer.f64(this.#floor);
    writer.words(this.#entries);
  }

  static load(reader: StateReader): StartRing {
    const ring = new StartRing();
    ring.#floor = reader.f64();
    ring.#entries = reader.words();
    ring.size = ring.#entries.length / stride;
    for (let e = 1; e < ring.#entries.length; e += stride) ring.#entries[e] |= 0;
    return ring;
  }

  #insert(bucket: number, startMs: number, bytes: number): void {
    let at = this.size;
    while (at > 0 && this.#follows(at - 1, bucket, startMs, bytes)) at--;
    const first = this.#firstOf(bucket, at);
    if (at - first === startsMax) return;
    this.size++;
    const entries = this.#entries;
    const e = at * stride;
    for (let i = this.size * stride - 1; i >= e + stride; i--) entries[i] = entries[i - stride];
    entries[e] = bucket;
    entries[e + 1] = startMs;
    entries[e + 2] = bytes;
    this.#dropNinth(bucket, first);
  }

  #follows(i: number, bucket: number, startMs: number, bytes: number): boolean {
    const entries = this.#entries;
    const e = i * stride;
    return entries[e] > bucket || (entries[e] === bucket && isBefore(startMs, bytes, entries[e + 1], entries[e + 2]));
  }

  #firstOf(bucket: number, end: number): number {
    let first = end;
    while (first > 0 && this.#entries[(first - 1) * stride] === bucket) first--;
    return first;
  }

  #dropNinth(bucket: number, first: number): void {
    const ninth = first + startsMax;
    if (ninth >= this.size || this.#entries[ninth * stride] !== bucket) return;
    this.#entries.splice(ninth * stride, stride);
    this.size--;
  }

  #trim(): void {
    if (this.size <= startsKept) return;
    let drop = this.size - startsKept;
    this.#floor = this.#entries[(drop - 1) * stride];
    while (drop < this.size && this.#entries[drop * stride] === this.#floor) drop++;
    this.#entries.splice(0, drop * stride);
    this.size -= drop;
  }
}
