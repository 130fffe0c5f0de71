import type { Contacts } from "../flow/contacts.ts";
import { allowanceBuckets } from "../flow/fold.ts";
import { unpackContacts } from "../flow/pack-contacts.ts";
import type { Detector } from "../detectors/detector.ts";
import { byReason, candidatesMax, type Candidate } from "../features/candidate.ts";
import { SlotSet } from "../slots/slot-set.ts";
import type { Acknowledgement, PendingVerdict, Slot, SlotBounds } from "../slots/slot.ts";
import { Slots, slotsOf } from "../slots/slots.ts";
import { NetworkFacts, type PackedFacts } from "../slots/network-facts.ts";
import { StateReader } from "../slots/state-bytes.ts";
import { BatchLedger } from "./batch-ledger.ts";
import type { Entry, EntryHead } from "./entry.ts";
import { gaugesOf } from "./gauges.ts";
import { Journal } from "./journal.ts";
import { KeySegments } from "./key-segments.ts";
import { movedSlots, movedSlotsOf } from "./moved-slots.ts";
import type { ApplyRequest, ApplyResult, EndRequest, ShardGauges } from "./rpc.ts";
import { logBounds, Snapshots, type LogBounds } from "./snapshots.ts";
import type { ShardStorage } from "./storage.ts";
import { StoredFacts } from "./stored-facts.ts";

export interface ShardOptions {
  storage: ShardStorage;
  detectors: readonly Detector[];
  bounds?: SlotBounds;
  log?: LogBounds;
}

/** Verdicts that may wait for D1, 2 KiB each: 20 MiB. Beyond, a shard takes no more, so that none is lost. */
export const pendingMax = 10_000;
/** How long a request may have waited in line, in ms: who waited longer has likely been given up by its shipper. */
const waitMsMax = 5_000;

/** More revisions than a slot makes while a log fills; and than it makes in its life, where its past is lost. */
const revisionLeap = 1e6;
const revisionLeapOfLost = 1e9;

/** What a restore found. */
export interface Restored {
  /** Log entries that were done again. */
  entries: number;
  rows: number;
  bytes: number;
  /** Blobs that could not be read. */
  setAside: number;
  /** Slots that lost their past. */
  lost: number[];
}

/**
 * The memory of a tenant's entities, or of a part of them: slots, the log that makes them durable, and the keys of what
 * was applied. Every method is synchronous, so that nothing can come between the log and the state; every one that
 * changes something is all or nothing, if its caller drops the shard whenever one throws.
 */
export class Shard {
  readonly restored: Restored;
  readonly #storage: ShardStorage;
  readonly #logBounds: LogBounds;
  readonly #slots: Slots;
  readonly #ledger = new BatchLedger();
  readonly #journal: Journal;
  readonly #snapshots: Snapshots;
  readonly #keys: KeySegments;
  readonly #facts: StoredFacts;
  readonly #versions: { readonly [id: string]: number };
  /** Stored by this shard itself: goes into the log with the next entry. */
  #delivered: Acknowledgement[] = [];
  #isReplaying = true;

  constructor({ storage, detectors, bounds, log = logBounds }: ShardOptions) {
    this.#storage = storage;
    this.#logBounds = log;
    this.#slots = new Slots(bounds ? { detectors, bounds } : { detectors });
    this.#versions = Object.fromEntries(detectors.map(({ id, version }) => [id, version]));
    this.#journal = new Journal(storage);
    this.#snapshots = new Snapshots(storage, log);
    this.#keys = new KeySegments(storage);
    this.#facts = new StoredFacts(storage);
    this.restored = this.#restore();
    // Those of a replay were shown before.
    this.takeCandidates();
  }

  /** Learns one part of a batch: logs it, then changes state. A repeat does what is missing, and changes nothing else. */
  apply(request: ApplyRequest, nowMs: number): ApplyResult {
    if (nowMs - request.sentAtMs > waitMsMax || this.pendingCount >= pendingMax) return { status: "overloaded" };
    const contacts = unpackContacts(request.contacts);
    const concerned = slotsOf(contacts);
    const key = request.batchKey.slice(0, 32) + (request.part === 0 ? "" : `/${request.part}`);
    const digest = request.bodyDigest.slice(0, 16);
    const before = this.#ledger.find(key);
    if (before && before.digest !== digest) return { status: "conflict" };
    const wanted = before ? concerned.without(before.slots) : concerned;
    if (before && wanted.isEmpty) return { status: "duplicate", late: before.late };
    const moved = [...wanted].filter((slot) => this.#snapshots.released.has(slot));
    if (moved.length > 0) return { status: "moved", slots: moved };
    const known = this.#slots.known(contacts.records, wanted);
    if (known.length > 0) return { status: "known_records", records: known };

    const { receivedAtMs, acknowledged, configuration } = request;
    const buckets = allowanceBuckets(request.allowanceMs);
    const done = this.#do(
      { kind: "batch", key, digest, slots: [...wanted.words], allowanceBuckets: buckets, receivedAtMs, configuration },
      new Uint8Array(request.contacts),
      acknowledged,
      { contacts, facts: request.facts },
    );
    if (this.#slots.isOverfull) this.#do({ kind: "forget", receivedAtMs }, nothing, []);
    const late = done.late + (before?.late ?? 0);
    return {
      status: "applied",
      late,
      repaired: before !== undefined,
      verdicts: done.verdicts,
      candidates: this.takeCandidates(),
      factsRevision: this.#slots.facts.revision,
      decidedAtMs: nowMs,
    };
  }

  /** The input has ended: closes every window. */
  end({ receivedAtMs, acknowledged, facts, configuration }: EndRequest): PendingVerdict[] {
    return this.#do({ kind: "end", receivedAtMs, configuration }, nothing, acknowledged, { facts }).verdicts;
  }

  /** What models should look at, since the last call; those of the best reasons, where there are many. */
  takeCandidates(): Candidate[] {
    const all = this.#slots.used().flatMap((slot) => slot.takeCandidates());
    return all.length <= candidatesMax ? all : all.sort(byReason).slice(0, candidatesMax);
  }

  /** What its slots know of the network as a whole; that of open windows only if `everything` is asked for. */
  facts(everything: boolean): PackedFacts {
    const facts = this.#slots.facts.copy();
    if (everything) for (const slot of this.#owned()) slot.tell(facts);
    return facts.packed();
  }

  /**
   * Takes no more for these slots, and gives what another shard needs to go on with them. May be repeated until that
   * has them.
   */
  exportSlots(slots: SlotSet, receivedAtMs: number): Uint8Array<ArrayBuffer> {
    const bytes = movedSlots(this.#slots, this.#ledger, slots);
    if (!slots.without(this.#snapshots.released).isEmpty) {
      this.#do({ kind: "release", slots: [...slots.words], receivedAtMs }, nothing, []);
    }
    return bytes;
  }

  /** Goes on with slots that another shard gave away. `move` rises with each: one that is done changes nothing again. */
  importSlots(slots: SlotSet, bytes: Uint8Array<ArrayBuffer>, move: number, receivedAtMs: number): void {
    this.#do({ kind: "adopt", slots: [...slots.words], move, receivedAtMs }, bytes, []);
  }

  /** Verdicts not known to be stored. */
  pending(): PendingVerdict[] {
    return this.#owned().flatMap((slot) => [...slot.pending()]);
  }

  get pendingCount(): number {
    return this.#owned().reduce((sum, slot) => sum + slot.pendingCount, 0);
  }

  /** The shard's owner has stored these itself. */
  acknowledge(stored: readonly Acknowledgement[]): void {
    this.#acknowledge(stored, false);
    this.#delivered.push(...stored);
  }

  gauges(): ShardGauges {
    return gaugesOf(
      this.#owned(),
      this.#ledger,
      this.#journal,
      this.#snapshots,
      this.#keys,
      this.#facts,
      this.restored,
    );
  }

  /** What other shards know of the network. */
  #hear(told: PackedFacts | undefined): void {
    if (told) this.#slots.facts.merge(NetworkFacts.unpacked(told));
  }

  /** Without the slots that were given away. */
  #owned(): Slot[] {
    return this.#slots.used().filter(({ index }) => !this.#snapshots.released.has(index));
  }

  /** Logs what is to be done, does it, and keeps snapshots in step. */
  #do(
    head: HeadToDo,
    payload: Uint8Array<ArrayBuffer>,
    acknowledged: readonly Acknowledgement[],
    { contacts, facts: told }: { contacts?: Contacts; facts?: PackedFacts | undefined } = {},
  ): Done {
    const all: EntryHead = { ...head, acknowledged: [...acknowledged, ...this.#delivered], detectors: this.#versions };
    let done: Done = { verdicts: [], late: 0 };
    this.#storage.atomically(() => {
      const [rows, bytes] = [this.#journal.rows, this.#journal.bytes];
      const sequence = this.#journal.append(all, payload);
      this.#delivered = [];
      this.#hear(told);
      done = this.#redo(sequence, { ...all, payload }, () => true, contacts);
      this.#facts.keep(this.#slots.facts);
      this.#keepUp(this.#journal.rows - rows, this.#journal.bytes - bytes);
    });
    return done;
  }

  /** Does what an entry says to those of its slots for which `isWanted`, and to the keys. The only thing that changes state. */
  #redo(sequence: number, entry: Entry, isWanted: (slot: number) => boolean, contacts?: Contacts): Done {
    this.#acknowledge(entry.acknowledged, this.#isReplaying);
    switch (entry.kind) {
      case "batch":
        return this.#learn(sequence, entry, contacts ?? unpackContacts(entry.payload.buffer), isWanted);
      case "end": {
        const open = this.#owned().filter(({ index }) => isWanted(index));
        for (const slot of open) {
          this.#snapshots.touch(slot.index, sequence);
          slot.configure(entry.configuration);
          slot.tell(this.#slots.facts);
        }
        const end = (slot: Slot) =>
          slot
            .end(entry.receivedAtMs)
            .map((verdict) => ({ slot: slot.index, verdict, receivedAtMs: entry.receivedAtMs }));
        return { verdicts: open.flatMap(end), late: 0 };
      }
      case "forget":
        for (const slot of this.#slots.used().filter(({ index }) => isWanted(index))) {
          slot.boundAtOnce();
          this.#snapshots.touch(slot.index, sequence);
        }
        return nothingDone;
      case "outrank":
        this.#slots.outrank(entry.revision);
        this.#snapshots.raise(entry.revision, sequence);
        return nothingDone;
      case "release":
        for (const slot of new SlotSet(entry.slots)) if (isWanted(slot)) this.#giveAway(slot, sequence);
        return nothingDone;
      case "adopt":
        return this.#adopt(sequence, entry, isWanted);
    }
  }

  #learn(
    sequence: number,
    entry: Entry & { kind: "batch" },
    contacts: Contacts,
    isWanted: (slot: number) => boolean,
  ): Done {
    const slots = new SlotSet(entry.slots);
    const wanted = new SlotSet();
    for (const slot of slots) {
      if (!isWanted(slot)) continue;
      wanted.add(slot);
      this.#snapshots.touch(slot, sequence);
    }
    const { key, digest, receivedAtMs, allowanceBuckets: buckets, configuration } = entry;
    const done = this.#slots.learn(contacts, { wanted, allowanceBuckets: buckets, receivedAtMs, configuration });
    if (sequence > this.#keys.covered) {
      this.#ledger.add({ key, digest, receivedAtMs, slots, late: done.late });
      this.#keys.touch(sequence);
    }
    return done;
  }

  #giveAway(slot: number, sequence: number): void {
    this.#snapshots.released.add(slot);
    this.#snapshots.touch(slot, sequence);
  }

  #adopt(sequence: number, entry: Entry & { kind: "adopt" }, isWanted: (slot: number) => boolean): Done {
    const { states, batches } = movedSlotsOf(entry.payload);
    for (const slot of new SlotSet(entry.slots)) {
      if (!isWanted(slot) || (this.#slots.has(slot) && this.#slots.at(slot).move >= entry.move)) continue;
      const state = states.get(slot);
      if (state) this.#slots.restore(slot, new StateReader(state));
      else this.#slots.forget(slot);
      this.#slots.at(slot).move = entry.move;
      this.#snapshots.released.delete(slot);
      this.#snapshots.touch(slot, sequence);
    }
    if (sequence > this.#keys.covered) {
      for (const batch of batches) this.#ledger.add(batch);
      this.#keys.touch(sequence);
    }
    return nothingDone;
  }

  /** Writes the snapshots that are due, and gives back the log rows that they cover. */
  #keepUp(rows: number, bytes: number): void {
    const { sequence } = this.#journal;
    let isDue = this.#snapshots.isDue(rows, bytes);
    const { rowsMax, bytesMax } = this.#logBounds;
    while (isDue || this.#journal.rows > rowsMax || this.#journal.bytes > bytesMax) {
      const keysHold = this.#keys.firstNeeded < this.#snapshots.firstNeeded;
      if (this.#keys.isFull(this.#ledger) || keysHold) this.#keys.write(this.#ledger, sequence);
      if (this.#snapshots.firstNeeded <= sequence) this.#snapshots.write(this.#slots, sequence);
      this.#journal.release(Math.min(this.#keys.firstNeeded, this.#snapshots.firstNeeded));
      isDue = false;
    }
  }

  #acknowledge(acknowledged: readonly Acknowledgement[], isReplay: boolean): void {
    for (const one of acknowledged) {
      if (this.#slots.has(one.slot)) this.#slots.at(one.slot).acknowledge(one, isReplay);
    }
  }

  /** Snapshots, then of the log what each of them lacks. */
  #restore(): Restored {
    this.#facts.restore(this.#slots.facts);
    const state = this.#snapshots.restore(this.#slots);
    this.#slots.outrank(this.#snapshots.revisionMin);
    for (const slot of state.lost) this.#slots.at(slot).startOver();
    const keys = this.#keys.restore(this.#ledger);
    const log = this.#journal.restore();
    for (const { sequence, entry } of log.entries) {
      this.#redo(sequence, entry, (slot) => this.#snapshots.covered(slot) < sequence);
    }
    if (log.setAside + state.setAside > 0) this.#markDamage(log);
    this.#journal.release(Math.min(this.#keys.firstNeeded, this.#snapshots.firstNeeded));
    this.#isReplaying = false;
    this.#outrank(log, state.lost.length > 0);
    return {
      entries: log.entries.length,
      rows: state.rows + keys.rows + log.rows,
      bytes: state.bytes + log.bytes,
      setAside: state.setAside + keys.setAside + log.setAside,
      lost: state.lost,
    };
  }

  /**
   * What is said from here on shall outrank what was said before. A replay comes to the same final verdicts, but not by
   * the same provisional ones: what detectors only use to look seldom is not saved. Written down, so that the next
   * restore outranks this one.
   */
  #outrank({ entries, setAside }: JournalContent, hasLost: boolean): void {
    const isOther = ({ entry }: JournalContent["entries"][number]) =>
      Object.entries(this.#versions).some(([id, version]) => entry.detectors[id] !== version);
    const isLost =
      hasLost || setAside > 0 || entries.some(isOther) || this.#slots.used().some((slot) => slot.hasOtherVersions);
    if (!isLost && entries.length === 0) return;
    const revision = this.#slots.revision + (isLost ? revisionLeapOfLost : revisionLeap);
    this.#do({ kind: "outrank", revision, receivedAtMs: 0 }, nothing, []);
  }

  /** Entries are missing: slots whose snapshots may lack some of them say so. */
  #markDamage({ entries, setAside }: JournalContent): void {
    /** From here on no entry is missing. */
    let unbroken = 0;
    entries.forEach(({ sequence }, i) => {
      if (i === 0 || sequence !== entries[i - 1].sequence + 1) unbroken = sequence;
    });
    for (const slot of this.#slots.used()) {
      if (setAside > 0 || this.#snapshots.covered(slot.index) < unbroken - 1) slot.startOver();
    }
  }
}

type JournalContent = ReturnType<Journal["restore"]>;

type HeadToDo = EntryHead extends infer H
  ? H extends EntryHead
    ? Omit<H, "acknowledged" | "detectors">
    : never
  : never;

interface Done {
  verdicts: PendingVerdict[];
  late: number;
}

const nothing = new Uint8Array(0);
const nothingDone: Done = { verdicts: [], late: 0 };
