import { formatAddress } from "../flow/address.ts";
import { bucketMs, sourcesKept, type Contacts } from "../flow/contacts.ts";
import { protocolName, serviceName, serviceOf, servicePort, serviceProtocol } from "../flow/protocols.ts";
import { BottomK } from "../sketches/bottom-k.ts";
import { EntityWindows, type EntityState, type Entry, type StateCodec } from "../slots/entity-windows.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { peersMax, type Finding, type Peer } from "../verdict.ts";
import { probePacketsMax, type Detector, type Opinion, type SlotDetector } from "./detector.ts";
import { rounded, scoreOf, severityOf } from "./scoring.ts";

export interface DdosSettings {
  /** Requests to one target within a minute that came to nothing. 16 a second: more than misconfigured clients send. */
  unansweredMin: number;
  /** Replies within a minute that the target never asked for. */
  unsolicitedMin: number;
  /** Packets to one target within a minute, 20,000 a second: FastNetMon's default. */
  packetsMin: number;
  /** Bytes to one target within a minute, 1 Gbit/s: FastNetMon's default. */
  bytesMin: number;
  /** Sources from which a volume counts as distributed. */
  sourcesMin: number;
}

const hourMs = 3_600_000;
const minuteMs = 60_000;

/** What reached an entity in one minute, as a target or as the nominal source of replies. */
interface Inflow {
  flows: number;
  answered: number;
  failed: number;
  packets: number;
  bytes: number;
  /** A 64-bit set of the ports concerned: many ports and few sources are a scan. */
  portsLow: number;
  portsHigh: number;
  others: BottomK;
}

interface Minute {
  direct: Inflow | undefined;
  reflected: Inflow | undefined;
  /** Requests that the entity itself sent. */
  asked: number;
}

interface FloodState extends EntityState {
  internal: boolean;
  /** By minute since 1970; one entity is seldom seen in more than a few. */
  minutes: Map<number, Minute>;
  lastAt: number;
  last: Minute | undefined;
  /** Sums over all minutes and both roles: below every threshold, no minute needs a look. Not saved, but summed anew. */
  flows: number;
  packets: number;
  bytes: number;
}

const codec: StateCodec<FloodState> = {
  create: () => ({
    touched: false,
    internal: false,
    minutes: new Map(),
    lastAt: -1,
    last: undefined,
    flows: 0,
    packets: 0,
    bytes: 0,
  }),
  save(state, writer) {
    writer.u8(state.internal ? 1 : 0);
    writer.u32(state.minutes.size);
    for (const [at, minute] of state.minutes) {
      writer.f64(at);
      writer.f64(minute.asked);
      for (const role of roles) {
        const inflow = minute[role];
        writer.u8(inflow ? 1 : 0);
        if (inflow) saveInflow(inflow, writer);
      }
    }
  },
  load(reader) {
    const state = codec.create();
    state.internal = reader.u8() === 1;
    for (let left = reader.u32(); left > 0; left--) {
      const at = reader.f64();
      const minute: Minute = { asked: reader.f64(), direct: undefined, reflected: undefined };
      for (const role of roles) if (reader.u8() === 1) countIn(state, (minute[role] = loadInflow(reader)));
      state.minutes.set(at, minute);
    }
    return state;
  },
};

const roles = ["direct", "reflected"] as const;

/** Adds what an inflow brought to the sums of its entity. */
function countIn(
  state: FloodState,
  { flows, packets, bytes }: { flows: number; packets: number; bytes: number },
): void {
  state.flows += flows;
  state.packets += packets;
  state.bytes += bytes;
}

const counts = ["flows", "answered", "failed", "packets", "bytes"] as const;

function saveInflow(inflow: Inflow, writer: StateWriter): void {
  for (const name of counts) writer.f64(inflow[name]);
  writer.u32(inflow.portsLow);
  writer.u32(inflow.portsHigh);
  inflow.others.save(writer);
}

function loadInflow(reader: StateReader): Inflow {
  const inflow = emptyInflow();
  for (const name of counts) inflow[name] = reader.f64();
  inflow.portsLow = reader.u32();
  inflow.portsHigh = reader.u32();
  inflow.others = BottomK.load(sourcesKept, reader);
  return inflow;
}

function emptyInflow(): Inflow {
  const others = new BottomK(sourcesKept);
  return { flows: 0, answered: 0, failed: 0, packets: 0, bytes: 0, portsLow: 0, portsHigh: 0, others };
}

/**
 * DDoS: more reaches one target than it can have asked for.
 *
 * Method: per target and minute of event time, sums of flows, packets and bytes, how many came to nothing, and a
 * bottom-k sample of the sources. A finding is one minute over a threshold: requests without an answer (SYN floods
 * and their kin), replies that the target never asked for (reflection), or packets or bytes from many sources. The
 * worst minute of the hour speaks for it. Floods that leave our networks are seen at their target.
 * Bounds: 60 minutes per target and hour, 64 sources of 28 bytes in each; the number of sources is exact up to 64
 * and ±13 % beyond.
 * Misses: floods below the thresholds (no baseline yet); floods of requests that are all answered and small; carpet
 * bombing, where each host stays below.
 * Source: the thresholds on packets and bits are FastNetMon's defaults; the share of half-open connections after
 * Wang, Zhang, Shin, Detecting SYN Flooding Attacks, INFOCOM 2002; service ports of reflectors: US-CERT TA14-017A.
 */
export const ddos: Detector<DdosSettings> = {
  id: "ddos",
  version: 1,
  defaults: {
    unansweredMin: 1000,
    unsolicitedMin: 1000,
    packetsMin: 1_200_000,
    bytesMin: 7_500_000_000,
    sourcesMin: 10,
  },
  create(settings, saved) {
    const hours = new EntityWindows(hourMs, codec);
    if (saved) hours.load(saved);
    const stateOf = (contacts: Contacts, entity: number, bucket: number): FloodState => {
      const entry = hours.at(contacts.addresses, entity, bucket);
      hours.touch(entry);
      entry.state.internal = contacts.internal[entity] === 1;
      return entry.state;
    };
    const detector: SlotDetector = {
      learn({ contacts, pairs: pairIndexes, targets: targetIndexes }) {
        const { pairs, targets } = contacts;
        for (const i of pairIndexes) {
          const state = stateOf(contacts, pairs.source[i], pairs.bucket[i]);
          const minute = minuteOf(state, pairs.bucket[i]);
          minute.asked += pairs.requests[i];
          if (pairs.replies[i] > 0) addReplies(state, (minute.reflected ??= emptyInflow()), contacts, i);
        }
        for (const i of targetIndexes) {
          const state = stateOf(contacts, targets.target[i], targets.bucket[i]);
          const minute = minuteOf(state, targets.bucket[i]);
          addRequests(state, (minute.direct ??= emptyInflow()), contacts, i);
        }
      },
      findings(closedMs) {
        const opinions: Opinion[] = [];
        const judge = (entry: Entry<FloodState>, final: boolean) => {
          const finding = judgeTarget(entry, settings);
          if (finding) opinions.push({ finding, final });
        };
        for (const entry of hours.takeTouched()) judge(entry, false);
        for (const entry of hours.takeClosed(closedMs)) judge(entry, true);
        return opinions;
      },
      save(writer) {
        hours.save(writer);
      },
    };
    return detector;
  },
};

function minuteOf(state: FloodState, bucket: number): Minute {
  const at = Math.floor((bucket * bucketMs) / minuteMs);
  if (state.last && state.lastAt === at) return state.last;
  let minute = state.minutes.get(at);
  if (!minute) state.minutes.set(at, (minute = { asked: 0, direct: undefined, reflected: undefined }));
  state.lastAt = at;
  state.last = minute;
  return minute;
}

/** What a target's port received from its sources. */
function addRequests(
  state: FloodState,
  inflow: Inflow,
  { targets, addresses, addressHash }: Contacts,
  i: number,
): void {
  inflow.flows += targets.requests[i];
  inflow.answered += targets.answered[i];
  inflow.failed += targets.failed[i];
  inflow.packets += targets.minutePackets[i];
  inflow.bytes += targets.minuteBytes[i];
  addPort(inflow, targets.port[i]);
  const service = serviceOf(targets.port[i], targets.protocol[i]);
  const end = targets.sourcesAt[i] + targets.sourceCount[i];
  for (let s = targets.sourcesAt[i]; s < end; s++) {
    const source = targets.sources[s];
    inflow.others.add(addressHash[source], addresses, source, service, 0);
  }
  countIn(state, { flows: targets.requests[i], packets: targets.minutePackets[i], bytes: targets.minuteBytes[i] });
}

/** What a nominal source received, in records that show no request, from one target. */
function addReplies(state: FloodState, inflow: Inflow, { pairs, addresses, addressHash }: Contacts, i: number): void {
  const target = pairs.target[i];
  inflow.flows += pairs.replies[i];
  inflow.packets += pairs.minuteTargetPackets[i];
  inflow.bytes += pairs.minuteTargetBytes[i];
  addPort(inflow, pairs.port[i]);
  inflow.others.add(addressHash[target], addresses, target, serviceOf(pairs.port[i], pairs.protocol[i]), 0);
  countIn(state, { flows: pairs.replies[i], packets: pairs.minuteTargetPackets[i], bytes: pairs.minuteTargetBytes[i] });
}

function addPort(inflow: Inflow, port: number): void {
  const bit = port & 63;
  if (bit < 32) inflow.portsLow |= 1 << bit;
  else inflow.portsHigh |= 1 << (bit - 32);
}

type Kind = "unanswered" | "reflection" | "volume";

/** How far one minute's inflow lies above one threshold. */
interface Excess {
  kind: Kind;
  unit: "flows" | "packets" | "bytes";
  value: number;
  threshold: number;
  minuteAt: number;
  inflow: Inflow;
}

function judgeTarget(entry: Entry<FloodState>, settings: DdosSettings): Finding | undefined {
  const { flows, packets, bytes } = entry.state;
  const flowsMin = Math.min(settings.unansweredMin, settings.unsolicitedMin);
  if (flows < flowsMin && packets < settings.packetsMin && bytes < settings.bytesMin) return undefined;
  let worst: Excess | undefined;
  let minutesOver = 0;
  for (const [minuteAt, minute] of entry.state.minutes) {
    const excess = judgeMinute(minuteAt, minute, settings);
    if (!excess) continue;
    minutesOver++;
    if (!worst || isWorse(excess, worst)) worst = excess;
  }
  return worst && findingOf(entry, worst, minutesOver, settings);
}

/** Ties go to the earlier minute, so that the order of learning does not matter. */
function isWorse(a: Excess, b: Excess): boolean {
  const [x, y] = [a.value / a.threshold, b.value / b.threshold];
  return x > y || (x === y && a.minuteAt < b.minuteAt);
}

function judgeMinute(minuteAt: number, minute: Minute, settings: DdosSettings): Excess | undefined {
  const { direct, reflected } = minute;
  const candidates: Excess[] = [];
  const consider = (kind: Kind, unit: Excess["unit"], inflow: Inflow, value: number, threshold: number) => {
    if (value >= threshold) candidates.push({ kind, unit, value, threshold, minuteAt, inflow });
  };
  if (direct) {
    const lost = unanswered(direct);
    if (lost >= 4 * direct.answered && !looksLikeScan(direct)) {
      consider("unanswered", "flows", direct, lost, settings.unansweredMin);
    }
    if (direct.others.size >= settings.sourcesMin && direct.answered * 2 < direct.flows) {
      volume(consider, direct, "volume", settings);
    }
  }
  if (reflected && reflected.others.size >= settings.sourcesMin) {
    consider("reflection", "flows", reflected, reflected.flows - minute.asked, settings.unsolicitedMin);
    if (minute.asked * 4 < reflected.flows) volume(consider, reflected, "reflection", settings);
  }
  return candidates.reduce<Excess | undefined>(
    (worst, next) => (!worst || isWorse(next, worst) ? next : worst),
    undefined,
  );
}

function volume(
  consider: (kind: Kind, unit: Excess["unit"], inflow: Inflow, value: number, threshold: number) => void,
  inflow: Inflow,
  kind: Kind,
  settings: DdosSettings,
): void {
  consider(kind, "packets", inflow, inflow.packets, settings.packetsMin);
  consider(kind, "bytes", inflow, inflow.bytes, settings.bytesMin);
}

/** A flow of so few packets carried nothing: where outcomes are unknown, it counts as half a failure. */
const fewPackets = 3;

function unanswered(inflow: Inflow): number {
  const unknown = Math.max(0, inflow.flows - inflow.failed - inflow.answered);
  const small = inflow.packets <= fewPackets * inflow.flows;
  return inflow.failed + (small ? unknown / 2 : 0);
}

/** Few sources, many ports, few packets each. Of 64 bits, 40 are set by about 63 random ports. */
function looksLikeScan(inflow: Inflow): boolean {
  const manyPorts = bitCount(inflow.portsLow) + bitCount(inflow.portsHigh) >= 40;
  return manyPorts && inflow.others.size < 10 && inflow.packets <= probePacketsMax * inflow.flows;
}

function bitCount(word: number): number {
  let count = 0;
  for (let rest = word >>> 0; rest !== 0; rest &= rest - 1) count++;
  return count;
}

function findingOf(entry: Entry<FloodState>, worst: Excess, minutesOver: number, settings: DdosSettings): Finding {
  const { inflow, kind, unit, value, threshold } = worst;
  const { others } = inflow;
  const sources = others.count();
  const service = mostFrequentService(others);
  const outbound = !entry.state.internal;
  const about = others.isExact ? "" : "about ";
  const who = `${about}${sources} source${sources === 1 ? "" : "s"}`;
  const what = {
    unanswered: `${Math.round(value)} requests a minute without an answer`,
    reflection: `${Math.round(inflow.flows)} replies a minute that were not asked for`,
    volume: `${Math.round(inflow.packets)} packets and ${Math.round(inflow.bytes)} bytes a minute`,
  }[kind];
  const known = inflow.failed + inflow.answered;
  return {
    threat: "ddos",
    detectorVersion: ddos.version,
    entity: formatAddress(entry.address),
    window: { startMs: entry.windowStartMs, endMs: entry.windowStartMs + hourMs },
    score: rounded(scoreOf(value, threshold)),
    confidence: rounded(kind === "unanswered" ? 0.5 + (0.5 * Math.min(known, inflow.flows)) / inflow.flows : 0.8),
    severity: severityOf(value, threshold, sources >= settings.sourcesMin ? 1 : 0),
    techniques: [kind === "reflection" ? "T1498.002" : "T1498.001", "T1498"],
    summary: `${what}, from ${who}, on ${serviceName(service)}`,
    peers: peersOf(others),
    peerCount: sources,
    evidence: {
      kind,
      direction: outbound ? "outbound" : "inbound",
      unit: `${unit}_per_minute`,
      value: Math.round(value),
      threshold,
      flows_per_minute: inflow.flows,
      flows_failed: inflow.failed,
      flows_answered: inflow.answered,
      packets_per_minute: inflow.packets,
      bytes_per_minute: inflow.bytes,
      sources,
      sources_error_percent: others.isExact ? 0 : 13,
      service: serviceName(service),
      worst_minute: new Date(worst.minuteAt * minuteMs).toISOString(),
      minutes_over: minutesOver,
    },
  };
}

/** Ties go to the lower service. */
function mostFrequentService(others: BottomK): number {
  const seen = new Map<number, number>();
  for (let i = 0; i < others.size; i++) seen.set(others.label(i), (seen.get(others.label(i)) ?? 0) + 1);
  return [...seen].reduce((a, b) => (b[1] > a[1] || (b[1] === a[1] && b[0] < a[0]) ? b : a), [0, 0])[0];
}

function peersOf(others: BottomK): Peer[] {
  return Array.from({ length: Math.min(peersMax, others.size) }, (_, i) => ({
    address: formatAddress(others.address(i)),
    port: servicePort(others.label(i)),
    protocol: protocolName(serviceProtocol(others.label(i))),
  }));
}
