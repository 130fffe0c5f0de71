import { mixKey } from "../flow/contact-index.ts";
import type { AddressWords } from "../verdict.ts";
import { bitCount } from "./bit-count.ts";

/** Bytes before a body: `bodyBytes << 5 | padding << 2 | dead << 1 | IPv6`, 16 bits little-endian. */
const headBytes = 2;
const deadBit = 2;
const longBit = 1;
/** Longest body that the head can tell; a small state has a few dozen bytes. */
const bodyBytesMax = 2047;

/** The index holds the place of a record plus 1; 0 is free, this one was freed. */
const freed = 0xffffffff;
const indexSizeMin = 16;
/** What most windows have: nothing is allocated before something is packed. */
const nothing = new Uint8Array(0);
const noIndex = new Uint32Array(0);
/** Room that the arena grows by, at least: a quarter of it, so that little stands empty. */
const arenaStepBytes = 256;

/**
 * The saved bytes of many small states, by address, without an object for any of them.
 *
 * Records lie one after the other: head, address (4 bytes of IPv4, else 16), body. A body is the saved bytes without
 * their zeros, which are most of them: a tag byte for each eight says which are not zero, those follow; a tag of 0 is
 * followed by the number of further eights of zeros (the packing of Cap'n Proto).
 *
 * The index is an open table of places. Whoever chooses addresses can make them collide there, but only among the few
 * thousand that a slot holds, for one in 256 that he sends.
 *
 * Bounds: a slot's bytes; 5 to 11 bytes of index per state, a quarter of slack.
 */
export class PackedStates {
  size = 0;
  #arena = nothing;
  #end = 0;
  /** Bytes of records that were taken out. */
  #deadBytes = 0;
  #index = noIndex;
  /** Places in the index that are not free, freed ones included. */
  #indexUsed = 0;

  /** Adds the saved bytes of an address that has none here. */
  add(address: AddressWords, saved: Uint8Array): void {
    this.#room(headBytes + 16 + Math.ceil(saved.length / 8) * 10);
    if (4 * (this.#indexUsed + 1) > 3 * this.#index.length) this.#reindex();
    const at = this.#end;
    const isLong = !isMapped(address);
    let end = at + headBytes;
    for (let i = isLong ? 0 : 3; i < 4; i++) end = this.#putWord(end, address[i]);
    const bodyAt = end;
    this.#end = end = packZeros(saved, this.#arena, end);
    if (end - bodyAt > bodyBytesMax) throw new RangeError("not a small state");
    const padding = (8 - (saved.length % 8)) % 8;
    this.#setHead(at, ((end - bodyAt) << 5) | (padding << 2) | (isLong ? longBit : 0));
    this.#enter(at, address);
    this.size++;
  }

  get(address: AddressWords): Uint8Array | undefined {
    const slot = this.#find(address);
    return slot < 0 ? undefined : this.#saved(this.#index[slot] - 1);
  }

  /** Takes the saved bytes of an address out. */
  take(address: AddressWords): Uint8Array | undefined {
    const slot = this.#find(address);
    if (slot < 0) return undefined;
    const at = this.#index[slot] - 1;
    const saved = this.#saved(at);
    this.#index[slot] = freed;
    this.#setHead(at, this.#head(at) | deadBit);
    this.#deadBytes += this.#next(at) - at;
    this.size--;
    return saved;
  }

  /** Gives back what stands empty, where that is much. */
  shrink(): void {
    if (4 * this.#deadBytes <= this.#end) return;
    this.#closeGaps();
    this.#arena = this.#arena.slice(0, this.#end);
  }

  /** All of them, in the order in which they came. */
  forEach(visit: (address: AddressWords, saved: () => Uint8Array) => void): void {
    for (let at = 0; at < this.#end; at = this.#next(at)) {
      if ((this.#head(at) & deadBit) === 0) visit(this.#address(at), () => this.#saved(at));
    }
  }

  #head(at: number): number {
    return this.#arena[at] | (this.#arena[at + 1] << 8);
  }

  #setHead(at: number, head: number): void {
    this.#arena[at] = head;
    this.#arena[at + 1] = head >>> 8;
  }

  #bodyAt(at: number): number {
    return at + headBytes + (this.#head(at) & longBit ? 16 : 4);
  }

  #next(at: number): number {
    return this.#bodyAt(at) + (this.#head(at) >>> 5);
  }

  #address(at: number): AddressWords {
    const w = at + headBytes;
    if ((this.#head(at) & longBit) === 0) return [0, 0, 0xffff, this.#word(w)];
    return [this.#word(w), this.#word(w + 4), this.#word(w + 8), this.#word(w + 12)];
  }

  #saved(at: number): Uint8Array {
    return unpackZeros(this.#arena.subarray(this.#bodyAt(at), this.#next(at)), (this.#head(at) >>> 2) & 7);
  }

  #word(at: number): number {
    const arena = this.#arena;
    return (arena[at] | (arena[at + 1] << 8) | (arena[at + 2] << 16) | (arena[at + 3] << 24)) >>> 0;
  }

  #putWord(at: number, word: number): number {
    for (let i = 0; i < 4; i++) this.#arena[at + i] = word >>> (8 * i);
    return at + 4;
  }

  /** The place in the index that holds the address, −1 if none does. */
  #find(address: AddressWords): number {
    if (this.size === 0) return -1;
    const mask = this.#index.length - 1;
    for (let slot = hashOf(address) & mask; this.#index[slot] !== 0; slot = (slot + 1) & mask) {
      if (this.#index[slot] !== freed && this.#isAt(this.#index[slot] - 1, address)) return slot;
    }
    return -1;
  }

  #isAt(at: number, [a, b, c, d]: AddressWords): boolean {
    const w = at + headBytes;
    if ((this.#head(at) & longBit) === 0) return this.#word(w) === d && a === 0 && b === 0 && c === 0xffff;
    return this.#word(w + 12) === d && this.#word(w + 8) === c && this.#word(w + 4) === b && this.#word(w) === a;
  }

  #enter(at: number, address: AddressWords): void {
    const mask = this.#index.length - 1;
    let slot = hashOf(address) & mask;
    while (this.#index[slot] !== 0) slot = (slot + 1) & mask;
    this.#index[slot] = at + 1;
    this.#indexUsed++;
  }

  #reindex(): void {
    let length = indexSizeMin;
    while (3 * length < 5 * (this.size + 1)) length *= 2;
    this.#index = new Uint32Array(length);
    this.#indexUsed = 0;
    for (let at = 0; at < this.#end; at = this.#next(at)) {
      if ((this.#head(at) & deadBit) === 0) this.#enter(at, this.#address(at));
    }
  }

  /** Makes room: by closing gaps where they are a quarter, else by growing. */
  #room(bytes: number): void {
    if (this.#end + bytes <= this.#arena.length) return;
    if (4 * this.#deadBytes > this.#end) this.#closeGaps();
    if (this.#end + bytes <= this.#arena.length) return;
    const grown = new Uint8Array(this.#end + Math.max(bytes, arenaStepBytes, this.#end >>> 2));
    grown.set(this.#arena.subarray(0, this.#end));
    this.#arena = grown;
  }

  #closeGaps(): void {
    let end = 0;
    for (let at = 0, next = 0; at < this.#end; at = next) {
      next = this.#next(at);
      if ((this.#head(at) & deadBit) !== 0) continue;
      this.#arena.copyWithin(end, at, next);
      end += next - at;
    }
    this.#end = end;
    this.#deadBytes = 0;
    this.#reindex();
  }
}

function isMapped([a, b, c]: AddressWords): boolean {
  return a === 0 && b === 0 && c === 0xffff;
}

function hashOf([a, b, c, d]: AddressWords): number {
  return mixKey(a, b, c, d);
}

/** Writes `bytes` without zeros to `out` from `at` on; returns where it ends. */
function packZeros(bytes: Uint8Array, out: Uint8Array, at: number): number {
  for (let from = 0; from < bytes.length; from += 8) {
    const tagAt = at++;
    let tag = 0;
    for (let i = 0; i < 8 && from + i < bytes.length; i++) {
      const byte = bytes[from + i];
      if (byte === 0) continue;
      tag |= 1 << i;
      out[at++] = byte;
    }
    out[tagAt] = tag;
    if (tag !== 0) continue;
    let more = 0;
    while (more < 255 && from + 8 < bytes.length && isZeros(bytes, from + 8)) {
      more++;
      from += 8;
    }
    out[at++] = more;
  }
  return at;
}

function isZeros(bytes: Uint8Array, from: number): boolean {
  for (let i = from; i < Math.min(from + 8, bytes.length); i++) if (bytes[i] !== 0) return false;
  return true;
}

/** What `packZeros` wrote, without the last `padding` bytes of zeros. */
function unpackZeros(packed: Uint8Array, padding: number): Uint8Array {
  let groups = 0;
  for (let at = 0; at < packed.length; groups++) {
    const tag = packed[at];
    if (tag === 0) groups += packed[at + 1];
    at += tag === 0 ? 2 : 1 + bitCount(tag);
  }
  const bytes = new Uint8Array(8 * groups);
  for (let at = 0, to = 0; at < packed.length; to += 8) {
    const tag = packed[at++];
    if (tag === 0) to += 8 * packed[at++];
    for (let i = 0; i < 8; i++) if (tag & (1 << i)) bytes[to + i] = packed[at++];
  }
  return bytes.subarray(0, bytes.length - padding);
}
