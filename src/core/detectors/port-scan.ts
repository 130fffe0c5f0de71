import { formatAddress, isGroupAddress } from "../flow/address.ts";
import { sourcesKept } from "../flow/contacts.ts";
import { Protocol } from "../flow/flow-batch.ts";
import { hashService } from "../flow/keyed-hash.ts";
import { protocolName, serviceName, serviceOf, servicePort, serviceProtocol } from "../flow/protocols.ts";
import { BottomK } from "../sketches/bottom-k.ts";
import {
  EntityWindows,
  type EntityState,
  type Entry,
  type Remembered,
  type StateCodec,
} from "../slots/entity-windows.ts";
import { peersMax, type Finding, type Peer } from "../verdict.ts";
import { nothingEvicted, type Detector, type Opinion, type SlotDetector } from "./detector.ts";
import { chooseForgotten, type Forgettable } from "./forgetting.ts";
import { rounded, scoreOf, severityOf } from "./scoring.ts";

export interface PortScanSettings {
  /** Distinct ports of one target that failed, within an hour. Lower finds smaller scans and more broken clients. */
  portsMin: number;
  /** The same within a day: slower, but nothing of it answered. */
  slowPortsMin: number;
  /** Distinct targets that failed on one port, by a source from outside, and by one of our own. */
  remoteTargetsMin: number;
  localTargetsMin: number;
  /** The same within a day. */
  slowTargetsMin: number;
  /** Where the log does not show outcomes, what counts is this many times the thresholds above. */
  unknownFactor: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Flags of an attempt, that is of a distinct (target, port, protocol). */
const Attempt = { Sent: 1, Failed: 2, Answered: 4 } as const;

interface ScanState extends EntityState {
  attempts: BottomK;
  /** Of an hour. */
  records: number;
  internal: boolean;
  /** Of a day: one of its hours closed with a finding, which says it all. */
  hourFound: boolean;
  /** Of a day: an open hour has a finding at the moment. Not saved: it only holds back provisional opinions. */
  hourSuspected: boolean;
}

/** In V8's heap, in bytes: of a state without its sketch. Measured. */
const stateBytes = 80;
/** The same of a state with one attempt, packed. */
const packedBytes = 45;

const codec: StateCodec<ScanState> = {
  create: () => ({
    touched: false,
    attempts: new BottomK(sourcesKept),
    records: 0,
    internal: false,
    hourFound: false,
    hourSuspected: false,
  }),
  save(state, writer) {
    state.attempts.save(writer);
    writer.f64(state.records);
    writer.u8((state.internal ? 1 : 0) | (state.hourFound ? 2 : 0));
  },
  load(reader) {
    const attempts = BottomK.load(sourcesKept, reader);
    const records = reader.f64();
    const bits = reader.u8();
    const [internal, hourFound] = [(bits & 1) !== 0, (bits & 2) !== 0];
    return { touched: false, attempts, records, internal, hourFound, hourSuspected: false };
  },
  bytes: ({ attempts }) => stateBytes + attempts.memoryBytes,
  isSmall: ({ attempts }) => attempts.size <= 1,
  smallBytes: () => packedBytes,
};

/**
 * Port scan: a source tries many ports of one host (vertical) or one port of many hosts (horizontal), and nearly
 * nothing answers.
 *
 * Method: per source and window (an hour; and a UTC day, for slow scans) the distinct (target, port, protocol) that
 * it tried, each with its outcomes, in a bottom-k sample. A sequential test on them that does not depend on order
 * must see a scanner: each distinct attempt that failed multiplies the odds by 4, each that was answered divides
 * them, and 99 is asked for. Then the failed ports of one target, or failed targets of one port, must reach a
 * threshold. Where the log shows no outcomes, plain distinct counts must reach a multiple of it.
 * Bounds: 64 attempts of 28 bytes per source and window; counts are exact up to 64 and ±13 % beyond.
 * Misses: scans slower than the day's threshold, cut in two by midnight (UTC), or spread over many sources; scans of
 * open ports only; small scans by a source that talks to thousands of others; several hosts behind one address look
 * like one.
 * Source: Jung, Paxson, Berger, Balakrishnan, Fast Portscan Detection Using Sequential Hypothesis Testing, IEEE S&P
 * 2004 (θ0 = 0.8, θ1 = 0.2, α = 0.01, β = 0.99); thresholds after Zeek's scan script (15 ports) and simple-scan (25
 * hosts from outside).
 */
export const portScan: Detector<PortScanSettings> = {
  id: "port_scan",
  version: 1,
  defaults: {
    portsMin: 15,
    slowPortsMin: 10,
    remoteTargetsMin: 25,
    localTargetsMin: 40,
    slowTargetsMin: 60,
    unknownFactor: 4,
  },
  create(settings, saved) {
    const hours = new EntityWindows(hourMs, codec);
    const days = new EntityWindows(dayMs, codec);
    if (saved) {
      hours.load(saved);
      days.load(saved);
    }
    const detector: SlotDetector = {
      learn({ contacts, pairs: indexes }) {
        const { pairs, addresses, addressHash, internal } = contacts;
        for (const i of indexes) {
          const target = pairs.target[i];
          if (isGroupAddress(addresses, target)) continue;
          const flags =
            (pairs.probes[i] > 0 ? Attempt.Sent : 0) |
            (pairs.failed[i] > 0 ? Attempt.Failed : 0) |
            (pairs.answered[i] > 0 ? Attempt.Answered : 0);
          const service = serviceOf(pairs.port[i], pairs.protocol[i]);
          const hash = hashService(addressHash[target], pairs.port[i], pairs.protocol[i]);
          const hour = hours.at(addresses, pairs.source[i], pairs.bucket[i]);
          hour.state.records += pairs.requests[i];
          hour.state.internal = internal[pairs.source[i]] === 1;
          if (!hour.state.attempts.add(hash, addresses, target, service, flags)) continue;
          hours.touch(hour);
          hours.grew(hour);
          // What is no news to the hour is none to its day.
          const day = days.at(addresses, pairs.source[i], pairs.bucket[i]);
          day.state.internal = hour.state.internal;
          day.state.attempts.add(hash, addresses, target, service, flags);
          days.touch(day);
          days.grew(day);
        }
      },
      findings(closedMs) {
        const opinions: Opinion[] = [];
        const judge = (entry: Entry<ScanState>, slow: boolean, final: boolean) => {
          const finding = judgeSource(entry, slow, settings);
          if (finding) opinions.push({ finding, final });
          return finding !== undefined;
        };
        const dayOf = (hour: Entry<ScanState>) =>
          days.peek(hour.address, hour.windowStartMs - (hour.windowStartMs % dayMs));
        const daysTouched = days.takeTouched();
        for (const { state } of daysTouched) state.hourSuspected = false;
        for (const entry of hours.takeTouched()) {
          const day = judge(entry, false, false) ? dayOf(entry) : undefined;
          if (day) day.hourSuspected = true;
        }
        for (const entry of hours.takeClosed(closedMs)) {
          const day = judge(entry, false, true) ? dayOf(entry) : undefined;
          if (day) day.hourFound = true;
        }
        for (const entry of daysTouched) if (!entry.state.hourSuspected) judge(entry, true, false);
        for (const entry of days.takeClosed(closedMs)) judge(entry, true, true);
        return opinions;
      },
      save(writer) {
        hours.save(writer);
        days.save(writer);
      },
      get bytes() {
        return hours.bytes + days.bytes;
      },
      get entities() {
        return hours.entities + days.entities;
      },
      settle(bytesMax, hardBytesMax) {
        hours.settle();
        days.settle();
        if (hours.bytes + days.bytes <= bytesMax) return nothingEvicted;
        const all = days.remembered().map((day) => withHours(day, hours));
        const { forgotten, alarmed } = chooseForgotten(all, { bytesMax, hardBytesMax }, (one) =>
          findingsOf(one, settings),
        );
        const forgottenHours = forgotten.flatMap((one) => one.hours);
        hours.forget(forgottenHours);
        days.forget(forgotten.map((one) => one.day));
        return { entities: forgotten.length + forgottenHours.length, alarmed };
      },
    };
    return detector;
  },
};

/** A source's day with the hours of it that are open: forgotten as one, since what is no news to them is none to it. */
interface DayAndHours extends Forgettable {
  day: Remembered<ScanState>;
  hours: Remembered<ScanState>[];
}

function withHours(day: Remembered<ScanState>, allHours: EntityWindows<ScanState>): DayAndHours {
  const { address, windowStartMs } = day;
  const hours = allHours.within(address, windowStartMs, windowStartMs + dayMs);
  const bytes = hours.reduce((sum, hour) => sum + hour.bytes, day.bytes);
  return { address, windowStartMs, bytes, interest: interestOf(day), day, hours };
}

/** Distinct attempts of the day that were not answered; 0 for what is small. */
function interestOf({ entry }: Remembered<ScanState>): number {
  if (!entry) return 0;
  const { attempts } = entry.state;
  let lost = 0;
  for (let i = 0; i < attempts.size; i++) if ((attempts.flags(i) & Attempt.Answered) === 0) lost++;
  return 1 + lost * (attempts.count() / attempts.size);
}

function findingsOf({ day, hours }: DayAndHours, settings: PortScanSettings): Finding[] {
  const found = hours.map(({ entry }) => entry && judgeSource(entry, false, settings));
  found.push(day.entry && judgeSource(day.entry, true, settings));
  return found.filter((finding) => finding !== undefined);
}

const dnsService = serviceOf(53, Protocol.Udp);

/** Whether element `i` was an attempt. Name lookups of unknown outcome are none: resolvers ask thousands of servers. */
function isAttempt(attempts: BottomK, i: number): boolean {
  const flags = attempts.flags(i);
  const isUnknown = (flags & (Attempt.Failed | Attempt.Answered)) === 0;
  return (flags & Attempt.Sent) !== 0 && !(isUnknown && attempts.label(i) === dnsService);
}

/** ln 99 / ln 4, rounded up: by so many the failed attempts, as sampled, must exceed the answered ones. */
const netFailuresMin = 4;

/** What the sample says about the attempts that share a target or a service. */
interface Group {
  /** First attempt of the group in the sample. */
  at: number;
  failed: number;
  unknown: number;
  answered: number;
}

function judgeSource(entry: Entry<ScanState>, slow: boolean, settings: PortScanSettings): Finding | undefined {
  const { attempts, internal, hourFound } = entry.state;
  if (attempts.size < Math.min(settings.portsMin, settings.slowPortsMin) || (slow && hourFound)) return undefined;
  const scale = attempts.count() / attempts.size;
  if (lostAttempts(attempts, settings.unknownFactor) * scale < Math.min(settings.portsMin, settings.slowPortsMin)) {
    return undefined;
  }
  const byTarget = new Map<number, Group>();
  const byService = new Map<number, Group>();
  const all: Group = { at: 0, failed: 0, unknown: 0, answered: 0 };
  for (let i = 0; i < attempts.size; i++) {
    if (!isAttempt(attempts, i)) continue;
    const flags = attempts.flags(i);
    count(all, flags);
    count(groupOf(byTarget, attempts.firstWithAddress(i), i), flags);
    count(groupOf(byService, attempts.label(i), i), flags);
  }
  const vertical = largest(byTarget, settings.unknownFactor);
  const horizontal = largest(byService, settings.unknownFactor);
  if (!vertical || !horizontal) return undefined;
  const portsMin = slow ? settings.slowPortsMin : settings.portsMin;
  const targetsFast = internal ? settings.localTargetsMin : settings.remoteTargetsMin;
  const targetsMin = slow ? settings.slowTargetsMin : targetsFast;
  // The test is on attempts that were seen, not on what they are scaled up to.
  const reaches = (group: Group, threshold: number) => {
    const lost = weight(group, settings.unknownFactor);
    return lost * scale >= threshold && lost - group.answered >= netFailuresMin;
  };
  const isVertical = reaches(vertical, portsMin);
  const isHorizontal = reaches(horizontal, targetsMin);
  if (!isVertical && !isHorizontal) return undefined;
  const threshold = isVertical ? portsMin : targetsMin;
  return findingOf(entry, slow, { isVertical, isHorizontal, vertical, horizontal, all, scale, threshold }, settings);
}

/** The weight of all attempts together: an upper bound of any group's, without making groups. */
function lostAttempts(attempts: BottomK, unknownFactor: number): number {
  let lost = 0;
  for (let i = 0; i < attempts.size; i++) {
    const flags = attempts.flags(i);
    if (!isAttempt(attempts, i) || (flags & Attempt.Answered) !== 0) continue;
    lost += flags & Attempt.Failed ? 1 : 1 / unknownFactor;
  }
  return lost;
}

function count(group: Group, flags: number): void {
  if (flags & Attempt.Answered) group.answered++;
  else if (flags & Attempt.Failed) group.failed++;
  else group.unknown++;
}

function groupOf<K>(groups: Map<K, Group>, key: K, at: number): Group {
  let group = groups.get(key);
  if (!group) groups.set(key, (group = { at, failed: 0, unknown: 0, answered: 0 }));
  return group;
}

/** Failed attempts; those of unknown outcome count for a fraction. */
function weight(group: Group, unknownFactor: number): number {
  return group.failed + group.unknown / unknownFactor;
}

function largest(groups: Map<number, Group>, unknownFactor: number): Group | undefined {
  let best: Group | undefined;
  for (const group of groups.values()) {
    if (!best || weight(group, unknownFactor) > weight(best, unknownFactor)) best = group;
  }
  return best;
}

interface Judgement {
  isVertical: boolean;
  isHorizontal: boolean;
  vertical: Group;
  horizontal: Group;
  all: Group;
  scale: number;
  threshold: number;
}

function findingOf(entry: Entry<ScanState>, slow: boolean, judged: Judgement, settings: PortScanSettings): Finding {
  const { attempts, internal, records } = entry.state;
  const { isVertical, vertical, horizontal, all, scale, threshold } = judged;
  const group = isVertical ? vertical : horizontal;
  const value = weight(group, settings.unknownFactor) * scale;
  // One of a kind in the sample is one of a kind, as the ports of a vertical scan have one target.
  const scaled = (n: number) => (n <= 1 ? n : Math.round(n * scale));
  const known = all.failed + all.answered;
  const about = attempts.isExact ? "" : "about ";
  const span = slow ? "a day" : "an hour";
  const summary = isVertical
    ? `${about}${scaled(vertical.failed + vertical.unknown)} ports of ${formatAddress(attempts.address(vertical.at))} tried within ${span}, ${scaled(vertical.answered)} answered`
    : `${about}${scaled(horizontal.failed + horizontal.unknown)} hosts tried on ${serviceName(attempts.label(horizontal.at))} within ${span}, ${scaled(horizontal.answered)} answered`;
  const peers = peersOf(attempts, isVertical ? vertical : undefined);
  return {
    threat: "port_scan",
    detectorVersion: portScan.version,
    entity: formatAddress(entry.address),
    window: { startMs: entry.windowStartMs, endMs: entry.windowStartMs + (slow ? dayMs : hourMs) },
    score: rounded(scoreOf(value, threshold)),
    confidence: rounded(known / (known + all.unknown)),
    severity: severityOf(value, threshold, internal ? 1 : 0),
    techniques: ["T1046"],
    summary,
    peers,
    peerCount: Math.max(peers.length, scaled(new Set(sentTargets(attempts)).size)),
    evidence: {
      kind: isVertical ? (judged.isHorizontal ? "block" : "vertical") : "horizontal",
      window: slow ? "day" : "hour",
      source_internal: internal,
      attempts_failed: scaled(all.failed),
      attempts_unknown: scaled(all.unknown),
      attempts_answered: scaled(all.answered),
      ports_failed_on_one_target: scaled(vertical.failed),
      targets_failed_on_one_port: scaled(horizontal.failed),
      threshold,
      ...(slow ? {} : { flows: records }),
      services: topServices(attempts),
      count_error_percent: attempts.isExact ? 0 : 13,
    },
  };
}

function sentTargets(attempts: BottomK): number[] {
  const targets: number[] = [];
  for (let i = 0; i < attempts.size; i++) {
    if (isAttempt(attempts, i)) targets.push(attempts.firstWithAddress(i));
  }
  return targets;
}

/** The scanned hosts, most attempts first; a vertical scan's own target before all. */
function peersOf(attempts: BottomK, vertical: Group | undefined): Peer[] {
  const perTarget = new Map<number, { at: number; count: number }>();
  for (let i = 0; i < attempts.size; i++) {
    if (!isAttempt(attempts, i)) continue;
    const first = attempts.firstWithAddress(i);
    const seen = perTarget.get(first);
    if (seen) seen.count++;
    else perTarget.set(first, { at: i, count: 1 });
  }
  const own = vertical ? attempts.firstWithAddress(vertical.at) : -1;
  const order = [...perTarget].sort(([x, a], [y, b]) => Number(y === own) - Number(x === own) || b.count - a.count);
  return order.slice(0, peersMax).map(([, { at, count: attemptCount }]) => ({
    address: formatAddress(attempts.address(at)),
    port: attemptCount === 1 ? servicePort(attempts.label(at)) : 0,
    protocol: protocolName(serviceProtocol(attempts.label(at))),
  }));
}

/** The services tried most, at most eight, with the number of targets in the sample. */
function topServices(attempts: BottomK): { service: string; targets: number }[] {
  const counts = new Map<number, number>();
  for (let i = 0; i < attempts.size; i++) {
    if (isAttempt(attempts, i)) counts.set(attempts.label(i), (counts.get(attempts.label(i)) ?? 0) + 1);
  }
  return [...counts]
    .sort(([s, a], [t, b]) => b - a || s - t)
    .slice(0, 8)
    .map(([service, targets]) => ({ service: serviceName(service), targets }));
}
