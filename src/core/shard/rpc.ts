import type { Configuration } from "../detectors/configuration.ts";
import type { Candidate } from "../features/candidate.ts";
import type { PackedContacts } from "../flow/pack-contacts.ts";
import type { KnownRecord } from "../slots/slots.ts";
import type { PackedFacts } from "../slots/network-facts.ts";
import type { Acknowledgement, PendingVerdict } from "../slots/slot.ts";

/** One part of a batch, for one shard. */
export interface ApplyRequest {
  /** Names the batch: 64 hex digits, over tenant, principal and the shipper's own id or the decoded body. */
  batchKey: string;
  /** A batch of more than `contactsMax` contacts comes in parts, in order; each is remembered by itself. */
  part: number;
  /** SHA-256 of the decoded body in hex: the same key with another body is a conflict. */
  bodyDigest: string;
  contacts: PackedContacts;
  /** As in the fold of the contacts. */
  allowanceMs: number;
  receivedAtMs: number;
  /** When the request left, by the Worker's clock: how long it waited in line. */
  sentAtMs: number;
  /** Verdicts of this shard that are stored. */
  acknowledged: readonly Acknowledgement[];
  /** What the tenant's other shards know of the network, where that is news. */
  facts?: PackedFacts | undefined;
  /** In force for the tenant; without it, slots go on by what they have. */
  configuration?: Configuration | undefined;
}

export type ApplyResult =
  | {
      status: "applied";
      /** Records whose end lay further than the allowance below their source slot's watermark; not learnt. */
      late: number;
      /** Whether some slots had learnt the batch before: a repeat completed it. */
      repaired: boolean;
      /** New revisions since the last call. */
      verdicts: PendingVerdict[];
      /** Hosts that models should look at, at most `candidatesMax`. */
      candidates: Candidate[];
      /** Rises with each change of what it knows of the network, while the object lives. */
      factsRevision: number;
      decidedAtMs: number;
    }
  /** The batch was applied before, to every slot: nothing changed. */
  | { status: "duplicate"; late: number }
  /** The key was used for another body: nothing changed. */
  | { status: "conflict" }
  /** Slots know these records from other batches: nothing changed. Fold again without them. */
  | { status: "known_records"; records: KnownRecord[] }
  /** Some of the slots are another shard's now: nothing changed. */
  | { status: "moved"; slots: number[] }
  /** Too much is queued here: nothing changed. */
  | { status: "overloaded" };

export interface EndRequest {
  receivedAtMs: number;
  acknowledged: readonly Acknowledgement[];
  /** What all of the tenant's shards know of the network, open windows included. */
  facts?: PackedFacts | undefined;
  /** As with `apply`. */
  configuration?: Configuration | undefined;
}

export interface EndResult {
  /** All that are not known to be stored: those of an earlier call whose answer was lost as well. */
  verdicts: PendingVerdict[];
  candidates: Candidate[];
  decidedAtMs: number;
}

/** What a shard says of itself; sums over its slots. */
export interface ShardGauges {
  slots: number;
  entities: number;
  state_bytes: number;
  /** Of the fullest slot. */
  slot_state_bytes_max: number;
  evicted_entities: number;
  late_records: number;
  record_ids: number;
  record_ids_forgotten: number;
  /** End of the newest record, in ms since 1970; null before the first. */
  watermark_ms: number | null;
  log_entries: number;
  log_rows: number;
  log_bytes: number;
  dirty_slots: number;
  batch_keys: number;
  /** Keys forgotten before their two hours were over. */
  batch_keys_forgotten: number;
  /** Since when keys are held, in ms since 1970; null while there is none. */
  batch_keys_since_ms: number | null;
  /** Verdicts not known to be stored. */
  pending_verdicts: number;
  pending_since_ms: number | null;
  /** Since the object started; an alarm that is set is a row as well. */
  rows_written: { log: number; state: number; keys: number; facts: number; alarm: number };
  log_bytes_written: number;
  /** What the last restore found. */
  restored: { entries: number; rows: number; bytes: number; set_aside: number; lost_slots: number };
}
