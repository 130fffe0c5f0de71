import type { Acknowledgement } from "../core/slots/slot.ts";

/** Kept per shard, in entries of some 100 bytes. Whatever is forgotten, the shard stores again, to no effect. */
const acknowledgementsMax = 1000;

/** What this isolate has stored for shards, until their next call tells them. */
export class Acknowledgements {
  readonly #stored = new Map<string, Acknowledgement[]>();

  add(shard: string, stored: readonly Acknowledgement[]): void {
    const all = [...(this.#stored.get(shard) ?? []), ...stored];
    this.#stored.set(shard, all.slice(-acknowledgementsMax));
  }

  /** For a call; what fails gives them back by `add`. */
  take(shard: string): Acknowledgement[] {
    const stored = this.#stored.get(shard) ?? [];
    this.#stored.delete(shard);
    return stored;
  }
}
