/**
 * The distinct addresses of one batch: 16 bytes each, IPv4 mapped into IPv6 (::ffff:a.b.c.d), so that both families
 * cost the same and grouping by address is indexing.
 *
 * Layout: `words[4 * index .. 4 * index + 3]` is the address as four big-endian 32-bit words; the index is its name
 * within the batch. Lookup is open addressing over those words.
 */
export class AddressTable {
  count = 0;
  words = new Uint32Array(4 * 512);
  /** 1 + index of the address whose hash leads here, 0 where the bucket is free; length is a power of two. */
  #buckets = new Uint32Array(1024);

  clear(): void {
    this.count = 0;
    this.#buckets.fill(0);
  }

  /** The index of the address with these four big-endian words, entering it if it is new. */
  intern(a: number, b: number, c: number, d: number): number {
    const words = this.words;
    const buckets = this.#buckets;
    const mask = buckets.length - 1;
    let at = mix(a, b, c, d) & mask;
    for (;;) {
      const found = buckets[at];
      if (found === 0) return this.#add(at, a, b, c, d);
      const w = (found - 1) * 4;
      if (words[w + 3] === d >>> 0 && words[w + 2] === c >>> 0 && words[w + 1] === b >>> 0 && words[w] === a >>> 0) {
        return found - 1;
      }
      at = (at + 1) & mask;
    }
  }

  #add(at: number, a: number, b: number, c: number, d: number): number {
    const index = this.count++;
    if (index * 4 === this.words.length) this.words = doubled(this.words);
    const words = this.words;
    words[index * 4] = a;
    words[index * 4 + 1] = b;
    words[index * 4 + 2] = c;
    words[index * 4 + 3] = d;
    this.#buckets[at] = index + 1;
    if (this.count * 2 > this.#buckets.length) this.#rehash();
    return index;
  }

  #rehash(): void {
    const buckets = new Uint32Array(this.#buckets.length * 2);
    const mask = buckets.length - 1;
    const words = this.words;
    for (let index = 0; index < this.count; index++) {
      const w = index * 4;
      let at = mix(words[w], words[w + 1], words[w + 2], words[w + 3]) & mask;
      while (buckets[at] !== 0) at = (at + 1) & mask;
      buckets[at] = index + 1;
    }
    this.#buckets = buckets;
  }
}

/** Spreads an address over 32 bits (murmur3's finaliser over its words); not keyed: the table lives for one batch. */
function mix(a: number, b: number, c: number, d: number): number {
  let h = Math.imul(a ^ (b >>> 15) ^ b, 0x85ebca6b) ^ Math.imul(c ^ 0x9e3779b9, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 13) ^ d, 0xcc9e2d51);
  h ^= h >>> 15;
  h = Math.imul(h, 0x1b873593);
  return h ^ (h >>> 16);
}

function doubled(old: Uint32Array): Uint32Array<ArrayBuffer> {
  const grown = new Uint32Array(old.length * 2);
  grown.set(old);
  return grown;
}
