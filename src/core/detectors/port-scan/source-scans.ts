import { isGroupAddress } from "../../flow/address.ts";
import { bucketMs, type Contacts } from "../../flow/contacts.ts";
import { hashService } from "../../flow/keyed-hash.ts";
import { formatEntity, neighbourhoodOf } from "../../flow/prefixes.ts";
import { serviceOf } from "../../flow/protocols.ts";
import { Attempt, AttemptLog } from "../../sketches/attempt-log.ts";
import { AttemptSurvey, mayBeClients } from "../../sketches/attempt-survey.ts";
import { keyOf, RecentKeys } from "../../sketches/recent-keys.ts";
import { EntityMemory, type Memory } from "../../slots/entity-memory.ts";
import { EntityWindows, type Entry, type Remembered } from "../../slots/entity-windows.ts";
import type { StateReader, StateWriter } from "../../slots/state-bytes.ts";
import type { AddressWords, Finding } from "../../verdict.ts";
import { nothingEvicted, type Evicted, type Opinion, type SlotContacts, type SlotDetector } from "../detector.ts";
import { chooseForgotten, type Forgettable } from "../forgetting.ts";
import { findingOf } from "./finding.ts";
import { dayLimits, hourOfOthers, hourOfOurs, leastOf, ratioOf, scanIn, type Scan } from "./scan.ts";
import type { PortScanSettings } from "./settings.ts";
import {
  attemptsOf,
  carriedCodec,
  dayCodec,
  dayMs,
  halfOf,
  hourCodec,
  hourMs,
  netFailuresMin,
  type Carried,
  type DayState,
  type HourState,
  type JointState,
} from "./states.ts";

/** A bit set of the services' ports from which late answers come, mod 64: DNS, HTTP, NTP, HTTPS, DNS over TLS. */
const [servicesLow, servicesHigh] = bitSetOf([53, 80, 123, 443, 853]);

function bitSetOf(ports: readonly number[]): [number, number] {
  const bits = (isHigh: boolean) =>
    ports.filter((port) => ((port & 32) !== 0) === isHigh).reduce((set, port) => set | (1 << (port & 31)), 0);
  return [bits(false), bits(true)];
}

/** What a contact tells of the attempt that it is part of: of two halves of it, the union. */
function flagsOf({ pairs, internal }: Contacts, i: number): number {
  const flags =
    (pairs.probes[i] > 0 ? Attempt.Sent : 0) |
    (pairs.failed[i] > 0 ? Attempt.Failed : 0) |
    (pairs.answered[i] > 0 ? Attempt.Answered : 0) |
    (pairs.targetPackets[i] > 0 ? Attempt.Replied : 0) |
    (internal[pairs.target[i]] === 1 ? Attempt.Inside : 0);
  if (!mayBeClients(pairs.port[i])) return flags;
  const [low, high] = [pairs.sourcePortsLow[i], pairs.sourcePortsHigh[i]];
  const isFromService = ((low & servicesLow) | (high & servicesHigh)) !== 0;
  const isFromOther = ((low & ~servicesLow) | (high & ~servicesHigh)) !== 0;
  return flags | (isFromService ? Attempt.FromService : 0) | (isFromOther ? Attempt.FromOther : 0);
}

const nothingNew: Opinion[] = [];

/** A source's day with the hours of it that are open: forgotten as one, since what is no news to them is none to it. */
interface DayAndHours extends Forgettable {
  day: Remembered<DayState>;
  hours: Remembered<HourState>[];
}

/** Scans by one source, in one slot. */
export class SourceScans implements SlotDetector {
  readonly #hours = new EntityWindows(hourMs, hourCodec);
  readonly #days = new EntityWindows(dayMs, dayCodec);
  readonly #carried = new EntityMemory(carriedCodec, dayMs);
  /** Networks and windows of the sources found in the days that the last call closed. */
  readonly #foundNetworks = new Set<string>();
  readonly #recent: RecentKeys;
  /** Whether a day has changed since the last look, and what had closed by then: days seldom need to be looked at. */
  #hasDayNews = false;
  #closedMs = -Infinity;
  #settings: Readonly<PortScanSettings>;

  constructor(settings: Readonly<PortScanSettings>, recent: RecentKeys, saved: StateReader | undefined) {
    this.#settings = settings;
    this.#recent = recent;
    if (!saved) return;
    this.#hours.load(saved);
    this.#days.load(saved);
    this.#carried.load(saved);
  }

  learn({ contacts, pairs: indexes }: SlotContacts): void {
    const { pairs, addresses, addressHash } = contacts;
    const recent = this.#recent;
    for (const i of indexes) {
      const target = pairs.target[i];
      if (isGroupAddress(addresses, target)) continue;
      const source = pairs.source[i];
      const hour = this.#hours.at(addresses, source, pairs.bucket[i]);
      hour.state.records += pairs.requests[i];
      const flags = flagsOf(contacts, i);
      const hash = hashService(addressHash[target], pairs.port[i], pairs.protocol[i]);
      const key = keyOf(addressHash[source], 256 * pairs.samplingRate[i] + flags, hourOf(pairs.bucket[i]));
      if (!recent.has(hash, key)) this.#add(hour, contacts, i, hash, flags);
    }
  }

  findings(closedMs: number): Opinion[] {
    // An empty set takes a while to clear.
    if (this.#foundNetworks.size > 0) this.#foundNetworks.clear();
    const mayDaysHaveNews = this.#hasDayNews || closedMs !== this.#closedMs;
    if (!this.#hours.hasNews(closedMs) && !mayDaysHaveNews) return nothingNew;
    this.#hasDayNews = false;
    this.#closedMs = closedMs;
    const opinions: Opinion[] = [];
    const daysTouched = this.#days.takeTouched();
    // What an hour has just said, its day need not be asked about.
    const saidByHour = new Set<DayState | undefined>();
    const dayStateOf = (hour: Entry<HourState>) => this.#days.peek(hour.address, dayOf(hour));
    for (const hour of this.#hours.takeTouched()) {
      if (this.#judgeHour(hour, false, opinions)) saidByHour.add(dayStateOf(hour));
    }
    for (const hour of this.#hours.takeClosed(closedMs)) {
      const state = this.#judgeHour(hour, true, opinions) ? dayStateOf(hour) : undefined;
      if (state) state.hourFound = true;
    }
    for (const day of daysTouched) {
      const opinion = saidByHour.has(day.state) ? undefined : this.#opinionOfDay(day, false);
      if (opinion && !this.#hasHourFound(day)) opinions.push(opinion);
    }
    const closed = this.#days.takeClosed(closedMs);
    for (const day of closed) this.#closeDay(day, opinions);
    if (closed.length > 0) this.#carried.expire(closedMs);
    return opinions;
  }

  /** Whether an address of a network is found by itself: in a day just closed, or, of those that it knows, in an open one. */
  hasFound({ address, windowStartMs, state: { sources } }: Entry<JointState>): boolean {
    if (this.#foundNetworks.has(networkName(address, windowStartMs))) return true;
    for (let i = 0; i < sources.headSize; i++) {
      const [one] = this.#days.within(sources.address(i), windowStartMs, windowStartMs + dayMs);
      if (one?.entry && this.#isFound(one.entry)) return true;
    }
    return false;
  }

  configure(settings: object): void {
    this.#settings = settings as PortScanSettings;
  }

  save(writer: StateWriter): void {
    this.#hours.save(writer);
    this.#days.save(writer);
    this.#carried.save(writer);
  }

  get bytes(): number {
    return this.#hours.bytes + this.#days.bytes + this.#carried.bytes;
  }

  get entities(): number {
    return this.#hours.entities + this.#days.entities + this.#carried.entities;
  }

  settle(bytesMax: number, hardBytesMax: number): Evicted {
    this.#hours.settle();
    this.#days.settle();
    if (this.bytes <= bytesMax) return nothingEvicted;
    const days = this.#days.remembered().map((day) => this.#withHours(day));
    const { forgotten, alarmed } = chooseForgotten<DayAndHours | Memory<Carried>>(
      [...days, ...this.#carried.remembered()],
      { bytesMax, hardBytesMax },
      (one) => ("day" in one ? this.#findingsOf(one) : []),
    );
    const forgottenDays = forgotten.filter((one) => "day" in one);
    const forgottenHours = forgottenDays.flatMap((one) => one.hours);
    this.#hours.forget(forgottenHours);
    this.#days.forget(forgottenDays.map((one) => one.day));
    this.#carried.forget(forgotten.filter((one) => "memory" in one));
    return { entities: forgotten.length + forgottenHours.length, alarmed };
  }

  #add(hour: Entry<HourState>, { pairs, addresses, internal }: Contacts, i: number, hash: number, flags: number): void {
    const [source, target, rate] = [pairs.source[i], pairs.target[i], pairs.samplingRate[i]];
    const service = serviceOf(pairs.port[i], pairs.protocol[i]);
    hour.state.internal = internal[source] === 1;
    const isNews = hour.state.log.add(hash, addresses, target, service, flags);
    if (!isNews && rate <= hour.state.samplingRate) return;
    hour.state.samplingRate = Math.max(hour.state.samplingRate, rate);
    this.#hours.touch(hour);
    this.#hours.grew(hour);
    // What is no news to the hour is none to its day.
    const day = this.#days.at(addresses, source, pairs.bucket[i]);
    day.state.internal = hour.state.internal;
    day.state.samplingRate = Math.max(day.state.samplingRate, rate);
    halfOf(day.state, pairs.bucket[i]).add(hash, addresses, target, service, flags);
    this.#days.touch(day);
    this.#days.grew(day);
    this.#hasDayNews = true;
  }

  #judgeHour(hour: Entry<HourState>, final: boolean, opinions: Opinion[]): boolean {
    const finding = judgeHour(hour, this.#settings);
    if (finding) opinions.push({ finding, final, judge: (other) => judgeHour(hour, other as PortScanSettings) });
    return finding !== undefined;
  }

  #opinionOfDay(day: Entry<DayState>, final: boolean): Opinion | undefined {
    const carried = this.#carriedTo(day);
    const finding = judgeDay(day, carried, this.#settings);
    return finding && { finding, final, judge: (other) => judgeDay(day, carried, other as PortScanSettings) };
  }

  #closeDay(day: Entry<DayState>, opinions: Opinion[]): void {
    const opinion = this.#opinionOfDay(day, true);
    if (opinion) opinions.push(opinion);
    if (opinion || day.state.hourFound) {
      if (!day.state.internal) this.#foundNetworks.add(networkOf(day));
      return;
    }
    const { late } = day.state;
    if (!late || AttemptSurvey.lostAtMost(late, this.#settings.unknownFactor) < netFailuresMin) return;
    const endMs = day.windowStartMs + dayMs;
    this.#carried.learn(day.address, endMs, (carried) => Object.assign(carried, { log: late, endMs }));
    for (const { entry } of this.#days.within(day.address, endMs, endMs + dayMs)) if (entry) this.#days.touch(entry);
    this.#hasDayNews = true;
  }

  /** What the source did in the later half of the day before, where nothing was found in that. */
  #carriedTo(day: Entry<DayState>): AttemptLog | undefined {
    const carried = this.#carried.entities > 0 ? this.#carried.get(day.address) : undefined;
    return carried?.endMs === day.windowStartMs ? carried.log : undefined;
  }

  /** Whether an hour has said what a day would say: one that has closed, or, for the moment, an open one. */
  #hasHourFound({ address, windowStartMs, state }: Entry<DayState>): boolean {
    if (state.hourFound) return true;
    const hours = this.#hours.within(address, windowStartMs, windowStartMs + dayMs);
    return hours.some(({ entry }) => entry !== undefined && judgeHour(entry, this.#settings) !== undefined);
  }

  #isFound(day: Entry<DayState>): boolean {
    return this.#hasHourFound(day) || judgeDay(day, this.#carriedTo(day), this.#settings) !== undefined;
  }

  #withHours(day: Remembered<DayState>): DayAndHours {
    const { address, windowStartMs } = day;
    const hours = this.#hours.within(address, windowStartMs, windowStartMs + dayMs);
    const bytes = hours.reduce((sum, hour) => sum + hour.bytes, day.bytes);
    return { address, windowStartMs, bytes, interest: this.#interestOf(day), day, hours };
  }

  /** Distinct attempts of the day that were not answered; 0 for what is small. */
  #interestOf({ entry }: Remembered<DayState>): number {
    if (!entry) return 0;
    const lost = [entry.state.early, entry.state.late].map((log) => (log ? AttemptSurvey.lostAtMost(log, 1) : 0));
    return 1 + lost[0] + lost[1];
  }

  #findingsOf({ day, hours }: DayAndHours): Finding[] {
    const found = hours.map(({ entry }) => entry && judgeHour(entry, this.#settings));
    found.push(day.entry && judgeDay(day.entry, this.#carriedTo(day.entry), this.#settings));
    return found.filter((finding) => finding !== undefined);
  }
}

const hourBuckets = hourMs / bucketMs;

function hourOf(bucket: number): number {
  return Math.floor(bucket / hourBuckets);
}

function dayOf({ windowStartMs }: Entry<HourState>): number {
  return windowStartMs - (windowStartMs % dayMs);
}

function networkOf({ address, windowStartMs }: Entry<DayState>): string {
  return networkName(address, windowStartMs);
}

function networkName(address: AddressWords, windowStartMs: number): string {
  return `${formatEntity(neighbourhoodOf(...address))} ${windowStartMs}`;
}

function judgeHour(entry: Entry<HourState>, settings: PortScanSettings): Finding | undefined {
  const { log, records, samplingRate, internal: isOurs } = entry.state;
  const scan = scanIn(log, isOurs ? hourOfOurs : hourOfOthers, settings);
  if (!scan) return undefined;
  const finding = findingOf(scan, { ...entry, lengthMs: hourMs, isOurs, samplingRate });
  return { ...finding, evidence: { ...finding.evidence, flows: records } };
}

/** Of the day itself, and of the one that began at the noon before, the stronger one. */
function judgeDay(
  entry: Entry<DayState>,
  carried: AttemptLog | undefined,
  settings: PortScanSettings,
): Finding | undefined {
  const { early, late, hourFound, samplingRate, internal: isOurs } = entry.state;
  if (hourFound || attemptsOf(entry.state) < netFailuresMin) return undefined;
  const own = scanInBoth(early, late, settings);
  const joined = carried && early ? scanInBoth(carried, early, settings) : undefined;
  const scan = joined && (!own || ratioOf(joined.hit) > ratioOf(own.hit)) ? joined : own;
  if (!scan) return undefined;
  const finding = findingOf(scan, { ...entry, lengthMs: dayMs, isOurs, samplingRate });
  if (scan !== joined) return finding;
  const sinceMs = entry.windowStartMs - dayMs / 2;
  return { ...finding, evidence: { ...finding.evidence, counted_from: new Date(sinceMs).toISOString() } };
}

function scanInBoth(
  one: AttemptLog | undefined,
  other: AttemptLog | undefined,
  settings: PortScanSettings,
): Scan | undefined {
  if (!one || !other) {
    const only = one ?? other;
    return only && scanIn(only, dayLimits, settings);
  }
  const least = leastOf(dayLimits, settings);
  if (one.sample.size + other.sample.size < least) return undefined;
  const lost = [one, other].reduce((sum, log) => sum + AttemptSurvey.lostAtMost(log, settings.unknownFactor), 0);
  return lost < least ? undefined : scanIn(AttemptLog.union(one, other), dayLimits, settings);
}
