import { createHmac } from "node:crypto";
import { cut, isV4, mappedBits, parsePrefix, type Prefix } from "./prefix.ts";
import type { DataKey } from "./seal.ts";

/** What can be searched for: an anomaly's entity, and its peers. */
export type IndexFamily = "source_ip" | "destination_ip";

/** Finds sealed addresses by prefix: a token says of two rows that they share one, and of which nothing. */
export interface BlindIndex {
  /** Tokens of addresses or prefixes under the newest key: one for each indexed prefix that contains any of them. */
  tokensOf(family: IndexFamily, addresses: readonly string[]): string[];
  /** Of the nearest indexed prefix that contains the network, one per key; undefined where none is so short. */
  tokensFor(family: IndexFamily, network: Prefix): string[] | undefined;
}

/** Prefixes that have tokens, in bits of 128: of IPv4 /8, /16, /24 and addresses, of IPv6 /32, /48, /64 and addresses. */
const indexedV4 = [8, 16, 24, 32].map((length) => mappedBits + length);
const indexedV6 = [32, 48, 64, 128];

/** 128 bits: none comes up twice by chance. */
const tokenBytes = 16;

/** Tokens that an isolate remembers, 200 bytes each: verdicts are written again and again with the same peers. */
const rememberedMax = 20_000;
const remembered = new Map<string, string>();
/** Tells the tokens of one index from those of all others. */
let indexes = 0;

/** A token is the key's version and HMAC-SHA256 of family, length and prefix, cut: 8 + 32 hex digits. */
export function blindIndex(keys: readonly DataKey[]): BlindIndex {
  const newest = keys.reduce((a, b) => (a.version > b.version ? a : b));
  const index = ++indexes;
  return {
    tokensOf(family, addresses) {
      const tokens = new Set<string>();
      for (const address of addresses) {
        const prefix = parsePrefix(address);
        for (const bits of prefix ? indexedOf(prefix) : []) {
          if (prefix!.bits < bits) break;
          const part = cut(prefix!, bits);
          const name = `${index} ${family} ${bits} ${part.words.join(" ")}`;
          const token = remembered.get(name) ?? tokenOf(newest, family, part);
          remember(name, token);
          tokens.add(token);
        }
      }
      return [...tokens];
    },
    tokensFor(family, network) {
      const bits = indexedOf(network).findLast((length) => length <= network.bits);
      return bits === undefined ? undefined : keys.map((key) => tokenOf(key, family, cut(network, bits)));
    },
  };
}

/** As the newest: those that nobody asked for longest are forgotten. */
function remember(name: string, token: string): void {
  remembered.delete(name);
  remembered.set(name, token);
  if (remembered.size <= rememberedMax) return;
  const [oldest] = remembered.keys();
  remembered.delete(oldest);
}

/** What begins every token of a key: older ones sort below. */
export function tokenHead(version: number): string {
  return version.toString(16).padStart(8, "0");
}

function indexedOf(prefix: Prefix): readonly number[] {
  return isV4(prefix) ? indexedV4 : indexedV6;
}

function tokenOf({ version, key }: DataKey, family: IndexFamily, { words, bits }: Prefix): string {
  const bytes = Buffer.alloc(16);
  words.forEach((word, i) => bytes.writeUInt32BE(word, 4 * i));
  const hmac = createHmac("sha256", key).update(`${family}|${bits}|`).update(bytes).digest();
  return tokenHead(version) + hmac.toString("hex", 0, tokenBytes);
}
