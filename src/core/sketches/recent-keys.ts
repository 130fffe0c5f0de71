/** Entries, 8 bytes each: 256 slots with three of these take 1.5 MB. */
const entries = 256;

/**
 * What was learnt a moment ago, so that it need not be learnt again: most of what a busy network does, it has just done.
 * A key that is displaced by another one is forgotten, and does no harm.
 *
 * It stands for a union: adding the same again changes nothing as long as nothing was forgotten. Whoever forgets must
 * clear it. Keys are 64 bits of keyed hashes, so that none is taken for another one.
 */
export class RecentKeys {
  readonly #keys = new Uint32Array(2 * entries);

  /** Whether the key is known; from now on it is. */
  has(high: number, low: number): boolean {
    const keys = this.#keys;
    const at = 2 * ((high ^ low) & (entries - 1));
    if (keys[at] === high && keys[at + 1] === low) return true;
    keys[at] = high;
    keys[at + 1] = low;
    return false;
  }

  clear(): void {
    this.#keys.fill(0);
  }
}

/** A key's word of a hash and of small numbers, such as flags and the number of a window. */
export function keyOf(hash: number, one: number, other: number): number {
  return (hash ^ Math.imul(one + 1, 0x9e3779b1) ^ Math.imul(other, 0x85ebca6b)) >>> 0;
}
