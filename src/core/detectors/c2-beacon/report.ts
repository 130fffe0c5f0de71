import { formatAddress } from "../../flow/address.ts";
import { protocolName, serviceName, servicePort, serviceProtocol } from "../../flow/protocols.ts";
import type { KnownPeers } from "../../sketches/known-peers.ts";
import { peersMax, severities, type Finding, type Observed, type Severity } from "../../verdict.ts";
import { rounded } from "../scoring.ts";
import { dnsService } from "./look.ts";
import type { C2BeaconSettings } from "./settings.ts";
import type { Context, Reason, Suspect } from "./suspect.ts";

/** Low for regularity alone or a crowd of peers; medium with a reason, high with two, critical with four. */
function severityFor(suspects: readonly Suspect[], settings: Readonly<C2BeaconSettings>): Severity {
  const reasons = suspects[0].reasons.length;
  if (reasons === 0 || isCrowd(suspects, settings)) return "low";
  return severities[reasons >= 4 ? 4 : Math.min(3, 1 + reasons)];
}

function isCrowd(suspects: readonly Suspect[], { peersOfOneSourceMax }: Readonly<C2BeaconSettings>): boolean {
  return suspects.filter((s) => s.reasons.length > 0).length > peersOfOneSourceMax;
}

/** What a detector adds to a finding. */
export type Found = Omit<Finding, "threat" | "detectorVersion" | "entity" | "window">;

/** What suspects of one source, the strongest first, come to. */
export function reportOf(suspects: readonly Suspect[], settings: Readonly<C2BeaconSettings>, { past }: Context): Found {
  const severity = severityFor(suspects, settings);
  const named = severity === "low" ? suspects : suspects.filter((s) => s.reasons.length > 0);
  const [worst] = named;
  const pairs = named.flatMap((s) => s.pairs);
  return {
    score: worst.score,
    confidence: confidenceOf(worst, past),
    severity,
    techniques: techniquesOf(worst),
    summary: summaryOf(worst, severity === "low" && isCrowd(suspects, settings) ? named.length : 1),
    peers: pairs.slice(0, peersMax).map(({ target, service }) => ({
      address: formatAddress(target),
      port: servicePort(service),
      protocol: protocolName(serviceProtocol(service)),
    })),
    peerCount: pairs.length,
    evidence: {
      beacons: named.slice(0, beaconsShown).map((s) => evidenceOf(s)),
      baseline_days: past?.days ?? 0,
      timing_score_min: settings.timingScoreMin,
      contacts_min: settings.contactsMin,
    },
    observed: observedOf(worst, settings),
  };
}

/** Beacons of one source that evidence tells of in full. */
const beaconsShown = 4;

function techniquesOf({ look: { pair }, reasons }: Suspect): string[] {
  const isDns = servicePort(pair.service) === servicePort(dnsService);
  const techniques = [isDns ? "T1071.004" : "T1071"];
  if (reasons.includes("uncommon_service")) techniques.unshift("T1571");
  if (reasons.includes("fails_over")) techniques.unshift("T1008");
  return techniques;
}

/** Contacts that were timed from which the method has seen all that it wants; and the chance, as a power of ten. */
const timedEnough = 32;
const chancePowerEnough = -8;
/** What a judgement is worth that could not ask for the past. */
const firstDayConfidence = 0.8;

/** Of sampled packets, most contacts of few packets are missed: a rate of 10 halves it, 100 makes it a third. */
function confidenceOf({ look }: Suspect, past: KnownPeers | undefined): number {
  const { timing, beat, pair } = look;
  const seen = Math.max(timing.count / timedEnough, beat.chancePower / chancePowerEnough);
  const known = past ? 1 : firstDayConfidence;
  return Math.max(0.001, rounded((Math.min(1, seen) * known) / (1 + Math.log10(pair.series.samplingRate))));
}

const said: { [reason in Reason]?: string } = {
  new_peer: "new to this host",
  fails_over: "failing in turn",
  unanswered: "again and again",
};

function summaryOf({ look, pairs, reasons, excuse, prevalence }: Suspect, crowd: number): string {
  const { pair, contacts, periodMs } = look;
  const { unansweredShare } = pair.series;
  const name = `${formatAddress(pair.target)} ${serviceName(pair.service)}`;
  const parts = [
    `${contacts} contacts to ${name}${pairs.length > 1 ? ` and ${pairs.length - 1} more` : ""}`,
    `${rounded(periodMs / 1000)} s apart`,
    unansweredShare > 0.5 ? `${Math.round(100 * unansweredShare)} % unanswered` : "answered",
    ...reasons.flatMap((reason) => said[reason] ?? []),
    ...(excuse === "common_peer" ? [`called by ${prevalence!.sources} of ${prevalence!.hosts} hosts`] : []),
    ...(excuse === "habit" ? ["as on earlier days"] : []),
    ...(crowd > 1 ? [`one of ${crowd} such peers`] : []),
  ];
  return parts.join(", ");
}

/** What was held against the thresholds that decided. */
function observedOf(
  { look, reasons, prevalence, age, activity }: Suspect,
  settings: Readonly<C2BeaconSettings>,
): Observed[] {
  const { pair, contacts, timingScore, size, timing } = look;
  const { unansweredShare } = pair.series;
  const observed: Observed[] = [];
  const isEarly = contacts < settings.contactsMin;
  observed.push({ threshold: isEarly ? "sureContactsMin" : "contactsMin", value: contacts });
  observed.push({ threshold: "timingScoreMin", value: timingScore });
  if (reasons.includes("uncommon_service")) observed.push({ threshold: "activeBinsMin", value: activity.bins });
  if (reasons.includes("uniform_exchange")) {
    observed.push({ threshold: "uniformContactsMin", value: contacts });
    observed.push({ threshold: "sleepMaxMs", value: Math.round(timing.median) });
    observed.push({ threshold: "sizeScoreMin", value: size.score });
  }
  if (reasons.includes("unanswered") || reasons.includes("fails_over")) {
    observed.push({ threshold: "unansweredShareMin", value: unansweredShare });
  }
  if (reasons.includes("unanswered")) observed.push({ threshold: "persistentContactsMin", value: contacts });
  if (reasons.includes("new_peer")) {
    observed.push({ threshold: "newDaysMax", value: age.days ?? 0 });
    if (prevalence) observed.push({ threshold: "commonShareMin", value: prevalence.sources / prevalence.hosts });
  }
  return observed;
}

function evidenceOf(suspect: Suspect) {
  const { look, pairs, reasons, excuse, age, prevalence, activity, score } = suspect;
  const { pair, timing, size, beat } = look;
  const { requests, sourceBytes, targetBytes, unansweredShare, sourcePackets, samplingRate } = pair.series;
  return {
    peer: formatAddress(pair.target),
    service: serviceName(pair.service),
    ...(pairs.length > 1 ? { peers_in_turn: pairs.length } : {}),
    score,
    reasons,
    ...(excuse ? { excuse } : {}),
    requests,
    contacts: look.contacts,
    contacts_timed: timing.count + 1,
    period_ms: Math.round(look.periodMs),
    gap_median_ms: Math.round(timing.median),
    gap_deviation_ms: Math.round(timing.mad),
    gap_skew: rounded(timing.skew),
    missed_share: rounded(beat.missedShare),
    chance_power_of_ten: rounded(beat.chancePower),
    autocorrelation: rounded(look.rhythm),
    timing_score: rounded(look.timingScore),
    size_score: rounded(size.score),
    histogram_score: roundedOrNull(activity.evenness),
    duration_score: roundedOrNull(activity.lasting),
    request_bytes_median: Math.round(size.median),
    request_bytes_deviation: Math.round(size.mad),
    answer_bytes_mean: Math.round(targetBytes / requests),
    sent_share: rounded(sourceBytes / Math.max(1, sourceBytes + targetBytes)),
    unanswered_share: rounded(unansweredShare),
    ten_minutes_active: activity.bins,
    ten_minutes_longest_run: activity.longestRun,
    is_new: age.isNew,
    days_known: age.days ?? null,
    calm_days: age.calmDays,
    has_rhythm_of_earlier_days: age.isMoved,
    ...(prevalence ? { hosts_that_call: prevalence.sources, network_hosts: prevalence.hosts } : {}),
    ...(samplingRate > 1 ? samplingOf(samplingRate, sourcePackets) : {}),
  };
}

function roundedOrNull(value: number | undefined): number | null {
  return value === undefined ? null : rounded(value);
}

/** Relative error of what was counted in sampled packets, at 95 %. */
function samplingOf(rate: number, packets: number) {
  return { sampling_rate: rate, packets_error_percent: Math.round(196 / Math.sqrt(Math.max(1, packets / rate))) };
}
