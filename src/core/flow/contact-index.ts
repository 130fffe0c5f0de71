/** Spreads the key of a contact over 32 bits; not keyed: the index lives for one batch. */
export function mixKey(a: number, b: number, c: number, d: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35) ^ Math.imul(d, 0x27d4eb2f);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return h ^ (h >>> 13);
}

/** A power of two with at least half of it free. */
export function tableSize(entries: number): number {
  return 1 << (32 - Math.clz32(Math.max(8, 2 * entries)));
}
