import { slotCount } from "../flow/keyed-hash.ts";
import { SlotSet } from "../slots/slot-set.ts";
import type { Slots } from "../slots/slots.ts";
import { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { Assembly, framesOf } from "./frames.ts";
import { blobBytesMax, type ShardStorage } from "./storage.ts";

/** Log that may wait for snapshots, which is what a restore has to do again. */
export interface LogBounds {
  rowsMax: number;
  bytesMax: number;
}

/** A second or two of work, and 16 MiB to read. */
export const logBounds: LogBounds = { rowsMax: 256, bytesMax: 16 * 1024 * 1024 };

/** What a snapshot blob is filled up to: the last slot may exceed it by as much again, and goes into a second row. */
const blobBytesWanted = 0.75 * blobBytesMax;

/** Blobs are written somewhat faster than the log fills, so that its bounds are seldom reached. */
const pace = 1.25;

/**
 * Snapshots of slots, as blobs of some slots each. Slots that changed are written in the order in which they began to
 * differ from what is stored, one blob at a time between batches: the work keeps step with the log, and nobody ever
 * waits for all of it. A blob may be written over once newer ones hold all of its slots.
 *
 *     latest snapshot of each slot, by number of log entry (256 × 8 bytes) | slots that were given away, as a set
 *     revision that all slots outrank | count | (slot, number of log entry, block)*
 */
export class Snapshots {
  rowsWritten = 0;
  /** Slots that were given away: who asks for them asks the wrong shard. */
  released = new SlotSet();
  /** What all slots outrank since the last restore that had to replay. */
  revisionMin = 0;
  /** The log entry that raised it, while no blob says so; 0 if one does. */
  #raisedSince = 0;
  /** Number of the last blob. */
  #number = 0;
  readonly #storage: ShardStorage;
  readonly #bounds: LogBounds;
  /** Per slot: the log entry up to which its snapshot reaches, 0 while there is none. */
  readonly #covered = new Float64Array(slotCount);
  /** Per slot: the first log entry that its snapshot lacks, 0 where it lacks nothing. */
  readonly #dirtySince = new Float64Array(slotCount);
  /** Per slot: bytes of its last snapshot. */
  readonly #bytes = new Float64Array(slotCount).fill(blobBytesMax / slotCount);
  /** Per slot: the blob that holds it. */
  readonly #blobOf = new Float64Array(slotCount);
  /** Places of each blob. */
  readonly #places = new Map<number, number[]>();
  readonly #freePlaces: number[] = [];
  #placeCount = 0;
  /** Blobs that should have been written by now, as a fraction. */
  #due = 0;

  constructor(storage: ShardStorage, bounds: LogBounds) {
    this.#storage = storage;
    this.#bounds = bounds;
  }

  /** Restores the slots; answers those whose snapshot is lost, and how many blobs were set aside. */
  restore(slots: Slots): { lost: number[]; setAside: number; rows: number; bytes: number } {
    const assembly = new Assembly();
    let rows = 0;
    let bytes = 0;
    for (const blob of this.#storage.read("state")) {
      assembly.add(blob.place, blob.bytes);
      this.#placeCount = Math.max(this.#placeCount, blob.place + 1);
      rows++;
      bytes += blob.bytes?.length ?? 0;
    }
    for (const place of assembly.bad) this.#storage.setAside("state", place);
    const latest = new Map<number, Uint8Array>();
    let expected = new Float64Array(slotCount);
    for (const { number, places, bytes: text } of assembly.texts()) {
      this.#number = number;
      this.#places.set(number, places);
      const blob = new StateReader(text);
      expected = Float64Array.from(blob.numbers());
      this.released = new SlotSet(blob.words());
      this.revisionMin = blob.f64();
      for (let left = blob.u32(); left > 0; left--) {
        const [slot, covered, state] = [blob.u32(), blob.f64(), blob.block()];
        this.#covered[slot] = covered;
        this.#blobOf[slot] = number;
        this.#bytes[slot] = state.length;
        latest.set(slot, state);
      }
    }
    const lost: number[] = [];
    for (let slot = 0; slot < slotCount; slot++) {
      const isLost = this.#covered[slot] < expected[slot] || (assembly.bad.length > 0 && !latest.has(slot));
      if (isLost) {
        lost.push(slot);
        this.#covered[slot] = 0;
        continue;
      }
      const state = latest.get(slot);
      if (state && state.length > 0) slots.restore(slot, new StateReader(state));
    }
    const used = new Set([...this.#places.values()].flat());
    for (let place = 0; place < this.#placeCount; place++) if (!used.has(place)) this.#freePlaces.push(place);
    this.#reclaim();
    return { lost, setAside: assembly.bad.length, rows, bytes };
  }

  /** The log entry up to which the slot's snapshot reaches. */
  covered(slot: number): number {
    return this.#covered[slot];
  }

  /** The slot changed by this entry of the log. */
  touch(slot: number, sequence: number): void {
    if (this.#dirtySince[slot] === 0) this.#dirtySince[slot] = sequence;
  }

  /** From this entry of the log on, all slots outrank `revision`. */
  raise(revision: number, sequence: number): void {
    this.revisionMin = Math.max(this.revisionMin, revision);
    if (this.#raisedSince === 0) this.#raisedSince = sequence;
  }

  get dirtySlots(): number {
    return this.#dirtySince.reduce((sum, since) => sum + (since > 0 ? 1 : 0), 0);
  }

  /** The first log entry that some snapshot lacks; infinite if none does. */
  get firstNeeded(): number {
    let first = this.#raisedSince > 0 ? this.#raisedSince : Number.POSITIVE_INFINITY;
    for (const since of this.#dirtySince) if (since > 0 && since < first) first = since;
    return first;
  }

  /** After so much of log has been written: whether a blob is due. */
  isDue(rows: number, bytes: number): boolean {
    const blobs = Math.max(1, this.#dirtyBytes() / blobBytesWanted);
    this.#due += pace * blobs * Math.max(rows / this.#bounds.rowsMax, bytes / this.#bounds.bytesMax);
    return this.#due >= 1;
  }

  /** Writes a blob of the slots that have been dirty longest. Within `atomically`. */
  write(slots: Slots, sequence: number): void {
    const dirty = [...this.#dirtySince.keys()]
      .filter((slot) => this.#dirtySince[slot] > 0)
      .sort((a, b) => this.#dirtySince[a] - this.#dirtySince[b] || a - b);
    const states = new StateWriter(blobBytesMax);
    const written: number[] = [];
    for (const slot of dirty) {
      if (written.length > 0 && states.length + this.#bytes[slot] > blobBytesWanted) break;
      written.push(slot);
      const at = states.length;
      states.u32(slot);
      states.f64(sequence);
      states.block((block) => {
        if (slots.has(slot)) slots.at(slot).save(block);
      });
      this.#bytes[slot] = states.length - at;
    }
    this.#number++;
    for (const slot of written) {
      this.#covered[slot] = sequence;
      this.#dirtySince[slot] = 0;
      this.#blobOf[slot] = this.#number;
    }
    const blob = new StateWriter(states.length + 4096);
    blob.numbers(Array.from(this.#covered));
    blob.words(Array.from(this.released.words));
    blob.f64(this.revisionMin);
    this.#raisedSince = 0;
    blob.u32(written.length);
    blob.append(states.bytes());
    this.#store(blob.bytes());
    this.#due = Math.max(0, this.#due - 1);
    this.#reclaim();
  }

  #store(bytes: Uint8Array): void {
    const places = framesOf(this.#number, bytes).map((frame) => {
      const place = this.#freePlaces.pop() ?? this.#placeCount++;
      this.#storage.write("state", place, frame);
      this.rowsWritten++;
      return place;
    });
    this.#places.set(this.#number, places);
  }

  /** Frees the blobs that newer ones replace; never the newest, which says what there is. */
  #reclaim(): void {
    const held = new Set(this.#blobOf).add(this.#number);
    for (const [number, places] of this.#places) {
      if (held.has(number)) continue;
      this.#freePlaces.push(...places);
      this.#places.delete(number);
    }
  }

  #dirtyBytes(): number {
    return this.#dirtySince.reduce((sum, since, slot) => sum + (since > 0 ? this.#bytes[slot] : 0), 0);
  }
}
