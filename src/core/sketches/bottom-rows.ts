import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import type { AddressWords } from "../verdict.ts";

/** Of a row: its hash, its label, how many peers it keeps. */
const headWords = 3;
/** Of a peer: its hash, four address words. */
const peerWords = 5;

/** In V8's heap, in bytes: of a table, and of a number with the slack that a growing array has. Measured. */
const tableBytes = 150;
const numberBytes = 11;
/** The same of a small one, packed: of a row, of a peer, of a sum. */
const packedRowBytes = 11;
const packedPeerBytes = 14;
const packedSumBytes = 3;

/** How much a row keeps. */
export interface RowShape {
  /** Peers of lowest hash. */
  peers: number;
  sums: number;
}

/**
 * The `k` rows of lowest hash out of all that were asked for, each with a label, sums, and its peers of lowest keyed hash.
 * Up to `k` rows it is exact, beyond it a uniform sample; so it is with each row's peers.
 *
 * State is canonical: any order and cut of the same additions ends in the same rows, since what is displaced can never
 * return, so that what is kept has seen all of its additions. Sums must be whole numbers. A row's peers must be added by
 * their keyed hash, and all of them, where they come from contacts that keep those of lowest hash.
 *
 * Bounds: per row 3 words, 5 for each peer, 8 bytes for each sum.
 * Error: that of `BottomK`, for rows and peers alike: 1/√(k − 2).
 */
export class BottomRows {
  readonly k: number;
  readonly #peers: number;
  readonly #sumsAt: number;
  readonly #stride: number;
  size = 0;
  /** Sorted by hash; so are the peers in a row. */
  #rows: number[] = [];

  constructor(k: number, { peers, sums }: RowShape) {
    this.k = k;
    this.#peers = peers;
    this.#sumsAt = headWords + peerWords * peers;
    this.#stride = this.#sumsAt + sums;
  }

  /** The row of that hash, made if need be; −1 where others are lower. A new row may move it. Labels merge to the least. */
  row(hash: number, label: number): number {
    const stride = this.#stride;
    if (this.size === this.k && hash > this.#rows[(this.k - 1) * stride]) return -1;
    const at = this.#find(hash);
    if (at === this.size || this.#rows[at * stride] !== hash) this.#insert(at, hash, label);
    else if (label < this.#rows[at * stride + 1]) this.#rows[at * stride + 1] = label;
    return at;
  }

  addPeer(row: number, hash: number, addresses: Uint32Array, index: number): void {
    const rows = this.#rows;
    const head = row * this.#stride;
    const from = head + headWords;
    const end = from + peerWords * rows[head + 2];
    let at = from;
    while (at < end && rows[at] < hash) at += peerWords;
    const isFull = rows[head + 2] === this.#peers;
    if (at === end ? isFull : rows[at] === hash) return;
    if (!isFull) rows[head + 2]++;
    for (let i = from + peerWords * rows[head + 2] - 1; i >= at + peerWords; i--) rows[i] = rows[i - peerWords];
    rows[at] = hash;
    for (let word = 0; word < 4; word++) rows[at + 1 + word] = addresses[4 * index + word];
  }

  add(row: number, sum: number, value: number): void {
    this.#rows[row * this.#stride + this.#sumsAt + sum] += value;
  }

  /** Raises a sum that is a maximum. */
  raise(row: number, sum: number, value: number): void {
    const at = row * this.#stride + this.#sumsAt + sum;
    if (value > this.#rows[at]) this.#rows[at] = value;
  }

  /** Adds bits to a sum that is a set. */
  unite(row: number, sum: number, bits: number): void {
    const at = row * this.#stride + this.#sumsAt + sum;
    this.#rows[at] = (this.#rows[at] | bits) >>> 0;
  }

  sum(row: number, sum: number): number {
    return this.#rows[row * this.#stride + this.#sumsAt + sum];
  }

  /** Over all rows that are kept. */
  total(sum: number): number {
    let total = 0;
    for (let row = 0; row < this.size; row++) total += this.sum(row, sum);
    return total;
  }

  hash(row: number): number {
    return this.#rows[row * this.#stride];
  }

  label(row: number): number {
    return this.#rows[row * this.#stride + 1];
  }

  /** The peers that the row keeps, by hash. */
  peers(row: number): AddressWords[] {
    const head = row * this.#stride;
    return Array.from({ length: this.#rows[head + 2] }, (_, peer) => {
      const at = head + headWords + peerWords * peer;
      return [this.#rows[at + 1], this.#rows[at + 2], this.#rows[at + 3], this.#rows[at + 4]];
    });
  }

  /** How many distinct peers the row has had: exact below the number that it keeps. */
  peerCount(row: number): number {
    const head = row * this.#stride;
    const kept = this.#rows[head + 2];
    if (kept < 2 || kept < this.#peers) return kept;
    return Math.round(((kept - 1) * 2 ** 32) / this.#rows[head + headWords + peerWords * (kept - 1)]);
  }

  /** Whether no row can have been displaced. */
  get isExact(): boolean {
    return this.size < this.k;
  }

  /** How many distinct rows were asked for: exact while `isExact`. */
  count(): number {
    if (this.isExact) return this.size;
    return Math.round(((this.k - 1) * 2 ** 32) / this.#rows[(this.size - 1) * this.#stride]);
  }

  /** Memory, in bytes. */
  get memoryBytes(): number {
    return tableBytes + this.size * this.#stride * numberBytes;
  }

  /** The same of a small one, packed. */
  get packedBytes(): number {
    const sums = this.#stride - this.#sumsAt;
    let bytes = 0;
    for (let row = 0; row < this.size; row++) {
      bytes += packedRowBytes + packedPeerBytes * this.#rows[row * this.#stride + 2] + packedSumBytes * sums;
    }
    return bytes;
  }

  save(writer: StateWriter): void {
    const stride = this.#stride;
    const sumsAt = this.#sumsAt;
    writer.u32(this.size);
    for (let at = 0; at < this.size * stride; at += stride) {
      for (let i = 0; i < sumsAt; i++) writer.u32(this.#rows[at + i]);
      for (let i = sumsAt; i < stride; i++) writer.f64(this.#rows[at + i]);
    }
  }

  static load(k: number, shape: RowShape, reader: StateReader): BottomRows {
    const table = new BottomRows(k, shape);
    table.size = reader.u32();
    for (let left = table.size; left > 0; left--) {
      for (let i = 0; i < table.#sumsAt; i++) table.#rows.push(reader.u32());
      for (let i = 0; i < shape.sums; i++) table.#rows.push(reader.f64());
    }
    return table;
  }

  /** Position of the hash, or of the first greater one. */
  #find(hash: number): number {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#rows[middle * this.#stride] < hash) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(at: number, hash: number, label: number): void {
    const rows = this.#rows;
    const stride = this.#stride;
    if (this.size < this.k) this.size++;
    const from = at * stride;
    for (let i = this.size * stride - 1; i >= from + stride; i--) rows[i] = rows[i - stride];
    rows[from] = hash;
    rows[from + 1] = label;
    for (let i = from + 2; i < from + stride; i++) rows[i] = 0;
  }
}
