import { formatAddress } from "../../flow/address.ts";
import { formatEntity } from "../../flow/prefixes.ts";
import { protocolName, serviceName, servicePort, serviceProtocol } from "../../flow/protocols.ts";
import type { HashedRows } from "../../sketches/hashed-rows.ts";
import type { Entry } from "../../slots/entity-windows.ts";
import { peersMax, severities, type Finding, type Observed, type Peer } from "../../verdict.ts";
import { sampledConfidence, samplingErrorPercent } from "../sampling.ts";
import { rounded, scoreOf, severityOf } from "../scoring.ts";
import { daysKept } from "./habit.ts";
import type { HostDay, Suspicion } from "./judge.ts";
import { dayMs, version, type ExfiltrationSettings } from "./settings.ts";
import { Column, type UploadState } from "./upload-state.ts";

export function findingOf(
  entry: Entry<UploadState>,
  day: HostDay,
  suspicions: readonly Suspicion[],
  settings: Readonly<ExfiltrationSettings>,
): Finding {
  const { state, isUsual } = day;
  const [worst] = suspicions;
  const { upload, limit } = worst;
  const named = suspicions.filter(({ isAlarm }) => isAlarm === worst.isAlarm);
  const members = named.flatMap((one) => one.upload.members);
  const score = scoreOf(upload.sent, limit);
  const days = day.habit?.ratios.length ?? 0;
  const certainty = isUsual ? 0.6 + (0.4 * days) / daysKept : 0.4;
  return {
    threat: "exfiltration",
    detectorVersion: version,
    entity: formatEntity(entry.address),
    window: { startMs: entry.windowStartMs, endMs: entry.windowStartMs + dayMs },
    score: rounded(worst.isAlarm ? Math.max(0.5, score) : score),
    confidence: sampledConfidence(certainty, seenPackets(state), state.samplingRate),
    severity: severityFor(worst, isUsual),
    techniques: isWeb(state.destinations.get(upload.members[0], Column.Service))
      ? ["T1567", "T1048", "T1041"]
      : ["T1048", "T1041"],
    summary: summaryOf(worst, day),
    peers: members.slice(0, peersMax).map((at) => peerOf(state.destinations, at)),
    peerCount: members.length,
    evidence: evidenceOf(worst, day, settings),
    observed: observedOf(worst, day),
  };
}

/** Packets sent that were seen, not what they stand for. */
function seenPackets({ sentPackets, samplingRate }: UploadState): number {
  return sentPackets / samplingRate;
}

/** Two reasons make it high at most; of a host without a habit, size is the only one. */
function severityFor({ upload, limit, reasons, isAlarm }: Suspicion, isUsual: boolean): Finding["severity"] {
  if (!isAlarm) return "low";
  if (!isUsual || !reasons.includes("above_baseline")) return "medium";
  const severity = severityOf(upload.sent, limit);
  return reasons.length === 2 && severities.indexOf(severity) > severities.indexOf("high") ? "high" : severity;
}

function isWeb(service: number): boolean {
  return servicePort(service) === 443 || servicePort(service) === 80;
}

function summaryOf({ upload, ratio, reasons, usualBytes, isKnown: known }: Suspicion, day: HostDay): string {
  const { destinations } = day.state;
  const to = formatAddress(destinations.address(upload.members[0]));
  const more = upload.members.length > 1 ? ` and ${upload.members.length - 1} of its neighbours` : "";
  const head = `${megabytes(upload.sent)} MB sent to ${to}${more} in a day, ${megabytes(upload.received)} MB received (ratio ${rounded(ratio)})`;
  if (!day.isUsual) return `${head}; the host's habits are not known yet`;
  const words = {
    above_baseline: `the most it usually sends to ${known ? "it" : "a new destination"} is ${megabytes(usualBytes)} MB`,
    new_destination: "the destination is new to the host",
    turned_producer: `the host's ratio rose from ${rounded(day.usualRatio)} to ${rounded(day.ratio)}`,
  };
  return [head, ...reasons.map((reason) => words[reason])].join("; ");
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 100_000) / 10;
}

/** Port 0 and protocol 0 where there were several. */
function peerOf(destinations: HashedRows, at: number): Peer {
  const service = destinations.get(at, Column.Service);
  return {
    address: formatAddress(destinations.address(at)),
    port: servicePort(service),
    protocol: protocolName(serviceProtocol(service)),
  };
}

/** Destinations that evidence lists. */
const listedMax = 4;

function evidenceOf(worst: Suspicion, day: HostDay, settings: Readonly<ExfiltrationSettings>) {
  const { upload, ratio, reasons, limit, usualBytes, sources } = worst;
  const { state, habit, isUsual } = day;
  return {
    reasons,
    sent_bytes: upload.sent,
    received_bytes: upload.received,
    producer_consumer_ratio: rounded(ratio),
    limit_bytes: Math.round(limit),
    usual_bytes: usualBytes,
    upload_bytes_min: settings.uploadBytesMin,
    destination_known: worst.isKnown,
    destination_own_hosts: sources,
    host_sent_bytes: state.sentBytes,
    host_received_bytes: state.receivedBytes,
    host_ratio: rounded(day.ratio),
    host_ratio_usual: habit ? rounded(day.usualRatio) : "unknown",
    baseline_days: habit?.ratios.length ?? 0,
    baseline_known: isUsual,
    destinations: upload.members.slice(0, listedMax).map((at) => ({
      address: formatAddress(state.destinations.address(at)),
      service: serviceText(state.destinations.get(at, Column.Service)),
      sent_bytes: state.destinations.get(at, Column.Sent),
      received_bytes: state.destinations.get(at, Column.Received),
    })),
    sampling_rate: state.samplingRate,
    bytes_error_percent: samplingErrorPercent(seenPackets(state), state.samplingRate),
  };
}

function serviceText(service: number): string {
  return service === 0 ? "several" : serviceName(service);
}

function observedOf({ upload, ratio, reasons, usualBytes, isAlarm }: Suspicion, day: HostDay): Observed[] {
  const observed: Observed[] = [
    { threshold: "uploadBytesMin", value: upload.sent },
    { threshold: "ratioMin", value: rounded(ratio) },
  ];
  if (!day.isUsual && isAlarm) observed.push({ threshold: "firstUploadBytesMin", value: upload.sent });
  if (reasons.includes("above_baseline") && usualBytes > 0) {
    observed.push({ threshold: "baselineFactor", value: rounded(upload.sent / usualBytes) });
  }
  if (reasons.includes("turned_producer")) {
    observed.push({ threshold: "ratioShiftMin", value: rounded(day.ratio - day.usualRatio) });
  }
  return observed;
}
