import { refusedByPrefix, type PairContacts, type PrefixContacts } from "./contacts.ts";
import type { EntityTable } from "./entity-table.ts";

/** Prefixes follow from pairs: what came from outside, over all hosts of the prefix. */
export function foldPrefixes(pairs: PairContacts, periods: Uint32Array, entities: EntityTable): PrefixContacts {
  const { internal } = entities;
  const contactOf = new Map<number, number[]>();
  const prefixes = emptyPrefixes(pairs.length);
  for (let i = 0; i < pairs.length; i++) {
    if (internal[pairs.source[i]] !== 0 || (pairs.refused[i] & refusedByPrefix) !== 0) continue;
    const prefix = entities.prefixOf(pairs.target[i]);
    if (prefix < 0) continue;
    // Buckets of one prefix and protocol are few: those of a batch.
    const key = prefix * 256 + pairs.protocol[i];
    let alike = contactOf.get(key);
    if (!alike) contactOf.set(key, (alike = []));
    const [bucket, period] = [pairs.bucket[i], periods[i]];
    let contact = alike.findLast((one) => prefixes.bucket[one] === bucket && prefixes.period[one] === period);
    if (contact === undefined) {
      contact = prefixes.length++;
      alike.push(contact);
      prefixes.prefix[contact] = prefix;
      prefixes.protocol[contact] = pairs.protocol[i];
      prefixes.bucket[contact] = bucket;
      prefixes.period[contact] = period;
    }
    add(prefixes, contact, pairs, i, entities);
  }
  return prefixes;
}

function add(to: PrefixContacts, contact: number, pairs: PairContacts, i: number, entities: EntityTable): void {
  to.requests[contact] += pairs.requests[i];
  to.answered[contact] += pairs.answered[i];
  to.failed[contact] += pairs.failed[i];
  to.minuteBytes[contact] += pairs.minuteSourceBytes[i];
  to.minutePackets[contact] += pairs.minuteSourcePackets[i];
  to.samplingRate[contact] = Math.max(to.samplingRate[contact], pairs.samplingRate[i]);
  const target = entities.hash[pairs.target[i]] >>> 8;
  const source = entities.hash[pairs.source[i]] >>> 8;
  if (target & 32) to.targetsHigh[contact] |= 1 << (target & 31);
  else to.targetsLow[contact] |= 1 << (target & 31);
  if (source & 32) to.sourcesHigh[contact] |= 1 << (source & 31);
  else to.sourcesLow[contact] |= 1 << (source & 31);
}

function emptyPrefixes(n: number): PrefixContacts {
  return {
    length: 0,
    prefix: new Uint32Array(n),
    protocol: new Uint8Array(n),
    bucket: new Uint32Array(n),
    period: new Uint32Array(n),
    requests: new Uint32Array(n),
    answered: new Uint32Array(n),
    failed: new Uint32Array(n),
    minuteBytes: new Float64Array(n),
    minutePackets: new Float64Array(n),
    samplingRate: new Uint32Array(n),
    targetsLow: new Uint32Array(n),
    targetsHigh: new Uint32Array(n),
    sourcesLow: new Uint32Array(n),
    sourcesHigh: new Uint32Array(n),
  };
}
