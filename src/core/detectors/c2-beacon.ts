import { formatAddress, isGroupAddress } from "../flow/address.ts";
import type { Contacts } from "../flow/contacts.ts";
import { Protocol } from "../flow/flow-batch.ts";
import { KnownPeers, type DayPair } from "../sketches/known-peers.ts";
import { hashOf, SourcePairs, type Pair } from "../sketches/source-pairs.ts";
import type { MemoryCodec } from "../slots/entity-memory.ts";
import type { EntityState, EntityWindows, Entry, StateCodec } from "../slots/entity-windows.ts";
import type { Finding } from "../verdict.ts";
import { binMs, habitOf, habitScoreMin, lookAt } from "./c2-beacon/look.ts";
import { reportOf } from "./c2-beacon/report.ts";
import { c2BeaconThresholds, type C2BeaconSettings } from "./c2-beacon/settings.ts";
import { byStrength, judgePair, judgeTurns, type Context, type Suspect } from "./c2-beacon/suspect.ts";
import type { Detector, SlotContacts } from "./detector.ts";
import { endOfRun } from "./runs.ts";
import { windowed, type Known } from "./windowed.ts";

const dayMs = 24 * 3_600_000;

interface SourceState extends EntityState {
  pairs: SourcePairs;
  /** Requests over TCP that came to nothing. */
  failed: number;
  /** Pairs that a provisional look is due for, and those for which the last looks found reasons. Not saved. */
  due: Pair[];
  suspected: Pair[];
  hasReasons: boolean;
}

/** In V8's heap, in bytes: of a source without pairs; packed. Measured. */
const emptyBytes = 900;
const packedBytes = 28;
/** Pairs of a source that did about one thing: it takes three to fail over. */
const smallPairs = 2;

const codec: StateCodec<SourceState> = {
  create: () => ({ touched: false, pairs: new SourcePairs(), failed: 0, due: [], suspected: [], hasReasons: false }),
  save({ pairs, failed }, writer) {
    pairs.save(writer);
    writer.f64(failed);
  },
  load(reader) {
    const pairs = SourcePairs.load(reader);
    return { touched: false, pairs, failed: reader.f64(), due: [], suspected: [], hasReasons: false };
  },
  bytes: ({ pairs }) => emptyBytes + pairs.bytes,
  isSmall: ({ pairs }) => pairs.largeSize === 0 && pairs.size <= smallPairs,
  smallBytes: ({ pairs }) => packedBytes + pairs.bytes,
  excess: ({ pairs }) => pairs.excess,
  trim(state) {
    state.pairs.trim();
    const left = new Set(state.pairs.large());
    state.due = state.due.filter((pair) => left.has(pair));
    state.suspected = state.suspected.filter((pair) => left.has(pair));
  },
  settled: ({ pairs }) => pairs.settled(),
};

const memory: MemoryCodec<KnownPeers> = {
  create: () => new KnownPeers(),
  save: (peers, writer) => peers.save(writer),
  load: (reader) => KnownPeers.load(reader),
  bytes: ({ bytes }) => bytes,
};

/**
 * C2 beacon: an implant inside calls its controller outside, again and again.
 *
 * Method: per source and UTC day, for each external (target, port), the latest 64 contacts. They are regular if their gaps
 * have little skew (Bowley) and little deviation from the median (MAD); or if they keep to one beat, of which some may be
 * missed, as contacts at random would not; or if their autocorrelation has a peak. Servers that fail in turn are judged
 * as one peer. Most regular traffic is benign, so regularity alone is `low`; `medium` needs a second reason, `high` two:
 * a service that clients do not usually poll; contacts up to two minutes apart with requests of one size and small answers;
 * calls that go on although they are not answered; a peer that is new to a source whose earlier days are known, for a
 * uniform exchange; servers of one service that take turns as they fail. Against it speak: a peer that a tenth of the
 * network calls, habits of calm days, be it towards another address, and a source with many such peers, which talks to a
 * crowd. On the first day, and in networks of few hosts, nobody knows what is new or common: neither counts.
 * Bounds: per pair 64 starts of 12 bytes, the day's ten-minute bins, sums; per source 128 pairs, 256 more of up to three
 * requests, and 1,024 new ones in five minutes; of earlier days 64 services and 16 rhythms.
 * Misses: fewer than `sureContactsMin` contacts a day; beacons inside one long connection; slow beacons on common ports of
 * hosts without a past; those that imitate what their host polls anyway, or fetch content; peer-to-peer bots.
 * Not beacons by their shape: several contacts a second (page loads), slices of long connections (few source ports, lives
 * as long as gaps), NTP (its port, one or two small packets). Name lookups are beacons only to a new server.
 * Source: RITA v5 (scores of timing, size, histogram and duration; modifiers for prevalence and age); Hu et al.,
 * BAYWATCH, DSN 2016 (benign periodicity must be ranked away).
 */
export const c2Beacon: Detector<C2BeaconSettings> = {
  id: "c2_beacon",
  version: 3,
  thresholds: c2BeaconThresholds,
  create(settings, saved) {
    return windowed<SourceState, KnownPeers, C2BeaconSettings>(
      {
        lengthMs: dayMs,
        codec,
        memory,
        learn,
        judge,
        interest,
        isRemembered: ({ state }) => state.pairs.largeSize > 0,
        remember,
        isOfCallers: true,
      },
      settings,
      saved,
    );
  },
};

function learn({ contacts, outbound }: SlotContacts, days: EntityWindows<SourceState>): void {
  const { pairs, addresses } = contacts;
  for (let from = 0, end = 0; from < outbound.length; from = end) {
    const first = outbound[from];
    end = from + 1;
    if (!isCall(contacts, first)) continue;
    const entry = days.at(addresses, pairs.source[first], pairs.bucket[first]);
    end = endOfRun(pairs, outbound, from, entry.windowStartMs, dayMs);
    for (let at = from; at < end; at++)
      if (isCall(contacts, outbound[at])) learnCall(days, entry, contacts, outbound[at]);
  }
}

function isCall({ pairs, addresses }: Contacts, i: number): boolean {
  const protocol = pairs.protocol[i];
  return (protocol === Protocol.Tcp || protocol === Protocol.Udp) && !isGroupAddress(addresses, pairs.target[i]);
}

function learnCall(days: EntityWindows<SourceState>, entry: Entry<SourceState>, contacts: Contacts, i: number): void {
  const { pairs } = contacts;
  const { state } = entry;
  if (state.pairs.learn(contacts, i, entry.windowStartMs)) days.grew(entry);
  const pair = state.pairs.last;
  if (pair && isStep(pair.series.requests - pairs.requests[i], pair.series.requests)) {
    state.due.push(pair);
    days.touch(entry);
  }
  const failed = pairs.protocol[i] === Protocol.Tcp ? pairs.failed[i] : 0;
  if (failed === 0) return;
  if (isStep(state.failed, state.failed + failed)) days.touch(entry);
  state.failed += failed;
}

/** Whether a number has reached one at which it is worth a look: 4, 6, 8, 12, 16, 24, 32 … */
function isStep(before: number, after: number): boolean {
  return stepOf(after) > stepOf(before);
}

function stepOf(count: number): number {
  const bits = 31 - Math.clz32(count);
  return count < 4 ? 0 : 2 * bits + ((count >>> (bits - 1)) & 1);
}

/** Requests of the busiest pair; what failed, of a source that fails over. */
function interest({ pairs, failed }: SourceState): number {
  let most = 0;
  for (const { series } of pairs.large()) most = Math.max(most, series.requests);
  return 1 + Math.max(most, failed);
}

/** What a day has taught: the services that it used more than now and then, those used most last. */
function remember({ windowStartMs, state }: Entry<SourceState>, past: KnownPeers, isAlarm: boolean): void {
  const pairs = [...state.pairs.large()].sort((a, b) => a.series.requests - b.series.requests || hashOf(a) - hashOf(b));
  const firstBin = Math.min(...pairs.map(({ series }) => series.ring.bins()[0] ?? 0));
  const learnt = pairs.map((pair): DayPair => {
    const look = lookAt(pair, habitScoreMin);
    return { hash: hashOf(pair), habit: look && look.timingScore >= habitScoreMin ? habitOf(look) : undefined };
  });
  past.learn(windowStartMs / dayMs, windowStartMs + firstBin * binMs, learnt, isAlarm);
}

/** One pair, as a rule: each of several, once. */
function dueOf({ due, suspected }: SourceState): Iterable<Pair> {
  return due.length + suspected.length === 1 ? due : new Set([...suspected, ...due]);
}

/** Failed requests of a source from which it may fail over. */
const failedMin = 6;

function judge(
  { address, windowStartMs, state }: Entry<SourceState>,
  settings: Readonly<C2BeaconSettings>,
  known: Known<KnownPeers>,
): Finding | undefined {
  const { pairs, due, failed } = state;
  const context: Context = { startMs: windowStartMs, pairs, past: known.memoryOf(address), facts: known.facts };
  // Where no pair is due, all of them are judged: so are windows that close.
  const suspects: Suspect[] = [];
  for (const pair of due.length > 0 ? dueOf(state) : pairs.large()) {
    const suspect = judgePair(pair, settings, context);
    if (suspect) suspects.push(suspect);
  }
  const alone = suspects.filter(({ reasons }) => reasons.length > 0).map(({ look }) => look.pair);
  if (failed >= failedMin) suspects.push(...judgeTurns(settings, context));
  if (due.length > 0) {
    const hadReasons = state.hasReasons;
    state.due = [];
    state.suspected = alone;
    state.hasReasons = suspects.some(({ reasons }) => reasons.length > 0);
    // As long as its day goes on, a source is worth a word for its reasons only, or for having none any more.
    if (!hadReasons && !state.hasReasons) return undefined;
  }
  if (suspects.length === 0) return undefined;
  return {
    threat: "c2_beacon",
    detectorVersion: c2Beacon.version,
    entity: formatAddress(address),
    window: { startMs: windowStartMs, endMs: windowStartMs + dayMs },
    ...reportOf(suspects.sort(byStrength), settings, context),
  };
}
