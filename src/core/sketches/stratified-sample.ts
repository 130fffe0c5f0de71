import type { AddressWords } from "../verdict.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";

/** A part of the elements, told by one of their flags, of which so many are kept beside the sample of all. */
export interface Stratum {
  flag: number;
  k: number;
}

/** What samples of one kind keep. */
export class SampleKind {
  readonly k: number;
  readonly strata: readonly Stratum[];
  readonly strataFlags: number;

  constructor(k: number, strata: readonly Stratum[] = []) {
    this.k = k;
    this.strata = strata;
    this.strataFlags = strata.reduce((flags, { flag }) => flags | flag, 0);
  }
}

/** Of a stratum: how many elements are kept, and the greatest hash of these; −1 where that is not known. */
interface KeptOfStratum {
  count: number;
  last: number;
}

/** In V8's heap, in bytes: of a sample, and of an element's word with the slack that a growing array has. Measured. */
const sampleBytes = 275;
const wordBytes = 4.5;
/** The same of an element's word, packed, with its share of tags. */
const packedWordBytes = 4.5;

/** Elements that a sample has room for at first: V8 keeps arrays of up to 64 bytes with its other objects. */
const leastRoom = 4;

/** Words of an element: hash, label and flags, address; of which IPv4 needs one word. */
const shortStride = 3;
const longStride = 6;

/**
 * The `k` elements of lowest keyed hash out of all that were added, and of each stratum its own `k` lowest: what is
 * rare among the elements of a busy entity is sampled by itself. An element is an address with a label of 24 bits,
 * the same for equal hashes, and eight flags.
 *
 * State is canonical: any order, cut or repetition of the same additions ends in the same bytes. The first `k`
 * elements (the head) have seen all of their additions, and keep all flags. Of those beyond, only that they belong to
 * a stratum is known for certain, so that is all that is kept of their flags.
 *
 * Bounds: 12 bytes per element kept, 24 where one address is of IPv6. Error: counts are exact up to `k`, beyond with
 * a standard error of 1/√(k − 2), 12.7 % at k = 64.
 * Source: as `BottomK`; one sample with strata after Cohen & Kaplan, Leveraging Discarded Samples, SIGMETRICS 2009.
 */
export class StratifiedSample {
  readonly #kind: SampleKind;
  size = 0;
  #stride = shortStride;
  /** Sorted by hash. */
  #words: Uint32Array<ArrayBuffer> = noWords;
  /** Once the head is full: most samples are small. */
  #kept: KeptOfStratum[] | undefined;

  constructor(kind: SampleKind) {
    this.#kind = kind;
  }

  get k(): number {
    return this.#kind.k;
  }

  /** Elements that are kept for themselves, and know all their flags; those after them stand for their stratum alone. */
  get headSize(): number {
    return Math.min(this.size, this.k);
  }

  /** Whether anything changed: a sample of a longer span that saw the same additions needs only those that did. */
  add(hash: number, addresses: Uint32Array, index: number, label: number, flags: number): boolean {
    const w = index * 4;
    const isWider =
      this.#stride === shortStride && (addresses[w + 2] !== 0xffff || addresses[w + 1] !== 0 || addresses[w] !== 0);
    // Whether it is kept or not: or else the order of additions would show.
    if (isWider) this.#widen();
    return this.#add(hash, addresses, w, label, flags) || isWider;
  }

  /** Adds all that the other one was told. */
  merge(other: StratifiedSample): void {
    if (other.#stride > this.#stride) this.#widen();
    for (let i = 0; i < other.size; i++) {
      scratchAddress.set(other.address(i));
      this.#add(other.hash(i), scratchAddress, 0, other.label(i), other.flags(i));
    }
  }

  /** Whether nothing can have been displaced from the head. */
  get isExact(): boolean {
    return this.size < this.k;
  }

  /** How many distinct elements were added: exact while `isExact`. */
  count(): number {
    return this.isExact ? this.size : estimate(this.k, this.hash(this.k - 1));
  }

  /** The same of those with the flag of a stratum. */
  countOf(stratum: number): number {
    const kept = this.keptOf(stratum);
    return this.isExact || kept < this.#kind.strata[stratum].k ? kept : estimate(kept, this.#lastOf(stratum));
  }

  /** How many of a stratum are kept. */
  keptOf(stratum: number): number {
    if (this.#kept) return this.#kept[stratum].count;
    return this.#countFlag(this.#kind.strata[stratum].flag);
  }

  /** Elements of the head that have just these of the flags asked about. */
  countInHead(asked: number, had: number): number {
    const words = this.#words;
    const stride = this.#stride;
    const end = this.headSize * stride;
    let count = 0;
    for (let w = 1; w < end; w += stride) if ((words[w] & asked) === had) count++;
    return count;
  }

  /** Memory, in bytes. */
  get memoryBytes(): number {
    return Math.round(sampleBytes + this.size * this.#stride * wordBytes);
  }

  /** The same of a small one, packed. */
  get packedBytes(): number {
    return Math.round(this.size * this.#stride * packedWordBytes);
  }

  hash(i: number): number {
    return this.#words[i * this.#stride];
  }

  label(i: number): number {
    return this.#words[i * this.#stride + 1] >>> 8;
  }

  flags(i: number): number {
    return this.#words[i * this.#stride + 1] & 255;
  }

  address(i: number): AddressWords {
    const words = this.#words;
    const w = i * this.#stride + 2;
    if (this.#stride === shortStride) return [0, 0, 0xffff, words[w]];
    return [words[w], words[w + 1], words[w + 2], words[w + 3]];
  }

  /** The same for equal addresses. */
  addressKey(i: number): number | string {
    return this.#stride === shortStride ? this.#words[i * shortStride + 2] : this.address(i).join();
  }

  save(writer: StateWriter): void {
    writer.u8(this.size);
    writer.u8(this.#stride);
    for (let w = 0; w < this.size * this.#stride; w++) writer.u32(this.#words[w]);
  }

  load(reader: StateReader): this {
    this.size = reader.u8();
    this.#stride = reader.u8();
    this.#words = Uint32Array.from({ length: this.size * this.#stride }, () => reader.u32());
    if (this.size >= this.k) this.#countKept();
    return this;
  }

  #add(hash: number, addresses: Uint32Array, word: number, label: number, flags: number): boolean {
    const k = this.k;
    // Most of what a busy entity does.
    if (this.size >= k && (flags & this.#kind.strataFlags) === 0 && hash > this.hash(k - 1)) return false;
    const at = this.#find(hash);
    if (at < this.size && this.hash(at) === hash) return this.#addFlags(at, flags);
    const isOfHead = at < k;
    const kept = isOfHead ? flags : this.#wanted(hash, flags);
    if (!isOfHead && kept === 0) return false;
    this.#insert(at, hash, addresses, word, label, kept);
    if (isOfHead && this.size > k) this.#displace();
    this.#keepBounds();
    return true;
  }

  /** Position of the hash, or of the first greater one. */
  #find(hash: number): number {
    const words = this.#words;
    const stride = this.#stride;
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (words[middle * stride] < hash) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #addFlags(at: number, flags: number): boolean {
    const word = at * this.#stride + 1;
    const wanted = at < this.k ? flags : this.#wanted(this.hash(at), flags);
    const fresh = wanted & ~this.#words[word] & 255;
    if (fresh === 0) return false;
    this.#words[word] |= fresh;
    this.#noteFlags(fresh);
    this.#keepBounds();
    return true;
  }

  /** Flags of the strata that would keep an element of that hash, beyond the head. */
  #wanted(hash: number, flags: number): number {
    const { strata, strataFlags } = this.#kind;
    let wanted = flags & strataFlags;
    for (let s = 0; s < strata.length && wanted !== 0; s++) {
      const { flag, k } = strata[s];
      if ((wanted & flag) !== 0 && this.keptOf(s) >= k && hash > this.#lastOf(s)) wanted &= ~flag;
    }
    return wanted;
  }

  /** Greatest hash of the elements of a stratum, of which there must be one. */
  #lastOf(stratum: number): number {
    const { flag } = this.#kind.strata[stratum];
    const kept = this.#kept?.[stratum];
    if (kept === undefined) return this.hash(this.#lastPlaceOf(flag));
    if (kept.last < 0) kept.last = this.hash(this.#lastPlaceOf(flag));
    return kept.last;
  }

  #lastPlaceOf(flag: number): number {
    let last = this.size - 1;
    while ((this.flags(last) & flag) === 0) last--;
    return last;
  }

  #insert(at: number, hash: number, addresses: Uint32Array, word: number, label: number, flags: number): void {
    const stride = this.#stride;
    this.#room();
    const words = this.#words;
    const w = at * stride;
    words.copyWithin(w + stride, w, this.size * stride);
    words[w] = hash;
    words[w + 1] = (label << 8) | flags;
    if (stride === shortStride) words[w + 2] = addresses[word + 3];
    else for (let i = 0; i < 4; i++) words[w + 2 + i] = addresses[word + i];
    this.size++;
    if (this.#kept) this.#noteFlags(flags);
    else if (this.size === this.k) this.#countKept();
  }

  /** The last one of the head has become one too many: it stays for its strata, if they have it. */
  #displace(): void {
    const word = this.k * this.#stride + 1;
    const lost = this.#words[word] & 255 & ~this.#kind.strataFlags;
    this.#words[word] &= ~lost;
    if ((this.#words[word] & 255) === 0) this.#remove(this.k);
  }

  /** Of a stratum that holds too many, the last one leaves it, unless that one is of the head. */
  #keepBounds(): void {
    const all = this.#kept;
    if (!all) return;
    for (let s = 0; s < all.length; s++) {
      const { flag, k } = this.#kind.strata[s];
      if (all[s].count <= k) continue;
      const last = this.#lastPlaceOf(flag);
      if (last < this.k) continue;
      this.#words[last * this.#stride + 1] &= ~flag;
      all[s].count--;
      all[s].last = -1;
      if (this.flags(last) === 0) this.#remove(last);
    }
  }

  #remove(at: number): void {
    const stride = this.#stride;
    this.#words.copyWithin(at * stride, (at + 1) * stride, this.size * stride);
    this.size--;
  }

  #countKept(): void {
    this.#kept = this.#kind.strata.map(({ flag }) => ({ count: this.#countFlag(flag), last: -1 }));
  }

  #countFlag(flag: number): number {
    let count = 0;
    for (let i = 0; i < this.size; i++) if ((this.flags(i) & flag) !== 0) count++;
    return count;
  }

  /** An element has got these flags. */
  #noteFlags(flags: number): void {
    if (!this.#kept) return;
    for (let s = 0; s < this.#kept.length; s++) {
      if ((flags & this.#kind.strata[s].flag) === 0) continue;
      this.#kept[s].count++;
      this.#kept[s].last = -1;
    }
  }

  #room(): void {
    const { size, k } = this;
    if ((size + 1) * this.#stride <= this.#words.length) return;
    const doubled = Math.max(leastRoom, 2 * size);
    // One more than the head holds is all that many ever need.
    const elements = size > k ? size + (size >>> 2) : doubled >= k ? k + 1 : doubled;
    const grown = new Uint32Array(elements * this.#stride);
    grown.set(this.#words);
    this.#words = grown;
  }

  #widen(): void {
    const wide = new Uint32Array((this.size + 1) * longStride);
    for (let i = 0; i < this.size; i++) {
      wide.set(this.#words.subarray(i * shortStride, i * shortStride + 2), i * longStride);
      wide.set(this.address(i), i * longStride + 2);
    }
    this.#words = wide;
    this.#stride = longStride;
  }
}

const noWords = new Uint32Array(0);
const scratchAddress = new Uint32Array(4);

/** How many there are in all, from the hash of the `k`th: what lies below it is `k − 1` of them. */
function estimate(k: number, hash: number): number {
  return Math.round(((k - 1) * 2 ** 32) / Math.max(1, hash));
}
