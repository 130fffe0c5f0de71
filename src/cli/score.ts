import { isIP } from "node:net";
import { formatAddress, parseAddress } from "../core/flow/address.ts";
import { Failure } from "./failure.ts";
import type { CaptureTruth, Finding, Findings, Truth, TruthEvent } from "./truth.ts";

/**
 * Findings against a truth file. An alert is one (threat, entity) of a capture at medium severity or above.
 *
 * - true: it detects an event: same threat, entity among the event's and, where both name peers, one in common
 * - not scored: otherwise, where the capture is unlabelled, or the entity is in `not_scored`, or is in an event of
 *   another threat, or is the peer of any event
 * - false: otherwise
 *
 * Recall is detected events over events that are not hard; precision is true over true and false alerts.
 */
export interface Tally {
  events: number;
  detected: number;
  recall: number | null;
  events_with_hard: number;
  detected_with_hard: number;
  recall_with_hard: number | null;
  true_alerts: number;
  false_alerts: number;
  not_scored_alerts: number;
  precision: number | null;
}

interface CaptureScore extends Tally {
  missed: TruthEvent[];
  false: { threat: string; entity: string }[];
  false_per_1000_entity_days: number | null;
}

export interface Score {
  captures: { [capture: string]: CaptureScore };
  threats: { [threat: string]: Tally };
  total: Tally & { false_per_1000_entity_days: number | null };
  /** Captures without findings. */
  absent: string[];
}

/** Distinct entities of a capture and its length in days. */
export type Sizes = { [capture: string]: { entities: number; days: number } };

const ranks: { [severity: string]: number } = { info: 0, informational: 0, low: 1, medium: 2, high: 3, critical: 4 };
const alertRank = ranks["medium"];

/** One spelling per address; any other text as it stands. */
export function canonical(entity: string): string {
  const words = isIP(entity) === 0 ? undefined : parseAddress(entity);
  return words === undefined ? entity : formatAddress(words);
}

function several(value: string | readonly string[] | undefined): readonly string[] {
  return value === undefined || value === null ? [] : typeof value === "string" ? [value] : value;
}

function canonicals(value: string | readonly string[] | undefined): Set<string> {
  return new Set(several(value).map(canonical));
}

interface Alert {
  threat: string;
  entity: string;
  peers: Set<string>;
}

/** The distinct alerts, in the order first raised, with all their peers. */
function alertsOf(findings: readonly Finding[], capture: string): Map<string, Alert> {
  const alerts = new Map<string, Alert>();
  for (const finding of findings) {
    const { threat, entity, severity, peers } = finding;
    const rank = typeof severity === "string" ? ranks[severity.toLowerCase()] : undefined;
    if (typeof threat !== "string" || typeof entity !== "string" || rank === undefined)
      throw new Failure(
        `${capture}: not a finding with threat, entity and a known severity: ${JSON.stringify(finding)}.`,
      );
    if (rank < alertRank) continue;
    const key = keyOf(threat, canonical(entity));
    const alert = alerts.get(key) ?? { threat, entity: canonical(entity), peers: new Set() };
    alerts.set(key, alert);
    for (const peer of canonicals(peers)) alert.peers.add(peer);
  }
  return alerts;
}

function keyOf(threat: string, entity: string): string {
  return `${threat} ${entity}`;
}

/** Whether an alert with these peers can be about an event with those: either may be silent about them. */
function detects(peers: Set<string>, eventPeers: Set<string>): boolean {
  return peers.size === 0 || eventPeers.size === 0 || [...peers].some((peer) => eventPeers.has(peer));
}

interface JudgedEvent {
  event: TruthEvent;
  threat: string;
  entities: Set<string>;
  peers: Set<string>;
  isDetected: boolean;
}

interface JudgedAlert extends Alert {
  verdict: "true" | "false" | "not_scored";
}

export function judge(
  truth: CaptureTruth,
  findings: readonly Finding[],
  capture: string,
): { events: JudgedEvent[]; alerts: JudgedAlert[] } {
  const alerts = alertsOf(findings, capture);
  const events = truth.events.map((event): JudgedEvent => {
    const entities = canonicals(event.entity);
    const peers = canonicals(event.peer);
    const isDetected = [...entities].some((entity) => {
      const alert = alerts.get(keyOf(event.threat, entity));
      return alert !== undefined && detects(alert.peers, peers);
    });
    return { event, threat: event.threat, entities, peers, isDetected };
  });
  const aside = canonicals(truth.not_scored);
  const verdictOf = ({ threat, entity, peers }: Alert): JudgedAlert["verdict"] => {
    const isAbout = (e: JudgedEvent) => e.threat === threat && e.entities.has(entity) && detects(peers, e.peers);
    if (events.some(isAbout)) return "true";
    const isAside =
      truth.unlabelled === true ||
      aside.has(entity) ||
      events.some((e) => e.peers.has(entity) || (e.threat !== threat && e.entities.has(entity)));
    return isAside ? "not_scored" : "false";
  };
  return { events, alerts: [...alerts.values()].map((alert) => ({ ...alert, verdict: verdictOf(alert) })) };
}

function ratio(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}

function tally(events: readonly JudgedEvent[], alerts: readonly JudgedAlert[]): Tally {
  const soft = events.filter(({ event }) => event.hard !== true);
  const count = (verdict: JudgedAlert["verdict"]) => alerts.filter((alert) => alert.verdict === verdict).length;
  const detected = soft.filter((event) => event.isDetected).length;
  const detectedWithHard = events.filter((event) => event.isDetected).length;
  return {
    events: soft.length,
    detected,
    recall: ratio(detected, soft.length),
    events_with_hard: events.length,
    detected_with_hard: detectedWithHard,
    recall_with_hard: ratio(detectedWithHard, events.length),
    true_alerts: count("true"),
    false_alerts: count("false"),
    not_scored_alerts: count("not_scored"),
    precision: ratio(count("true"), count("true") + count("false")),
  };
}

/**
 * @param threats those whose events and alerts count; all unless told. The others' events still say which entities
 * are not scored.
 */
export function score(truth: Truth, findings: Findings, sizes: Sizes = {}, threats?: readonly string[]): Score {
  const unknown = Object.keys(findings).filter((capture) => !Object.hasOwn(truth, capture));
  if (unknown.length > 0)
    throw new Failure(`There are findings for captures that the truth file lacks: ${unknown.toSorted().join(", ")}.`);
  const counts = ({ threat }: { threat: string }) => threats === undefined || threats.includes(threat);
  const captures: Score["captures"] = {};
  const allEvents: JudgedEvent[] = [];
  const allAlerts: JudgedAlert[] = [];
  let ratedFalse = 0;
  let ratedDays = 0;
  for (const [capture, captureTruth] of Object.entries(truth)) {
    const judged = judge(captureTruth, findings[capture] ?? [], capture);
    const events = judged.events.filter(counts);
    const alerts = judged.alerts.filter(counts);
    const tallied = tally(events, alerts);
    const size = sizes[capture];
    const days = captureTruth.unlabelled === true || size === undefined ? 0 : size.entities * size.days;
    if (days > 0) {
      ratedFalse += tallied.false_alerts;
      ratedDays += days;
    }
    captures[capture] = {
      ...tallied,
      missed: events.filter((event) => !event.isDetected).map(({ event }) => event),
      false: alerts.filter(({ verdict }) => verdict === "false").map(({ threat, entity }) => ({ threat, entity })),
      false_per_1000_entity_days: ratio(1000 * tallied.false_alerts, days),
    };
    allEvents.push(...events);
    allAlerts.push(...alerts);
  }
  const names = new Set([...allEvents, ...allAlerts].map(({ threat }) => threat));
  const of = (name: string) => (one: { threat: string }) => one.threat === name;
  return {
    captures,
    threats: Object.fromEntries(
      [...names].toSorted().map((name) => [name, tally(allEvents.filter(of(name)), allAlerts.filter(of(name)))]),
    ),
    total: { ...tally(allEvents, allAlerts), false_per_1000_entity_days: ratio(1000 * ratedFalse, ratedDays) },
    absent: Object.keys(truth).filter((capture) => !Object.hasOwn(findings, capture)),
  };
}
