import { isGroupAddress } from "../../flow/address.ts";
import { bucketMs, type Contacts } from "../../flow/contacts.ts";
import { Protocol } from "../../flow/flow-batch.ts";
import { serviceOf } from "../../flow/protocols.ts";
import { Inflow, trafficOf } from "../../sketches/inflow.ts";
import type { Entry, EntityWindows } from "../../slots/entity-windows.ts";
import type { SlotContacts } from "../detector.ts";
import { minuteMs, surplusAt, surplusCount, type FloodState } from "./flood-state.ts";
import { isNotableRow, mayBeFound } from "./measured.ts";

export function learn(contacts: SlotContacts, windows: EntityWindows<FloodState>): void {
  learnRequests(contacts, windows);
  learnReplies(contacts, windows);
  learnPrefixes(contacts, windows);
}

const minuteBuckets = minuteMs / bucketMs;

function minuteOf(bucket: number): number {
  return Math.floor(bucket / minuteBuckets);
}

const dnsService = serviceOf(53, Protocol.Udp);

/** What targets received from their sources. Silence from a group of hosts proves nothing. */
function learnRequests({ contacts, targets: indexes }: SlotContacts, windows: EntityWindows<FloodState>): void {
  const { targets, addresses, addressHash, internal } = contacts;
  for (const i of indexes) {
    const target = targets.target[i];
    if (internal[target] === 0 && isGroupAddress(addresses, target)) continue;
    const entry = windows.at(addresses, target, targets.bucket[i]);
    const { state } = entry;
    if (internal[target] === 1) state.internal = true;
    else state.addressHash = addressHash[target] | 0;
    const row = addRequests((state.direct ??= new Inflow()), contacts, i);
    note(windows, entry, state.direct, row);
  }
}

/** Has an entry counted anew, and judged if what it received in a minute is not trivial. */
function note(windows: EntityWindows<FloodState>, entry: Entry<FloodState>, inflow: Inflow, row: number): void {
  if (inflow.takeGrown()) windows.grew(entry);
  if (isNotableRow(inflow, row) && mayBeFound(entry.state)) windows.touch(entry);
}

function addRequests(inflow: Inflow, { targets, addresses, addressHash, internal }: Contacts, i: number): number {
  const [port, protocol] = [targets.port[i], targets.protocol[i]];
  const row = inflow.row(minuteOf(targets.bucket[i]), trafficOf(protocol));
  const service = serviceOf(port, protocol);
  const [answered, failed] = [targets.answered[i], targets.failed[i]];
  // Of name lookups only known outcomes count: in a log that shows one side, every busy name server looks flooded.
  const requests = service === dnsService ? answered + failed : targets.requests[i];
  inflow.add(row, requests, answered, failed, targets.minutePackets[i], targets.minuteBytes[i]);
  inflow.mark(row, port & 63);
  inflow.unite(row, 0, 0, targets.sourcesLow[i], targets.sourcesHigh[i]);
  inflow.sampledAt(targets.samplingRate[i]);
  const end = targets.sourcesAt[i] + targets.sourceCount[i];
  for (let s = targets.sourcesAt[i]; s < end; s++) {
    const source = targets.sources[s];
    inflow.addOther(addressHash[source], addresses, source, service, internal[source]);
  }
  return row;
}

/**
 * What our own received as nominal sources of replies; and where the log shows requests and answers apart, what they
 * had asked for. An exchange that was answered in its own record says nothing about either.
 */
function learnReplies({ contacts, pairs: indexes }: SlotContacts, windows: EntityWindows<FloodState>): void {
  const { pairs, addresses, internal } = contacts;
  for (const i of indexes) {
    const source = pairs.source[i];
    if (internal[source] === 0) continue;
    const replies = pairs.replies[i];
    const surplus = pairs.answered[i] - pairs.requests[i];
    if (replies === 0 && surplus === 0) continue;
    const entry = windows.at(addresses, source, pairs.bucket[i]);
    const { state } = entry;
    state.internal = true;
    if (state.surplus.length === 0) {
      state.surplus = Array<number>(surplusCount).fill(0);
      windows.grew(entry);
    }
    const at = surplusAt(minuteOf(pairs.bucket[i]), pairs.protocol[i] === Protocol.Tcp);
    state.surplus[at] += surplus;
    if (replies === 0) continue;
    const inflow = (state.reflected ??= new Inflow());
    const row = addReplies(inflow, contacts, i);
    if (inflow.takeGrown()) windows.grew(entry);
    // As long as there are no more answers than requests, nothing is new.
    if (state.surplus[at] > 0 && isNotableRow(inflow, row) && mayBeFound(state)) windows.touch(entry);
  }
}

function addReplies(inflow: Inflow, { pairs, addresses, addressHash, internal }: Contacts, i: number): number {
  const row = inflow.row(minuteOf(pairs.bucket[i]), trafficOf(pairs.protocol[i]));
  const target = pairs.target[i];
  inflow.add(row, pairs.replies[i], 0, 0, pairs.minuteTargetPackets[i], pairs.minuteTargetBytes[i]);
  inflow.mark(row, pairs.port[i] & 63);
  inflow.sampledAt(pairs.samplingRate[i]);
  const service = serviceOf(pairs.port[i], pairs.protocol[i]);
  // Not the low byte: neighbours share it.
  const bit = addressHash[target] >>> 8;
  inflow.unite(row, 0, 0, bit & 32 ? 0 : 1 << (bit & 31), bit & 32 ? 1 << (bit & 31) : 0);
  inflow.addOther(addressHash[target], addresses, target, service, internal[target]);
  return row;
}

function learnPrefixes({ contacts, prefixes: indexes }: SlotContacts, windows: EntityWindows<FloodState>): void {
  const { prefixes, addresses } = contacts;
  for (const i of indexes) {
    const entry = windows.at(addresses, prefixes.prefix[i], prefixes.bucket[i]);
    const { state } = entry;
    state.internal = true;
    const inflow = (state.direct ??= new Inflow());
    const row = inflow.row(minuteOf(prefixes.bucket[i]), trafficOf(prefixes.protocol[i]));
    const [answered, failed] = [prefixes.answered[i], prefixes.failed[i]];
    inflow.add(row, prefixes.requests[i], answered, failed, prefixes.minutePackets[i], prefixes.minuteBytes[i]);
    inflow.unite(row, prefixes.targetsLow[i], prefixes.targetsHigh[i], prefixes.sourcesLow[i], prefixes.sourcesHigh[i]);
    inflow.sampledAt(prefixes.samplingRate[i]);
    note(windows, entry, inflow, row);
  }
}
