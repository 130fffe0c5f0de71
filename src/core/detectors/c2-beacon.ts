import { formatAddress, isGroupAddress, wordsAt } from "../flow/address.ts";
import { Protocol } from "../flow/flow-batch.ts";
import { hashService } from "../flow/keyed-hash.ts";
import { protocolName, serviceName, serviceOf, servicePort, serviceProtocol } from "../flow/protocols.ts";
import { ContactSeries } from "../sketches/contact-series.ts";
import {
  EntityWindows,
  type EntityState,
  type Entry,
  type Remembered,
  type StateCodec,
} from "../slots/entity-windows.ts";
import { peersMax, severities, type AddressWords, type Finding, type Severity } from "../verdict.ts";
import { nothingEvicted, type Detector, type Opinion, type SlotDetector } from "./detector.ts";
import { byAddress, chooseForgotten } from "./forgetting.ts";
import { gapsOf, spreadOf, type Spread } from "./regularity.ts";
import { rounded } from "./scoring.ts";

export interface C2BeaconSettings {
  /** Contacts of a pair before it is judged. Fewer finds beacons earlier, and calls more of chance regular. */
  contactsMin: number;
  /** Timing score, 0 to 1, from which a pair counts as regular. Uniform jitter of 50 % scores 0.9. */
  timingScoreMin: number;
  /** Size score, 0 to 1, from which the requests count as alike. */
  sizeScoreMin: number;
  /** Median gap below which contacts are one burst, such as a page load, not a beacon. */
  gapMinMs: number;
  /**
   * Median gap up to which uniform contacts look like an implant's sleep: by default most sleep for 5 to 60 seconds.
   * Higher finds sleepier ones, and the pollers of every fleet.
   */
  sleepMaxMs: number;
  /** Contacts from which a uniform exchange is taken seriously. */
  uniformContactsMin: number;
  /** Mean answer up to which a pair exchanges messages rather than fetches content. */
  answerBytesMax: number;
  /** Share of contacts without an answer, and number of contacts, that make a persistent call to a dead or dying host. */
  unansweredShareMin: number;
  persistentContactsMin: number;
  /** Ten-minute spans of the day with contacts, from which a pair has lasted: a scan or a session has not. */
  activeBinsMin: number;
  /** Regular peers of one source beyond which it is a program that talks to many, such as a peer-to-peer client. */
  peersOfOneSourceMax: number;
}

const dayMs = 24 * 3_600_000;

/**
 * Pairs that a source keeps when its slot settles. A client talks to a few dozen services a day, a gateway to 100,000;
 * of those, the ones that were heard of last, or often. 128 of them take 80 KB with one request each, 340 KB with 64.
 */
const pairsMax = 128;
/** New pairs that a source may have between two settlements, 650 KB: of more, those of lowest keyed hash. */
const newPairsMax = 1024;

/** In V8's heap, in bytes: of a source without pairs, of a pair without its series, what IPv6 takes more. Measured. */
const sourceBytes = 400;
const pairBytes = 200;
const longPairBytes = 150;
/** The same of a source with one request, packed. */
const packedBytes = 86;

/** One service of one target, as one source sees it. */
interface Pair {
  target: AddressWords;
  service: number;
  series: ContactSeries;
  /** Keyed hash of both: its chance, where there are too many. */
  hash: number;
  /** Came since the slot last settled. */
  isNew: boolean;
  /** Requests from which the next provisional look is due: each time they have doubled. Not saved. */
  dueAt: number;
}

interface SourceState extends EntityState {
  pairs: Map<number | string, Pair>;
  /** Their memory, in bytes. Not saved: it follows from them. */
  pairsBytes: number;
  /** How many of them are new, and the greatest hash that another new one may have. */
  newCount: number;
  hashMax: number;
  /** Pairs that were dropped or refused since the slot last settled. Not saved. */
  refused: number;
  /** Pairs that a provisional look is due for, and what the last looks found. Not saved. */
  due: Pair[];
  suspects: Map<Pair, Suspect>;
}

const codec: StateCodec<SourceState> = {
  create: () => ({
    touched: false,
    pairs: new Map(),
    pairsBytes: 0,
    newCount: 0,
    hashMax: 2 ** 32,
    refused: 0,
    due: [],
    suspects: new Map(),
  }),
  save(state, writer) {
    writer.u32(state.pairs.size);
    for (const { target, service, series, hash, isNew } of state.pairs.values()) {
      writer.words([...target, service, hash, isNew ? 1 : 0]);
      series.save(writer);
    }
  },
  load(reader) {
    const state = codec.create();
    for (let left = reader.u32(); left > 0; left--) {
      const [a, b, c, d, service, hash, isNew] = reader.words();
      const key = keyOf(Uint32Array.of(a, b, c, d), 0, service);
      const series = ContactSeries.load(reader);
      const pair: Pair = { target: [a, b, c, d], service, series, hash, isNew: isNew === 1, dueAt: 0 };
      state.pairs.set(key, pair);
      state.newCount += isNew;
      state.pairsBytes += bytesOf(pair);
    }
    return state;
  },
  bytes: ({ pairsBytes }) => sourceBytes + pairsBytes,
  isSmall({ pairs }) {
    if (pairs.size !== 1) return false;
    const [{ series }] = pairs.values();
    return series.requests <= 1;
  },
  smallBytes: () => packedBytes,
  excess: ({ pairs, refused }) => Math.max(0, pairs.size - pairsMax) + refused,
  trim(state) {
    dropNew(state);
    const all = [...state.pairs].sort(([, a], [, b]) => keptUntil(a) - keptUntil(b) || byName(a, b));
    drop(state, all.slice(0, Math.max(0, all.length - pairsMax)));
    state.refused = 0;
  },
  settled(state) {
    if (state.newCount === 0) return;
    for (const pair of state.pairs.values()) pair.isNew = false;
    state.newCount = 0;
    state.hashMax = 2 ** 32;
  },
};

/** Of the new pairs, leaves those of lowest hash. What goes cannot come back: the same ones stay in any order of arrival. */
function dropNew(state: SourceState): void {
  if (state.newCount <= newPairsMax) return;
  const fresh = [...state.pairs]
    .filter(([, { isNew }]) => isNew)
    .sort(([, a], [, b]) => a.hash - b.hash || byName(a, b));
  state.hashMax = fresh[newPairsMax - 1][1].hash;
  state.newCount = newPairsMax;
  state.refused += fresh.length - newPairsMax;
  drop(state, fresh.slice(newPairsMax));
}

function drop(state: SourceState, pairs: readonly [key: number | string, Pair][]): void {
  for (const [key, pair] of pairs) {
    state.pairs.delete(key);
    state.suspects.delete(pair);
    state.pairsBytes -= bytesOf(pair);
  }
  const left = new Set(state.pairs.values());
  state.due = state.due.filter((pair) => left.has(pair));
}

/** Bucket until which a pair is worth its room: a beacon must outlast its own gaps, more so the longer it goes on. */
function keptUntil({ series }: Pair): number {
  return series.ring.latestBucket + keptBucketsPerRequest * series.requests;
}

/** Ten minutes for each request: implants sleep for less between their first contacts, or for much more. */
const keptBucketsPerRequest = 60;

function addPair(source: SourceState, key: number | string, target: AddressWords, service: number, hash: number): Pair {
  const pair = { target, service, series: new ContactSeries(), hash, isNew: true, dueAt: 0 };
  source.pairs.set(key, pair);
  source.pairsBytes += bytesOf(pair);
  if (++source.newCount >= 2 * newPairsMax) dropNew(source);
  return pair;
}

/** Memory of a pair, in bytes. */
function bytesOf({ target: [a, b, c], series }: Pair): number {
  return pairBytes + (a === 0 && b === 0 && c === 0xffff ? 0 : longPairBytes) + series.memoryBytes;
}

/** IPv4 with its service fits into the 53 bits of a number: 32 of address, 16 of port, 1 of protocol. */
function keyOf(words: Uint32Array, index: number, service: number): number | string {
  const w = 4 * index;
  if (words[w] === 0 && words[w + 1] === 0 && words[w + 2] === 0xffff) {
    return (words[w + 3] * 65536 + servicePort(service)) * 2 + (serviceProtocol(service) === Protocol.Tcp ? 1 : 0);
  }
  return `${words[w]},${words[w + 1]},${words[w + 2]},${words[w + 3]},${service}`;
}

/**
 * C2 beacon: an implant inside calls its controller outside, again and again.
 *
 * Method: per source and UTC day, for each external (target, port), the latest 64 contacts. Timing and sizes are
 * regular if their gaps and bytes have little skew (Bowley) and little deviation from the median (MAD). Most regular
 * traffic is benign, so regularity alone is `low`; `medium` needs a second reason: a service that clients do not
 * usually poll, contacts up to two minutes apart with requests of one size and small answers, or calls that go on
 * although they are not answered. A source with many such peers talks to a crowd and stays `low`.
 * Bounds: per pair 64 starts of 12 bytes, a bit per ten minutes, sums; per source 128 pairs, and 1,024 new ones in five minutes.
 * Misses: fewer than `contactsMin` contacts a day; beacons inside one long connection; slow beacons on common
 * ports, which look like update checks; peer-to-peer bots.
 * Not beacons by their shape: several contacts a second (page loads), records of one connection (few source ports),
 * DNS and NTP (their port, one or two small packets).
 * Source: RITA v5 (timing and size scores); Hu et al., BAYWATCH, DSN 2016 (benign periodicity must be ranked away).
 */
export const c2Beacon: Detector<C2BeaconSettings> = {
  id: "c2_beacon",
  version: 2,
  defaults: {
    contactsMin: 12,
    timingScoreMin: 0.8,
    sizeScoreMin: 0.9,
    gapMinMs: 1000,
    sleepMaxMs: 120_000,
    uniformContactsMin: 30,
    answerBytesMax: 16_384,
    unansweredShareMin: 0.4,
    persistentContactsMin: 50,
    activeBinsMin: 3,
    peersOfOneSourceMax: 4,
  },
  create(settings, saved) {
    const days = new EntityWindows(dayMs, codec);
    if (saved) days.load(saved);
    const detector: SlotDetector = {
      learn({ contacts, pairs: indexes }) {
        const { pairs, addresses, addressHash, internal } = contacts;
        for (const i of indexes) {
          const [target, protocol] = [pairs.target[i], pairs.protocol[i]];
          if (protocol !== Protocol.Tcp && protocol !== Protocol.Udp) continue;
          const isOutbound = internal[pairs.source[i]] === 1 && internal[target] === 0;
          if (!isOutbound || isGroupAddress(addresses, target)) continue;
          const entry = days.at(addresses, pairs.source[i], pairs.bucket[i]);
          const source = entry.state;
          const service = serviceOf(pairs.port[i], protocol);
          const key = keyOf(addresses, target, service);
          let pair = source.pairs.get(key);
          if (!pair) {
            const hash = hashService(addressHash[target], pairs.port[i], protocol);
            if (hash > source.hashMax) {
              source.refused++;
              continue;
            }
            pair = addPair(source, key, wordsAt(addresses, target), service, hash);
            // Where there were too many, it may have been the one to go.
            if (source.hashMax < hash) continue;
            days.grew(entry);
          }
          const bytesBefore = pair.series.memoryBytes;
          pair.series.add(pairs, i, entry.windowStartMs);
          if (pair.series.memoryBytes !== bytesBefore) {
            source.pairsBytes += pair.series.memoryBytes - bytesBefore;
            days.grew(entry);
          }
          if (pair.series.requests >= Math.max(pair.dueAt, settings.contactsMin)) {
            pair.dueAt = Number.POSITIVE_INFINITY;
            source.due.push(pair);
            days.touch(entry);
          }
        }
      },
      findings(closedMs) {
        const opinions: Opinion[] = [];
        for (const entry of days.takeTouched()) {
          const { state } = entry;
          look(state, settings);
          const finding = judgeSource(entry, state.suspects.values(), settings);
          if (finding) opinions.push({ finding, final: false });
        }
        for (const entry of days.takeClosed(closedMs)) {
          const finding = judgeSource(entry, suspectsOf(entry.state, settings), settings);
          if (finding) opinions.push({ finding, final: true });
        }
        return opinions;
      },
      save(writer) {
        days.save(writer);
      },
      get bytes() {
        return days.bytes;
      },
      get entities() {
        return days.entities;
      },
      settle(bytesMax, hardBytesMax) {
        const dropped = days.settle();
        if (days.bytes <= bytesMax) return dropped === 0 ? nothingEvicted : { entities: dropped, alarmed: [] };
        const all = days.remembered().map((one) => Object.assign(one, { interest: interestOf(one) }));
        const { forgotten, alarmed } = chooseForgotten(all, { bytesMax, hardBytesMax }, ({ entry }) => {
          const finding = entry && judgeSource(entry, suspectsOf(entry.state, settings), settings);
          return finding ? [finding] : [];
        });
        days.forget(forgotten);
        return { entities: dropped + forgotten.length, alarmed };
      },
    };
    return detector;
  },
};

/** Requests of the busiest pair; 0 for what is small. */
function interestOf({ entry }: Remembered<SourceState>): number {
  if (!entry) return 0;
  let most = 0;
  for (const { series } of entry.state.pairs.values()) most = Math.max(most, series.requests);
  return 1 + most;
}

/** Looks at the pairs of a source that are due. */
function look(source: SourceState, settings: C2BeaconSettings): void {
  for (const pair of source.due) {
    pair.dueAt = 2 * pair.series.requests;
    const suspect = judgePair(pair, settings);
    if (suspect) source.suspects.set(pair, suspect);
    else source.suspects.delete(pair);
  }
  source.due = [];
}

/** All pairs of a source, judged afresh. */
function suspectsOf(source: SourceState, settings: C2BeaconSettings): Suspect[] {
  return [...source.pairs.values()].flatMap((pair) => judgePair(pair, settings) ?? []);
}

/** Why a regular or persistent pair is more than that. */
type Reason = "uncommon_service" | "uniform_exchange" | "unanswered";

interface Suspect {
  pair: Pair;
  timing: Spread;
  size: Spread;
  reasons: Reason[];
  score: number;
}

function judgeSource(
  entry: Entry<SourceState>,
  found: Iterable<Suspect>,
  settings: C2BeaconSettings,
): Finding | undefined {
  const suspects = [...found];
  if (suspects.length === 0) return undefined;
  suspects.sort((a, b) => b.reasons.length - a.reasons.length || b.score - a.score || byName(a.pair, b.pair));
  return findingOf(entry, suspects, settings);
}

function byName(a: Pair, b: Pair): number {
  return byAddress(a.target, b.target) || a.service - b.service;
}

/** Excluded by shape: slices of one connection, DNS and NTP. */
function canBeacon({ service, series }: Pair): boolean {
  if (series.sourcePorts <= connectionPortsMax) return false;
  const isSmall =
    series.sourcePackets <= 2 * series.requests && series.sourceBytes <= smallRequestBytes * series.requests;
  return !(isSmall && (service === dnsService || service === ntpService));
}

/** A connection has one source port; reconnecting now and then, it has a few. */
const connectionPortsMax = 3;
const dnsService = serviceOf(53, Protocol.Udp);
const ntpService = serviceOf(123, Protocol.Udp);
/** A DNS query or an NTP request fits, headers included; a tunnel's or an implant's seldom stays below. */
const smallRequestBytes = 150;

/** Services that programs on ordinary hosts poll all day: regularity towards them is no news. */
const commonPorts = new Set([
  22, 25, 53, 80, 110, 123, 143, 443, 465, 587, 853, 993, 995, 1883, 3478, 5222, 5223, 5228, 8080, 8443, 8883,
]);

function judgePair(pair: Pair, settings: C2BeaconSettings): Suspect | undefined {
  const { series } = pair;
  if (series.requests < settings.contactsMin || !canBeacon(pair)) return undefined;
  const { atMs, bytes } = series.ring.starts();
  const gaps = gapsOf(atMs).filter((gap) => gap > 0);
  const timing = spreadOf(gaps, 1);
  const size = spreadOf(bytes, 0);
  const regular =
    timing.count >= settings.contactsMin / 2 &&
    timing.median >= Math.max(settings.gapMinMs, 5 * resolutionMs(atMs)) &&
    timing.score >= settings.timingScoreMin;
  const reasons = reasonsOf(pair, regular, timing, size, settings);
  if (!regular && reasons.length === 0) return undefined;
  const regularity = regular ? (timing.score + size.score) / 2 : 0;
  const persistence = reasons.includes("unanswered") ? series.unansweredShare : 0;
  return { pair, timing, size, reasons, score: rounded(Math.max(regularity, persistence)) };
}

function reasonsOf(pair: Pair, regular: boolean, timing: Spread, size: Spread, settings: C2BeaconSettings): Reason[] {
  const { series } = pair;
  const { requests, unansweredShare } = series;
  const { active, longestRun } = series.activity();
  const uncommon = !commonPorts.has(servicePort(pair.service));
  const uniform = size.score >= settings.sizeScoreMin || unansweredShare >= silentShareMin;
  const sleeping = timing.median <= settings.sleepMaxMs && requests >= settings.uniformContactsMin;
  const smallAnswers = series.targetBytes <= settings.answerBytesMax * requests;
  const steady = longestRun >= settings.activeBinsMin && longestRun >= active / 2;
  const unanswered =
    unansweredShare >= settings.unansweredShareMin && requests >= settings.persistentContactsMin && steady;
  const reasons: Reason[] = [];
  if (uncommon && regular && active >= settings.activeBinsMin) reasons.push("uncommon_service");
  if (regular && uniform && sleeping && smallAnswers) reasons.push("uniform_exchange");
  if (uncommon && unanswered) reasons.push("unanswered");
  return reasons;
}

/** Of the clock that stamped the starts: gaps of a few ticks look regular whatever made them. */
function resolutionMs(atMs: readonly number[]): number {
  return atMs.every((ms) => ms % 1000 === 0) ? 1000 : 1;
}

/** From this share of unanswered contacts on, sizes say nothing: there was no exchange. */
const silentShareMin = 0.9;

/** Low for regularity alone or a crowd of peers; medium with a reason, high with two. */
function severityFor(suspects: readonly Suspect[], settings: C2BeaconSettings): Severity {
  const crowd = suspects.filter((s) => s.reasons.length > 0).length > settings.peersOfOneSourceMax;
  const reasons = suspects[0].reasons.length;
  return crowd || reasons === 0 ? "low" : severities[Math.min(4, 1 + reasons)];
}

function findingOf(entry: Entry<SourceState>, suspects: readonly Suspect[], settings: C2BeaconSettings): Finding {
  const severity = severityFor(suspects, settings);
  const named = severity === "low" ? suspects : suspects.filter((s) => s.reasons.length > 0);
  const [worst] = named;
  const { pair, timing } = worst;
  const periodS = rounded(timing.median / 1000);
  const crowd =
    severity === "low" && named.length > settings.peersOfOneSourceMax ? `, one of ${named.length} such peers` : "";
  const { requests, unansweredShare } = pair.series;
  const answers = unansweredShare > 0.5 ? `${Math.round(100 * unansweredShare)} % unanswered` : "answered";
  return {
    threat: "c2_beacon",
    detectorVersion: c2Beacon.version,
    entity: formatAddress(entry.address),
    window: { startMs: entry.windowStartMs, endMs: entry.windowStartMs + dayMs },
    score: worst.score,
    confidence: rounded(Math.min(1, timing.count / 32)),
    severity,
    techniques: worst.reasons.includes("uncommon_service") ? ["T1571", "T1071"] : ["T1071"],
    summary: `${requests} contacts to ${formatAddress(pair.target)} ${serviceName(pair.service)}, ${periodS} s apart in the median, ${answers}${crowd}`,
    peers: named.slice(0, peersMax).map((s) => ({
      address: formatAddress(s.pair.target),
      port: servicePort(s.pair.service),
      protocol: protocolName(serviceProtocol(s.pair.service)),
    })),
    peerCount: named.length,
    evidence: {
      beacons: named.slice(0, 4).map((s) => evidenceOf(s)),
      timing_score_min: settings.timingScoreMin,
      contacts_min: settings.contactsMin,
    },
  };
}

function evidenceOf({ pair, timing, size, reasons, score }: Suspect) {
  const { requests, targetBytes, unansweredShare } = pair.series;
  const { active, longestRun } = pair.series.activity();
  return {
    peer: formatAddress(pair.target),
    service: serviceName(pair.service),
    score,
    reasons,
    contacts: requests,
    contacts_timed: timing.count + 1,
    gap_median_ms: Math.round(timing.median),
    gap_deviation_ms: Math.round(timing.mad),
    gap_skew: rounded(timing.skew),
    timing_score: rounded(timing.score),
    request_bytes_median: Math.round(size.median),
    request_bytes_deviation: Math.round(size.mad),
    size_score: rounded(size.score),
    answer_bytes_mean: Math.round(targetBytes / requests),
    unanswered_share: rounded(unansweredShare),
    ten_minutes_active: active,
    ten_minutes_longest_run: longestRun,
  };
}
