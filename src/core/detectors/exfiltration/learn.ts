import { isGroupAddress } from "../../flow/address.ts";
import type { Contacts } from "../../flow/contacts.ts";
import { serviceOf } from "../../flow/protocols.ts";
import type { HashedRows } from "../../sketches/hashed-rows.ts";
import type { EntityWindows } from "../../slots/entity-windows.ts";
import type { SlotContacts } from "../detector.ts";
import { endOfRun } from "../runs.ts";
import { dayMs, judgedFromBytes } from "./settings.ts";
import { codec, Column, severalServices, type UploadState } from "./upload-state.ts";

export function learn({ contacts, outbound }: SlotContacts, windows: EntityWindows<UploadState>): void {
  const { pairs, addresses } = contacts;
  for (let from = 0, end = 0; from < outbound.length; from = end) {
    const first = outbound[from];
    end = from + 1;
    if (isGroupAddress(addresses, pairs.target[first])) continue;
    const entry = windows.at(addresses, pairs.source[first], pairs.bucket[first]);
    end = endOfRun(pairs, outbound, from, entry.windowStartMs, dayMs);
    const { state } = entry;
    const wasSmall = codec.isSmall(state);
    const { size } = state.destinations;
    for (let at = from; at < end; at++) addDestination(state.destinations, contacts, outbound[at]);
    addSums(state, contacts, outbound, from, end);
    if (state.destinations.size !== size || codec.isSmall(state) !== wasSmall) windows.grew(entry);
    if (state.sentBytes >= judgedFromBytes) windows.touch(entry);
  }
}

/** Of a run: five numbers of a state are written once for each, which lies somewhere in memory. */
function addSums(
  state: UploadState,
  { pairs, addresses }: Contacts,
  indexes: Uint32Array,
  from: number,
  end: number,
): void {
  let [requests, sent, received, packets, samplingRate] = [0, 0, 0, 0, state.samplingRate];
  for (let at = from; at < end; at++) {
    const i = indexes[at];
    if (isGroupAddress(addresses, pairs.target[i])) continue;
    requests += pairs.requests[i];
    sent += pairs.sourceBytes[i];
    received += pairs.targetBytes[i];
    packets += pairs.sourcePackets[i];
    if (pairs.samplingRate[i] > samplingRate) samplingRate = pairs.samplingRate[i];
  }
  state.requests += requests;
  state.sentBytes += sent;
  state.receivedBytes += received;
  state.sentPackets += packets;
  state.samplingRate = samplingRate;
}

function addDestination(destinations: HashedRows, { pairs, addresses, addressHash }: Contacts, i: number): void {
  const target = pairs.target[i];
  if (isGroupAddress(addresses, target)) return;
  const at = destinations.at(addressHash[target], addresses, target);
  if (at < 0) return;
  const service = serviceOf(pairs.port[i], pairs.protocol[i]);
  if (destinations.isNew) destinations.set(at, Column.Service, service);
  else if (destinations.get(at, Column.Service) !== service) destinations.set(at, Column.Service, severalServices);
  destinations.add(at, Column.Sent, pairs.sourceBytes[i]);
  destinations.add(at, Column.Received, pairs.targetBytes[i]);
}
