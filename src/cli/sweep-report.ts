import type { Point } from "../../test/sweep/grid.ts";
import type { JudgedScene } from "../../test/sweep/judge.ts";
import { figures, type Counts, type Figures, type Power, type SectionSummary } from "../../test/sweep/sweep.ts";
import type { CaptureScores } from "./sweep-page.ts";
import { median } from "./statistics.ts";
import { shown, table, thousands } from "./table.ts";

export interface SweepReport {
  seeds: readonly number[];
  quick: boolean;
  scenes: readonly JudgedScene[];
  sections: readonly SectionSummary[];
  /** What it took of the processor, in seconds. */
  processorS: number;
  command: string;
  scores?: CaptureScores;
}

function totalOf({ scenes }: SweepReport): Figures {
  return figures(
    scenes.flatMap(({ points }) => points),
    scenes.flatMap(({ falseAlarms }) => falseAlarms),
  );
}

/** How much was played, in records, seconds and records a second. */
export function effortOf({ scenes }: SweepReport): { flows: number; seconds: number; flowsPerS: number } {
  const flows = scenes.reduce((sum, scene) => sum + scene.flows, 0);
  const playing = scenes.reduce((sum, { playingS }) => sum + playingS, 0);
  const seconds = scenes.reduce((sum, { makingS }) => sum + makingS, playing);
  return { flows, seconds, flowsPerS: flows / playing };
}

export const sectionHead = [
  "section",
  "threat",
  "planted",
  "found",
  "recall",
  "either",
  "silent",
  "false",
  "precision",
  "median delay s",
];

export function sectionRows(report: SweepReport): string[][] {
  const rows = report.sections.map((one) => [one.section.id, one.section.threat, ...figureCells(one), delayOf(one)]);
  return [...rows, ["total", "", ...figureCells(totalOf(report)), ""]];
}

function figureCells({ counts, recall, precision, falseAlarms }: Figures): string[] {
  const { found, either, silent } = counts;
  return [
    String(found.planted),
    String(found.found),
    shown(recall),
    share(either),
    share(silent),
    String(falseAlarms),
    shown(precision),
  ];
}

function delayOf({ afterS }: SectionSummary): string {
  return shown(median(afterS), 0);
}

/** `3/4`, nothing of none. */
export function share({ found, planted }: Counts): string {
  return planted === 0 ? "" : `${found}/${planted}`;
}

/** What the grid asks about times, as sentences. */
export function timeLines({ inBatch, withinIntervals, intervals, slow, slowHours }: SectionSummary): string[] {
  const lines: string[] = [];
  if (inBatch.planted > 0) {
    lines.push(`scans by one source, found: ${share(inBatch)} in the batch that crossed the threshold`);
  }
  if (slow.planted > 0) {
    const hours = slowHours.length === 0 ? "" : `, after ${shown(median(slowHours), 1)} hours (median)`;
    const longest = slowHours.length === 0 ? "" : `, ${shown(Math.max(...slowHours), 1)} at most`;
    lines.push(`scans of one attempt in five minutes: ${share(slow)} found${hours}${longest}`);
  }
  if (withinIntervals.planted > 0) {
    const middle = intervals.length === 0 ? "" : `; of those found the median is ${median(intervals)} intervals`;
    lines.push(`beacons of at most 20 % jitter: ${share(withinIntervals)} found within 8 intervals${middle}`);
  }
  return lines;
}

export function sweepText(report: SweepReport): string {
  const { flows, seconds, flowsPerS } = effortOf(report);
  const lines = [
    `${report.quick ? "quick, seed" : "seeds"} ${report.seeds.join(", ")}; ${report.scenes.length} scenes, ${thousands(flows)} records in ${thousands(seconds)} s (${thousands(report.processorS)} s of processor), ${thousands(flowsPerS)} a second through the core`,
    "Where a grid has many points, each seed plants enough that every pair of values occurs.",
    "",
    table(sectionHead, sectionRows(report)),
  ];
  for (const one of report.sections) {
    lines.push("", `${one.section.id}: found of planted, where to be found (either) [silent]`);
    for (const [name, values] of Object.entries(one.power)) {
      lines.push(
        `  ${name}: ${[...values].map(([value, power]) => `${valueText(name, value)} ${powerText(power)}`).join(", ")}`,
      );
    }
    lines.push(...timeLines(one).map((line) => `  ${line}`));
    for (const { kind, hosts, alarms, threats } of one.lookalikes.filter((lookalike) => lookalike.alarms > 0)) {
      lines.push(
        `  false: ${kind}${hosts === null ? "" : ` (${hosts})`}: ${alarms} (${Object.keys(threats).join(", ")})`,
      );
    }
    for (const missed of grouped(one.missed.map(({ point }) => point))) lines.push(`  missed: ${missed}`);
  }
  return lines.join("\n");
}

function powerText({ found, either, silent }: Power): string {
  const parts = [
    share(found),
    either.planted > 0 ? `(${share(either)})` : "",
    silent.planted > 0 ? `[${share(silent)}]` : "",
  ];
  return parts.filter(Boolean).join(" ") || "-";
}

/** A value of the grid: rates below one in ten seconds by the hour. */
export function valueText(name: string, value: string | number): string {
  const perHour = Number(value) * 3600;
  return name.endsWith("PerS") && perHour < 360 ? `${Math.round(perHour)}/h` : String(value);
}

/** Points as text, with their number, the most frequent first. */
export function grouped(points: readonly Point[]): string[] {
  const counts = new Map<string, number>();
  for (const point of points) {
    const text = Object.entries(point)
      .map(([name, value]) => `${name} ${valueText(name, value)}`)
      .join(", ");
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([text, count]) => (count > 1 ? `${text} (${count} times)` : text));
}

export function sweepJson(report: SweepReport): object {
  return {
    seeds: report.seeds,
    quick: report.quick,
    processor_s: report.processorS,
    ...effortOf(report),
    total: totalOf(report),
    sections: Object.fromEntries(
      report.sections.map(({ section, power, afterS, intervals, slowHours, ...rest }) => [
        section.id,
        {
          threat: section.threat,
          ...rest,
          power: Object.fromEntries(Object.entries(power).map(([name, values]) => [name, Object.fromEntries(values)])),
          median_delay_s: median(afterS),
          median_intervals: median(intervals),
          median_slow_hours: median(slowHours),
        },
      ]),
    ),
    scenes: report.scenes.map(({ section, seed, background, flows, late, makingS, playingS }) => ({
      section,
      seed,
      background,
      flows,
      late,
      making_s: makingS,
      playing_s: playingS,
    })),
  };
}
