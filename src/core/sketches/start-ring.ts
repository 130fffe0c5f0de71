import { bucketMs, startsMax, type PairContacts } from "../flow/contacts.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";

/** Per start: its bucket and its time as one number, so that their order is that of numbers; and the bytes sent. */
const stride = 2;
/** The time of a start is less than ±24 days from the window: 32 bits. The bucket counts from the window, above them. */
const timeSpan = 2 ** 32;
const timeZero = 2 ** 31;
const bytesMax = 2 ** 32 - 1;

/** Starts kept per pair: the latest ones, by whole 10-second buckets. */
export const startsKept = 64;

/** Ten-minute bins of a day, 24 in a number. */
const binBuckets = 600_000 / bucketMs;
const binsPerWord = 24;
const binWords = 6;

/** Starts beyond those, until dropping them is worth a move: to drop one costs as much as to drop all. */
const surplusMax = 16;

/** In V8's heap, in bytes: of a ring, of a start with the slack that a growing array has; of bins, and of the slack
 * that is left when starts were dropped. Measured. */
const ringBytes = 150;
const startBytes = 19;
const binsBytes = 450;

/**
 * The latest starts of a pair within one window, for timing and size regularity; and the ten-minute bins of the day that
 * had any, for what the latest ones no longer tell.
 *
 * State is canonical, as soon as anyone looks: per bucket the `startsMax` earliest starts; of the buckets, the latest whole
 * ones that fit into `startsKept`. A bucket once dropped stays dropped, since what pushed it out only grows; `#floor`
 * remembers it. So it does not matter when it is dropped.
 *
 * Bounds: two numbers per start, six for the bins; 800 bytes saved, twice that in memory, when full.
 */
export class StartRing {
  /** Greatest bucket that was dropped, counted from the window; −1 while none was. */
  #floor = -1;
  /** Sorted. */
  #entries: number[] = [];
  /** Of the entries: there may be some that are to be dropped. */
  #count = 0;
  /** Bins of what was dropped. */
  #dropped: number[] | undefined;
  readonly #kept: number;

  constructor(kept = startsKept) {
    this.#kept = kept;
  }

  /** Merges the starts of one contact. */
  add(pairs: PairContacts, i: number, windowStartMs: number): void {
    const bucket = pairs.bucket[i] - windowStartMs / bucketMs;
    if (bucket <= this.#floor) {
      this.#drop(bucket);
      return;
    }
    const from = pairs.startsAt[i];
    for (let s = from; s < from + pairs.startCount[i]; s++) {
      this.insert(bucket, pairs.startMs[s] - windowStartMs, pairs.startBytes[s]);
    }
    if (this.#count > this.#kept + surplusMax) this.#trim();
  }

  /** Starts that are kept. */
  get size(): number {
    if (this.#count > this.#kept) this.#trim();
    return this.#count;
  }

  /** A start of a bucket above the floor, its time relative to the window. */
  insert(bucket: number, atMs: number, sentBytes: number): void {
    const time = bucket * timeSpan + Math.min(timeSpan - 1, Math.max(0, atMs + timeZero));
    const bytes = Math.min(bytesMax, sentBytes);
    const entries = this.#entries;
    const end = this.#count * stride;
    // The first of a bucket after all others, as most are.
    if (end === 0 || entries[end - stride] < bucket * timeSpan) {
      entries[end] = time;
      entries[end + 1] = bytes;
      this.#count++;
      return;
    }
    let at = end;
    while (at > 0 && isAfter(entries[at - stride], entries[at - stride + 1], time, bytes)) at -= stride;
    const first = this.#firstOf(bucket, at);
    if (at - first === startsMax * stride) return;
    this.#count++;
    for (let e = end + stride - 1; e >= at + stride; e--) entries[e] = entries[e - stride];
    entries[at] = time;
    entries[at + 1] = bytes;
    this.#dropNinth(bucket, first + startsMax * stride);
  }

  /** Of the latest start, counted from the window; −1 while there is none. */
  get latestBucket(): number {
    return this.#count === 0 ? -1 : this.bucketAt(this.#count - 1);
  }

  bucketAt(i: number): number {
    return bucketOf(this.#entries[i * stride]);
  }

  /** Relative to the window, in ms. */
  timeAt(i: number): number {
    const time = this.#entries[i * stride];
    return time - bucketOf(time) * timeSpan - timeZero;
  }

  bytesAt(i: number): number {
    return this.#entries[i * stride + 1];
  }

  /** Start times relative to the window, in ms, ascending; and the bytes of each. */
  starts(): { atMs: number[]; bytes: number[] } {
    const { size } = this;
    const atMs: number[] = [];
    const bytes: number[] = [];
    // By the bucket of their ends they are nearly in order already.
    for (let i = 0; i < size; i++) {
      const ms = this.timeAt(i);
      const sent = this.bytesAt(i);
      let at = i;
      for (; at > 0 && isAfter(atMs[at - 1], bytes[at - 1], ms, sent); at--) {
        atMs[at] = atMs[at - 1];
        bytes[at] = bytes[at - 1];
      }
      atMs[at] = ms;
      bytes[at] = sent;
    }
    return { atMs, bytes };
  }

  /** Which of the day's ten-minute bins had starts, ascending. */
  bins(): number[] {
    const { size } = this;
    const bins = this.#dropped ? binsIn(this.#dropped) : [];
    for (let i = 0; i < size; i++) {
      const bin = Math.floor(this.bucketAt(i) / binBuckets);
      // What was dropped is older.
      if (bins.length === 0 || bin > bins[bins.length - 1]) bins.push(bin);
    }
    return bins;
  }

  /** Memory, in bytes: of one that has dropped any, as if it were full. */
  get memoryBytes(): number {
    const hasDropped = this.#floor >= 0 || this.#count > this.#kept;
    return ringBytes + (hasDropped ? this.#kept * startBytes + binsBytes : this.#count * startBytes);
  }

  save(writer: StateWriter): void {
    const { size } = this;
    writer.u32(this.#floor + 1);
    if (this.#floor >= 0) writer.words(this.#dropped!);
    writer.u32(size);
    for (let i = 0; i < size; i++) {
      writer.u32(this.bucketAt(i));
      writer.u32(this.timeAt(i) + timeZero);
      writer.u32(this.bytesAt(i));
    }
  }

  static load(reader: StateReader): StartRing {
    const ring = new StartRing();
    ring.#floor = reader.u32() - 1;
    if (ring.#floor >= 0) ring.#dropped = reader.words();
    ring.#count = reader.u32();
    for (let i = 0; i < ring.#count; i++) {
      const time = reader.u32() * timeSpan + reader.u32();
      ring.#entries.push(time, reader.u32());
    }
    return ring;
  }

  /** Place of the first entry of a bucket that ends at this place. */
  #firstOf(bucket: number, end: number): number {
    const time = bucket * timeSpan;
    let first = end;
    while (first > 0 && this.#entries[first - stride] >= time) first -= stride;
    return first;
  }

  #dropNinth(bucket: number, ninth: number): void {
    const entries = this.#entries;
    if (ninth >= this.#count * stride || entries[ninth] >= (bucket + 1) * timeSpan) return;
    entries.splice(ninth, stride);
    this.#count--;
  }

  /** There must be more than are kept. */
  #trim(): void {
    let drop = this.#count - this.#kept;
    this.#floor = this.bucketAt(drop - 1);
    while (drop < this.#count && this.bucketAt(drop) === this.#floor) drop++;
    for (let i = 0; i < drop; i++) this.#drop(this.bucketAt(i));
    this.#count -= drop;
    const entries = this.#entries;
    const length = this.#count * stride;
    for (let e = 0; e < length; e++) entries[e] = entries[e + drop * stride];
    entries.length = length;
  }

  #drop(bucket: number): void {
    this.#dropped ??= emptyBins();
    setBin(this.#dropped, bucket);
  }
}

function emptyBins(): number[] {
  return Array<number>(binWords).fill(0);
}

function binsIn(words: readonly number[]): number[] {
  const bins: number[] = [];
  for (let bin = 0; bin < binsPerWord * binWords; bin++) {
    if ((words[Math.floor(bin / binsPerWord)] & (1 << (bin % binsPerWord))) !== 0) bins.push(bin);
  }
  return bins;
}

function setBin(words: number[], bucket: number): void {
  const bin = Math.floor(bucket / binBuckets);
  words[Math.floor(bin / binsPerWord)] |= 1 << (bin % binsPerWord);
}

function bucketOf(time: number): number {
  return Math.floor(time / timeSpan);
}

/** The order of starts: by time, then by bytes. */
function isAfter(time: number, bytes: number, otherTime: number, otherBytes: number): boolean {
  return time > otherTime || (time === otherTime && bytes > otherBytes);
}
