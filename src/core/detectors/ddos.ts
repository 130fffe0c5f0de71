import { formatAddress } from "../flow/address.ts";
import { bucketMs, probeBytesMax, probePacketsMax, type Contacts } from "../flow/contacts.ts";
import { Protocol } from "../flow/flow-batch.ts";
import { protocolName, serviceName, serviceOf, servicePort, serviceProtocol } from "../flow/protocols.ts";
import type { BottomK } from "../sketches/bottom-k.ts";
import { Column, Inflow } from "../sketches/inflow.ts";
import {
  EntityWindows,
  type EntityState,
  type Entry,
  type Remembered,
  type StateCodec,
} from "../slots/entity-windows.ts";
import { peersMax, type Finding, type Peer } from "../verdict.ts";
import { nothingEvicted, type Detector, type Opinion, type SlotDetector } from "./detector.ts";
import { chooseForgotten } from "./forgetting.ts";
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

interface FloodState extends EntityState {
  internal: boolean;
  /** What reached the entity as a target. */
  direct: Inflow | undefined;
  /** What reached it as the nominal source of replies; "answered" are the requests that it sent itself. */
  reflected: Inflow | undefined;
}

const roles = ["direct", "reflected"] as const;

/** In V8's heap, in bytes: of a state without its inflows. Measured. */
const stateBytes = 50;
/** The same of a small state, packed: of it, of its minute in one role, of the other side. */
const packedBytes = 18;
const packedRowBytes = 18;
const packedOtherBytes = 40;

const codec: StateCodec<FloodState> = {
  create: () => ({ touched: false, internal: false, direct: undefined, reflected: undefined }),
  save(state, writer) {
    writer.u8(state.internal ? 1 : 0);
    for (const role of roles) {
      writer.u8(state[role] ? 1 : 0);
      state[role]?.save(writer);
    }
  },
  load(reader) {
    const state = codec.create();
    state.internal = reader.u8() === 1;
    for (const role of roles) if (reader.u8() === 1) state[role] = Inflow.load(reader);
    return state;
  },
  bytes: ({ direct, reflected }) => stateBytes + (direct?.memoryBytes ?? 0) + (reflected?.memoryBytes ?? 0),
  isSmall: ({ direct, reflected }) => (direct?.isSmall ?? true) && (reflected?.isSmall ?? true),
  smallBytes: ({ direct, reflected }) => packedBytes + packedInflowBytes(direct) + packedInflowBytes(reflected),
};

function packedInflowBytes(inflow: Inflow | undefined): number {
  return inflow ? packedRowBytes + packedOtherBytes * inflow.others.size : 0;
}

/** Flows that reached the entity, as a target or as the nominal source of replies; 0 for what is small. */
function interestOf({ entry }: Remembered<FloodState>): number {
  return entry ? 1 + (entry.state.direct?.flows ?? 0) + (entry.state.reflected?.flows ?? 0) : 0;
}

/**
 * DDoS: more reaches one target than it can have asked for.
 *
 * Method: per target and minute of event time, sums of flows, packets and bytes, and how many came to nothing; per
 * target and hour, a bottom-k sample of the sources. A finding is one minute over a threshold: requests without an
 * answer (SYN floods and their kin), replies that the target never asked for (reflection), or packets or bytes from
 * many sources. The worst minute of the hour speaks for it. Floods that leave our networks are seen at their target.
 * Bounds: per target and hour 60 rows of ten numbers and 64 sources of 28 bytes; the number of sources is that of the
 * hour, exact up to 64 and ±13 % beyond.
 * Misses: floods below the thresholds (no baseline yet); floods of requests that are mostly answered; floods of name
 * lookups in logs that show one direction, but for their volume; carpet bombing, where each host stays below. In a log
 * that shows one direction only, a busy host of short exchanges looks flooded, or reflected upon.
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
    const entryOf = (contacts: Contacts, entity: number, bucket: number): Entry<FloodState> => {
      const entry = hours.at(contacts.addresses, entity, bucket);
      hours.touch(entry);
      entry.state.internal = contacts.internal[entity] === 1;
      return entry;
    };
    const detector: SlotDetector = {
      learn({ contacts, pairs: pairIndexes, targets: targetIndexes }) {
        const { pairs, targets } = contacts;
        for (const i of pairIndexes) {
          const entry = entryOf(contacts, pairs.source[i], pairs.bucket[i]);
          addReplies((entry.state.reflected ??= new Inflow()), contacts, i);
          if (entry.state.reflected.takeGrown()) hours.grew(entry);
        }
        for (const i of targetIndexes) {
          const entry = entryOf(contacts, targets.target[i], targets.bucket[i]);
          addRequests((entry.state.direct ??= new Inflow()), contacts, i);
          if (entry.state.direct.takeGrown()) hours.grew(entry);
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
      get bytes() {
        return hours.bytes;
      },
      get entities() {
        return hours.entities;
      },
      settle(bytesMax, hardBytesMax) {
        hours.settle();
        if (hours.bytes <= bytesMax) return nothingEvicted;
        const all = hours.remembered().map((one) => Object.assign(one, { interest: interestOf(one) }));
        const { forgotten, alarmed } = chooseForgotten(all, { bytesMax, hardBytesMax }, ({ entry }) => {
          const finding = entry && judgeTarget(entry, settings);
          return finding ? [finding] : [];
        });
        hours.forget(forgotten);
        return { entities: forgotten.length, alarmed };
      },
    };
    return detector;
  },
};

function minuteOf(bucket: number): number {
  return Math.floor((bucket * bucketMs) / minuteMs);
}

const dnsService = serviceOf(53, Protocol.Udp);

/** What a target's port received from its sources. */
function addRequests(inflow: Inflow, { targets, addresses, addressHash, internal }: Contacts, i: number): void {
  const row = inflow.row(minuteOf(targets.bucket[i]));
  const service = serviceOf(targets.port[i], targets.protocol[i]);
  const [answered, failed] = [targets.answered[i], targets.failed[i]];
  // Of name lookups only known outcomes count: in a log that shows one side, every busy name server looks flooded.
  const requests = service === dnsService ? answered + failed : targets.requests[i];
  inflow.add(row, requests, answered, failed, targets.minutePackets[i], targets.minuteBytes[i]);
  inflow.addPort(row, targets.port[i]);
  const end = targets.sourcesAt[i] + targets.sourceCount[i];
  for (let s = targets.sourcesAt[i]; s < end; s++) {
    const source = targets.sources[s];
    inflow.addOther(row, addressHash[source], addresses, source, service, internal[source]);
  }
}

/** What a nominal source received, in records that show no request, from one target; and what it had asked for. */
function addReplies(inflow: Inflow, { pairs, addresses, addressHash, internal }: Contacts, i: number): void {
  const row = inflow.row(minuteOf(pairs.bucket[i]));
  const replies = pairs.replies[i];
  if (replies === 0) {
    inflow.addAnswered(row, pairs.requests[i]);
    return;
  }
  const target = pairs.target[i];
  inflow.add(row, replies, pairs.requests[i], 0, pairs.minuteTargetPackets[i], pairs.minuteTargetBytes[i]);
  inflow.addPort(row, pairs.port[i]);
  const service = serviceOf(pairs.port[i], pairs.protocol[i]);
  inflow.addOther(row, addressHash[target], addresses, target, service, internal[target]);
}

type Kind = "unanswered" | "reflection" | "volume";

/** How far one minute lies above one threshold. */
interface Excess {
  kind: Kind;
  unit: "flows" | "packets" | "bytes";
  value: number;
  threshold: number;
  inflow: Inflow;
  row: number;
}

function judgeTarget(entry: Entry<FloodState>, settings: DdosSettings): Finding | undefined {
  let worst: Excess | undefined;
  let minutesOver = 0;
  for (const role of roles) {
    const inflow = entry.state[role];
    if (!inflow || isQuiet(inflow, settings)) continue;
    for (let row = 0; row < inflow.rowCount; row++) {
      const excess = role === "direct" ? judgeRequests(inflow, row, settings) : judgeReplies(inflow, row, settings);
      if (!excess) continue;
      minutesOver++;
      if (!worst || isWorse(excess, worst)) worst = excess;
    }
  }
  return worst && findingOf(entry, worst, minutesOver, settings);
}

/** Below every threshold over the whole hour: no minute needs a look. */
function isQuiet({ flows, packets, bytes }: Inflow, settings: DdosSettings): boolean {
  const flowsMin = Math.min(settings.unansweredMin, settings.unsolicitedMin);
  return flows < flowsMin && packets < settings.packetsMin && bytes < settings.bytesMin;
}

/** Ties go to the earlier minute, so that the order of learning does not matter. */
function isWorse(a: Excess, b: Excess): boolean {
  const [x, y] = [a.value / a.threshold, b.value / b.threshold];
  return x > y || (x === y && a.inflow.get(a.row, Column.Minute) < b.inflow.get(b.row, Column.Minute));
}

function judgeRequests(inflow: Inflow, row: number, settings: DdosSettings): Excess | undefined {
  const answered = inflow.get(row, Column.Answered);
  const lost = unanswered(inflow, row);
  const isFlood = lost >= settings.unansweredMin && lost >= answered && !looksLikeScan(inflow, row);
  if (isFlood)
    return { kind: "unanswered", unit: "flows", value: lost, threshold: settings.unansweredMin, inflow, row };
  const isOneSided = answered * 2 < inflow.get(row, Column.Flows);
  return isOneSided ? volume("volume", inflow, row, settings) : undefined;
}

function judgeReplies(inflow: Inflow, row: number, settings: DdosSettings): Excess | undefined {
  const [flows, asked] = [inflow.get(row, Column.Flows), inflow.get(row, Column.Answered)];
  const threshold = settings.unsolicitedMin;
  const isOneSided = asked * 4 < flows;
  if (flows - asked < threshold && !isOneSided) return undefined;
  if (inflow.bits(row, Column.OthersLow) < settings.sourcesMin) return undefined;
  if (flows - asked >= threshold) {
    return { kind: "reflection", unit: "flows", value: flows - asked, threshold, inflow, row };
  }
  return volume("reflection", inflow, row, settings);
}

function volume(kind: Kind, inflow: Inflow, row: number, settings: DdosSettings): Excess | undefined {
  if (inflow.bits(row, Column.OthersLow) < settings.sourcesMin) return undefined;
  const packets = inflow.get(row, Column.Packets);
  const bytes = inflow.get(row, Column.Bytes);
  const { packetsMin, bytesMin } = settings;
  if (packets >= packetsMin && packets / packetsMin >= bytes / bytesMin) {
    return { kind, unit: "packets", value: packets, threshold: packetsMin, inflow, row };
  }
  return bytes >= bytesMin ? { kind, unit: "bytes", value: bytes, threshold: bytesMin, inflow, row } : undefined;
}

/** A flow of so few packets carried nothing: where outcomes are unknown, it counts as half a failure. */
const fewPackets = 3;

function unanswered(inflow: Inflow, row: number): number {
  const flows = inflow.get(row, Column.Flows);
  const failed = inflow.get(row, Column.Failed);
  const unknown = Math.max(0, flows - failed - inflow.get(row, Column.Answered));
  return failed + (inflow.get(row, Column.Packets) <= fewPackets * flows ? unknown / 2 : 0);
}

/** Few sources, many ports, little in each. Of 64 bits, 40 are set by about 63 random ports. */
function looksLikeScan(inflow: Inflow, row: number): boolean {
  const manyPorts = inflow.bits(row, Column.PortsLow) >= 40;
  const fewSources = inflow.bits(row, Column.OthersLow) < 10;
  const flows = inflow.get(row, Column.Flows);
  const isSmall =
    inflow.get(row, Column.Packets) <= probePacketsMax * flows &&
    inflow.get(row, Column.Bytes) <= probeBytesMax * flows;
  return manyPorts && fewSources && isSmall;
}

/** Our own clients that cannot reach one of our own servers retry by the thousand: more must come to alarm anyone. */
const ownClientsFactor = 10;

function allInternal(others: BottomK): boolean {
  for (let i = 0; i < others.size; i++) if (others.flags(i) === 0) return false;
  return true;
}

function findingOf(entry: Entry<FloodState>, worst: Excess, minutesOver: number, settings: DdosSettings): Finding {
  const { inflow, row, kind, unit, value, threshold } = worst;
  const { others } = inflow;
  const sum = (column: number) => inflow.get(row, column);
  const flows = sum(Column.Flows);
  const sources = others.count();
  const service = mostFrequentService(others);
  const outbound = !entry.state.internal;
  const isOurOwn = entry.state.internal && allInternal(others);
  const about = others.isExact ? "" : "about ";
  const who = `${about}${sources} source${sources === 1 ? "" : "s"}`;
  const what = {
    unanswered: `${Math.round(value)} requests a minute without an answer`,
    reflection: `${flows} replies a minute that were not asked for`,
    volume: `${sum(Column.Packets)} packets and ${sum(Column.Bytes)} bytes a minute`,
  }[kind];
  const known = Math.min(flows, sum(Column.Failed) + sum(Column.Answered));
  return {
    threat: "ddos",
    detectorVersion: ddos.version,
    entity: formatAddress(entry.address),
    window: { startMs: entry.windowStartMs, endMs: entry.windowStartMs + hourMs },
    score: rounded(scoreOf(value, threshold)),
    confidence: rounded(kind === "unanswered" ? 0.5 + (0.5 * known) / flows : 0.8),
    severity: isOurOwn
      ? severityOf(value, ownClientsFactor * threshold)
      : severityOf(value, threshold, sources >= settings.sourcesMin ? 1 : 0),
    techniques: [kind === "reflection" ? "T1498.002" : "T1498.001", "T1498"],
    summary: `${what}, from ${who}, on ${serviceName(service)}`,
    peers: peersOf(others),
    peerCount: sources,
    evidence: {
      kind,
      direction: isOurOwn ? "internal" : outbound ? "outbound" : "inbound",
      unit: `${unit}_per_minute`,
      value: Math.round(value),
      threshold,
      flows_per_minute: flows,
      flows_failed: sum(Column.Failed),
      [kind === "reflection" ? "requests_sent" : "flows_answered"]: sum(Column.Answered),
      packets_per_minute: sum(Column.Packets),
      bytes_per_minute: sum(Column.Bytes),
      sources,
      sources_error_percent: others.isExact ? 0 : 13,
      service: serviceName(service),
      worst_minute: new Date(sum(Column.Minute) * minuteMs).toISOString(),
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
