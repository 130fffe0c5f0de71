import { formatAddress, parseAddress } from "../core/flow/address.ts";
import type { AddressWords } from "../core/verdict.ts";

/** An address or a network: the first `bits` of 128, IPv4 mapped into IPv6 (`10.0.0.0/8` has 104); the rest is 0. */
export interface Prefix {
  readonly words: AddressWords;
  readonly bits: number;
}

/** Bits before an IPv4 address that is mapped into IPv6. */
export const mappedBits = 96;

/** Reads `10.0.0.5`, `10.0.0.0/8`, `2001:db8::/32`; undefined if the text is none of it. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const words = parseAddress(address);
  const width = address.includes(":") ? 128 : 32;
  const lengthText = slash < 0 ? String(width) : text.slice(slash + 1);
  const length = /^\d{1,3}$/.test(lengthText) ? Number(lengthText) : Number.NaN;
  if (!words || !(length <= width)) return undefined;
  return cut({ words, bits: 128 }, length + 128 - width);
}

/** Its first bits, or all that it has. */
export function cut({ words, bits }: Prefix, bitsMax: number): Prefix {
  const kept = Math.min(bits, bitsMax);
  const word = (i: number) => (words[i] & maskOf(Math.min(32, Math.max(0, kept - 32 * i)))) >>> 0;
  return { words: [word(0), word(1), word(2), word(3)], bits: kept };
}

export function contains(network: Prefix, other: Prefix): boolean {
  if (other.bits < network.bits) return false;
  const { words } = cut(other, network.bits);
  return words.every((word, i) => word === network.words[i]);
}

/** Whether an address or a network, as text, lies in a network. */
export function liesIn(network: Prefix, address: string): boolean {
  const prefix = parsePrefix(address);
  return prefix !== undefined && contains(network, prefix);
}

/** Whether it is an IPv4 address or network. */
export function isV4({ words: [a, b, c], bits }: Prefix): boolean {
  return bits >= mappedBits && a === 0 && b === 0 && c === 0xffff;
}

/** As people write it: an address without its length. */
export function formatPrefix(prefix: Prefix): string {
  const address = formatAddress(prefix.words);
  if (prefix.bits === 128) return address;
  return `${address}/${isV4(prefix) ? prefix.bits - mappedBits : prefix.bits}`;
}

function maskOf(bits: number): number {
  return bits === 0 ? 0 : -1 << (32 - bits);
}
