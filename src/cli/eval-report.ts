import type { CaptureRun, Detection } from "./evaluate.ts";
import type { Score, Tally } from "./score.ts";
import { median } from "./statistics.ts";
import { shown, table, thousands } from "./table.ts";

export interface EvalReport {
  score: Score;
  runs: { [capture: string]: CaptureRun };
}

/** `{captures, threats, total}`, each with what score.py counts, and how fast it went. */
export function reportJson({ score, runs }: EvalReport): object {
  const all = Object.values(runs);
  return {
    captures: mapValues(score.captures, (capture, name) => ({ ...capture, ...runJson(runs[name]) })),
    threats: mapValues(score.threats, (tally, threat) => ({ ...tally, ...delays(detectionsOf(runs, threat)) })),
    total: { ...score.total, ...delays(detectionsOf(runs)), ...countsJson(all) },
    absent: score.absent,
  };
}

function runJson(run: CaptureRun): object {
  return { ...countsJson([run]), ...run.size, ...delays(run.detections) };
}

function countsJson(runs: CaptureRun[]): object {
  const sum = (pick: (run: CaptureRun) => number) => runs.reduce((total, run) => total + pick(run), 0);
  const received = sum((run) => run.received);
  return {
    received,
    rejected: sum((run) => run.rejected),
    late: sum((run) => run.late),
    flows_per_s: Math.round(received / sum((run) => run.seconds)),
  };
}

function delays(detections: Detection[]): { time_to_detect_s: number | null; event_delay_s: number | null } {
  return {
    time_to_detect_s: median(detections.map((detection) => detection.seconds)),
    event_delay_s: median(detections.map((detection) => detection.eventSeconds)),
  };
}

function detectionsOf(runs: EvalReport["runs"], threat?: string): Detection[] {
  const all = Object.values(runs).flatMap((run) => run.detections);
  return threat === undefined ? all : all.filter((detection) => detection.threat === threat);
}

export function reportText({ score, runs }: EvalReport, withList: boolean): string {
  const captures = Object.entries(score.captures).map(([name, capture]) => {
    const { received, rejected, late, flowsPerSecond, detections } = runs[name];
    const perDay = shown(capture.false_per_1000_entity_days, 2);
    return [
      name,
      ...tallyCells(capture),
      perDay,
      ...delayCells(detections),
      received,
      rejected,
      late,
      thousands(flowsPerSecond),
    ];
  });
  const threats = Object.entries(score.threats).map(([name, tally]) => {
    return [name, ...tallyCells(tally), "", ...delayCells(detectionsOf(runs, name)), "", "", "", ""];
  });
  const all = Object.values(runs);
  const received = all.reduce((sum, run) => sum + run.received, 0);
  const seconds = all.reduce((sum, run) => sum + run.seconds, 0);
  const total = [
    "total",
    ...tallyCells(score.total),
    shown(score.total.false_per_1000_entity_days, 2),
    ...delayCells(detectionsOf(runs)),
    received,
    all.reduce((sum, run) => sum + run.rejected, 0),
    all.reduce((sum, run) => sum + run.late, 0),
    thousands(received / seconds),
  ];
  const rows = [...captures, ...threats, total];
  const lines = table(head, rows).split("\n");
  lines.splice(1 + captures.length, 0, "");
  lines.splice(2 + captures.length + threats.length, 0, "");
  lines.push("", `recall with hard events ${shown(score.total.recall_with_hard)}`);
  if (score.absent.length > 0) lines.push(`no findings for ${score.absent.join(", ")}`);
  if (withList) lines.push("", ...listed(score));
  return lines.join("\n");
}

const head = [
  "capture",
  "events",
  "found",
  "hard",
  "true",
  "false",
  "aside",
  "recall",
  "precision",
  "false/1k/day",
  "detect s",
  "event s",
  "flows",
  "rejected",
  "late",
  "flows/s",
];

function tallyCells(tally: Tally): (string | number)[] {
  const hardFound = tally.detected_with_hard - tally.detected;
  const hard = tally.events_with_hard - tally.events;
  return [
    tally.events,
    tally.detected,
    hard === 0 ? "" : `${hardFound}/${hard}`,
    tally.true_alerts,
    tally.false_alerts,
    tally.not_scored_alerts,
    shown(tally.recall),
    shown(tally.precision),
  ];
}

function delayCells(detections: Detection[]): string[] {
  const { time_to_detect_s, event_delay_s } = delays(detections);
  return [shown(time_to_detect_s, 2), shown(event_delay_s, 0)];
}

function listed({ captures }: Score): string[] {
  return Object.entries(captures).flatMap(([name, { missed, false: raised }]) => [
    ...missed.map(
      ({ threat, entity, hard, basis }) =>
        `missed${hard ? " (hard)" : ""} ${name}: ${threat} ${[entity].flat().slice(0, 3).join(" ")} (${basis ?? ""})`,
    ),
    ...raised.map(({ threat, entity }) => `false ${name}: ${threat} ${entity}`),
  ]);
}

function mapValues<T, U>(object: { [key: string]: T }, change: (value: T, key: string) => U): { [key: string]: U } {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value, key)]));
}
