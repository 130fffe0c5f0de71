import { parseAddress } from "./address.ts";

type Network = { words: readonly number[]; masks: readonly number[] };

export type NetworkMatcher = (a: number, b: number, c: number, d: number) => boolean;

/**
 * Tells whether an address (four big-endian words, IPv4 mapped) lies in one of these networks (`10.0.0.0/8`,
 * `fd00::/8`, a bare address).
 *
 * @throws RangeError naming the first text that is no network.
 */
export function networkMatcher(cidrs: readonly string[]): NetworkMatcher {
  const networks = cidrs.map(parseNetwork);
  return (a, b, c, d) => {
    for (const { words, masks } of networks) {
      if (
        (a & masks[0]) === words[0] &&
        (b & masks[1]) === words[1] &&
        (c & masks[2]) === words[2] &&
        (d & masks[3]) === words[3]
      ) {
        return true;
      }
    }
    return false;
  };
}

function parseNetwork(cidr: string): Network {
  const slash = cidr.indexOf("/");
  const text = slash < 0 ? cidr : cidr.slice(0, slash);
  const address = parseAddress(text);
  const width = text.includes(":") ? 128 : 32;
  const lengthText = slash < 0 ? String(width) : cidr.slice(slash + 1);
  const length = /^\d{1,3}$/.test(lengthText) ? Number(lengthText) : Number.NaN;
  if (!address || !(length <= width)) throw new RangeError(`not a network: ${JSON.stringify(cidr)}`);
  const bits = length + 128 - width;
  const masks = [0, 1, 2, 3].map((word) => maskOf(Math.min(32, Math.max(0, bits - 32 * word))));
  return { words: address.map((word, i) => word & masks[i]), masks };
}

function maskOf(bits: number): number {
  return bits === 0 ? 0 : -1 << (32 - bits);
}
