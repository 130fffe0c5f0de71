import { isGroupAddress } from "./address.ts";
import type { AddressTable } from "./address-table.ts";
import type { Contacts } from "./contacts.ts";
import { hashAddress, noSlot, slotCount, slotOf, type HashKey } from "./keyed-hash.ts";
import type { NetworkMatcher } from "./networks.ts";
import { homePrefixOf, neighbourhoodOf } from "./prefixes.ts";

/**
 * The entities of a batch: its addresses, and behind them the prefixes of those of the tenant's own that were called from
 * outside.
 *
 * An address of our own has a slot by itself. Addresses of others share the slot of their neighbours (/24, /64), so that
 * whoever comes from many addresses of one network is seen as one.
 */
export class EntityTable {
  readonly hash: Uint32Array<ArrayBuffer>;
  readonly internal: Uint8Array<ArrayBuffer>;
  readonly #addresses: AddressTable;
  readonly #key: HashKey;
  /** Of each address, its prefix' index; 0 where it was not asked for, −1 where there is none. */
  readonly #prefixOf: Int32Array;
  /** The slot of that prefix. */
  readonly #prefixSlots: Uint16Array;
  readonly #prefixes: { words: readonly number[]; hash: number }[] = [];
  readonly #prefixIndex = new Map<string, number>();

  constructor(addresses: AddressTable, key: HashKey, isInternal: NetworkMatcher) {
    const { count, words } = addresses;
    this.#addresses = addresses;
    this.#key = key;
    this.#prefixOf = new Int32Array(count);
    this.#prefixSlots = new Uint16Array(count).fill(noSlot);
    this.hash = new Uint32Array(count);
    this.internal = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      const w = 4 * i;
      const [a, b, c, d] = [words[w], words[w + 1], words[w + 2], words[w + 3]];
      const isOwn = isInternal(a, b, c, d);
      const hash = hashAddress(key, a, b, c, d);
      this.internal[i] = isOwn ? 1 : 0;
      this.hash[i] = isOwn ? hash : inSlot(hash, slotOf(this.#hashOf(neighbourhoodOf(a, b, c, d))));
    }
  }

  /** The slot of the prefix of an address of our own; `noSlot` for others, and for groups. */
  prefixSlot(address: number): number {
    if (this.#prefixOf[address] === 0) this.prefixOf(address);
    return this.#prefixSlots[address];
  }

  /** Index of the prefix of an address of our own; −1 for others, and for groups. */
  prefixOf(address: number): number {
    const known = this.#prefixOf[address];
    if (known !== 0) return known;
    const found = this.#findPrefix(address);
    this.#prefixOf[address] = found;
    if (found >= 0) this.#prefixSlots[address] = slotOf(this.#prefixes[found - this.hash.length].hash);
    return found;
  }

  columns(): Pick<Contacts, "addresses" | "addressHash" | "internal"> {
    const { words, count } = this.#addresses;
    const own = words.subarray(0, 4 * count);
    const prefixes = this.#prefixes;
    if (prefixes.length === 0) return { addresses: own, addressHash: this.hash, internal: this.internal };
    const all = count + prefixes.length;
    const [addresses, addressHash, internal] = [new Uint32Array(4 * all), new Uint32Array(all), new Uint8Array(all)];
    addresses.set(own);
    addressHash.set(this.hash);
    internal.set(this.internal);
    prefixes.forEach((prefix, i) => {
      addresses.set(prefix.words, 4 * (count + i));
      addressHash[count + i] = prefix.hash;
      internal[count + i] = 1;
    });
    return { addresses, addressHash, internal };
  }

  #findPrefix(address: number): number {
    const { words } = this.#addresses;
    if (this.internal[address] === 0 || isGroupAddress(words, address)) return -1;
    const w = 4 * address;
    const prefix = homePrefixOf(words[w], words[w + 1], words[w + 2], words[w + 3]);
    const name = prefix.join();
    let index = this.#prefixIndex.get(name);
    if (index === undefined) {
      index = this.hash.length + this.#prefixes.push({ words: prefix, hash: this.#hashOf(prefix) }) - 1;
      this.#prefixIndex.set(name, index);
    }
    return index;
  }

  #hashOf([a, b, c, d]: readonly number[]): number {
    return hashAddress(this.#key, a, b, c, d);
  }
}

function inSlot(hash: number, slot: number): number {
  return (hash - (hash % slotCount) + slot) >>> 0;
}
