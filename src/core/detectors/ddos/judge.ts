import { cusum, type Point, type Rise } from "../../sketches/cusum.ts";
import type { Habit } from "../../sketches/habit.ts";
import { trafficCount, type Inflow } from "../../sketches/inflow.ts";
import type { Entry } from "../../slots/entity-windows.ts";
import type { Finding } from "../../verdict.ts";
import type { Known } from "../windowed.ts";
import { amplifications, mostFrequentService } from "./amplifications.ts";
import { worse, type Bar, type Excess, type Judging } from "./excess.ts";
import { findingOf } from "./finding.ts";
import { isPrefix, Measure, ownSampled, type FloodState } from "./flood-state.ts";
import { measured, type Measured } from "./measured.ts";
import { holdsProbes, looksLikeScan, unansweredOf } from "./row-shapes.ts";
import type { DdosSettings } from "./settings.ts";

const floors: Record<Measure, keyof DdosSettings> = {
  [Measure.Lost]: "unansweredMin",
  [Measure.Unsolicited]: "unsolicitedMin",
  [Measure.Packets]: "packetsMin",
  [Measure.Bytes]: "bytesMin",
};

const ceilings: Record<Measure, keyof DdosSettings> = {
  [Measure.Lost]: "flowsCeiling",
  [Measure.Unsolicited]: "flowsCeiling",
  [Measure.Packets]: "packetsCeiling",
  [Measure.Bytes]: "bytesCeiling",
};

function usualOf({ habit, entry }: Judging, measure: Measure): number {
  return habit?.usual(measure, entry.windowStartMs) ?? 0;
}

function barOf(judging: Judging, { kind, measure }: Measured): Bar {
  const { settings, habit } = judging;
  const floor = kind === "carpet" && measure === Measure.Lost ? "prefixUnansweredMin" : floors[measure];
  const ceiling = ceilings[measure];
  const usual = usualOf(judging, measure);
  const fromHabit = settings.tolerance * usual;
  const fromFloor = habit ? settings[floor] : settings.warmUpFactor * settings[floor];
  const least = Math.max(fromFloor, fromHabit);
  if (least > settings[ceiling]) return { least: settings[ceiling], floor, ceiling, decides: "ceiling", usual };
  return { least, floor, ceiling, decides: fromHabit > fromFloor ? "habit" : "floor", usual };
}

/** Whether anything can lie over a threshold, whatever is usual: by what the inflow knows of all rows, in most cases. */
function mayExceed(inflow: Inflow | undefined, settings: DdosSettings, isReflected: boolean): boolean {
  if (!inflow) return false;
  const { unansweredMin, unsolicitedMin, prefixUnansweredMin, flowsCeiling, sustainedMin } = settings;
  // Replies that were not asked for are held against minutes alone.
  if (!isReflected && inflow.excess >= sustainedMin) return true;
  const flowsLeast = Math.min(unansweredMin, unsolicitedMin, prefixUnansweredMin, flowsCeiling);
  const packetsLeast = Math.min(settings.packetsMin, settings.packetsCeiling);
  const bytesLeast = Math.min(settings.bytesMin, settings.bytesCeiling);
  const { mostFlows, mostPackets, mostBytes } = inflow;
  if (mostFlows < flowsLeast && mostPackets < packetsLeast && mostBytes < bytesLeast) return false;
  for (let row = 0; row < inflow.rowCount; row++) {
    const flows = inflow.flowsOf(row);
    // Half of them unanswered, at least: what every rule asks for.
    if (flows < 2 * inflow.answeredOf(row)) continue;
    if (flows >= flowsLeast || inflow.packetsOf(row) >= packetsLeast || inflow.bytesOf(row) >= bytesLeast) return true;
  }
  return false;
}

export function judgeTarget(
  entry: Entry<FloodState>,
  settings: Readonly<DdosSettings>,
  before: Known<Habit>,
): Finding | undefined {
  const { state } = entry;
  const hasSurplus = state.surplus.some((surplus) => surplus > 0);
  const mayBeReflection = hasSurplus && mayExceed(state.reflected, settings, true);
  if (!mayBeReflection && !mayExceed(state.direct, settings, false)) return undefined;
  const known = state.internal ? before.memoryOf(entry.address) : undefined;
  const judging: Judging = { entry, settings, habit: known?.isKnown ? known : undefined };
  const isOfPrefix = isPrefix(entry.address);
  const over: Excess[] = [];
  for (const one of measured(state, isOfPrefix)) {
    const excess = excessOf(judging, one);
    if (excess) over.push(excess);
  }
  if (!isOfPrefix) over.push(...sustained(judging));
  if (over.length === 0) return undefined;
  return findingOf(judging, over.reduce(worse), over);
}

function excessOf(judging: Judging, one: Measured): Excess | undefined {
  const bar = barOf(judging, one);
  const least = bar.least * factorOf(judging, one, bar);
  return one.value >= least ? { ...one, least, bar, minutes: 1 } : undefined;
}

/** Our own clients that cannot reach a server retry by the thousand: more must come to alarm anyone. */
const retryFactor = 10;
/** What is shown to be without an answer proves more than what is only seen without one. */
const unknownFactor = 4;

/** By how much more than the bar it takes, given who sent it; infinite where it is no flood at all. */
function factorOf({ entry, settings }: Judging, one: Measured, bar: Bar): number {
  const { kind, measure, inflow, row } = one;
  const isFew = inflow.othersOf(row) < settings.sourcesMin;
  if (kind === "carpet") {
    if (inflow.marksOf(row) < settings.targetsMin) return Infinity;
    return isFew && holdsProbes(inflow, row) ? Infinity : 1;
  }
  if (kind === "reflection" && !isFew) return 1;
  if (kind === "reflection" && measure === Measure.Unsolicited) return Infinity;
  const retries = kind !== "reflection" && areRetries(entry.state, inflow, row) ? retryFactor : 1;
  if (measure === Measure.Lost || !isFew) return retries;
  return retries * fewSourcesFactor(judgedLack(one), settings, bar);
}

/** Whether few that send much are known to get nothing back; of replies, whether their service is known for it. */
function judgedLack({ kind, inflow, row }: Measured): boolean {
  if (kind === "reflection") return amplifications.has(mostFrequentService(inflow.others));
  return inflow.failedOf(row) * 2 >= inflow.flowsOf(row);
}

/** Few sources are held against what holds for targets without a habit, even where that is known to be less. */
function fewSourcesFactor(isShown: boolean, settings: DdosSettings, bar: Bar): number {
  const least = Math.max(bar.least, settings.warmUpFactor * settings[bar.floor]);
  return (least / bar.least) * (isShown ? 1 : unknownFactor);
}

/** Requests a minute that a client's retries may come to. */
const retriesMax = 60;

/** Of our own (nearly all sources of the hour are), to a server of ours; or small and slow ones. */
function areRetries({ internal }: FloodState, inflow: Inflow, row: number): boolean {
  const { others } = inflow;
  if (ownSampled(others) * 8 < others.size * 7) return false;
  return internal || (inflow.flowsOf(row) <= retriesMax * inflow.othersOf(row) && holdsProbes(inflow, row));
}

/** Of the requests without an answer, what each minute may have in excess: a fifth of what a minute's flood must have. */
const driftShare = 0.2;

/** It takes so many minutes: one alone is held against the threshold of a minute. */
const sustainedMinutesMin = 4;

/** The worst of each kind of traffic. */
function sustained(judging: Judging): Excess[] {
  const { entry, settings, habit } = judging;
  const { direct } = entry.state;
  const least = settings.sustainedMin * (habit ? 1 : settings.warmUpFactor);
  if (!direct || direct.flows < least) return [];
  const usual = usualOf(judging, Measure.Lost);
  const drift = Math.max(usual, driftShare * settings.unansweredMin);
  const bar: Bar = { least, floor: "sustainedMin", ceiling: "flowsCeiling", decides: "floor", usual };
  const found: Excess[] = [];
  for (let traffic = 0; traffic < trafficCount; traffic++) {
    const rise = riseOf(entry.state, direct, traffic, { drift, most: drift + least / sustainedMinutesMin });
    if (!rise || rise.sum < least) continue;
    const [value, row, minutes] = [Math.round(rise.sum), rise.of, rise.length];
    found.push({ kind: "sustained", measure: Measure.Lost, value, inflow: direct, row, least, bar, minutes });
  }
  return found;
}

/** How requests without an answer added up over the hour's minutes; neither retries nor scans do. */
function riseOf(
  state: FloodState,
  inflow: Inflow,
  traffic: number,
  { drift, most }: { drift: number; most: number },
): Rise<number> | undefined {
  const points: Point<number>[] = [];
  for (let row = 0; row < inflow.rowCount; row++) {
    if (inflow.trafficOf(row) !== traffic) continue;
    const counts = !looksLikeScan(inflow, row) && !areRetries(state, inflow, row);
    const value = counts ? unansweredOf(inflow, row) - inflow.answeredOf(row) : 0;
    points.push({ at: inflow.minuteOf(row), value: Math.min(most, value), of: row });
  }
  return cusum(points, drift);
}
