import { bucketMs } from "../flow/contacts.ts";
import type { Slot } from "../slots/slot.ts";
import type { BatchLedger } from "./batch-ledger.ts";
import type { Journal } from "./journal.ts";
import type { KeySegments } from "./key-segments.ts";
import type { ShardGauges } from "./rpc.ts";
import type { Restored } from "./shard.ts";
import type { Snapshots } from "./snapshots.ts";
import type { StoredFacts } from "./stored-facts.ts";

/** What a shard says of itself. */
export function gaugesOf(
  used: readonly Slot[],
  ledger: BatchLedger,
  journal: Journal,
  snapshots: Snapshots,
  keys: KeySegments,
  facts: StoredFacts,
  restored: Restored,
): ShardGauges {
  const pending = used.flatMap((slot) => [...slot.pending()]);
  const sum = (of: (slot: (typeof used)[number]) => number) => used.reduce((total, slot) => total + of(slot), 0);
  const greatest = (values: number[]) => values.reduce((most, value) => Math.max(most, value), 0);
  const least = (values: number[]) => values.reduce((first, value) => Math.min(first, value), Number.POSITIVE_INFINITY);
  const watermark = greatest(used.map((slot) => slot.watermark));
  return {
    slots: used.length,
    entities: sum((slot) => slot.entities),
    state_bytes: sum((slot) => slot.bytes),
    slot_state_bytes_max: greatest(used.map((slot) => slot.bytes)),
    evicted_entities: sum((slot) => slot.counts.total.evictedEntities),
    late_records: sum((slot) => slot.counts.total.lateRecords),
    record_ids: sum((slot) => slot.recordIds.count),
    record_ids_forgotten: sum((slot) => slot.recordIds.forgotten),
    watermark_ms: watermark === 0 ? null : watermark * bucketMs,
    log_entries: journal.entries,
    log_rows: journal.rows,
    log_bytes: journal.bytes,
    dirty_slots: snapshots.dirtySlots,
    batch_keys: ledger.size,
    batch_keys_forgotten: ledger.forgotten,
    batch_keys_since_ms: ledger.oldestReceivedAtMs ?? null,
    pending_verdicts: pending.length,
    pending_since_ms: pending.length === 0 ? null : least(pending.map(({ receivedAtMs }) => receivedAtMs)),
    rows_written: {
      log: journal.rowsWritten,
      state: snapshots.rowsWritten,
      keys: keys.rowsWritten,
      facts: facts.rowsWritten,
      alarm: 0,
    },
    log_bytes_written: journal.bytesWritten,
    restored: {
      entries: restored.entries,
      rows: restored.rows,
      bytes: restored.bytes,
      set_aside: restored.setAside,
      lost_slots: restored.lost.length,
    },
  };
}
