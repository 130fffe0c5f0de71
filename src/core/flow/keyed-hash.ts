/** A secret of 64 bits as two unsigned words, one per tenant: nobody else can choose addresses that collide. */
export type HashKey = readonly [number, number];

/**
 * HalfSipHash-1-3 of one address (Aumasson & Bernstein, SipHash's 32-bit member; here one compression round, three
 * at the end, as in hash tables). Chance in Weir is this hash, never a generator: sample membership and the slot.
 */
export function hashAddress(key: HashKey, a: number, b: number, c: number, d: number): number {
  const k0 = key[0];
  const k1 = key[1];
  let v0 = k0;
  let v1 = k1;
  let v2 = 0x6c796765 ^ k0;
  let v3 = 0x74656462 ^ k1;
  for (let i = 0; i < 5; i++) {
    const m = i === 0 ? a : i === 1 ? b : i === 2 ? c : i === 3 ? d : 16 << 24;
    v3 ^= m;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= m;
  }
  v2 ^= 0xff;
  for (let i = 0; i < 3; i++) {
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
  }
  return (v1 ^ v3) >>> 0;
}

/** Hash of (address, service) from the address' keyed hash: murmur3's finaliser, a bijection of 32 bits. */
export function hashService(addressHash: number, port: number, protocol: number): number {
  let h = addressHash ^ Math.imul((port << 8) | protocol, 0x9e3779b1);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}

/** Slots of a tenant. Never changes: stored state is filed by it. */
export const slotCount = 256;

/** The slot of an entity. Never changes. The low byte: samples choose by the high bits. */
export function slotOf(addressHash: number): number {
  return addressHash & (slotCount - 1);
}

/** Where a record concerns no slot. */
export const noSlot = 256;
