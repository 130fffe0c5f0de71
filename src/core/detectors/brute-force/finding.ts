import { Protocol } from "../../flow/flow-batch.ts";
import { formatEntity } from "../../flow/prefixes.ts";
import { serviceName, serviceOf } from "../../flow/protocols.ts";
import type { BottomK } from "../../sketches/bottom-k.ts";
import type { Entry } from "../../slots/entity-windows.ts";
import { peersMax, type Finding, type Peer, type Severity } from "../../verdict.ts";
import { sampledConfidence, samplingErrorPercent } from "../sampling.ts";
import { rounded, scoreOf, severityOf } from "../scoring.ts";
import { countOf, unflagged, type Case, type Success } from "./case.ts";
import type { LoginState } from "./login-state.ts";
import { Service, services } from "./services.ts";
import { dayMs, version, type BruteForceSettings } from "./settings.ts";

/** Days of alarm after which what comes again is no news: whoever looked at it let it be. */
const toldDaysMax = 2;

function severityFor({ value, threshold, toldDays, success, kind }: Case, internal: boolean): Severity {
  // What is known for days is told no more, unless it gets in.
  if (toldDays >= toldDaysMax && !success) return "low";
  const isInside = internal && kind !== "distributed";
  return severityOf(value, threshold, (isInside ? 1 : 0) + (success ? 1 : 0));
}

/** How much the shape of attempts proves: where a port is known for logins, and where it is not. */
const loginCertainty = 0.9;
const otherCertainty = 0.5;

export function findingOf(entry: Entry<LoginState>, one: Case, settings: Readonly<BruteForceSettings>): Finding {
  const { kind, port, others, success, seen, samplingRate } = one;
  const { internal } = entry.state;
  const certainty = (services[port] === Service.Other ? otherCertainty : loginCertainty) * one.alikeShare;
  return {
    threat: "brute_force",
    detectorVersion: version,
    entity: formatEntity(entry.address),
    window: { startMs: entry.windowStartMs, endMs: entry.windowStartMs + dayMs },
    score: rounded(scoreOf(one.value, one.threshold)),
    confidence: sampledConfidence(certainty, seen, samplingRate),
    severity: severityFor(one, internal),
    techniques: [kind === "spraying" ? "T1110.003" : "T1110.001", "T1110", ...(success ? ["T1078"] : [])],
    summary: summaryOf(one),
    peers: peersOf(others, port),
    peerCount: countOf(others),
    evidence: {
      kind,
      service: serviceName(serviceOf(port, Protocol.Tcp)),
      source_internal: internal && kind !== "distributed",
      attempts: one.count,
      attempts_of_earlier_days: kind === "slow" ? one.value - one.count : 0,
      threshold: one.threshold,
      bytes_sent_median: Math.round(one.medianBytes),
      alike_share: rounded(one.alikeShare),
      alike_share_min: settings.alikeShareMin,
      success_suspected: successEvidence(success),
      baseline_days: one.days,
      ...one.evidence,
      sampling_rate: samplingRate,
      count_error_percent: samplingErrorPercent(seen, samplingRate),
    },
    observed: one.observed,
  };
}

function successEvidence(success: Success | undefined) {
  if (!success) return false;
  const { startMs, bytes, durationMs } = success;
  const seconds = durationMs === undefined ? {} : { seconds: rounded(durationMs / 1000) };
  return { start: new Date(startMs).toISOString(), bytes_sent: bytes, ...seconds };
}

function summaryOf({ kind, port, count, value, others, alikeShare, success, days }: Case): string {
  const service = serviceName(serviceOf(port, Protocol.Tcp));
  const [first] = peersOf(others, port);
  const about = others.isExact ? "" : "about ";
  const where = countOf(others) === 1 ? `of ${first.address}` : `of ${about}${countOf(others)} hosts`;
  const what = {
    guessing: `${count} login attempts on ${service} ${where}`,
    spraying: `${count} login attempts on ${service} ${where}, a few on each`,
    slow: `${value} slow login attempts on ${service} ${where}`,
    distributed: `${count} login attempts on ${service} by ${about}${countOf(others)} sources from outside, a few by each`,
  }[kind];
  const alike = `${Math.round(100 * alikeShare)} % of them alike`;
  const then = success ? `; a connection that sent ${success.bytes} bytes followed, as after a success` : "";
  return `${what}, ${alike}${then}${days > 0 ? `; the same on ${days} days before` : ""}`;
}

/** Targets, or the sources that are strangers. */
function peersOf(others: BottomK, port: number): Peer[] {
  return unflagged(others)
    .slice(0, peersMax)
    .map((i) => ({ address: formatEntity(others.address(i)), port, protocol: "tcp" }));
}
