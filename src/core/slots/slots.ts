import type { Configuration } from "../detectors/configuration.ts";
import { slotContacts, type Detector } from "../detectors/detector.ts";
import {
  periodBuckets,
  Refused,
  refusedBySource,
  refusedByTarget,
  refusedByPrefix,
  type Contacts,
  type PairContacts,
  type RecordIds,
} from "../flow/contacts.ts";
import { noSlot, slotCount, slotOf } from "../flow/keyed-hash.ts";
import type { Verdict } from "../verdict.ts";
import { bySource, Grouped } from "./grouped.ts";
import { NetworkFacts } from "./network-facts.ts";
import { Slot, slotBounds, type PendingVerdict, type SlotBounds } from "./slot.ts";
import { SlotSet } from "./slot-set.ts";
import type { StateReader } from "./state-bytes.ts";

export interface SlotsOptions {
  detectors: readonly Detector[];
  bounds?: SlotBounds;
}

/** How one batch is to be learnt. */
export interface LearnOptions {
  /** The slots that learn it; contacts of others are passed over. */
  wanted: SlotSet;
  /** As in the fold of the batch. */
  allowanceBuckets: number;
  receivedAtMs: number;
  /** What the slots judge by from now on. */
  configuration?: Configuration | undefined;
}

/** What a batch changed. */
export interface Learnt {
  /** New revisions. */
  verdicts: PendingVerdict[];
  /** Records that came too late for the slot of their source. */
  late: number;
}

/** A record that a slot has learnt from another batch. */
export interface KnownRecord {
  row: number;
  /** Union of `Refused.KnownToSource`, `KnownToTarget` and `KnownToPrefix`. */
  known: number;
}

/**
 * Memory that the slots of a shard may take before any of them has settled: an object has 128 MB. Beyond, those over
 * their own bound forget at once. Only a shard that grows by as much within five minutes gets there; what is forgotten
 * then depends on how its records were cut.
 */
const shardBytesMax = 88 * 1024 * 1024;

/** The slots of one shard: sorts a batch's contacts into them, and collects what they have to say. */
export class Slots {
  /** What is known of the network as a whole. */
  readonly facts = new NetworkFacts();
  readonly #options: SlotsOptions;
  #revisionMin = 0;
  readonly #slots: (Slot | undefined)[] = Array.from({ length: slotCount });

  constructor(options: SlotsOptions) {
    this.#options = options;
  }

  /** Learns one batch, once: whoever calls sees to that. */
  learn(contacts: Contacts, options: LearnOptions): Learnt {
    const { pairs, targets, prefixes, sessions, addressHash } = contacts;
    const slotOfAddress = new Uint8Array(addressHash.length);
    for (let i = 0; i < addressHash.length; i++) slotOfAddress[i] = slotOf(addressHash[i]);
    const placing = new Placing(this, options);
    const slotOfPair = placing.placePairs(pairs, slotOfAddress);
    const slotOfTarget = placing.place(targets.length, targets.target, targets.bucket, slotOfAddress);
    const slotOfPrefix = placing.place(prefixes.length, prefixes.prefix, prefixes.bucket, slotOfAddress);
    const slotOfSession = placing.place(
      sessions.length,
      sessions.source,
      sessions.bucket,
      slotOfAddress,
      sessions.refused,
    );
    placing.rememberRecords(contacts.records);
    const groups: Groups = {
      pairs: new Grouped(bySource(pairs, addressHash.length), slotOfPair, pairs.period),
      targets: new Grouped(undefined, slotOfTarget, targets.period),
      prefixes: new Grouped(undefined, slotOfPrefix, prefixes.period),
      sessions: new Grouped(undefined, slotOfSession, sessions.period),
    };
    const verdicts: PendingVerdict[] = [];
    for (let s = 0; s < slotCount; s++) {
      if (placing.latest[s] < 0) continue;
      for (const verdict of this.#learnSlot(s, contacts, groups, placing.latest[s], options)) {
        verdicts.push({ slot: s, verdict, receivedAtMs: options.receivedAtMs });
      }
    }
    return { verdicts, late: placing.late };
  }

  /** What came before event time entered a period is learnt before the slot settles, what came after, after. */
  #learnSlot(
    s: number,
    contacts: Contacts,
    groups: Groups,
    latest: number,
    { allowanceBuckets, receivedAtMs, configuration }: LearnOptions,
  ) {
    const slot = this.at(s);
    slot.configure(configuration);
    const verdicts: Verdict[] = [];
    const now = Math.floor(slot.watermark / periodBuckets);
    const all = Object.values(groups);
    for (let period = now; ;) {
      const next = Math.min(...all.map((group) => group.periodAfter(s, period)));
      const isAll = period === now && next === Infinity;
      const first = period === now ? 0 : period;
      const [pairs, targets, prefixes, sessions] = all.map((group) =>
        isAll ? group.all(s) : group.between(s, first, period),
      );
      const isEmpty = pairs.length + targets.length + prefixes.length + sessions.length === 0;
      if (!isEmpty) slot.learn(slotContacts(contacts, { pairs, targets, prefixes, sessions }));
      if (next === Infinity) break;
      verdicts.push(...slot.advance(next * periodBuckets, allowanceBuckets, receivedAtMs));
      period = next;
    }
    verdicts.push(...slot.advance(latest, allowanceBuckets, receivedAtMs));
    verdicts.push(...slot.judge(allowanceBuckets, receivedAtMs));
    slot.bound();
    return verdicts;
  }

  /** Whether slots must forget before they settle: only then is anything counted. */
  get isOverfull(): boolean {
    return (
      this.#sum((slot) => slot.bytesExpected) > shardBytesMax && this.#sum((slot) => slot.measure()) > shardBytesMax
    );
  }

  #sum(of: (slot: Slot) => number): number {
    return this.#slots.reduce((sum, slot) => sum + (slot ? of(slot) : 0), 0);
  }

  /** The records that slots among `wanted` have learnt from another batch. */
  known(records: RecordIds, wanted: SlotSet): KnownRecord[] {
    const found: KnownRecord[] = [];
    for (let i = 0; i < records.length; i++) {
      const { row, high, low, bucket, refused } = records;
      const isKnown = (slot: number) =>
        wanted.has(slot) && this.#slots[slot]?.recordIds.has(high[i], low[i], bucket[i]) === true;
      const known =
        (isKnown(records.sourceSlot[i]) ? Refused.KnownToSource : 0) |
        (isKnown(records.targetSlot[i]) ? Refused.KnownToTarget : 0) |
        (records.prefixSlot[i] !== noSlot && isKnown(records.prefixSlot[i]) ? Refused.KnownToPrefix : 0);
      if ((known & ~refused[i]) !== 0) found.push({ row: row[i], known });
    }
    return found;
  }

  /** The slot, made if need be. */
  at(s: number): Slot {
    return (this.#slots[s] ??= this.#make(s));
  }

  /** Replaces a slot by what `Slot.save` wrote. */
  restore(s: number, reader: StateReader): void {
    this.#slots[s] = this.#make(s, reader);
  }

  /** What all slots say from now on outranks what was stored before, up to `revision`. */
  outrank(revision: number): void {
    this.#revisionMin = revision;
    for (const slot of this.used()) slot.outrank(revision);
  }

  /** Of all slots, the greatest. */
  get revision(): number {
    return this.used().reduce((greatest, slot) => Math.max(greatest, slot.revision), this.#revisionMin);
  }

  forget(s: number): void {
    this.#slots[s] = undefined;
  }

  /** The slots that have seen anything. */
  used(): Slot[] {
    return this.#slots.filter((slot) => slot !== undefined);
  }

  has(s: number): boolean {
    return this.#slots[s] !== undefined;
  }

  #make(s: number, reader?: StateReader): Slot {
    const { detectors, bounds = slotBounds } = this.#options;
    const slot = new Slot(s, detectors, bounds, this.facts, reader);
    slot.outrank(this.#revisionMin);
    return slot;
  }
}

/** Contacts of one batch, by slot. */
interface Groups {
  pairs: Grouped;
  targets: Grouped;
  prefixes: Grouped;
  sessions: Grouped;
}

/** The slots that have something to learn from contacts: those of their sources, targets and prefixes. */
export function slotsOf({ pairs, targets, prefixes, addressHash }: Contacts): SlotSet {
  const slots = new SlotSet();
  for (let i = 0; i < pairs.length; i++) slots.add(slotOf(addressHash[pairs.source[i]]));
  for (let i = 0; i < targets.length; i++) slots.add(slotOf(addressHash[targets.target[i]]));
  for (let i = 0; i < prefixes.length; i++) slots.add(slotOf(addressHash[prefixes.prefix[i]]));
  return slots;
}

/** Finds the slot that learns each contact, judging lateness by what the slots had seen before the batch. */
class Placing {
  /** Records too late for the slot of their source. */
  late = 0;
  /** Per slot the greatest bucket of the batch, −1 where it has none. */
  readonly latest = new Float64Array(slotCount).fill(-1);
  readonly #slots: Slots;
  readonly #wanted = new Uint8Array(slotCount);
  /** Per slot the least bucket that is not late, by what it had seen before the batch. */
  readonly #timely = new Float64Array(slotCount);

  constructor(slots: Slots, { wanted, allowanceBuckets }: LearnOptions) {
    this.#slots = slots;
    for (const slot of wanted) {
      this.#wanted[slot] = 1;
      this.#timely[slot] = slots.at(slot).watermark - allowanceBuckets;
    }
  }

  /** Per pair its slot, −1 where none learns it. */
  placePairs(pairs: PairContacts, slotOfAddress: Uint8Array): Int16Array {
    const slotOfPair = new Int16Array(pairs.length);
    for (let i = 0; i < pairs.length; i++) {
      const slot = slotOfAddress[pairs.source[i]];
      const refused = pairs.refused[i] & refusedBySource;
      slotOfPair[i] = this.#place(slot, pairs.bucket[i], refused !== 0);
      if (slotOfPair[i] >= 0 || this.#wanted[slot] === 0 || (refused & Refused.KnownToSource) !== 0) continue;
      const records = pairs.requests[i] + pairs.replies[i];
      this.#slots.at(slot).counts.add("lateRecords", pairs.bucket[i], records);
      this.late += records;
    }
    return slotOfPair;
  }

  /** Per contact the slot of its entity, −1 where none learns it. */
  place(
    length: number,
    entity: Uint32Array,
    bucket: Uint32Array,
    slotOfAddress: Uint8Array,
    refused?: Uint8Array,
  ): Int16Array {
    const slotOfContact = new Int16Array(length);
    for (let i = 0; i < length; i++) {
      const isRefused = refused !== undefined && (refused[i] & refusedBySource) !== 0;
      slotOfContact[i] = this.#place(slotOfAddress[entity[i]], bucket[i], isRefused);
    }
    return slotOfContact;
  }

  rememberRecords({ length, high, low, bucket, sourceSlot, targetSlot, prefixSlot, refused }: RecordIds): void {
    const remember = (slot: number, i: number) => {
      if (this.#wanted[slot] === 0 || this.#isLate(slot, bucket[i])) return;
      this.#slots.at(slot).recordIds.add(high[i], low[i], bucket[i]);
    };
    for (let i = 0; i < length; i++) {
      if ((refused[i] & refusedBySource) === 0) remember(sourceSlot[i], i);
      if ((refused[i] & refusedByTarget) === 0) remember(targetSlot[i], i);
      if (prefixSlot[i] !== noSlot && (refused[i] & refusedByPrefix) === 0) remember(prefixSlot[i], i);
    }
  }

  #place(slot: number, bucket: number, isRefused: boolean): number {
    if (this.#wanted[slot] === 0) return -1;
    if (bucket > this.latest[slot]) this.latest[slot] = bucket;
    return isRefused || this.#isLate(slot, bucket) ? -1 : slot;
  }

  #isLate(slot: number, bucket: number): boolean {
    return bucket < this.#timely[slot];
  }
}
