import { SlotSet } from "../slots/slot-set.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";

/** How long a batch key is remembered: the longest a shipper repeats a request (Firehose), in ms. */
const rememberedMs = 2 * 3_600_000;

/** Keys remembered at most, 250 bytes each: 8 MB of an object's 128 MB. Beyond, the oldest are forgotten first. */
export const keysMax = 32_768;

/** What is known of a batch that was applied. */
export interface AppliedBatch {
  /** 32 hex digits: the first half of the batch key, which nobody else shares, and the part of the batch. */
  key: string;
  /** First 16 hex digits of the SHA-256 of the decoded body. */
  digest: string;
  receivedAtMs: number;
  /** The slots that it was applied to. */
  slots: SlotSet;
  /** Records that came too late for the slots of their sources. */
  late: number;
}

/**
 * Which batches were applied, and to which slots, so that a repeat does what is missing and nothing else. Insertion
 * order is order of receipt.
 *
 * Saved in segments, each with what was added since the one before: a few KiB, whatever the number of keys.
 */
export class BatchLedger {
  /** Keys forgotten before their time. */
  forgotten = 0;
  readonly #applied = new Map<string, AppliedBatch>();
  /** Added since the last segment. */
  #unsaved: AppliedBatch[] = [];
  /** Nearly all batches concern the same slots: they share one set. */
  #lastSlots = new SlotSet();

  find(key: string): AppliedBatch | undefined {
    return this.#applied.get(key);
  }

  /** Adds a batch, or more slots of one that is known. */
  add(batch: AppliedBatch): void {
    const before = this.#applied.get(batch.key);
    const merged = before
      ? { ...before, slots: before.slots.union(batch.slots), late: before.late + batch.late }
      : batch;
    this.#remember(merged);
    this.#unsaved.push(merged);
    this.#forgetOld(batch.receivedAtMs);
  }

  get size(): number {
    return this.#applied.size;
  }

  get unsaved(): number {
    return this.#unsaved.length;
  }

  /** Receipt of the oldest key that is remembered. */
  get oldestReceivedAtMs(): number | undefined {
    for (const { receivedAtMs } of this.#applied.values()) return receivedAtMs;
    return undefined;
  }

  values(): Iterable<AppliedBatch> {
    return this.#applied.values();
  }

  /** Writes what was added since the last call. */
  saveAdded(writer: StateWriter): void {
    saveBatches(this.#unsaved, writer);
    this.#unsaved = [];
  }

  /** Adds what `saveAdded` wrote: segments come in the order in which they were written. */
  load(reader: StateReader): void {
    for (const batch of loadBatches(reader)) {
      this.#applied.delete(batch.key);
      this.#remember(batch);
    }
  }

  #remember(batch: AppliedBatch): void {
    const isSame = this.#lastSlots.words.every((word, i) => word === batch.slots.words[i]);
    if (!isSame) this.#lastSlots = batch.slots;
    this.#applied.set(batch.key, { ...batch, slots: this.#lastSlots });
  }

  #forgetOld(nowMs: number): void {
    for (const [key, { receivedAtMs }] of this.#applied) {
      const isOld = receivedAtMs < nowMs - rememberedMs;
      if (!isOld && this.#applied.size <= keysMax) return;
      if (!isOld) this.forgotten++;
      this.#applied.delete(key);
    }
  }
}

export function saveBatches(batches: readonly AppliedBatch[], writer: StateWriter): void {
  writer.u32(batches.length);
  for (const { key, digest, receivedAtMs, slots, late } of batches) {
    writer.text(key);
    writer.text(digest);
    writer.numbers([receivedAtMs, late]);
    writer.words(Array.from(slots.words));
  }
}

export function loadBatches(reader: StateReader): AppliedBatch[] {
  return Array.from({ length: reader.u32() }, () => {
    const [key, digest, [receivedAtMs, late], words] = [reader.text(), reader.text(), reader.numbers(), reader.words()];
    return { key, digest, receivedAtMs, late, slots: new SlotSet(words) };
  });
}
