import { startsMax, type Contacts } from "../flow/contacts.ts";
import { Protocol } from "../flow/flow-batch.ts";
import { hashService } from "../flow/keyed-hash.ts";
import { formatEntity } from "../flow/prefixes.ts";
import { serviceName, serviceOf } from "../flow/protocols.ts";
import { BottomK } from "../sketches/bottom-k.ts";
import { LoginAttempts } from "../sketches/login-attempts.ts";
import { LoginVisits } from "../sketches/login-visits.ts";
import type { MemoryCodec } from "../slots/entity-memory.ts";
import type { EntityState, EntityWindows, Entry, StateCodec } from "../slots/entity-windows.ts";
import { peersMax, severities, type Finding, type Observed, type Peer, type Severity } from "../verdict.ts";
import type { Detector, SlotContacts } from "./detector.ts";
import { gapsOf, quantile, spreadOf } from "./regularity.ts";
import { sampledConfidence, samplingErrorPercent } from "./sampling.ts";
import { rounded, scoreOf, severityOf } from "./scoring.ts";
import { windowed, type Known } from "./windowed.ts";

export interface BruteForceSettings {
  /** Attempts within ten minutes on a service that is known for logins. */
  attemptsMin: number;
  /** The same on one target, where several began at once. */
  parallelAttemptsMin: number;
  /** The same on any other port, where only their shape tells. */
  otherAttemptsMin: number;
  /** Attempts within a day, or several, that never come so fast. */
  slowAttemptsMin: number;
  /** Share of the attempts whose size lies about the median. */
  alikeShareMin: number;
  /** Attempts on one host within a day by strangers who each make a few. */
  distributedAttemptsMin: number;
  distributedSourcesMin: number;
}

const dayMs = 86_400_000;
/** What the guessers of passwords know a port for. */
const Service = { Other: 0, Login: 1, Mail: 2, Database: 3, Crowded: 4 } as const;
type Service = (typeof Service)[keyof typeof Service];

/** TCP ports of the services that Hydra, Medusa and Ncrack have modules for, and the usual second ports of them. */
const knownPorts: readonly (readonly [Service, readonly number[]])[] = [
  // FTP, SSH, telnet, SMB, r-services, NCP, AFP, VMware, PPTP, CVS, RDP, Subversion, PCAnywhere, VNC, WinRM.
  [
    Service.Login,
    [
      21, 22, 23, 139, 445, 512, 513, 514, 524, 548, 902, 990, 992, 1723, 2222, 2323, 2401, 3389, 3690, 5631, 5900,
      5901, 5902, 5985, 5986,
    ],
  ],
  [Service.Mail, [25, 110, 143, 465, 587, 993, 995]],
  [Service.Database, [1433, 1521, 3050, 3306, 5432, 6379, 9042, 27_017]],
  // Whose every client makes many short exchanges that are alike: web, names, directories, agents, clusters.
  [
    Service.Crowded,
    [
      53, 80, 88, 111, 135, 389, 443, 593, 636, 853, 1883, 2379, 3128, 3268, 3269, 5222, 5223, 5228, 5666, 6443, 8000,
      8008, 8080, 8081, 8443, 8883, 8888, 9100, 9200, 10_050, 10_051, 10_250,
    ],
  ],
];

const services = new Uint8Array(65_536);
for (const [service, ports] of knownPorts) for (const port of ports) services[port] = service;

/** What a client has sent before it can try a password: SSH's and RDP's exchange of keys, SMB's negotiation. */
const sentBytesMin = new Map([
  [22, 800],
  [2222, 800],
  [3389, 600],
  [445, 300],
]);

/**
 * Services of a source, and of a target, between two settlements: all that are known for logins, for a scan tries each,
 * and of others those of lowest hash. Then those that answered most stay.
 */
const servicesMax = 48;
const attemptsKept = 4;
const visitsKept = 2;
/** In V8's heap, in bytes: of a state without its services. Measured. */
const stateBytes = 200;
/** Of a small state, packed, without its services. */
const packedBytes = 20;
const smallServicesMax = 2;

interface LoginState extends EntityState {
  internal: boolean;
  /** Over all services. */
  requests: number;
  visitRequests: number;
  attempts: Map<number, LoginAttempts>;
  visits: Map<number, LoginVisits>;
}

const codec: StateCodec<LoginState> = {
  create: () => ({
    touched: false,
    internal: false,
    requests: 0,
    visitRequests: 0,
    attempts: new Map(),
    visits: new Map(),
  }),
  save(state, writer) {
    writer.u8(state.internal ? 1 : 0);
    writer.u32(state.requests);
    writer.u32(state.visitRequests);
    writer.u8(state.attempts.size);
    for (const one of state.attempts.values()) one.save(writer);
    writer.u8(state.visits.size);
    for (const one of state.visits.values()) one.save(writer);
  },
  load(reader) {
    const state = codec.create();
    state.internal = reader.u8() === 1;
    state.requests = reader.u32();
    state.visitRequests = reader.u32();
    for (let left = reader.u8(); left > 0; left--) {
      const one = LoginAttempts.load(reader);
      state.attempts.set(one.port, one);
    }
    for (let left = reader.u8(); left > 0; left--) {
      const one = LoginVisits.load(reader);
      state.visits.set(one.port, one);
    }
    return state;
  },
  bytes({ attempts, visits }) {
    let bytes = stateBytes;
    for (const { memoryBytes } of attempts.values()) bytes += memoryBytes;
    for (const { memoryBytes } of visits.values()) bytes += memoryBytes;
    return bytes;
  },
  isSmall({ attempts, visits }) {
    if (attempts.size + visits.size > smallServicesMax) return false;
    for (const one of attempts.values()) if (!one.isSmall) return false;
    for (const one of visits.values()) if (!one.isSmall) return false;
    return true;
  },
  smallBytes({ attempts, visits }) {
    let bytes = packedBytes;
    for (const one of attempts.values()) bytes += one.packedBytes;
    for (const one of visits.values()) bytes += one.packedBytes;
    return bytes;
  },
  excess: ({ attempts, visits }) => Math.max(0, attempts.size - attemptsKept) + Math.max(0, visits.size - visitsKept),
  trim({ attempts, visits }) {
    keepMost(attempts, attemptsKept);
    keepMost(visits, visitsKept);
  },
};

/** Leaves the services of most answered requests, then of most requests; ties go to the lower port. */
function keepMost<T extends { port: number; count: number; requests: number }>(
  all: Map<number, T>,
  kept: number,
): void {
  const order = [...all.values()].sort((a, b) => b.count - a.count || b.requests - a.requests || a.port - b.port);
  for (const { port } of order.slice(kept)) all.delete(port);
}

/** What an entity is known for by its closed days: rows of a service, its median size, and days of it. */
type Habits = number[];
/** Told are days of alarm; the attempts are those of all days. */
const HabitColumn = { Service: 0, Bytes: 1, Days: 2, Told: 3, Attempts: 4 } as const;
const habitColumns = 5;
/** Services that a source is known for, at most: the first ones. */
const habitsMax = 6;
/** Attempts of a day from which it counts. */
const habitAttemptsMin = 5;
/** Days of alarm after which what comes again is no news: whoever looked at it let it be. */
const toldDaysMax = 2;
/** A guesser that pauses longer is a new one. */
const forgetMs = 14 * dayMs;

/** In V8's heap, in bytes: of an entity's habits, and of a number of them. */
const habitsBytes = 100;
const habitNumberBytes = 10;

const habitsCodec: MemoryCodec<Habits> = {
  create: () => [],
  save: (habits, writer) => writer.numbers(habits),
  load: (reader) => reader.numbers(),
  bytes: (habits) => habitsBytes + habitNumberBytes * habits.length,
};

/**
 * Brute force: passwords are tried, over and over, on a service that answers.
 *
 * Method: per source and UTC day, for each login service, whatever its targets, the attempts: records that were
 * answered and are no slices of long ones. Failed logins are a plateau: sizes lie within a fifth of their median, but
 * for connections cut short, and source ports are new each time. `attemptsMin` of them in ten minutes are an alarm,
 * fewer if eight began within a second; on any other port more are asked for, and the shape of a dialogue: many
 * packets, little in them, a server that takes its time. Slower ones are an alarm by their number in a day, or, from
 * outside, over days, unless a timer paces them. Per target: attempts by many strangers, who each make a few. A later
 * connection in which the source sends more than three times the plateau, or a session, is taken for success. What went
 * on for two days of alarm is `low` from then on, unless it gets in.
 * Bounds: per source and day 4 services with 64 starts, 16 targets and 288 counts each; per target and day 2 services
 * with 24 sizes and 12 sources each; per entity 6 services known. Within five minutes there may be 48; of them, those
 * that answered most stay, and what is dropped loses its past.
 * Misses: several logins in one connection, where there are less than 16 connections; web logins (ports such as 80 and
 * 443 are not looked at); slow guessing paced by a timer, or by our own on a database; mail and other ports of
 * outsiders; sizes that vary by more than a fifth; botnets whose members try less than three times. Programs with an
 * old password, and jobs over SSH that are all alike and small, look the same on their first days.
 * Source: Hellemans et al., SSHCure, AIMS 2012 (plateau of 11 to 51 packets, and what leaves it is the compromise);
 * Flowmon (20 attempts); Hydra (16 parallel tasks, unless told). The widths, and all numbers for slow and distributed
 * guessing, are our own.
 */
export const bruteForce: Detector<BruteForceSettings> = {
  id: "brute_force",
  version: 1,
  thresholds: {
    attemptsMin: {
      unit: "attempts in ten minutes",
      default: 20,
      min: 8,
      max: 500,
      isWhole: true,
      quiet: 40,
      sensitive: 12,
      raising: "quieter",
      cost: "Guessing by fewer logins at a time is found later, by the day's number, or passes.",
    },
    parallelAttemptsMin: {
      unit: "attempts in ten minutes",
      default: 16,
      min: 8,
      max: 500,
      isWhole: true,
      quiet: 40,
      sensitive: 8,
      raising: "quieter",
      cost: "Tools that try with fewer connections at a time, several passwords on each, pass.",
    },
    otherAttemptsMin: {
      unit: "attempts in ten minutes",
      default: 60,
      min: 20,
      max: 500,
      isWhole: true,
      quiet: 120,
      raising: "quieter",
      cost: "Guessing by fewer logins at a time, on ports that are not known for logins, passes.",
    },
    slowAttemptsMin: {
      unit: "attempts",
      default: 40,
      min: 10,
      max: 100_000,
      isWhole: true,
      quiet: 100,
      sensitive: 24,
      raising: "quieter",
      cost: "Slow guessing is found later, or passes.",
    },
    alikeShareMin: {
      unit: "share",
      default: 0.8,
      min: 0.5,
      max: 1,
      quiet: 0.9,
      sensitive: 0.7,
      raising: "quieter",
      cost: "Guessing among other use of the same service passes.",
    },
    distributedAttemptsMin: {
      unit: "attempts a day",
      default: 100,
      min: 20,
      max: 1_000_000,
      isWhole: true,
      quiet: 1000,
      raising: "quieter",
      cost: "Smaller attacks by many sources on one host pass.",
    },
    distributedSourcesMin: {
      unit: "sources",
      default: 10,
      min: 3,
      max: 10_000,
      isWhole: true,
      quiet: 20,
      raising: "quieter",
      cost: "Attacks on one host by fewer sources, none of which does much, pass.",
    },
  },
  create(settings, saved) {
    return windowed<LoginState, Habits, BruteForceSettings>(
      {
        lengthMs: dayMs,
        codec,
        memory: habitsCodec,
        forgetMs,
        learn,
        judge,
        interest,
        isRemembered: ({ state }) => plateausOf(state).length > 0,
        remember: ({ state }, habits, isAlarm) => {
          for (const day of plateausOf(state)) rememberDay(habits, day, isAlarm);
        },
      },
      settings,
      saved,
    );
  },
};

/** Answered requests, by it or from outside to it. */
function interest({ attempts, visits }: LoginState): number {
  let answered = 1;
  for (const { count } of attempts.values()) answered += count;
  for (const { count } of visits.values()) answered += count;
  return answered;
}

function learn(
  { contacts, pairs: pairIndexes, targets: targetIndexes, sessions: sessionIndexes }: SlotContacts,
  days: EntityWindows<LoginState>,
): void {
  const { pairs, targets, sessions, internal } = contacts;
  for (const i of pairIndexes) {
    if (pairs.protocol[i] === Protocol.Tcp && isWatched(pairs.port[i], internal[pairs.target[i]])) {
      addAttempts(days, contacts, i);
    }
  }
  for (const i of sessionIndexes) {
    if (sessions.protocol[i] === Protocol.Tcp && isWatched(sessions.port[i], internal[sessions.target[i]])) {
      addSession(days, contacts, i);
    }
  }
  for (const i of targetIndexes) {
    if (targets.protocol[i] === Protocol.Tcp && isGuarded(targets.port[i]) && internal[targets.target[i]] === 1) {
      addVisits(days, contacts, i);
    }
  }
}

/** Of mail and of other ports only our own: clients ask for mail all day, and reach ports of all sorts outside. */
function isWatched(port: number, targetInternal: number): boolean {
  const service = services[port];
  if (service === Service.Crowded) return false;
  return targetInternal === 1 || service === Service.Login || service === Service.Database;
}

/** Services whose clients are few and known. Mail is there for strangers. */
function isGuarded(port: number): boolean {
  return services[port] === Service.Login || services[port] === Service.Database;
}

/** Login services first, then by keyed hash: what has a lower rank displaces what has a higher one, for good. */
function rankOf(port: number, ownHash: number): number {
  const rank = hashService(ownHash, port, Protocol.Tcp) >>> 1;
  return services[port] === Service.Other ? rank + 2 ** 31 : rank;
}

/** The entry of a port, made if need be; undefined where others outrank it. */
function entryOf<T extends { rank: number }>(
  kept: Map<number, T>,
  port: number,
  ownHash: number,
  make: (port: number, rank: number) => T,
): T | undefined {
  const known = kept.get(port);
  if (known) return known;
  const rank = rankOf(port, ownHash);
  if (kept.size === servicesMax) {
    const [last, { rank: greatest }] = [...kept].reduce((a, b) => (b[1].rank > a[1].rank ? b : a));
    if (greatest < rank) return undefined;
    kept.delete(last);
  }
  const made = make(port, rank);
  kept.set(port, made);
  return made;
}

function addAttempts(days: EntityWindows<LoginState>, contacts: Contacts, i: number): void {
  const { pairs, addresses, addressHash, internal } = contacts;
  const source = pairs.source[i];
  const entry = days.at(addresses, source, pairs.bucket[i]);
  const { state, windowStartMs } = entry;
  state.internal = internal[source] === 1;
  state.requests += pairs.requests[i];
  attemptsOf(state, pairs.port[i], addressHash[source])?.add(contacts, i, windowStartMs);
  days.touch(entry);
  days.grew(entry);
}

function addSession(days: EntityWindows<LoginState>, contacts: Contacts, i: number): void {
  const { sessions, addresses, addressHash } = contacts;
  const source = sessions.source[i];
  const entry = days.at(addresses, source, sessions.bucket[i]);
  attemptsOf(entry.state, sessions.port[i], addressHash[source])?.addSession(contacts, i);
  days.touch(entry);
  days.grew(entry);
}

function addVisits(days: EntityWindows<LoginState>, contacts: Contacts, i: number): void {
  const { targets, addresses, addressHash } = contacts;
  const target = targets.target[i];
  const entry = days.at(addresses, target, targets.bucket[i]);
  const { state, windowStartMs } = entry;
  state.internal = true;
  state.visitRequests += targets.requests[i];
  const visits = entryOf(
    state.visits,
    targets.port[i],
    addressHash[target],
    (port, rank) => new LoginVisits(port, rank),
  );
  visits?.add(contacts, i, windowStartMs);
  days.touch(entry);
  days.grew(entry);
}

function attemptsOf(state: LoginState, port: number, ownHash: number): LoginAttempts | undefined {
  return entryOf(state.attempts, port, ownHash, (own, rank) => new LoginAttempts(own, rank));
}

/** Of sizes, within which they are alike: names and passwords differ in length, and clients pad. */
const alikeWidth = 0.2;
/** Sizes from which a plateau is one. */
const sizesMin = 8;
/** A failed login sends no more: what sends more did something. */
const attemptBytesMax = 10_000;
/** Of a database: an error, not a result. */
const errorBytesMax = 1500;
/** Bits of 64 that source ports set: 20 new ones set 17, and slices of one connection one. */
const portBitsMin = 6;

/** A service's attempts that look like logins. */
interface Plateau {
  port: number;
  count: number;
  /** Most within ten minutes. */
  peak: number;
  medianBytes: number;
  alikeShare: number;
  /** Ascending starts relative to the day, and the bytes of each. */
  atMs: readonly number[];
  bytes: readonly number[];
}

/** Share of the sizes, at most, that lie below the plateau and are left out: servers that are busy hang up early. */
const cutShortShareMax = 0.25;

function shareAlike(values: readonly number[], median: number): number {
  const below = values.filter((value) => value < (1 - alikeWidth) * median).length;
  const alike = values.filter((value) => Math.abs(value - median) <= alikeWidth * median).length;
  return alike / (values.length - Math.min(below, cutShortShareMax * values.length));
}

/** Undefined where the attempts are few, or cannot be logins. */
function plateauOf(one: LoginAttempts, countMin: number): Plateau | undefined {
  const { port, series, count } = one;
  if (count < countMin || series.sourcePorts < portBitsMin) return undefined;
  const { atMs, bytes } = series.ring.starts();
  // What failed sent a packet or two: of the sizes, so many of the least.
  const lost = Math.round(series.unansweredShare * bytes.length);
  const sizes = bytes.toSorted((x, y) => x - y).slice(lost);
  if (sizes.length < Math.min(sizesMin, countMin)) return undefined;
  const medianBytes = quantile(sizes, 0.5);
  if (medianBytes > attemptBytesMax || medianBytes < (sentBytesMin.get(port) ?? 1)) return undefined;
  if (services[port] === Service.Database && series.targetBytes > errorBytesMax * series.requests) return undefined;
  const peak = Math.floor((one.busiest * count) / series.requests);
  return { port, count, peak, medianBytes, alikeShare: shareAlike(sizes, medianBytes), atMs, bytes };
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

/** Gaps this long and this alike are a timer's: a job that runs every few minutes. */
const timerMsMin = 20_000;
const timerSpread = 0.02;

function isTimed(atMs: readonly number[]): boolean {
  const { median, mad } = spreadOf(gapsOf(atMs), 1);
  return median >= timerMsMin && mad <= timerSpread * median;
}

/** Ten-minute bins in which a slow guesser is active: what is done in an hour and a half is no slow guessing. */
const slowBinsMin = 9;

type Kind = "guessing" | "spraying" | "slow" | "distributed";

/** What a finding is made of. */
interface Case {
  kind: Kind;
  port: number;
  count: number;
  /** What is held against the threshold, and that. */
  value: number;
  threshold: number;
  alikeShare: number;
  medianBytes: number;
  /** Closed days of the same, and those of them with an alarm. */
  days: number;
  toldDays: number;
  observed: Observed[];
  others: BottomK;
  success: Success | undefined;
  /** Packets seen, and the rate at which they were sampled. */
  seen: number;
  samplingRate: number;
  evidence: Record<string, string | number | boolean | readonly unknown[]>;
}

function judge(entry: Entry<LoginState>, settings: Readonly<BruteForceSettings>, known: Known<Habits>) {
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
  return count >= slowAttemptsMin || one.busiest >= Math.min(attemptsMin, parallelAttemptsMin, otherAttemptsMin);
}

type Ruling = Pick<Case, "kind" | "value" | "threshold" | "observed">;

function errorOf({ isExact, k }: BottomK): number {
  return isExact ? 0 : Math.round(100 / Math.sqrt(k - 2));
}

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
  const sources = countOf(one.sources);
  if (count < threshold || sources < sourcesMin || count < attemptsPerSourceMin * sources) return undefined;
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

function visitSizes(one: LoginVisits): { medianBytes: number; alikeShare: number } {
  const sizes = one.sizes().sort((x, y) => x - y);
  const medianBytes = quantile(sizes, 0.5);
  return { medianBytes, alikeShare: sizes.length < sizesMin ? 0 : shareAlike(sizes, medianBytes) };
}

/** A later connection that left the plateau. */
interface Success {
  startMs: number;
  bytes: number;
  durationMs: number | undefined;
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

function severityFor({ value, threshold, toldDays, success, kind }: Case, internal: boolean): Severity {
  // What is known for days is told no more, unless it gets in.
  if (toldDays >= toldDaysMax && !success) return "low";
  const isInside = internal && kind !== "distributed";
  return severityOf(value, threshold, (isInside ? 1 : 0) + (success ? 1 : 0));
}

/** How much the shape of attempts proves: where a port is known for logins, and where it is not. */
const loginCertainty = 0.9;
const otherCertainty = 0.5;

function findingOf(entry: Entry<LoginState>, one: Case, settings: Readonly<BruteForceSettings>): Finding {
  const { kind, port, others, success, seen, samplingRate } = one;
  const { internal } = entry.state;
  const certainty = (services[port] === Service.Other ? otherCertainty : loginCertainty) * one.alikeShare;
  return {
    threat: "brute_force",
    detectorVersion: bruteForce.version,
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

function unflagged(others: BottomK): number[] {
  return Array.from({ length: others.size }, (_, i) => i).filter((i) => others.flags(i) === 0);
}

/** How many there are, beyond what is kept. */
function countOf(others: BottomK): number {
  return Math.round((unflagged(others).length * others.count()) / Math.max(1, others.size));
}

function habitKey(port: number, isTarget: boolean): number {
  return port + (isTarget ? 65_536 : 0);
}

/** Position of the row of that service and about that size; −1 where there is none. */
function habitOf(habits: Habits, key: number, medianBytes: number): number {
  for (let row = 0; row < habits.length; row += habitColumns) {
    const isAlike = Math.abs(habits[row + HabitColumn.Bytes] - medianBytes) <= alikeWidth * medianBytes;
    if (habits[row + HabitColumn.Service] === key && isAlike) return row;
  }
  return -1;
}

function daysOf(habits: Habits, row: number): Pick<Case, "days" | "toldDays"> {
  if (row < 0) return { days: 0, toldDays: 0 };
  return { days: habits[row + HabitColumn.Days], toldDays: habits[row + HabitColumn.Told] };
}

/** A day's attempts of one kind that were alike, for later days. */
interface DayOfAttempts {
  key: number;
  medianBytes: number;
  count: number;
}

/** Share of sizes alike from which a day is remembered, whatever the settings. */
const habitShareMin = 0.7;

function plateausOf(state: LoginState): DayOfAttempts[] {
  if (codec.isSmall(state)) return [];
  const days: DayOfAttempts[] = [];
  for (const one of state.attempts.values()) {
    const plateau = plateauOf(one, habitAttemptsMin);
    if (!plateau || plateau.alikeShare < habitShareMin) continue;
    // What a timer paces is remembered, but adds up to nothing.
    const count = isTimed(plateau.atMs) ? 0 : plateau.count;
    days.push({ key: habitKey(one.port, false), medianBytes: plateau.medianBytes, count });
  }
  for (const one of state.visits.values()) {
    const { medianBytes, alikeShare } = visitSizes(one);
    if (alikeShare < habitShareMin || one.sources.size < 2) continue;
    days.push({ key: habitKey(one.port, true), medianBytes, count: one.externalAnswered });
  }
  return days.sort((a, b) => a.key - b.key);
}

function rememberDay(habits: Habits, { key, medianBytes, count }: DayOfAttempts, isAlarm: boolean): void {
  const told = isAlarm ? 1 : 0;
  const row = habitOf(habits, key, medianBytes);
  if (row >= 0) {
    habits[row + HabitColumn.Days]++;
    habits[row + HabitColumn.Told] += told;
    habits[row + HabitColumn.Attempts] += count;
  } else if (habits.length < habitsMax * habitColumns) {
    habits.push(key, medianBytes, 1, told, count);
  }
}
