export interface TtlLruBounds {
  entriesMax: number;
  /** Sum of the sizes of all values. */
  bytesMax: number;
  /** How long a value stays that nobody asks for, in ms. */
  ttlMs: number;
}

interface Entry<T> {
  value: T;
  bytes: number;
  usedAtMs: number;
}

/**
 * Values that were asked for within `ttlMs`, the latest used of them. The time runs from the last use, not from the
 * first: what is addressed by its content does not go stale, and what an isolate uses all the time never has to be
 * fetched again; what nobody uses any more makes room by itself.
 *
 * A Map keeps its entries in the order in which they were set: by use, so both bounds are held at its front. Each
 * operation takes as many steps as it drops entries.
 */
export class TtlLru<T> {
  readonly #bounds: TtlLruBounds;
  readonly #entries = new Map<string, Entry<T>>();
  #bytes = 0;

  constructor(bounds: TtlLruBounds) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: string, nowMs: number): T | undefined {
    this.#dropUnused(nowMs);
    const entry = this.#entries.get(key);
    if (entry) this.#putLast(key, { ...entry, usedAtMs: nowMs });
    return entry?.value;
  }

  /** What alone exceeds `bytesMax` is not kept. */
  set(key: string, value: T, bytes: number, nowMs: number): void {
    this.#dropUnused(nowMs);
    this.#putLast(key, { value, bytes, usedAtMs: nowMs });
    const { entriesMax, bytesMax } = this.#bounds;
    while (this.#entries.size > entriesMax || this.#bytes > bytesMax) this.#dropFirst();
  }

  #putLast(key: string, entry: Entry<T>): void {
    this.#drop(key);
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
  }

  #dropUnused(nowMs: number): void {
    for (const { usedAtMs } of this.#entries.values()) {
      if (nowMs - usedAtMs < this.#bounds.ttlMs) return;
      this.#dropFirst();
    }
  }

  #dropFirst(): void {
    this.#drop(this.#entries.keys().next().value!);
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}
