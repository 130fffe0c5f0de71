import { SlotSet } from "../slots/slot-set.ts";
import type { Slots } from "../slots/slots.ts";
import { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { loadBatches, saveBatches, type AppliedBatch, type BatchLedger } from "./batch-ledger.ts";

/** What another shard needs to go on with slots: their state, and their bits of every batch key. */
export function movedSlots(slots: Slots, ledger: BatchLedger, moving: SlotSet): Uint8Array<ArrayBuffer> {
  const writer = new StateWriter(1 << 20);
  const used = [...moving].filter((slot) => slots.has(slot));
  writer.u32(used.length);
  for (const slot of used) {
    writer.u32(slot);
    writer.block((block) => slots.at(slot).save(block));
  }
  // Late records were counted where the batch was applied.
  const batches = [...ledger.values()]
    .map((batch) => ({ ...batch, slots: batch.slots.intersection(moving), late: 0 }))
    .filter((batch) => !batch.slots.isEmpty);
  saveBatches(batches, writer);
  return writer.bytes().slice();
}

/** What `movedSlots` wrote. */
export function movedSlotsOf(bytes: Uint8Array): { states: Map<number, Uint8Array>; batches: AppliedBatch[] } {
  const reader = new StateReader(bytes);
  const states = new Map<number, Uint8Array>();
  for (let left = reader.u32(); left > 0; left--) states.set(reader.u32(), reader.block());
  return { states, batches: loadBatches(reader) };
}
