import { replaces, settingsIn, unconfigured, type Configuration } from "../detectors/configuration.ts";
import { nothingEvicted, type Detector, type SlotContacts, type SlotDetector } from "../detectors/detector.ts";
import { explained } from "../detectors/explain.ts";
import { candidatesMax, type Candidate } from "../features/candidate.ts";
import { parseAddress } from "../flow/address.ts";
import { bucketMs, periodBuckets } from "../flow/contacts.ts";
import { severities, type Finding, type Verdict, type VerdictState } from "../verdict.ts";
import type { FactsOfSlot, NetworkFacts } from "./network-facts.ts";
import { RecordIds } from "./record-ids.ts";
import { SlotCounts } from "./slot-counts.ts";
import { StateReader, type StateWriter } from "./state-bytes.ts";

/** What was last published about one anomaly whose window is open. */
interface Published {
  finding: Finding;
  revision: number;
  /** What it rests on had to be forgotten while in alarm: it stands as it is. */
  frozen?: boolean;
}

/** A verdict that is not known to be stored. */
export interface PendingVerdict {
  slot: number;
  verdict: Verdict;
  /** Of the batch that changed it. */
  receivedAtMs: number;
}

/** Says that a verdict is stored. */
export interface Acknowledgement {
  slot: number;
  /** Threat, entity and window. */
  name: string;
  state: VerdictState;
  revision: number;
}

export function acknowledgementOf({ slot, verdict }: PendingVerdict): Acknowledgement {
  return { slot, name: keyOf(verdict), state: verdict.state, revision: verdict.revision };
}

/** Bounds of a slot, in bytes of memory as the detectors estimate them. */
export interface SlotBounds {
  /** Beyond it, the least interesting entities are forgotten, but none in alarm. */
  stateBytesMax: number;
  /** Beyond it, even those in alarm, the weakest first, and at once. */
  stateBytesHardMax: number;
}

/**
 * 256 slots of 192 KiB, their record ids and verdicts take 64 MiB: half of what an object may use. Only a slot that grows
 * fivefold within five minutes, by a million invented sources or so, or whose entities are nearly all in alarm, meets 1 MiB.
 */
export const slotBounds: SlotBounds = { stateBytesMax: 192 * 1024, stateBytesHardMax: 1024 * 1024 };

/**
 * What a contact can add to all detectors' states, in bytes: new ones of an hour, a day, a pair, with what they hold; and
 * what it adds if many come. Only to know when to measure.
 */
const contactBytesMax = 8192;
const contactBytesMean = 1024;

/** A provisional verdict is published anew when its score moved by this much, or its peers doubled. */
const scoreStep = 0.05;

/** Below it, a verdict is published once it is final: nobody acts on it at once, and each revision costs a row. */
const provisionalFrom = severities.indexOf("medium");

/**
 * One of a tenant's 256 parts: the unit of event time, bounds and moving. It owns the detectors' memory of its
 * entities, decides what is published about them, and keeps that until it is known to be stored.
 *
 * Everything that depends on event time, closing and forgetting alike, happens when the watermark enters a new period,
 * before anything later is learnt: so it does not matter how the records were cut into batches.
 */
export class Slot {
  readonly index: number;
  /** Greatest end seen, in buckets. */
  watermark = 0;
  /** Number of the move that brought it here. */
  move = 0;
  /** Whether it was saved by other versions of its detectors: what they said may not be what these say. */
  readonly hasOtherVersions: boolean = false;
  readonly counts: SlotCounts;
  readonly recordIds: RecordIds;
  #revision = 0;
  readonly #bounds: SlotBounds;
  readonly #facts: NetworkFacts;
  readonly #own: FactsOfSlot;
  readonly #kinds: readonly Detector[];
  readonly #detectors: SlotDetector[];
  #settings: readonly Readonly<object>[];
  #configuration = unconfigured;
  /** Per detector: event time from which on it has seen everything, where it had to start without its past. */
  readonly #completeFromMs: number[];
  #contactsSinceMeasured = 0;
  #bytesMeasured = 0;
  readonly #published = new Map<string, Published>();
  readonly #pending = new Map<string, PendingVerdict>();
  #candidates: Candidate[] = [];

  /** `reader` gives what `save` wrote. A detector that cannot read its part of it starts empty, and says so. */
  constructor(
    index: number,
    kinds: readonly Detector[],
    bounds: SlotBounds,
    facts: NetworkFacts,
    reader?: StateReader,
  ) {
    this.#facts = facts;
    this.#own = facts.ofSlot(index);
    this.index = index;
    this.#kinds = kinds;
    this.#settings = kinds.map((kind) => settingsIn(kind, unconfigured));
    this.#bounds = bounds;
    if (!reader) {
      this.counts = new SlotCounts();
      this.recordIds = new RecordIds();
      this.#detectors = kinds.map((kind, i) => kind.create(this.#settings[i]));
      this.#completeFromMs = kinds.map(() => 0);
      return;
    }
    this.watermark = reader.u32();
    this.move = reader.u32();
    this.#revision = reader.f64();
    this.counts = SlotCounts.load(reader);
    this.recordIds = RecordIds.load(reader);
    for (const [key, one] of JSON.parse(reader.text()) as [string, Published][]) this.#published.set(key, one);
    for (const [key, one] of JSON.parse(reader.text()) as [string, PendingVerdict][]) this.#pending.set(key, one);
    const states = new Map<string, SavedDetector>();
    for (let left = reader.u32(); left > 0; left--) {
      const [id, version, completeFromMs] = [reader.text(), reader.u32(), reader.f64()];
      states.set(id, { version, completeFromMs, state: new StateReader(reader.block()) });
    }
    const settings = this.#settings;
    const restored = kinds.map((kind, i) => restore(kind, settings[i], states.get(kind.id)));
    this.#detectors = restored.map(({ detector }) => detector);
    this.#completeFromMs = restored.map(({ completeFromMs }) => completeFromMs);
    this.configure(JSON.parse(reader.text()) as Configuration);
    this.measure();
    this.hasOtherVersions = kinds.some((kind) => states.get(kind.id)?.version !== kind.version);
  }

  /** Its past is lost: verdicts about windows that began before what it learns next will say so. */
  startOver(): void {
    this.#completeFromMs.fill(Number.POSITIVE_INFINITY);
  }

  get revision(): number {
    return this.#revision;
  }

  /** What follows, and what is not known to be stored, outranks what was stored before. */
  outrank(revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
    for (const [key, { verdict, ...rest }] of this.#pending) {
      this.#pending.set(key, { ...rest, verdict: { ...verdict, revision: ++this.#revision } });
    }
  }

  /** Judges by this from now on, unless it is older than what it judges by already. Between batches. */
  configure(next: Configuration | undefined): void {
    if (!next || !replaces(next, this.#configuration)) return;
    this.#configuration = next;
    this.#settings = this.#kinds.map((kind) => settingsIn(kind, next));
    this.#detectors.forEach((detector, i) => detector.configure(this.#settings[i]));
  }

  /** Event time moves on to `bucket`, if that lies ahead; into a new period, the slot settles. */
  advance(bucket: number, allowanceBuckets: number, receivedAtMs: number): Verdict[] {
    if (bucket <= this.watermark) return [];
    const period = Math.floor(bucket / periodBuckets);
    const isNewPeriod = period > Math.floor(this.watermark / periodBuckets);
    this.watermark = bucket;
    for (let i = 0; i < this.#completeFromMs.length; i++) {
      if (this.#completeFromMs[i] === Number.POSITIVE_INFINITY) this.#completeFromMs[i] = bucket * bucketMs;
    }
    if (!isNewPeriod) return [];
    const trimmed = this.#trim();
    const verdicts = this.judge(allowanceBuckets, receivedAtMs);
    this.#forget(trimmed);
    this.recordIds.settle(bucket, allowanceBuckets);
    return verdicts;
  }

  learn(contacts: SlotContacts): void {
    const { pairs, targets, prefixes, sessions } = contacts;
    this.#contactsSinceMeasured += pairs.length + targets.length + prefixes.length + sessions.length;
    for (const detector of this.#detectors) detector.learn(contacts);
  }

  /** A slot that outgrew its hard bound within a period forgets at once. Nothing is counted before it can have. */
  bound(): void {
    const { stateBytesHardMax } = this.#bounds;
    if (this.bytesAtMost > stateBytesHardMax && this.measure() > stateBytesHardMax) this.#forget(this.#trim());
  }

  /** The shard as a whole grows too fast: what exceeds the slot's own bound is forgotten before it settles. */
  boundAtOnce(): void {
    if (this.measure() > this.#bounds.stateBytesMax) this.#forget(this.#trim());
  }

  /** What its state can take, without counting it. */
  get bytesAtMost(): number {
    return this.#bytesMeasured + contactBytesMax * this.#contactsSinceMeasured;
  }

  /** About what its state takes, without counting it. */
  get bytesExpected(): number {
    return this.#bytesMeasured + contactBytesMean * this.#contactsSinceMeasured;
  }

  /** What its state takes, counted anew. */
  measure(): number {
    this.#contactsSinceMeasured = 0;
    return (this.#bytesMeasured = this.bytes);
  }

  /** What is new; windows that event time has left by the allowance close, and what was said of them becomes final. */
  judge(allowanceBuckets: number, receivedAtMs: number): Verdict[] {
    return this.#judge(closedUpToMs(this.watermark, allowanceBuckets), receivedAtMs);
  }

  /** The input has ended: closes every window. */
  end(receivedAtMs: number): Verdict[] {
    return this.#judge(Number.POSITIVE_INFINITY, receivedAtMs);
  }

  /** Tells all that it knows of the network, that of open windows too. */
  tell(facts: NetworkFacts): void {
    for (const detector of this.#detectors) detector.tell?.(facts.ofSlot(this.index), true);
  }

  /** What models should look at, since the last call. Nothing is kept of it: opinions may be missing, verdicts not. */
  takeCandidates(): Candidate[] {
    const taken = this.#candidates;
    this.#candidates = [];
    return taken;
  }

  /** Not known to be stored. */
  pending(): Iterable<PendingVerdict> {
    return this.#pending.values();
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /**
   * This verdict is stored. In a replay, which may not have come by the same provisional ones, it is the same if it is
   * in the same state and none that came later.
   */
  acknowledge({ name, state, revision }: Acknowledgement, isReplay: boolean): void {
    const waiting = this.#pending.get(name)?.verdict;
    if (!waiting) return;
    const isSame = isReplay ? waiting.state === state && waiting.revision <= revision : waiting.revision === revision;
    if (isSame) this.#pending.delete(name);
  }

  get bytes(): number {
    return this.#detectors.reduce((sum, detector) => sum + detector.bytes, 0);
  }

  get entities(): number {
    return this.#detectors.reduce((sum, detector) => sum + detector.entities, 0);
  }

  save(writer: StateWriter): void {
    writer.u32(this.watermark);
    writer.u32(this.move);
    writer.f64(this.#revision);
    this.counts.save(writer);
    this.recordIds.save(writer);
    writer.text(JSON.stringify([...this.#published]));
    writer.text(JSON.stringify([...this.#pending]));
    writer.u32(this.#detectors.length);
    this.#detectors.forEach((detector, i) => {
      writer.text(this.#kinds[i].id);
      writer.u32(this.#kinds[i].version);
      writer.f64(this.#completeFromMs[i]);
      writer.block((block) => detector.save(block));
    });
    writer.text(JSON.stringify(this.#configuration));
  }

  #judge(closedMs: number, receivedAtMs: number): Verdict[] {
    const verdicts: Verdict[] = [];
    const publish = (kind: number, finding: Finding, state: VerdictState) => {
      const verdict = this.#verdict(kind, finding, state);
      this.#pending.set(keyOf(finding), { slot: this.index, verdict, receivedAtMs });
      verdicts.push(verdict);
      return verdict;
    };
    this.#detectors.forEach((detector, kind) => {
      const { thresholds, isExperimental } = this.#kinds[kind];
      for (const { finding: said, final, judge } of detector.findings(closedMs, this.#facts)) {
        const opinion = isExperimental ? atMostLow(said) : said;
        const key = keyOf(opinion);
        const before = this.#published.get(key);
        const isWeaker = before?.frozen === true && before.finding.score > opinion.score;
        if (!final && (before ? isWeaker || !hasMoved(before.finding, opinion) : !isAlarm(opinion))) continue;
        const finding = isWeaker ? before.finding : explained(opinion, this.#settings[kind], thresholds, judge);
        if (final) {
          this.#published.delete(key);
          publish(kind, finding, "final");
        } else {
          const { revision } = publish(kind, finding, "provisional");
          this.#published.set(key, { finding, revision });
        }
      }
    });
    for (const detector of this.#detectors) detector.tell?.(this.#own, false);
    for (const [key, { finding, frozen }] of this.#published) {
      if (finding.window.endMs > closedMs) continue;
      this.#published.delete(key);
      const kind = this.#kinds.findIndex(({ id }) => id === finding.threat);
      publish(kind, finding, frozen ? "final" : "withdrawn");
    }
    this.#choose(verdicts, receivedAtMs);
    return verdicts;
  }

  /** Has models look at the hosts that the verdicts are about, and at whom the detectors choose besides. */
  #choose(verdicts: readonly Verdict[], receivedAtMs: number): void {
    const suspects = verdicts.flatMap(({ entity, state }) => {
      const address = state === "withdrawn" ? undefined : parseAddress(entity);
      return address ? [address] : [];
    });
    for (const detector of this.#detectors) {
      for (const shown of detector.candidates?.(suspects, this.#facts) ?? []) {
        if (this.#candidates.length < candidatesMax)
          this.#candidates.push({ ...shown, slot: this.index, receivedAtMs });
      }
    }
  }

  /** Lets go of what outgrew a bound of its own; returns how much, by detector. */
  #trim(): number[] {
    return this.#detectors.map((detector) => detector.settle(Infinity, Infinity).entities);
  }

  /** Where the slot is still too full, the detectors that take most of it forget. */
  #forget(trimmed: readonly number[]): void {
    const { stateBytesMax, stateBytesHardMax } = this.#bounds;
    if (this.measure() <= stateBytesMax && trimmed.every((entities) => entities === 0)) return;
    const bytes = this.#detectors.map((detector) => detector.bytes);
    const bytesMax = levelOf(bytes, stateBytesMax);
    const hardMax = levelOf(bytes, stateBytesHardMax);
    this.#detectors.forEach((detector, i) => {
      const { entities: forgotten, alarmed } =
        bytes[i] > bytesMax ? detector.settle(bytesMax, hardMax) : nothingEvicted;
      const entities = trimmed[i] + forgotten;
      if (entities > 0) this.counts.add("evictedEntities", this.watermark, entities);
      for (const finding of alarmed) {
        const { revision = 0 } = this.#published.get(keyOf(finding)) ?? {};
        this.#published.set(keyOf(finding), { finding, revision, frozen: true });
      }
    });
    this.measure();
  }

  #verdict(kind: number, finding: Finding, state: VerdictState): Verdict {
    const { lateRecords, evictedEntities } = this.counts.within(finding.window.startMs, finding.window.endMs);
    const completeness = {
      late_records: lateRecords,
      evicted_entities: evictedEntities,
      folded_contacts: 0,
      warming_up: this.#completeFromMs[kind] > finding.window.startMs,
    };
    const configVersion = this.#configuration.name;
    return { ...finding, configVersion, state, revision: ++this.#revision, completeness };
  }
}

/** Event time up to which a slot's windows are closed: nothing that ends before it is still accepted. */
function closedUpToMs(watermark: number, allowanceBuckets: number): number {
  return (watermark - (watermark % periodBuckets) - allowanceBuckets) * bucketMs;
}

/** The most that each of several may have so that together they have at most `total`: those that have less are spared. */
function levelOf(bytes: readonly number[], total: number): number {
  let left = total;
  const ascending = bytes.toSorted((a, b) => a - b);
  for (const [i, one] of ascending.entries()) {
    const level = left / (ascending.length - i);
    if (one > level) return Math.floor(level);
    left -= one;
  }
  return Infinity;
}

interface SavedDetector {
  version: number;
  completeFromMs: number;
  state: StateReader;
}

/** From the same version as it was; from another one by its own migration, or else empty. */
function restore(
  kind: Detector,
  settings: Readonly<object>,
  saved?: SavedDetector,
): { detector: SlotDetector; completeFromMs: number } {
  if (!saved) return { detector: kind.create(settings), completeFromMs: Number.POSITIVE_INFINITY };
  const { version, completeFromMs, state } = saved;
  const readable = version === kind.version ? state : kind.migrate?.(state, version);
  if (readable) return { detector: kind.create(settings, readable), completeFromMs };
  return { detector: kind.create(settings), completeFromMs: Number.POSITIVE_INFINITY };
}

function keyOf({ threat, entity, window }: Finding): string {
  return nameOf(threat, entity, window.startMs, window.endMs);
}

function nameOf(threat: string, entity: string, startMs: number, endMs: number): string {
  return `${threat} ${entity} ${startMs} ${endMs}`;
}

/** What the scoreboard does not vouch for wakes nobody. */
export function atMostLow(finding: Finding): Finding {
  return isAlarm(finding) ? { ...finding, severity: "low" } : finding;
}

function isAlarm(finding: Finding): boolean {
  return severities.indexOf(finding.severity) >= provisionalFrom;
}

function hasMoved(before: Finding, after: Finding): boolean {
  return (
    severities.indexOf(after.severity) !== severities.indexOf(before.severity) ||
    Math.abs(after.score - before.score) >= scoreStep ||
    after.peerCount >= 2 * before.peerCount
  );
}
