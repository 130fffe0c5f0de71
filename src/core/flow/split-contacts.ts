import type { Contacts, PairContacts, PrefixContacts, RecordIds, SessionContacts, TargetContacts } from "./contacts.ts";
import { noSlot, slotCount, slotOf } from "./keyed-hash.ts";

/** Whose slots are whose: slot s belongs to shard `floor(s × shards / 256)`, so that a shard's slots are neighbours. */
export function shardOfSlot(slot: number, shards: number): number {
  return Math.floor((slot * shards) / slotCount);
}

/**
 * The part of the contacts that each of `shards` shards has to learn: pairs and sessions by the slot of their source,
 * targets and prefixes by their own, records by all. A part names only the addresses that it needs; one that needs nothing is undefined.
 */
export function splitContacts(contacts: Contacts, shards: number): (Contacts | undefined)[] {
  const { pairs, targets, prefixes, sessions, records, addressHash } = contacts;
  if (shards === 1) return [pairs.length > 0 ? contacts : undefined];
  const shardOf = Uint8Array.from(addressHash, (hash) => shardOfSlot(slotOf(hash), shards));
  return Array.from({ length: shards }, (_, shard) => {
    const part = {
      pairs: picked(pairs.length, (i) => shardOf[pairs.source[i]] === shard),
      targets: picked(targets.length, (i) => shardOf[targets.target[i]] === shard),
      prefixes: picked(prefixes.length, (i) => shardOf[prefixes.prefix[i]] === shard),
      sessions: picked(sessions.length, (i) => shardOf[sessions.source[i]] === shard),
      records: picked(records.length, (i) =>
        [records.sourceSlot[i], records.targetSlot[i], records.prefixSlot[i]].some(
          (slot) => slot !== noSlot && shardOfSlot(slot, shards) === shard,
        ),
      ),
    };
    return part.pairs.length + part.targets.length + part.prefixes.length > 0 ? pick(contacts, part) : undefined;
  });
}

function picked(length: number, belongs: (i: number) => boolean): Uint32Array<ArrayBuffer> {
  const indexes = new Uint32Array(length);
  let count = 0;
  for (let i = 0; i < length; i++) if (belongs(i)) indexes[count++] = i;
  return indexes.subarray(0, count);
}

interface Part {
  pairs: Uint32Array<ArrayBuffer>;
  targets: Uint32Array<ArrayBuffer>;
  prefixes: Uint32Array<ArrayBuffer>;
  sessions: Uint32Array<ArrayBuffer>;
  records: Uint32Array<ArrayBuffer>;
}

function pick(contacts: Contacts, part: Part): Contacts {
  const names = new Renaming(contacts);
  const { startMs, startBytes, ...pairColumns } = contacts.pairs;
  const { sources, ...targetColumns } = contacts.targets;
  const pairs: PairContacts = { ...gather(pairColumns, part.pairs), startMs, startBytes };
  const targets: TargetContacts = { ...gather(targetColumns, part.targets), sources: new Uint32Array(sources.length) };
  const prefixes: PrefixContacts = gather(contacts.prefixes, part.prefixes);
  const sessions: SessionContacts = gather(contacts.sessions, part.sessions);
  const records: RecordIds = gather(contacts.records, part.records);
  pairs.source = names.of(pairs.source);
  pairs.target = names.of(pairs.target);
  targets.target = names.of(targets.target);
  prefixes.prefix = names.of(prefixes.prefix);
  sessions.source = names.of(sessions.source);
  sessions.target = names.of(sessions.target);
  for (let i = 0; i < targets.length; i++) {
    const end = targets.sourcesAt[i] + targets.sourceCount[i];
    for (let s = targets.sourcesAt[i]; s < end; s++) targets.sources[s] = names.one(sources[s]);
  }
  return { ...names.addresses(), pairs, targets, prefixes, sessions, records };
}

/** The columns of a group, of the given rows. */
function gather<G extends { length: number }>(group: G, rows: Uint32Array): G {
  const gathered: { [name: string]: unknown } = { length: rows.length };
  for (const [name, column] of Object.entries(group)) {
    if (!ArrayBuffer.isView(column)) continue;
    const from = column as unknown as Uint32Array;
    const to = new (from.constructor as Uint32ArrayConstructor)(rows.length);
    for (let i = 0; i < rows.length; i++) to[i] = from[rows[i]];
    gathered[name] = to;
  }
  return gathered as G;
}

/** Gives the addresses that are used new indexes, in order of use. */
class Renaming {
  readonly #contacts: Contacts;
  readonly #nameOf: Int32Array;
  readonly #used: number[] = [];

  constructor(contacts: Contacts) {
    this.#contacts = contacts;
    this.#nameOf = new Int32Array(contacts.addressHash.length).fill(-1);
  }

  one(index: number): number {
    if (this.#nameOf[index] < 0) this.#nameOf[index] = this.#used.push(index) - 1;
    return this.#nameOf[index];
  }

  of(indexes: Uint32Array): Uint32Array<ArrayBuffer> {
    return Uint32Array.from(indexes, (index) => this.one(index));
  }

  addresses(): Pick<Contacts, "addresses" | "addressHash" | "internal"> {
    const { addresses, addressHash, internal } = this.#contacts;
    const used = this.#used;
    const words = new Uint32Array(4 * used.length);
    used.forEach((index, at) => words.set(addresses.subarray(4 * index, 4 * index + 4), 4 * at));
    return {
      addresses: words,
      addressHash: Uint32Array.from(used, (index) => addressHash[index]),
      internal: Uint8Array.from(used, (index) => internal[index]),
    };
  }
}
