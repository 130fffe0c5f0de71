import { backgrounds, beacon } from "./grid.ts";
import { judgeScene, type FalseAlarm, type JudgedPoint, type JudgedScene } from "./judge.ts";
import type { CaptureRows } from "./scene.ts";
import type { Section } from "./section.ts";
import { allSections, sections as ownSections } from "./sections/index.ts";

export interface SweepOptions {
  seeds: readonly number[];
  /** One scene a section, backgrounds in turn, each value of a parameter once. */
  quick?: boolean;
  /** Only sections of these threats; those that detectors are for unless told. */
  threats?: readonly string[] | undefined;
  /** More backgrounds, for the first seed. */
  captures?: readonly CaptureRows[];
}

/** Judges scene after scene. */
export function* sweep({ seeds, quick = false, threats, captures = [] }: SweepOptions): Generator<JudgedScene> {
  const sections = threats ? allSections.filter(({ threat }) => threats.includes(threat)) : ownSections;
  for (const section of sections) {
    if (quick) {
      const background = backgrounds.generated[(1 + allSections.indexOf(section)) % 2];
      yield judgeScene({ section, seed: seeds[0], background, quick });
      continue;
    }
    for (const seed of seeds) {
      for (const background of backgrounds.generated) yield judgeScene({ section, seed, background });
    }
    for (const background of captures) yield judgeScene({ section, seed: seeds[0], background });
  }
}

/** Of points that share something. */
export interface Counts {
  planted: number;
  found: number;
}

/** Points by what was wanted of them. */
export interface Power {
  found: Counts;
  either: Counts;
  silent: Counts;
}

export interface Figures {
  /** Found of those that were to be found. */
  recall: number | null;
  /** Points found over those and false alarms; a point counts once, a false alarm once for each (threat, entity). */
  precision: number | null;
  counts: Power;
  falseAlarms: number;
}

/** A kind of look-alike, or `background`, or `silent point`. */
interface Lookalike {
  kind: string;
  /** How many stood there; null where that is not counted. */
  hosts: number | null;
  alarms: number;
  /** Of them, those about a time before the first attack, in which nothing was known yet. */
  early: number;
  /** Alarms of each threat. */
  threats: { [threat: string]: number };
}

/** Share of the planted points found, whatever was wanted of them, by two parameters. */
export interface Curves {
  along: string;
  lines: string;
  values: string[];
  /** A share for each value; null where nothing was planted. */
  curves: { name: string; shares: (number | null)[] }[];
}

export interface SectionSummary extends Figures {
  section: Section;
  /** By parameter and value, in the order of the grid. */
  power: { [parameter: string]: Map<string, Power> };
  curves: Curves;
  lookalikes: Lookalike[];
  /** Points that were to be found and were not. */
  missed: JudgedPoint[];
  alarms: FalseAlarm[];
  /** From the first record to the first verdict, in seconds of event time, of those found. */
  afterS: number[];
  /** Scans by one source that were found: in the batch that crossed the threshold, of all. */
  inBatch: Counts;
  /** Beacons of at most 20 % jitter that were to be found: found within the grid's number of intervals, of all. */
  withinIntervals: Counts;
  /** Of those found, after how many. */
  intervals: number[];
  /** The slowest scans that were to be found: hours until they were. */
  slowHours: number[];
  slow: Counts;
}

function summary(section: Section, scenes: readonly JudgedScene[]): SectionSummary {
  const points = scenes.flatMap((scene) => scene.points);
  const alarms = scenes.flatMap((scene) => scene.falseAlarms);
  const wanted = points.filter((point) => point.wanted === "found");
  const calm = wanted.filter(({ point }) => Number(point.jitter) <= 0.2);
  const single = points.filter(({ inBatch }) => inBatch !== null);
  const slow = wanted.filter(({ point }) => Number(point.ratePerS) < 0.01);
  return {
    section,
    ...figures(points, alarms),
    power: Object.fromEntries(
      Object.keys(section.points[0]).map((name) => [name, powerBy(section, name, points)] as const),
    ),
    curves: curvesOf(section, points),
    lookalikes: lookalikesOf(scenes),
    missed: wanted.filter(({ found }) => !found),
    alarms,
    afterS: numbers(wanted.map(({ afterS }) => afterS)),
    inBatch: { planted: single.length, found: single.filter(({ inBatch }) => inBatch).length },
    withinIntervals: {
      planted: calm.length,
      found: calm.filter(({ intervals }) => intervals !== null && intervals <= beacon.foundWithinIntervals).length,
    },
    intervals: numbers(calm.map(({ intervals }) => intervals)),
    slow: countsOf(slow),
    slowHours: numbers(slow.map(({ afterS }) => afterS)).map((seconds) => seconds / 3600),
  };
}

/** Of some scenes, by section. */
export function summaries(scenes: readonly JudgedScene[]): SectionSummary[] {
  return allSections.flatMap((section) => {
    const mine = scenes.filter((scene) => scene.section === section.id);
    return mine.length === 0 ? [] : [summary(section, mine)];
  });
}

export function figures(points: readonly JudgedPoint[], alarms: readonly FalseAlarm[]): Figures {
  const counts = powerOf(points);
  const { found, planted } = counts.found;
  const raised = found + alarms.length;
  return {
    recall: planted === 0 ? null : found / planted,
    precision: raised === 0 ? null : found / raised,
    counts,
    falseAlarms: alarms.length,
  };
}

function curvesOf(section: Section, points: readonly JudgedPoint[]): Curves {
  const { along, lines } = section;
  const [values, names] = [valuesOf(section, along), valuesOf(section, lines)];
  const shareOf = (name: string, value: string) => {
    const { planted, found } = countsOf(
      points.filter(({ point }) => String(point[lines]) === name && String(point[along]) === value),
    );
    return planted === 0 ? null : found / planted;
  };
  const curves = names.map((name) => ({ name, shares: values.map((value) => shareOf(name, value)) }));
  return { along, lines, values, curves };
}

function valuesOf({ points }: Section, name: string): string[] {
  return [...new Set(points.map((point) => String(point[name])))];
}

function powerBy(section: Section, name: string, points: readonly JudgedPoint[]): Map<string, Power> {
  return new Map(
    valuesOf(section, name).map(
      (value) => [value, powerOf(points.filter(({ point }) => String(point[name]) === value))] as const,
    ),
  );
}

function powerOf(points: readonly JudgedPoint[]): Power {
  const of = (wanted: string) => countsOf(points.filter((point) => point.wanted === wanted));
  return { found: of("found"), either: of("either"), silent: of("silent") };
}

function countsOf(points: readonly JudgedPoint[]): Counts {
  return { planted: points.length, found: points.filter(({ found }) => found).length };
}

function lookalikesOf(scenes: readonly JudgedScene[]): Lookalike[] {
  const kinds = new Map<string, Lookalike>();
  const at = (kind: string, hosts: number | null) => {
    if (!kinds.has(kind)) kinds.set(kind, { kind, hosts, alarms: 0, early: 0, threats: {} });
    return kinds.get(kind)!;
  };
  for (const { lookalikes } of scenes) {
    for (const [kind, hosts] of Object.entries(lookalikes)) at(kind, 0).hosts! += hosts;
  }
  for (const kind of ["background", "silent point"]) at(kind, null);
  for (const { kind, threat, isEarly } of scenes.flatMap(({ falseAlarms }) => falseAlarms)) {
    const lookalike = at(kind, null);
    lookalike.alarms++;
    if (isEarly) lookalike.early++;
    lookalike.threats[threat] = (lookalike.threats[threat] ?? 0) + 1;
  }
  return [...kinds.values()];
}

function numbers(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null);
}

/** What must not get worse: of each section, rounded down to four digits. */
export type Recorded = { [section: string]: { recall: number | null; precision: number | null } };

export function recordOf(sections: readonly SectionSummary[]): Recorded {
  const rounded = (value: number | null) => (value === null ? null : Math.floor(value * 1e4) / 1e4);
  return Object.fromEntries(
    sections.map(({ section, recall, precision }) => [
      section.id,
      { recall: rounded(recall), precision: rounded(precision) },
    ]),
  );
}
