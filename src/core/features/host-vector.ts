import { isUncommon } from "../flow/protocols.ts";
import { isRare, type NetworkFacts } from "../slots/network-facts.ts";
import { features, levelOf, windowMs, type Vector } from "./features.ts";
import type { HostPast } from "./host-past.ts";
import { minutesIn, PairSum, Sum, type HostWindow } from "./host-window.ts";

const minutesPerWindow = windowMs / 60_000;

/** Hosts of a network from which on anything is rare in it: in a smaller one, everything would be. */
const hostsMin = 10;

/** Of the pairs with a peer that hardly anyone else in the network calls, the one that was called in most windows. */
export interface RarePair {
  /** In the window's pairs. */
  row: number;
  /** Earlier windows in which it was called. */
  windows: number;
}

/** What a window of a host comes to, given its earlier ones and what is known of the network. */
export function vectorOf(
  window: HostWindow,
  windowNumber: number,
  past: HostPast | undefined,
  facts: NetworkFacts | undefined,
): { vector: Vector; rare: RarePair | undefined } {
  const { rows, rare } = rarePairsOf(window, past, facts);
  const values = { ...valuesOf(window), ...peerValuesOf(window, rows.length, past), ...rareValuesOf(window, rare) };
  const idle = past && past.last >= 0 ? Math.max(0, windowNumber - past.last - 1) : 0;
  const all: Readonly<Record<string, number>> = { ...values, idle_windows: idle };
  return { vector: Uint8Array.from(features, (feature) => levelOf(feature, all[feature.name])), rare };
}

function valuesOf(window: HostWindow) {
  const { sums, minutes } = window;
  const requests = sums[Sum.Requests];
  const outside = sums[Sum.Outside];
  const [sent, received] = [sums[Sum.SentBytes], sums[Sum.ReceivedBytes]];
  return {
    requests,
    outside_peers: window.distinct("outsidePeers"),
    inside_peers: window.distinct("insidePeers"),
    services: window.distinct("services"),
    failed_share: ratio(sums[Sum.Failed], requests),
    outside_share: ratio(outside, requests),
    sent_bytes: sent,
    received_bytes: received,
    sent_share: ratio(sent, sent + received),
    request_bytes: ratio(sent, requests),
    answer_bytes: ratio(received, sums[Sum.Answered]),
    udp_share: ratio(sums[Sum.NotTcp], requests),
    uncommon_share: ratio(sums[Sum.Uncommon], outside),
    active_share: minutesIn(minutes[0], minutes[1]) / minutesPerWindow,
    served_requests: sums[Sum.Served],
  };
}

/** Of a sample of its pairs with the outside, those of lowest hash. */
function peerValuesOf(window: HostWindow, rarePairs: number, past: HostPast | undefined) {
  const { pairs } = window;
  let fresh = 0;
  for (let row = 0; row < pairs.size; row++) if (!past || past.windowsOf(pairs.hash(row)) === 0) fresh++;
  return {
    // Of a host without a past, nothing is new.
    new_peer_share: past && past.windows > 0 ? ratio(fresh, pairs.size) : 0,
    rare_peers: ratio(rarePairs, pairs.size) * window.distinct("outsidePeers"),
  };
}

function rareValuesOf({ pairs }: HostWindow, rare: RarePair | undefined) {
  if (!rare) {
    return {
      rare_requests: 0,
      rare_active_share: 0,
      rare_size_spread: 0,
      rare_answer_bytes: 0,
      rare_uncommon: 0,
      rare_windows: 0,
    };
  }
  const sum = (of: number) => pairs.sum(rare.row, of);
  const mean = ratio(sum(PairSum.Sizes), sum(PairSum.Sized));
  const variance = ratio(sum(PairSum.SquaredSizes), sum(PairSum.Sized)) - mean * mean;
  return {
    rare_requests: sum(PairSum.Requests),
    rare_active_share: minutesIn(sum(PairSum.FirstMinutes), sum(PairSum.LastMinutes)) / minutesPerWindow,
    rare_size_spread: ratio(Math.sqrt(Math.max(0, variance)), mean),
    rare_answer_bytes: ratio(sum(PairSum.AnswerBytes), sum(PairSum.Answered)),
    rare_uncommon: isUncommon(pairs.label(rare.row)) ? 1 : 0,
    rare_windows: rare.windows,
  };
}

function rarePairsOf({ pairs }: HostWindow, past: HostPast | undefined, facts: NetworkFacts | undefined) {
  const rows: number[] = [];
  let rare: RarePair | undefined;
  if (!facts || facts.hosts < hostsMin) return { rows, rare };
  let most = -1;
  for (let row = 0; row < pairs.size; row++) {
    if (!isRare(facts.sourcesOf(pairs.sum(row, PairSum.AddressHash)), facts)) continue;
    rows.push(row);
    const requests = pairs.sum(row, PairSum.Requests);
    const windows = past?.windowsOf(pairs.hash(row)) ?? 0;
    // A beacon comes again each hour; pages that were read once do not. Of equals, the busiest.
    const longest = rare?.windows ?? -1;
    if (windows < longest || (windows === longest && requests <= most)) continue;
    most = requests;
    rare = { row, windows };
  }
  return { rows, rare };
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
