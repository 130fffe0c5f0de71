import { Protocol } from "../../flow/flow-batch.ts";
import { isUncommon, servicePort, serviceProtocol } from "../../flow/protocols.ts";
import { ContactSeries } from "../../sketches/contact-series.ts";
import type { KnownPeers } from "../../sketches/known-peers.ts";
import { hashOf, type Pair, type SourcePairs } from "../../sketches/source-pairs.ts";
import type { NetworkFacts } from "../../slots/network-facts.ts";
import { byAddress } from "../forgetting.ts";
import { rounded } from "../scoring.ts";
import {
  activityOf,
  binMs,
  dnsService,
  habitOf,
  isSmallTalk,
  isSure,
  keepAlivePorts,
  lookAt,
  ntpService,
  type Activity,
  type Look,
} from "./look.ts";
import type { C2BeaconSettings } from "./settings.ts";

/** The source's day, and what is known beside it. */
export interface Context {
  startMs: number;
  pairs: SourcePairs;
  past: KnownPeers | undefined;
  facts: NetworkFacts | undefined;
}

/** Why a regular or persistent pair is more than that. */
export type Reason = "uncommon_service" | "uniform_exchange" | "unanswered" | "new_peer" | "fails_over";
/** And why it is less. */
type Excuse = "common_peer" | "habit";

export interface Suspect {
  look: Look;
  /** More than one where they take turns. */
  pairs: Pair[];
  reasons: Reason[];
  excuse: Excuse | undefined;
  age: Age;
  prevalence: Prevalence | undefined;
  activity: Activity;
  score: number;
}

/** Those with most reasons first; ties go by name, never by order of arrival. */
export function byStrength(a: Suspect, b: Suspect): number {
  const [x, y] = [a.look.pair, b.look.pair];
  const byName = byAddress(x.target, y.target) || x.service - y.service;
  return b.reasons.length - a.reasons.length || b.score - a.score || byName;
}

export function judgePair(pair: Pair, settings: Readonly<C2BeaconSettings>, context: Context): Suspect | undefined {
  const contactsMin = Math.min(settings.contactsMin, settings.sureContactsMin);
  if (pair.series.requests < contactsMin || isSmallTalk(pair, ntpService)) return undefined;
  const look = lookAt(pair, settings.timingScoreMin);
  if (!look || look.contacts < contactsMin) return undefined;
  const regular = isRegular(look, settings);
  if (!regular && !isUncommon(pair.service)) return undefined;
  const activity = activityOf(pair);
  const prevalence = prevalenceOf(pair, context);
  const age = ageOf(look, activity, settings, context);
  const isCommon = prevalence !== undefined && isCommonAt(prevalence, settings);
  const excuse: Excuse | undefined = isCommon ? "common_peer" : age.calmDays > 0 ? "habit" : undefined;
  const reasons = isCommon ? [] : reasonsOf({ look, regular, activity, age }, settings);
  if (reasons.length === 0 && (!regular || look.contacts < settings.contactsMin)) return undefined;
  if (isSmallTalk(pair, dnsService) && !reasons.includes("new_peer")) return undefined;
  const suspect = { look, pairs: [pair], reasons, excuse, age, prevalence, activity };
  return { ...suspect, score: scoreOf(suspect, regular) };
}

function isRegular({ periodMs, timingScore, resolutionMs }: Look, settings: Readonly<C2BeaconSettings>): boolean {
  return periodMs >= Math.max(settings.gapMinMs, 5 * resolutionMs) && timingScore >= settings.timingScoreMin;
}

/** From this share of unanswered contacts on, sizes say nothing: there was no exchange. */
const silentShareMin = 0.9;

/** Answers so many times as large as their requests are pages or files: messages are answered by messages. */
const contentFactor = 10;

interface Judged {
  look: Look;
  regular: boolean;
  activity: Activity;
  age: Age;
}

function reasonsOf({ look, regular, activity, age }: Judged, settings: Readonly<C2BeaconSettings>): Reason[] {
  const { pair, contacts, size, timing, beat } = look;
  const { requests, unansweredShare, targetBytes } = pair.series;
  const isMature = contacts >= settings.contactsMin;
  const uniform = size.score >= settings.sizeScoreMin || unansweredShare >= silentShareMin;
  const isMessage = regular && uniform && targetBytes <= settings.answerBytesMax * requests;
  const reasons: Reason[] = [];
  if (isUncommon(pair.service) && isMature) {
    const isHabit = age.calmDays >= uncommonHabitDays;
    if (regular && !isHabit && activity.bins >= settings.activeBinsMin) reasons.push("uncommon_service");
    if (isPersistent(look, activity, settings)) reasons.push("unanswered");
  }
  const isKeptAlive = keepAlivePorts.has(servicePort(pair.service)) || isSmallTalk(pair, dnsService);
  if (isMessage && isMature && age.calmDays === 0 && !isKeptAlive) {
    const isSleeping = timing.median <= settings.sleepMaxMs && contacts >= settings.uniformContactsMin;
    const isFetching = targetBytes > contentFactor * pair.series.sourceBytes;
    if (isSleeping && !isFetching) reasons.push("uniform_exchange");
  }
  if (age.isNew && isMessage && isSure(beat) && contacts >= settings.sureContactsMin) reasons.push("new_peer");
  return reasons;
}

/** Calls that go on although few are answered, for most of the time that they were made. */
function isPersistent(
  { pair, contacts }: Look,
  { bins, longestRun }: Activity,
  { unansweredShareMin, persistentContactsMin, activeBinsMin }: Readonly<C2BeaconSettings>,
): boolean {
  const isSteady = longestRun >= activeBinsMin && longestRun >= bins / 2;
  return pair.series.unansweredShare >= unansweredShareMin && contacts >= persistentContactsMin && isSteady;
}

/** Calm days after which even an uncommon service is a habit: the first of them may have been cut short. */
const uncommonHabitDays = 2;

/** What the past of a source says about one of its pairs. */
interface Age {
  /** First seen today or some days ago, by a source that was known before; false where nobody can tell. */
  isNew: boolean;
  /** Days since it was first seen; undefined where it was not. */
  days: number | undefined;
  /** Earlier days with it that had no alarm. */
  calmDays: number;
  /** It has the rhythm of another peer of earlier days. */
  isMoved: boolean;
}

const dayMs = 24 * 3_600_000;

/** What a source does each day has been seen once it was watched for so long. */
const watchedMsMin = dayMs;
/** Of the services of a source, those that must be known if its address is still the same host's; and from how many on. */
const sameHostShareMin = 0.25;
const sameHostPairsMin = 4;

function ageOf(
  look: Look,
  { firstBin }: Activity,
  { newDaysMax }: Readonly<C2BeaconSettings>,
  { startMs, pairs, past }: Context,
): Age {
  const known = past?.get(hashOf(look.pair));
  const today = startMs / dayMs;
  const [days, calmDays] = [known && today - known.firstDay, known?.calmDays ?? 0];
  const firstMs = known ? known.firstDay * dayMs : startMs + firstBin * binMs;
  const isRecent = (days ?? 0) <= newDaysMax && past !== undefined && firstMs >= past.firstMs + watchedMsMin;
  if (!isRecent || past.forgotDay + newDaysMax + 1 >= today) return { isNew: false, days, calmDays, isMoved: false };
  const isMoved = days === undefined && past.hasHabit(habitOf(look));
  return { isNew: !isMoved && isSameHost(pairs, past), days, calmDays, isMoved };
}

function isSameHost(pairs: SourcePairs, past: KnownPeers): boolean {
  if (pairs.largeSize <= sameHostPairsMin) return true;
  let known = 0;
  for (const pair of pairs.large()) if (past.get(hashOf(pair))) known++;
  return known >= sameHostShareMin * pairs.largeSize;
}

/** The tenant's own hosts that call a peer, at least, and all that are known. */
interface Prevalence {
  sources: number;
  hosts: number;
}

/** Undefined where nobody else is known to call it: that may be since nobody has told yet. */
function prevalenceOf({ addressHash }: Pair, { facts }: Context): Prevalence | undefined {
  const sources = facts?.sourcesOf(addressHash) ?? 1;
  return sources > 1 ? { sources, hosts: facts!.hosts } : undefined;
}

/** Hosts of a network from which shares of them say something, and sources that are more than a few. */
const hostsMin = 10;
const commonSourcesMin = 3;
/** Facts count no further. */
const sourcesKnownMax = 64;

function isCommonAt({ sources, hosts }: Prevalence, { commonShareMin }: Readonly<C2BeaconSettings>): boolean {
  const common = Math.max(commonSourcesMin, Math.min(sourcesKnownMax, commonShareMin * hosts));
  return hosts >= hostsMin && sources >= common;
}

/** Of servers of one service that take turns. */
const turnPeersMin = 3;
const turnPeersMax = 16;
/** Requests of one server in its turn; it comes to each again, or it scans. */
const turnRequestsMax = 16;
const turnsMin = 2;

/** Servers of one service that an implant calls one after the other, since most of them are dead. */
export function judgeTurns(settings: Readonly<C2BeaconSettings>, context: Context): Suspect[] {
  const { pairs } = context;
  const failing = [...pairs.large(), ...pairs.small()].filter(
    ({ service, series }) =>
      serviceProtocol(service) === Protocol.Tcp && series.failed > 0 && series.requests <= turnRequestsMax,
  );
  // More of them, over all services, are a scanner's or a peer-to-peer client's.
  if (failing.length > 2 * turnPeersMax) return [];
  return [...Map.groupBy(failing, ({ service }) => service).values()].flatMap((group) => {
    const strangers = group.filter((pair) => isStranger(pair, settings, context));
    return judgeGroup(strangers, settings, context) ?? [];
  });
}

function isStranger(pair: Pair, settings: Readonly<C2BeaconSettings>, context: Context): boolean {
  const prevalence = prevalenceOf(pair, context);
  const isCalm = (context.past?.get(hashOf(pair))?.calmDays ?? 0) > 0;
  return !isCalm && !(prevalence && isCommonAt(prevalence, settings));
}

function judgeGroup(group: Pair[], settings: Readonly<C2BeaconSettings>, context: Context): Suspect | undefined {
  if (group.length < turnPeersMin || group.length > turnPeersMax) return undefined;
  group.sort((a, b) => b.series.requests - a.series.requests || byAddress(a.target, b.target));
  const all = asOne(group);
  const look =
    all.series.unansweredShare >= settings.unansweredShareMin ? lookAt(all, settings.timingScoreMin) : undefined;
  if (!look || look.contacts < Math.max(settings.contactsMin, turnsMin * group.length)) return undefined;
  if (!isSure(look.beat) || !isRegular(look, settings)) return undefined;
  const activity = activityOf(all);
  const reasons: Reason[] = ["fails_over"];
  if (isUncommon(all.service) && activity.bins >= settings.activeBinsMin) reasons.push("uncommon_service");
  const age = ageOf(look, activity, settings, context);
  const suspect = {
    look,
    pairs: group,
    reasons,
    excuse: undefined,
    age,
    prevalence: prevalenceOf(all, context),
    activity,
  };
  return { ...suspect, score: scoreOf(suspect, true) };
}

/** What several pairs were together, under the name of the first. */
function asOne(group: readonly Pair[]): Pair {
  return { ...group[0], series: ContactSeries.merged(group.map(({ series }) => series)) };
}

/** RITA's modifiers, for what half of the network calls, for what is a week old at most. */
const modifier = 0.15;
const commonShare = 0.5;
const newDaysOfScore = 7;

function scoreOf(
  { look, reasons, age, prevalence, activity: { evenness, lasting } }: Omit<Suspect, "score">,
  regular: boolean,
): number {
  // RITA's four parts: the last two count only where the day was long enough.
  const parts = [look.timingScore, look.size.score, evenness, lasting].filter((part) => part !== undefined);
  const regularity = regular ? parts.reduce((sum, part) => sum + part, 0) / parts.length : 0;
  const persistence = reasons.includes("unanswered") ? look.pair.series.unansweredShare : 0;
  let score = Math.max(regularity, persistence);
  if (prevalence && prevalence.sources >= commonShare * prevalence.hosts) score -= modifier;
  if (age.isNew && (age.days ?? 0) <= newDaysOfScore) score += modifier;
  if (age.calmDays > 0) score -= modifier;
  return rounded(Math.min(1, Math.max(0, score)));
}
