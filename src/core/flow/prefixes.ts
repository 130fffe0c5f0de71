import type { AddressWords } from "../verdict.ts";
import { formatAddress } from "./address.ts";

/**
 * A prefix as an entity: words that no host has, so that it goes wherever an address goes. IPv4 lies in ::fffe:0:0/96
 * instead of ::ffff:0:0/96, its length in the second word; IPv6 ends in ffff:ffff and its length.
 */
function prefix4(d: number, length: number): AddressWords {
  return [0, length, 0xfffe, (d & (-1 << (32 - length))) >>> 0];
}

function prefix6(a: number, b: number, length: 48 | 64): AddressWords {
  return [a, length === 64 ? b : (b & 0xffff0000) >>> 0, 0xffffffff, length];
}

function isV4(a: number, b: number, c: number): boolean {
  return a === 0 && b === 0 && c === 0xffff;
}

/** The network of our own that is attacked as one: /24, /48. */
export function homePrefixOf(a: number, b: number, c: number, d: number): AddressWords {
  return isV4(a, b, c) ? prefix4(d, 24) : prefix6(a, b, 48);
}

/** Addresses that one hand may hold: /24, and the /64 within which a host changes its address at will. */
export function neighbourhoodOf(a: number, b: number, c: number, d: number): AddressWords {
  return isV4(a, b, c) ? prefix4(d, 24) : prefix6(a, b, 64);
}

/** An address or a prefix as text: `10.1.2.3`, `10.1.2.0/24`, `2001:db8::/48`. */
export function formatEntity(words: AddressWords): string {
  const [a, b, c, d] = words;
  if (a === 0 && c === 0xfffe && b > 0 && b <= 32) return `${formatAddress([0, 0, 0xffff, d])}/${b}`;
  if (c === 0xffffffff && (d === 48 || d === 64)) return `${formatAddress([a, b, 0, 0])}/${d}`;
  return formatAddress(words);
}
