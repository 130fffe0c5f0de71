import { formatAddress } from "../../flow/address.ts";
import { formatEntity } from "../../flow/prefixes.ts";
import { protocolName, serviceName, servicePort, serviceProtocol } from "../../flow/protocols.ts";
import { Attempt } from "../../sketches/attempt-log.ts";
import type { AttemptSurvey, Group } from "../../sketches/attempt-survey.ts";
import { peersMax, type AddressWords, type Finding, type Peer } from "../../verdict.ts";
import { sampledConfidence, samplingErrorPercent } from "../sampling.ts";
import { rounded, scoreOf, severityOf } from "../scoring.ts";
import type { Hit, Scan } from "./scan.ts";
import { version } from "./settings.ts";
import { hourMs } from "./states.ts";

/** Who is found, when, and in a log of what kind. */
interface Circumstances {
  address: AddressWords;
  windowStartMs: number;
  lengthMs: number;
  /** Whether one of the tenant's own scans. */
  isOurs: boolean;
  /** Greatest number of packets for each that was seen. */
  samplingRate: number;
}

/** What a log without outcomes leaves of the confidence in a scan: many were tried, by whatever end. */
const leastConfidence = 0.3;

/** How sure one can be of a group, by how many outcomes the log shows, and by how much of everything. */
export function confidenceOf({ failed, answered, unknown }: Group, tried: number, samplingRate: number) {
  const known = failed + answered;
  const share = known / Math.max(1, known + unknown);
  return {
    confidence: Math.max(0.01, sampledConfidence(leastConfidence + (1 - leastConfidence) * share, tried, samplingRate)),
    reasons: {
      outcomes_known_percent: Math.round(100 * share),
      ...(samplingRate > 1
        ? { sampling_rate: samplingRate, sampling_error_percent: samplingErrorPercent(tried, samplingRate) }
        : {}),
    },
  };
}

export function findingOf(scan: Scan, circumstances: Circumstances): Finding {
  const { address, windowStartMs, lengthMs, isOurs, samplingRate } = circumstances;
  const { hit, survey } = scan;
  const isHour = lengthMs === hourMs;
  // Each attempt is a packet that was seen, at least.
  const { confidence, reasons } = confidenceOf(survey.all, survey.triedIn(survey.all), samplingRate);
  const peers = peersOf(survey, hit);
  return {
    threat: "port_scan",
    detectorVersion: version,
    entity: formatEntity(address),
    window: { startMs: windowStartMs, endMs: windowStartMs + lengthMs },
    score: rounded(scoreOf(hit.value, hit.threshold)),
    confidence,
    severity: severityOf(hit.value, hit.threshold, isOurs ? 1 : 0),
    techniques: ["T1046"],
    summary: `${summaryOf(scan)} within ${isHour ? "an hour" : "a day"}, ${survey.answeredIn(hit.group)} answered`,
    peers,
    peerCount: Math.max(peers.length, peerCountOf(scan)),
    observed: hit.observed,
    evidence: {
      kind: hit.kind,
      window: isHour ? "hour" : "day",
      source_internal: isOurs,
      ...countsOf(scan),
      threshold: rounded(hit.threshold),
      ...reasons,
    },
  };
}

function summaryOf({ hit, survey, shape }: Scan): string {
  const { sample } = survey;
  const { group } = hit;
  const tried = `${sample.isExact ? "" : "about "}${survey.triedIn(group)}`;
  switch (hit.kind) {
    case "vertical":
      return `${tried} ports of ${formatAddress(sample.address(group.at))} tried`;
    case "horizontal":
      return `${tried} hosts tried on ${serviceName(sample.label(group.at))}`;
    case "icmp_sweep":
      return `${tried} hosts pinged that did not answer`;
    default:
      return `${tried} different ports of ${sample.isExact ? "" : "about "}${shape?.targets} hosts tried, on ${shape?.services} services`;
  }
}

function countsOf({ hit, survey, shape, silentHosts }: Scan) {
  const { all, sample } = survey;
  const most = (groups: Iterable<Group>) => Math.max(0, ...Array.from(groups, (group) => survey.failedIn(group)));
  return {
    attempts_failed: survey.failedIn(all),
    attempts_unknown: survey.unknownIn(all),
    attempts_answered: survey.answeredIn(all),
    ports_failed_on_one_target: most(survey.byTarget.values()),
    targets_failed_on_one_port: most(survey.byService.values()),
    ...(isOfAll(hit) && shape ? { targets_tried: shape.targets, services_tried: shape.services } : {}),
    ...(silentHosts > 0 ? { silent_hosts: silentHosts } : {}),
    services: topServices(survey),
    sample: sampleOf(survey, hit, (i) => survey.isTried(i) && (sample.flags(i) & Attempt.Answered) === 0),
    open_ports: sampleOf(survey, hit, (i) => (sample.flags(i) & Attempt.Answered) !== 0),
    count_error_percent: sample.isExact ? 0 : 13,
  };
}

/** Attempts, services, sources that evidence shows. */
export const shownMax = 8;

/** Some of the elements that belong to what was found, as `10.0.0.5:22/tcp`. */
function sampleOf(survey: AttemptSurvey, hit: Hit, isShown: (i: number) => boolean): string[] {
  const { sample } = survey;
  const { kind, group } = hit;
  const shown: string[] = [];
  for (let i = 0; i < sample.size && shown.length < shownMax; i++) {
    const isOfTarget = kind === "vertical" && sample.addressKey(i) === sample.addressKey(group.at);
    const isOfService = (kind === "horizontal" || kind === "icmp_sweep") && sample.label(i) === sample.label(group.at);
    const belongs = isOfTarget || isOfService || (isOfAll(hit) && isOfTried(survey, sample.label(i)));
    if (belongs && isShown(i)) shown.push(`${formatAddress(sample.address(i))} ${serviceName(sample.label(i))}`);
  }
  return shown;
}

/** Whether some attempts on a service were in vain. */
function isOfTried(survey: AttemptSurvey, service: number): boolean {
  const group = survey.byService.get(service);
  return group !== undefined && survey.lostSeen(group) > 0;
}

/** Of no single target or service. */
function isOfAll({ kind }: Hit): boolean {
  return kind === "block" || kind === "chaotic";
}

function peerCountOf({ hit, survey, shape }: Scan): number {
  if (hit.kind === "vertical") return survey.targetCount;
  if (isOfAll(hit)) return Math.max(survey.targetCount, shape?.targets ?? 0);
  return survey.triedIn(hit.group);
}

/** The scanned hosts, most attempts first; a vertical scan's own target before all. */
function peersOf(survey: AttemptSurvey, { kind, group }: Hit): Peer[] {
  const { sample } = survey;
  const perTarget = new Map<number | string, { at: number; count: number }>();
  for (let i = 0; i < sample.size; i++) {
    if (!survey.isTried(i)) continue;
    const seen = perTarget.get(sample.addressKey(i));
    if (seen) seen.count++;
    else perTarget.set(sample.addressKey(i), { at: i, count: 1 });
  }
  const own = kind === "vertical" ? sample.addressKey(group.at) : undefined;
  const order = [...perTarget].sort(([x, a], [y, b]) => Number(y === own) - Number(x === own) || b.count - a.count);
  return order.slice(0, peersMax).map(([, { at, count }]) => ({
    address: formatAddress(sample.address(at)),
    port: count === 1 ? servicePort(sample.label(at)) : 0,
    protocol: protocolName(serviceProtocol(sample.label(at))),
  }));
}

/** The services tried most, at most eight, with the number of targets in the sample. */
export function topServices({ byService }: AttemptSurvey): { service: string; targets: number }[] {
  return [...byService]
    .map(([service, { failed, unknown, answered }]) => ({ service, targets: Math.round(failed + unknown + answered) }))
    .sort((a, b) => b.targets - a.targets || a.service - b.service)
    .slice(0, shownMax)
    .map(({ service, targets }) => ({ service: serviceName(service), targets }));
}
