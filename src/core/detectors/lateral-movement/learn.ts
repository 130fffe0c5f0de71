import { bucketMs, type Contacts } from "../../flow/contacts.ts";
import { Protocol } from "../../flow/flow-batch.ts";
import { hashService } from "../../flow/keyed-hash.ts";
import type { EntityWindows, Entry } from "../../slots/entity-windows.ts";
import type { FactsOfSlot } from "../../slots/network-facts.ts";
import type { SlotContacts } from "../detector.ts";
import { endOfRun } from "../runs.ts";
import { Edge, labelOf, labelPort, positions, smallRequestsMax, type HostState } from "./host-state.ts";
import { isAdministration } from "./services.ts";
import { dayMs } from "./settings.ts";

export function learn({ contacts, outbound, inside, targets }: SlotContacts, days: EntityWindows<HostState>): void {
  learnPresence(days, contacts, outbound);
  learnPresence(days, contacts, inside);
  learnEdges(days, contacts, inside);
  learnVisits(days, contacts, targets);
}

/** A host that makes requests, of whatever kind, is there. */
function learnPresence(days: EntityWindows<HostState>, { pairs, addresses }: Contacts, indexes: Uint32Array): void {
  for (let from = 0, end = 0; from < indexes.length; from = end) {
    const first = indexes[from];
    const entry = days.at(addresses, pairs.source[first], pairs.bucket[first]);
    end = endOfRun(pairs, indexes, from, entry.windowStartMs, dayMs);
    if (entry.state.requests <= smallRequestsMax) days.grew(entry);
    let requests = 0;
    for (let at = from; at < end; at++) requests += pairs.requests[indexes[at]];
    entry.state.requests += requests;
  }
}

function learnEdges(days: EntityWindows<HostState>, contacts: Contacts, indexes: Uint32Array): void {
  const { pairs, addresses } = contacts;
  for (const i of indexes) {
    if (isAdministration[pairs.port[i]] === 0 || pairs.protocol[i] !== Protocol.Tcp) continue;
    const entry = days.at(addresses, pairs.source[i], pairs.bucket[i]);
    const { edges } = entry.state;
    const { size } = edges;
    addEdge(entry, contacts, i);
    days.touch(entry);
    if (edges.size !== size) days.grew(entry);
  }
}

function addEdge({ state, windowStartMs }: Entry<HostState>, contacts: Contacts, i: number): void {
  const { pairs, addresses, addressHash } = contacts;
  const target = pairs.target[i];
  const port = pairs.port[i];
  const flags = (pairs.failed[i] > 0 ? Edge.Failed : 0) | (pairs.answered[i] > 0 ? Edge.Answered : 0);
  const label = labelOf(pairs.bucket[i] - windowStartMs / bucketMs, port);
  state.edges.add(hashService(addressHash[target], port, Protocol.Tcp), addresses, target, label, flags);
  state.packets += pairs.sourcePackets[i];
  state.samplingRate = Math.max(state.samplingRate, pairs.samplingRate[i]);
}

function learnVisits(days: EntityWindows<HostState>, contacts: Contacts, indexes: Uint32Array): void {
  const { targets, addresses, internal } = contacts;
  for (const i of indexes) {
    if (isAdministration[targets.port[i]] === 0 || targets.protocol[i] !== Protocol.Tcp) continue;
    if (internal[targets.target[i]] === 0 || !isFromInside(contacts, i)) continue;
    const entry = days.at(addresses, targets.target[i], targets.bucket[i]);
    const { edges, visitors } = entry.state;
    const { size } = visitors;
    addVisits(entry, contacts, i);
    // Who has reached nobody has moved nowhere, whoever comes.
    if (edges.size > 0) days.touch(entry);
    if (visitors.size !== size) days.grew(entry);
  }
}

/** What came from outside alone leaves no trace, or every address that is scanned would have a state. */
function isFromInside({ targets, internal }: Contacts, i: number): boolean {
  if (targets.answered[i] !== targets.externalAnswered[i]) return true;
  const end = targets.sourcesAt[i] + targets.sourceCount[i];
  for (let s = targets.sourcesAt[i]; s < end; s++) if (internal[targets.sources[s]] === 1) return true;
  return false;
}

function addVisits({ state, windowStartMs }: Entry<HostState>, contacts: Contacts, i: number): void {
  const { targets, addresses, addressHash, internal } = contacts;
  const port = targets.port[i];
  const label = labelOf(targets.bucket[i] - windowStartMs / bucketMs, port);
  state.addressHash = addressHash[targets.target[i]];
  state.visitsAnswered += targets.answered[i] - targets.externalAnswered[i];
  const end = targets.sourcesAt[i] + targets.sourceCount[i];
  for (let s = targets.sourcesAt[i]; s < end; s++) {
    const source = targets.sources[s];
    if (internal[source] === 0) continue;
    state.visitors.add(hashService(addressHash[source], port, Protocol.Tcp), addresses, source, label, 0);
  }
}

/** How many of our own came, by service: the fact is filed under the hash that the edge has at its source. */
export function tellVisitors({ visitors, addressHash }: HostState, atMs: number, facts: FactsOfSlot): void {
  const perPort = new Map<number, number>();
  for (const i of positions(visitors)) {
    const port = labelPort(visitors.label(i));
    perPort.set(port, (perPort.get(port) ?? 0) + visitors.count() / visitors.size);
  }
  for (const [port, count] of perPort) {
    facts.addSources(hashService(addressHash, port, Protocol.Tcp), Math.round(count), atMs);
  }
}
