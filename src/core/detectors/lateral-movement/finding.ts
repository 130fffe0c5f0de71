import { bucketMs } from "../../flow/contacts.ts";
import { Protocol } from "../../flow/flow-batch.ts";
import { formatEntity } from "../../flow/prefixes.ts";
import { serviceName, serviceOf } from "../../flow/protocols.ts";
import type { BottomK } from "../../sketches/bottom-k.ts";
import type { Entry } from "../../slots/entity-windows.ts";
import { peersMax, type Finding, type Peer } from "../../verdict.ts";
import { sampledConfidence, samplingErrorPercent } from "../sampling.ts";
import { rounded, scoreOf } from "../scoring.ts";
import { edgesKept, labelPort, type HostState } from "./host-state.ts";
import type { Judgement } from "./judge.ts";
import type { Chain } from "./new-edges.ts";
import { techniques } from "./services.ts";
import { dayMs, version, type LateralMovementSettings } from "./settings.ts";

/** How much is known of what is usual: after a week, enough. */
const daysForCertainty = 7;

function certaintyOf({ past, found, hasPast }: Judgement): number {
  const share = found.answered / (found.answered + found.failed);
  const days = Math.min(daysForCertainty, past?.days ?? 0);
  return share * (hasPast ? 0.5 + (0.45 * days) / daysForCertainty : 0.4);
}

export function findingOf(
  entry: Entry<HostState>,
  judged: Judgement,
  settings: Readonly<LateralMovementSettings>,
): Finding {
  const { edges, packets, samplingRate } = entry.state;
  const { kind, found, chain, past, value, threshold } = judged;
  const named = chain && kind === "chain" ? chain.links : found.targets;
  const seen = packets / samplingRate;
  const used = new Set(named.map((i) => techniques.get(labelPort(edges.label(i)))!));
  return {
    threat: "lateral_movement",
    detectorVersion: version,
    entity: formatEntity(entry.address),
    window: { startMs: entry.windowStartMs, endMs: entry.windowStartMs + dayMs },
    score: rounded(scoreOf(value, threshold)),
    confidence: sampledConfidence(certaintyOf(judged), seen, samplingRate),
    severity: judged.severity,
    techniques: [...new Set([...[...used].sort(), "T1021"])],
    summary: summaryOf(entry, judged),
    peers: peersOf(edges, named),
    peerCount: Math.max(Math.min(peersMax, named.length), kind === "chain" ? named.length : found.count),
    evidence: {
      kind,
      new_targets: found.count,
      new_targets_min: settings.newTargetsMin,
      threshold: rounded(threshold),
      baseline_days: past?.days ?? 0,
      baseline_new_targets_max: rounded(past?.newMost ?? 0),
      has_baseline: judged.hasPast,
      edges_answered: found.answered,
      edges_failed: found.failed,
      edges_total: edges.count(),
      edges_to_new_servers: found.common,
      visitors: entry.state.visitors.count(),
      chain: chain ? chainEvidence(entry, chain) : false,
      new_edges_sample: found.edges.slice(0, sampleMax).map((i) => edgeEvidence(entry, edges, i)),
      sampling_rate: samplingRate,
      count_error_percent: edges.isExact ? samplingErrorPercent(seen, samplingRate) : edgesErrorPercent,
    },
    observed: judged.observed,
  };
}

const edgesErrorPercent = Math.round(100 / Math.sqrt(edgesKept - 2));
/** Edges that evidence lists. */
const sampleMax = 6;
const linksMax = 3;

function edgeEvidence({ windowStartMs }: Entry<HostState>, sample: BottomK, i: number) {
  const label = sample.label(i);
  return {
    address: formatEntity(sample.address(i)),
    service: serviceName(serviceOf(labelPort(label), Protocol.Tcp)),
    first: new Date(windowStartMs + Math.floor(label / 65_536) * bucketMs).toISOString(),
  };
}

function chainEvidence(entry: Entry<HostState>, { visitor, links, hours }: Chain) {
  return {
    reached_by: edgeEvidence(entry, entry.state.visitors, visitor),
    reached_then: links.slice(0, linksMax).map((i) => edgeEvidence(entry, entry.state.edges, i)),
    hours: rounded(hours),
  };
}

function summaryOf({ state }: Entry<HostState>, { kind, found, chain, past, hasPast }: Judgement): string {
  const about = state.edges.isExact ? "" : "about ";
  const fan = `${about}${found.count} hosts reached for the first time on administration ports within a day`;
  const before = hasPast
    ? `, ${Math.round(past!.newMost)} at most on a usual day`
    : "; the host has no past to compare";
  if (!chain) return fan + before;
  const from = formatEntity(state.visitors.address(chain.visitor));
  const service = serviceName(serviceOf(labelPort(state.visitors.label(chain.visitor)), Protocol.Tcp));
  const way = `reached by ${from} on ${service} for the first time`;
  const after = `${Math.max(1, Math.round(chain.hours * 60))} minutes later`;
  if (kind !== "chain") return `${fan}${before}; it was ${way}, ${after} it began on ${service} itself`;
  const next = formatEntity(state.edges.address(chain.links[0]));
  return `${way}, ${after} it reached ${next} on ${service}, for the first time too`;
}

function peersOf(edges: BottomK, named: readonly number[]): Peer[] {
  return named.slice(0, peersMax).map((i) => ({
    address: formatEntity(edges.address(i)),
    port: labelPort(edges.label(i)),
    protocol: "tcp",
  }));
}
