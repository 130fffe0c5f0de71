import { startsMax } from "../../flow/contacts.ts";
import type { LoginAttempts } from "../../sketches/login-attempts.ts";
import type { LoginVisits } from "../../sketches/login-visits.ts";
import type { Entry } from "../../slots/entity-windows.ts";
import { severities, type Finding } from "../../verdict.ts";
import { rounded } from "../scoring.ts";
import type { Known } from "../windowed.ts";
import { countOf, errorOf, type Case, type Success } from "./case.ts";
import { findingOf } from "./finding.ts";
import { daysOf, HabitColumn, habitColumns, habitKey, habitOf, type Habits } from "./habits.ts";
import { habitAttemptsMin, type LoginState } from "./login-state.ts";
import { attemptBytesMax, isTimed, plateauOf, sizesMin, visitSizes, type Plateau } from "./plateau.ts";
import { sentBytesMin, Service, services } from "./services.ts";
import type { BruteForceSettings } from "./settings.ts";

export function judge(entry: Entry<LoginState>, settings: Readonly<BruteForceSettings>, known: Known<Habits>) {
  const { state } = entry;
  let worst: Finding | undefined;
  const consider = (one: Case | undefined) => {
    const finding = one && findingOf(entry, one, settings);
    if (finding && (!worst || isWorse(finding, worst))) worst = finding;
  };
  if (state.requests + state.visitRequests < settingsLeast(settings)) return undefined;
  const habits = known.memoryOf(entry.address) ?? [];
  for (const one of state.attempts.values()) consider(judgeAttempts(one, entry, habits, settings));
  for (const one of state.visits.values()) consider(judgeVisits(one, habits, settings));
  return worst;
}

/** Fewer requests are silent by each rule but that over days, which wants a few at least. */
function settingsLeast({ attemptsMin }: Readonly<BruteForceSettings>): number {
  return Math.min(attemptsMin, habitAttemptsMin);
}

/** Ties go to the lower port: never by order of arrival. */
function isWorse(a: Finding, b: Finding): boolean {
  const level = severities.indexOf(a.severity) - severities.indexOf(b.severity);
  return level > 0 || (level === 0 && (a.score > b.score || (a.score === b.score && portOf(a) < portOf(b))));
}

function portOf({ peers }: Finding): number {
  return peers[0].port;
}

function judgeAttempts(
  one: LoginAttempts,
  { state, windowStartMs }: Entry<LoginState>,
  habits: Habits,
  settings: Readonly<BruteForceSettings>,
): Case | undefined {
  if (!mayBeEnough(one, habits, settings)) return undefined;
  const plateau = plateauOf(one, habitAttemptsMin);
  if (!plateau || plateau.alikeShare < settings.alikeShareMin) return undefined;
  const row = habitOf(habits, habitKey(one.port, false), plateau.medianBytes);
  // Of our own hosts, what goes on for days is a job.
  const before = row < 0 || state.internal ? 0 : habits[row + HabitColumn.Attempts];
  const found =
    fast(one, plateau, settings) ??
    parallel(one, plateau, settings) ??
    slow(one, plateau, { isOutsider: !state.internal, before }, settings);
  if (!found) return undefined;
  const { series, targets, longest } = one;
  return {
    ...found,
    port: one.port,
    count: plateau.count,
    alikeShare: plateau.alikeShare,
    medianBytes: plateau.medianBytes,
    ...daysOf(habits, row),
    others: targets,
    success: sessionSuccess(one, plateau) ?? leap(plateau, windowStartMs),
    seen: series.sourcePackets / series.samplingRate,
    samplingRate: series.samplingRate,
    evidence: {
      attempts_in_ten_minutes_max: plateau.peak,
      attempts_failed: series.failed,
      targets: targets.count(),
      targets_error_percent: errorOf(targets),
      sessions: one.sessions,
      ...(longest.bytes > 0 ? { session_bytes_sent_max: longest.bytes } : {}),
      packets_per_attempt: rounded(one.packetsPerRequest),
      seconds_per_attempt: rounded(series.durationMs / series.requests / 1000),
      attempts_sample: sampleOf(plateau, windowStartMs),
    },
  };
}

/** Whether any rule can hold, by numbers alone: sizes cost more to look at. */
function mayBeEnough(one: LoginAttempts, habits: Habits, settings: Readonly<BruteForceSettings>): boolean {
  const { attemptsMin, parallelAttemptsMin, otherAttemptsMin, slowAttemptsMin } = settings;
  let count = one.count;
  for (let row = 0; row < habits.length; row += habitColumns) {
    if (habits[row + HabitColumn.Service] === habitKey(one.port, false)) count += habits[row + HabitColumn.Attempts];
  }
  if (count >= slowAttemptsMin) return true;
  const busyMin = Math.min(attemptsMin, parallelAttemptsMin, otherAttemptsMin);
  return one.requests >= busyMin && one.busiest >= busyMin;
}

type Ruling = Pick<Case, "kind" | "value" | "threshold" | "observed">;

/** Attempts on each target below which many targets are a spray. */
const sprayAttemptsMax = 4;
const sprayTargetsMin = 5;

function fast(one: LoginAttempts, plateau: Plateau, settings: Readonly<BruteForceSettings>): Ruling | undefined {
  const isOther = services[one.port] === Service.Other;
  const name = isOther ? "otherAttemptsMin" : "attemptsMin";
  const threshold = settings[name];
  if (plateau.peak < threshold || (isOther && !isDialogue(one, plateau.count))) return undefined;
  const targets = one.targets.count();
  const isSpray = targets >= sprayTargetsMin && plateau.count < sprayAttemptsMax * targets;
  return {
    kind: isSpray ? "spraying" : "guessing",
    value: Math.max(plateau.peak, plateau.count),
    threshold,
    observed: [
      { threshold: name, value: plateau.peak },
      { threshold: "alikeShareMin", value: rounded(plateau.alikeShare) },
    ],
  };
}

/** Starts within this time are those of a tool with parallel tasks: as many as a contact keeps. */
const parallelStarts = startsMax;
const parallelMs = 1000;

function parallel(one: LoginAttempts, plateau: Plateau, settings: Readonly<BruteForceSettings>): Ruling | undefined {
  const { atMs, peak, count, alikeShare } = plateau;
  const threshold = settings.parallelAttemptsMin;
  if (services[one.port] !== Service.Login || peak < threshold * one.targets.count()) return undefined;
  const isAtOnce = atMs.some((ms, i) => atMs[i + parallelStarts - 1] - ms <= parallelMs);
  if (!isAtOnce) return undefined;
  return {
    kind: "guessing",
    value: Math.max(peak, count),
    threshold,
    observed: [
      { threshold: "parallelAttemptsMin", value: peak },
      { threshold: "alikeShareMin", value: rounded(alikeShare) },
    ],
  };
}

/** A dialogue has its turns, SSHCure's 11 packets of one side or more; a server that checks a password takes its time. */
const dialoguePacketsMin = 16;
const dialogueMsMin = 500;
const dialogueMsMax = 30_000;
/** Attempts on each target that are no mere poll of many. */
const dialoguesPerTargetMin = 15;

function isDialogue({ series, packetsPerRequest, targets }: LoginAttempts, count: number): boolean {
  const durationMs = series.durationMs / series.requests;
  return (
    packetsPerRequest >= dialoguePacketsMin &&
    durationMs >= dialogueMsMin &&
    durationMs <= dialogueMsMax &&
    count >= dialoguesPerTargetMin * targets.count()
  );
}

/** Ten-minute bins in which a slow guesser is active: what is done in an hour and a half is no slow guessing. */
const slowBinsMin = 9;

/** `before`: attempts of earlier days. */
function slow(
  one: LoginAttempts,
  plateau: Plateau,
  { isOutsider, before }: { isOutsider: boolean; before: number },
  settings: Readonly<BruteForceSettings>,
): Ruling | undefined {
  // Mail clients ask for news all day, and databases have their pools.
  const service = services[one.port];
  if (service !== Service.Login && !(service === Service.Database && isOutsider)) return undefined;
  const value = plateau.count + before;
  const bins = one.series.ring.bins().length;
  if (value < settings.slowAttemptsMin || (before === 0 && bins < slowBinsMin) || isTimed(plateau.atMs))
    return undefined;
  return {
    kind: "slow",
    value,
    threshold: settings.slowAttemptsMin,
    observed: [
      { threshold: "slowAttemptsMin", value },
      { threshold: "alikeShareMin", value: rounded(plateau.alikeShare) },
    ],
  };
}

/** Attempts of each stranger from which they are more than a look. */
const attemptsPerSourceMin = 3;
/** Share of the attempts that come from outside. */
const externalShareMin = 0.9;

function judgeVisits(one: LoginVisits, habits: Habits, settings: Readonly<BruteForceSettings>): Case | undefined {
  const { distributedAttemptsMin: threshold, distributedSourcesMin: sourcesMin, alikeShareMin } = settings;
  const { count } = one;
  if (count < threshold) return undefined;
  const sources = countOf(one.sources);
  if (sources < sourcesMin || count < attemptsPerSourceMin * sources) return undefined;
  if (one.externalAnswered < externalShareMin * one.answered) return undefined;
  const { medianBytes, alikeShare } = visitSizes(one);
  if (alikeShare < alikeShareMin || medianBytes > attemptBytesMax) return undefined;
  if (medianBytes < (sentBytesMin.get(one.port) ?? 1)) return undefined;
  const row = habitOf(habits, habitKey(one.port, true), medianBytes);
  return {
    kind: "distributed",
    port: one.port,
    count,
    value: count,
    threshold,
    alikeShare,
    medianBytes,
    ...daysOf(habits, row),
    observed: [
      { threshold: "distributedAttemptsMin", value: count },
      { threshold: "distributedSourcesMin", value: sources },
      { threshold: "alikeShareMin", value: rounded(alikeShare) },
    ],
    others: one.sources,
    success: undefined,
    seen: one.packets / one.samplingRate,
    samplingRate: one.samplingRate,
    evidence: {
      sources,
      sources_error_percent: errorOf(one.sources),
      attempts_failed: one.failed,
    },
  };
}

/** Times the plateau's median that a connection sends after a login: SSHCure's deviation. */
const successFactor = 3;

function sessionSuccess({ longest, firstMs }: LoginAttempts, { medianBytes }: Plateau): Success | undefined {
  const isLater = longest.startMs > firstMs;
  return isLater && longest.bytes > successFactor * medianBytes ? longest : undefined;
}

/** The latest of the kept starts that sent so much more, after enough that did not. */
function leap({ atMs, bytes, medianBytes }: Plateau, dayStartMs: number): Success | undefined {
  for (let i = bytes.length - 1; i >= sizesMin; i--) {
    if (bytes[i] <= successFactor * medianBytes) continue;
    return { startMs: dayStartMs + atMs[i], bytes: bytes[i], durationMs: undefined };
  }
  return undefined;
}

const sampleMax = 4;

function sampleOf({ atMs, bytes }: Plateau, dayStartMs: number) {
  return atMs.slice(-sampleMax).map((ms, i) => ({
    start: new Date(dayStartMs + ms).toISOString(),
    bytes_sent: bytes[Math.max(0, atMs.length - sampleMax) + i],
  }));
}
