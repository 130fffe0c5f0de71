import { Protocol } from "../../flow/flow-batch.ts";
import { isUncommon, serviceOf } from "../../flow/protocols.ts";
import type { ContactSeries } from "../../sketches/contact-series.ts";
import type { Habit } from "../../sketches/known-peers.ts";
import type { Pair } from "../../sketches/source-pairs.ts";
import {
  beatOf,
  evennessOf,
  gapsOf,
  longestRunOf,
  noBeat,
  rhythmOf,
  rhythmStartsMin,
  spreadOf,
  type Beat,
  type Spread,
} from "../regularity.ts";

/** Of a day. */
export const binMs = 600_000;
const binsPerHour = 6;

/** What the starts of a pair look like, whatever the settings. */
export interface Look {
  pair: Pair;
  /** Requests, but those of a burst as one: counted in the latest ones, of all that there were. */
  contacts: number;
  /** Of gaps between contacts, and of requests. */
  timing: Spread;
  size: Spread;
  beat: Beat;
  /** Strength of the autocorrelation's peak, 0 where nobody looked. */
  rhythm: number;
  /** The best that one of the three says, and the period that goes with it. */
  timingScore: number;
  periodMs: number;
  /** Gaps of a few ticks of the clock that stamped them look regular whatever made them. */
  resolutionMs: number;
}

/** Fewer gaps say nothing of any kind. */
const gapsMin = 3;
/** Starts closer together are one contact: retries, and connections that go together. */
const burstMs = 1000;
/** Starts that a contact may have, in the mean. More are a page or a flood, of which a bucket keeps the first few only. */
const burstStartsMax = 4;
/** One in 10,000: a host has dozens of new peers a day, a network hundreds of hosts, and most are no candidates. */
const chancePowerMax = -4;
/** Share of gaps that must fit a beat, missed ones included: the rest are nights and pauses. */
const fitShareMin = 0.85;
/** Half of the gaps lie within so much of the median, as a share of it, where there is a beat: even of those with jitter. */
const deviationMax = 0.5;

/** Undefined where nothing can come of it: an irregular pair of a common service, its scores below `scoreMin`. */
export function lookAt(pair: Pair, scoreMin: number): Look | undefined {
  if (pair.series.requests <= gapsMin || isOneConnection(pair.series)) return undefined;
  const { atMs, bytes } = pair.series.ring.starts();
  const begins = withoutBursts(atMs);
  const gaps = gapsOf(begins);
  if (gaps.length < gapsMin || atMs.length > burstStartsMax * begins.length) return undefined;
  const contacts = Math.round((pair.series.requests * begins.length) / atMs.length);
  const timing = spreadOf(gaps, 1);
  const hasBeat = timing.mad <= deviationMax * timing.median;
  const uncommon = isUncommon(pair.service);
  if (timing.score < scoreMin && !hasBeat && !uncommon && begins.length < rhythmStartsMin) return undefined;
  const size = spreadOf(bytes, 0);
  const beat = hasBeat ? beatOf(gaps, timing) : noBeat;
  const look = { pair, contacts, timing, size, beat, rhythm: 0, timingScore: timing.score, periodMs: timing.median };
  const resolutionMs = atMs.every((ms) => Number.isInteger(ms / 1000)) ? 1000 : 1;
  if (isSure(beat) && beat.folded.score >= timing.score) {
    return { ...look, timingScore: beat.folded.score, periodMs: beat.periodMs, resolutionMs };
  }
  const isCandidate = size.score >= rhythmSizeScoreMin || uncommon;
  if (begins.length < rhythmStartsMin || !isCandidate) return { ...look, resolutionMs };
  const { strength, periodMs } = rhythmOf(begins);
  // Half of all contacts in step with others are as good as jitter of 50 %.
  const rhythmScore = strength >= 0.5 ? 0.6 + 0.4 * strength : 0;
  if (rhythmScore <= timing.score) return { ...look, resolutionMs };
  return { ...look, rhythm: strength, timingScore: rhythmScore, periodMs, resolutionMs };
}

function withoutBursts(atMs: readonly number[]): number[] {
  const begins: number[] = [];
  for (let i = 0; i < atMs.length; i++) if (i === 0 || atMs[i] - atMs[i - 1] >= burstMs) begins.push(atMs[i]);
  return begins;
}

/** Programs send alike: people's contacts have no rhythm to look for. */
const rhythmSizeScoreMin = 0.9;

export function isSure({ chancePower, fitShare }: Beat): boolean {
  return chancePower <= chancePowerMax && fitShare >= fitShareMin;
}

/** A connection has one source port; reconnecting now and then, it has a few. */
const connectionPortsMax = 3;

/** Slices of one connection, or of some that follow each other: few source ports, and lives that leave no gaps. */
function isOneConnection({ requests, sourcePorts, durationMs, ring }: ContactSeries): boolean {
  if (sourcePorts <= connectionPortsMax) return true;
  const spanMs = ring.timeAt(ring.size - 1) - ring.timeAt(0);
  const meanGapMs = spanMs / Math.max(1, ring.size - 1);
  // Of 64 bits, so many are set by random ports.
  const expected = 64 * (1 - Math.exp(-requests / 64));
  return sourcePorts < expected / 2 && durationMs >= (requests * meanGapMs) / 2;
}

export const dnsService = serviceOf(53, Protocol.Udp);
export const ntpService = serviceOf(123, Protocol.Udp);
/** A DNS query or an NTP request fits, headers included; a tunnel's or an implant's seldom stays below. */
const smallRequestBytes = 150;

/** Name and time services: polled all day, by one or two small packets. */
export function isSmallTalk({ service, series }: Pair, of: number): boolean {
  const { requests, sourcePackets, sourceBytes } = series;
  return service === of && sourcePackets <= 2 * requests && sourceBytes <= smallRequestBytes * requests;
}

/**
 * Of the common services, mail, chat, push and device messages: that their clients poll or keep alive, alike each time, is
 * the protocol.
 */
export const keepAlivePorts = new Set([110, 143, 993, 995, 1883, 3478, 5222, 5223, 5228, 8883]);

/** Regular enough to be remembered as what a host does. */
export const habitScoreMin = 0.8;

export function habitOf({ pair, periodMs, size }: Look): Habit {
  return { service: pair.service, gapMs: Math.round(periodMs), requestBytes: Math.round(size.median) };
}

/** When a pair was active, by the day's ten-minute bins. */
export interface Activity {
  bins: number;
  firstBin: number;
  /** Of consecutive bins. */
  longestRun: number;
  /** RITA's histogram and duration scores, 0 to 1: undefined of a day too short to say. */
  evenness: number | undefined;
  lasting: number | undefined;
}

/** Hours of the day that had contacts, from which how evenly, and for how long, says something. */
const hoursMin = 6;
/** A beacon of half a day is as good as one of a whole day. */
const runHours = 12;

export function activityOf({ series }: Pair): Activity {
  const bins = series.ring.bins();
  const hours = [...new Set(bins.map((bin) => Math.floor(bin / binsPerHour)))];
  const isLong = hours.length >= hoursMin;
  return {
    bins: bins.length,
    firstBin: bins[0] ?? 0,
    longestRun: longestRunOf(bins),
    evenness: isLong ? evennessOf(bins, binsPerHour) : undefined,
    lasting: isLong ? Math.min(1, longestRunOf(hours) / runHours) : undefined,
  };
}
