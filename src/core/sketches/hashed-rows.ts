import { wordsAt } from "../flow/address.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import type { AddressWords } from "../verdict.ts";

/**
 * Rows of numbers by keyed hash, in its order, in one plain array. The columns after the first `HashedRows.ownColumns`
 * are its owner's.
 *
 * Canonical under reorder where the owner's columns are (sums, min, max): of the rows that are not kept, the `freshMax`
 * of lowest hash stay, and one that is displaced cannot come back before `keep`, which is for boundaries of event time.
 * Rows are told apart by their 32-bit hash alone.
 */
export class HashedRows {
  /** The hash, whether the row is kept, four words of address. */
  static readonly ownColumns = 6;
  size: number;
  /** Whether the last call of `at` made its row. */
  isNew = false;
  readonly #columns: number;
  readonly #freshMax: number;
  #rows: number[];
  #fresh = 0;

  constructor(columns: number, freshMax: number, rows: number[] = []) {
    this.#columns = columns;
    this.#freshMax = freshMax;
    this.#rows = rows;
    this.size = rows.length / columns;
    for (let at = 0; at < this.size; at++) if (this.get(at, 1) === 0) this.#fresh++;
  }

  /** Position of the row of this hash, which is made of zeros if need be; −1 where there is no room for it. */
  at(hash: number, addresses: Uint32Array, index: number): number {
    const found = this.#find(hash);
    this.isNew = found === this.size || this.get(found, 0) !== hash;
    if (!this.isNew) return found;
    if (this.#fresh === this.#freshMax && !this.#makeRoom(hash)) return -1;
    const [a, b, c, d] = wordsAt(addresses, index);
    const at = this.#find(hash);
    const rest = Array<number>(this.#columns - HashedRows.ownColumns).fill(0);
    this.#rows.splice(at * this.#columns, 0, hash, 0, a, b, c, d, ...rest);
    this.size++;
    this.#fresh++;
    return at;
  }

  hash(at: number): number {
    return this.get(at, 0);
  }

  address(at: number): AddressWords {
    return [this.get(at, 2), this.get(at, 3), this.get(at, 4), this.get(at, 5)];
  }

  get(at: number, column: number): number {
    return this.#rows[at * this.#columns + column];
  }

  set(at: number, column: number, value: number): void {
    this.#rows[at * this.#columns + column] = value;
  }

  add(at: number, column: number, value: number): void {
    this.#rows[at * this.#columns + column] += value;
  }

  /** Of two values, the greater stays. */
  raise(at: number, column: number, value: number): void {
    if (value > this.get(at, column)) this.set(at, column, value);
  }

  /** Adds bits to a column that is a set. */
  unite(at: number, column: number, bits: number): void {
    this.set(at, column, (this.get(at, column) | bits) >>> 0);
  }

  /** Positions, by order of hash. */
  positions(): number[] {
    return Array.from({ length: this.size }, (_, at) => at);
  }

  /** Leaves these, which from now on stay however many come. */
  keep(positions: readonly number[]): void {
    const ordered = positions.toSorted((x, y) => x - y);
    for (const at of ordered) this.set(at, 1, 1);
    this.#rows = ordered.flatMap((at) => this.#rows.slice(at * this.#columns, (at + 1) * this.#columns));
    this.size = ordered.length;
    this.#fresh = 0;
  }

  save(writer: StateWriter): void {
    writer.numbers(this.#rows);
  }

  static load(columns: number, freshMax: number, reader: StateReader): HashedRows {
    return new HashedRows(columns, freshMax, reader.numbers());
  }

  /** Position of the hash, or of the first greater one. */
  #find(hash: number): number {
    const rows = this.#rows;
    const columns = this.#columns;
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (rows[middle * columns] < hash) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Displaces the fresh row of greatest hash, unless that of the new one is greater. */
  #makeRoom(hash: number): boolean {
    let last = this.size - 1;
    while (this.get(last, 1) === 1) last--;
    if (this.get(last, 0) < hash) return false;
    this.#rows.splice(last * this.#columns, this.#columns);
    this.size--;
    this.#fresh--;
    return true;
  }
}
