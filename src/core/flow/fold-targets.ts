import { mixKey, tableSize } from "./contact-index.ts";
import { refusedByTarget, sourcesKept, type PairContacts, type TargetContacts } from "./contacts.ts";
import type { EntityTable } from "./entity-table.ts";

/** Targets follow from pairs: each pair with requests is one distinct source of its target's contact. */
export function foldTargets(pairs: PairContacts, periods: Uint32Array, entities: EntityTable): TargetContacts {
  const targets = emptyTargets(pairs.length);
  const index = new Uint32Array(tableSize(pairs.length));
  /** Per pair, 1 + the contact that it is a source of. */
  const contactOfPair = new Uint32Array(pairs.length);
  for (let i = 0; i < pairs.length; i++) {
    if ((pairs.refused[i] & refusedByTarget) !== 0) continue;
    const contact = targetContactOf(targets, index, pairs, i, periods[i]);
    targets.requests[contact] += pairs.requests[i];
    targets.answered[contact] += pairs.answered[i];
    targets.failed[contact] += pairs.failed[i];
    if (entities.internal[pairs.source[i]] === 0) targets.externalAnswered[contact] += pairs.answered[i];
    else targets.internalBytes[contact] += pairs.sourceBytes[i];
    targets.samplingRate[contact] = Math.max(targets.samplingRate[contact], pairs.samplingRate[i]);
    targets.minuteBytes[contact] += pairs.minuteSourceBytes[i];
    targets.minutePackets[contact] += pairs.minuteSourcePackets[i];
    if (pairs.requests[i] === 0) continue;
    contactOfPair[i] = contact + 1;
    const bit = entities.hash[pairs.source[i]] >>> 8;
    if (bit & 32) targets.sourcesHigh[contact] |= 1 << (bit & 31);
    else targets.sourcesLow[contact] |= 1 << (bit & 31);
  }
  gatherSources(targets, pairs, contactOfPair, entities.hash);
  return targets;
}

function targetContactOf(
  targets: TargetContacts,
  index: Uint32Array,
  pairs: PairContacts,
  i: number,
  period: number,
): number {
  const target = pairs.target[i];
  const port = pairs.port[i];
  const protocol = pairs.protocol[i];
  const bucket = pairs.bucket[i];
  let at = mixKey(target, 0, (port << 8) | protocol, bucket) & (index.length - 1);
  for (;;) {
    const found = index[at];
    if (found === 0) break;
    const c = found - 1;
    if (
      targets.target[c] === target &&
      targets.port[c] === port &&
      targets.bucket[c] === bucket &&
      targets.period[c] === period &&
      targets.protocol[c] === protocol
    ) {
      return c;
    }
    at = (at + 1) & (index.length - 1);
  }
  const contact = targets.length++;
  index[at] = contact + 1;
  targets.target[contact] = target;
  targets.port[contact] = port;
  targets.protocol[contact] = protocol;
  targets.bucket[contact] = bucket;
  targets.period[contact] = period;
  return contact;
}

/** Lays the sources of each target contact side by side, at most `sourcesKept`, those of lowest hash. */
function gatherSources(
  targets: TargetContacts,
  pairs: PairContacts,
  contactOfPair: Uint32Array,
  addressHash: Uint32Array,
): void {
  const { length } = targets;
  const from = new Uint32Array(length + 1);
  for (let i = 0; i < pairs.length; i++) if (contactOfPair[i]) from[contactOfPair[i]]++;
  for (let c = 0; c < length; c++) from[c + 1] += from[c];
  const all = new Uint32Array(from[length]);
  const next = from.slice();
  for (let i = 0; i < pairs.length; i++) if (contactOfPair[i]) all[next[contactOfPair[i] - 1]++] = pairs.source[i];
  let written = 0;
  for (let c = 0; c < length; c++) {
    const count = from[c + 1] - from[c];
    targets.sourcesAt[c] = written;
    if (count <= sourcesKept) {
      targets.sourceCount[c] = count;
      all.copyWithin(written, from[c], from[c + 1]);
    } else {
      const sorted = all.slice(from[c], from[c + 1]).sort((x, y) => addressHash[x] - addressHash[y]);
      const lowest = distinct(sorted).subarray(0, sourcesKept);
      targets.sourceCount[c] = lowest.length;
      all.set(lowest, written);
    }
    written += targets.sourceCount[c];
  }
  targets.sources = all.slice(0, written);
}

/** Neighbours once: pairs that differ in what refused them, or in their period, share their other side. */
function distinct(sorted: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  return sorted.filter((value, i) => i === 0 || value !== sorted[i - 1]);
}

function emptyTargets(n: number): TargetContacts {
  return {
    length: 0,
    target: new Uint32Array(n),
    port: new Uint16Array(n),
    protocol: new Uint8Array(n),
    bucket: new Uint32Array(n),
    period: new Uint32Array(n),
    requests: new Uint32Array(n),
    answered: new Uint32Array(n),
    failed: new Uint32Array(n),
    externalAnswered: new Uint32Array(n),
    internalBytes: new Float64Array(n),
    samplingRate: new Uint32Array(n),
    minuteBytes: new Float64Array(n),
    minutePackets: new Float64Array(n),
    sourcesLow: new Uint32Array(n),
    sourcesHigh: new Uint32Array(n),
    sourcesAt: new Uint32Array(n),
    sourceCount: new Uint8Array(n),
    sources: new Uint32Array(0),
  };
}
