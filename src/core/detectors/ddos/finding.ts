import { formatAddress } from "../../flow/address.ts";
import { Protocol } from "../../flow/flow-batch.ts";
import { formatEntity } from "../../flow/prefixes.ts";
import { protocolName, serviceName, servicePort, serviceProtocol } from "../../flow/protocols.ts";
import type { BottomK } from "../../sketches/bottom-k.ts";
import { setMax, Traffic, type Inflow } from "../../sketches/inflow.ts";
import { peersMax, type AddressWords, type Finding, type Observed, type Peer } from "../../verdict.ts";
import { sampledConfidence, samplingErrorPercent } from "../sampling.ts";
import { rounded, scoreOf, severityOf } from "../scoring.ts";
import { amplifications, amplifiedBytesMin, mostFrequentService } from "./amplifications.ts";
import { hourMs, isPrefix, Measure, minuteMs, ownSampled } from "./flood-state.ts";
import { worse, type Excess, type Judging } from "./excess.ts";
import { packetsSeen } from "./row-shapes.ts";
import { version, type DdosSettings } from "./settings.ts";

const dayMs = 24 * hourMs;

/** Levels of severity that follow from who sent it, and how. */
function raiseOf({ entry, habit }: Judging, worst: Excess, sources: number, settings: DdosSettings): number {
  const isDistributed = sources >= settings.sourcesMin;
  // Of a target without a habit, it takes more to be sure.
  const isSure = habit !== undefined || worst.value >= settings.warmUpFactor * worst.least;
  return ((isDistributed && isSure) || isAmplified(worst) ? 1 : 0) + (entry.state.internal ? 0 : 1);
}

function isAmplified({ kind, inflow, row }: Excess): boolean {
  if (kind !== "reflection" || !amplifications.has(mostFrequentService(inflow.others))) return false;
  return inflow.bytesOf(row) >= amplifiedBytesMin * inflow.packetsOf(row);
}

function confidenceOf(judging: Judging, worst: Excess): number {
  const { inflow, row, kind } = worst;
  const flows = Math.max(1, inflow.flowsOf(row));
  const known = Math.min(1, (inflow.failedOf(row) + inflow.answeredOf(row)) / flows);
  const shown = kind === "reflection" ? (isAmplified(worst) ? 0.9 : 0.8) : 0.5 + 0.5 * known;
  return sampledConfidence(judging.habit ? shown : 0.9 * shown, packetsSeen(inflow, row), inflow.samplingRate);
}

/** What each threshold was held against: as much of it as the value is of what it had to reach. */
function observedOf({ settings }: Judging, { kind, value, least, bar, inflow, row, measure }: Excess): Observed[] {
  const share = value / least;
  const at = (threshold: keyof DdosSettings): Observed => ({ threshold, value: rounded(share * settings[threshold]) });
  const observed: Observed[] = [];
  if (bar.decides === "floor") observed.push(at(bar.floor));
  if (bar.decides === "ceiling") observed.push(at(bar.ceiling));
  if (bar.decides === "habit") observed.push(at("tolerance"), { threshold: bar.floor, value: Math.round(value) });
  if (kind === "carpet") observed.push({ threshold: "targetsMin", value: inflow.marksOf(row) });
  const sources = inflow.othersOf(row);
  const needsSources = kind === "carpet" || (kind === "reflection" && measure === Measure.Unsolicited);
  if (needsSources && sources >= settings.sourcesMin) observed.push({ threshold: "sourcesMin", value: sources });
  return observed;
}

export function findingOf(judging: Judging, worst: Excess, over: readonly Excess[]): Finding {
  const { entry, settings } = judging;
  const { inflow, row, kind, value, least } = worst;
  const isOfPrefix = isPrefix(entry.address);
  const sources = isOfPrefix ? inflow.othersOf(row) : inflow.others.count();
  const peers = isOfPrefix ? [anybody(entry.address, inflow.trafficOf(row))] : peersOf(inflow.others);
  const isTcp = inflow.trafficOf(row) === Traffic.Tcp;
  return {
    threat: "ddos",
    detectorVersion: version,
    entity: formatEntity(entry.address),
    window: { startMs: entry.windowStartMs, endMs: entry.windowStartMs + hourMs },
    score: rounded(scoreOf(value, least)),
    confidence: confidenceOf(judging, worst),
    severity: severityOf(value, least, raiseOf(judging, worst, sources, settings)),
    techniques: [
      kind === "reflection" ? "T1498.002" : "T1498.001",
      "T1498",
      ...(isTcp && kind !== "volume" ? ["T1499.001"] : []),
    ],
    summary: summaryOf(worst, sources, isOfPrefix),
    peers,
    peerCount: Math.max(peers.length, sources),
    evidence: { ...evidenceOf(judging, worst, sources), ...habitEvidence(judging, worst), ...spanOf(over) },
    observed: observedOf(judging, worst),
  };
}

const units: Record<Measure, string> = {
  [Measure.Lost]: "flows_per_minute",
  [Measure.Unsolicited]: "flows_per_minute",
  [Measure.Packets]: "packets_per_minute",
  [Measure.Bytes]: "bytes_per_minute",
};

const trafficNames = ["TCP", "UDP", "ICMP", "other traffic"] as const;

function summaryOf({ kind, value, inflow, row, minutes }: Excess, sources: number, isOfPrefix: boolean): string {
  const isExact = isOfPrefix ? sources < setMax : inflow.others.isExact;
  const who = `from ${isExact && !isOfPrefix ? "" : "about "}${sources} source${sources === 1 ? "" : "s"}`;
  const service = isOfPrefix ? `over ${trafficNames[inflow.trafficOf(row)]}` : `on ${serviceOfRow(inflow, row)}`;
  const volume = `${inflow.packetsOf(row)} packets and ${inflow.bytesOf(row)} bytes a minute`;
  const hosts = `to about ${inflow.marksOf(row)} hosts of the network`;
  switch (kind) {
    case "unanswered":
      return `${Math.round(value)} requests a minute without an answer, ${who}, ${service}`;
    case "sustained":
      return `${value} requests without an answer beyond the usual within ${minutes} minutes, ${who}, ${service}`;
    case "reflection":
      return `${inflow.flowsOf(row)} replies a minute that were not asked for, ${volume}, ${who}, ${service}`;
    case "volume":
      return `${volume} that are hardly answered, ${who}, ${service}`;
    case "carpet":
      return `${inflow.flowsOf(row)} requests a minute that are hardly answered, ${volume}, ${who}, ${hosts}, ${service}`;
  }
}

function directionOf({ entry }: Judging, { inflow, kind }: Excess): string {
  if (!entry.state.internal) return "outbound";
  if (kind === "reflection" || inflow.others.size === 0) return "inbound";
  return ownSampled(inflow.others) === inflow.others.size ? "internal" : "inbound";
}

function evidenceOf(judging: Judging, worst: Excess, sources: number): Finding["evidence"] {
  const { inflow, row, kind, measure, value, least } = worst;
  const [packets, bytes] = [inflow.packetsOf(row), inflow.bytesOf(row)];
  const isOfPrefix = isPrefix(judging.entry.address);
  const samplingError = samplingErrorPercent(packetsSeen(inflow, row), inflow.samplingRate);
  const factor = amplifications.get(mostFrequentService(inflow.others));
  return {
    kind,
    direction: directionOf(judging, worst),
    unit: kind === "sustained" ? "flows" : units[measure],
    value: Math.round(value),
    threshold: Math.round(least),
    flows_per_minute: inflow.flowsOf(row),
    ...(kind === "reflection"
      ? { amplification_published: factor ?? "unknown" }
      : { flows_failed: inflow.failedOf(row), flows_answered: inflow.answeredOf(row) }),
    packets_per_minute: packets,
    bytes_per_minute: bytes,
    mean_packet_bytes: packets > 0 ? Math.round(bytes / packets) : 0,
    ...(isOfPrefix
      ? { targets_per_minute: inflow.marksOf(row), sources_per_minute: sources, sources_error_percent: 20 }
      : {
          sources,
          sources_error_percent: inflow.others.isExact ? 0 : 13,
          sources_per_minute: inflow.othersOf(row),
          service: serviceOfRow(inflow, row),
        }),
    protocol: trafficNames[inflow.trafficOf(row)],
    ...(inflow.samplingRate > 1
      ? { sampling_rate: inflow.samplingRate, packets_error_percent: samplingError, bytes_error_percent: samplingError }
      : {}),
  };
}

function habitEvidence({ entry, habit }: Judging, { bar }: Excess): Finding["evidence"] {
  const days = habit ? (entry.windowStartMs - habit.firstMs) / dayMs : 0;
  return { baseline_known: habit !== undefined, baseline_days: rounded(days), baseline_per_minute: bar.usual };
}

/** Minutes that are listed. */
const listedMax = 8;

/** When it was over a threshold: how many minutes, the worst of them, and the first ones. */
function spanOf(over: readonly Excess[]): Finding["evidence"] {
  const worst = over.reduce(worse);
  const minutes = [...new Set(over.map(({ inflow, row }) => inflow.minuteOf(row)))].sort((a, b) => a - b);
  const listed = minutes.slice(0, listedMax).map((minute) => ({
    minute: timeOf(minute),
    times_threshold: rounded(
      Math.max(...over.map((one) => (one.inflow.minuteOf(one.row) === minute ? one.value / one.least : 0))),
    ),
  }));
  return {
    worst_minute: timeOf(worst.inflow.minuteOf(worst.row)),
    ...(worst.kind === "sustained" ? { sustained_minutes: worst.minutes } : {}),
    minutes_over: minutes.length,
    minutes: listed,
  };
}

function timeOf(minute: number): string {
  return new Date(minute * minuteMs).toISOString();
}

/** The most frequent service among those of the row's kind of traffic, if the sample shows any. */
function serviceOfRow(inflow: Inflow, row: number): string {
  return serviceName(mostFrequentService(inflow.others, inflow.trafficOf(row)));
}

function peersOf(others: BottomK): Peer[] {
  return Array.from({ length: Math.min(peersMax, others.size) }, (_, i) => ({
    address: formatAddress(others.address(i)),
    port: servicePort(others.label(i)),
    protocol: protocolName(serviceProtocol(others.label(i))),
  }));
}

const protocols = [Protocol.Tcp, Protocol.Udp, Protocol.Icmp] as const;

/** Who floods a prefix is known by number only. */
function anybody([a, , c]: AddressWords, traffic: number): Peer {
  const protocol = traffic < protocols.length ? protocolName(protocols[traffic]) : "any";
  return { address: a === 0 && c === 0xfffe ? "0.0.0.0/0" : "::/0", port: 0, protocol };
}
