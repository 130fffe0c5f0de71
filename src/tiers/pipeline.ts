import { contactsMax } from "../core/flow/contacts.ts";
import { keysMax } from "../core/shard/batch-ledger.ts";
import type { ShardGauges } from "../core/shard/rpc.ts";
import { pendingMax } from "../core/shard/shard.ts";
import { logBounds } from "../core/shard/snapshots.ts";
import { slotBounds } from "../core/slots/slot.ts";
import type { TenantSettings } from "../security/tenant.ts";
import { callShard, isShardFailure, shardsOf, type ShardFailure } from "./shard-call.ts";
import type { ProcessParts } from "./store-verdicts.ts";

/** What bounds a shard. */
const bounds = {
  contacts_per_part: contactsMax,
  slot_state_bytes: slotBounds.stateBytesMax,
  slot_state_bytes_hard: slotBounds.stateBytesHardMax,
  log_rows: logBounds.rowsMax,
  log_bytes: logBounds.bytesMax,
  batch_keys: keysMax,
  pending_verdicts: pendingMax,
};

export interface Pipeline {
  bounds: typeof bounds;
  shards: (ShardGauges & { shard: number })[];
}

/** What each shard of a tenant says of itself. */
export async function readPipeline(parts: ProcessParts, tenant: TenantSettings): Promise<Pipeline | ShardFailure> {
  const results = await Promise.all(
    shardsOf(tenant).map((shard) => callShard(parts, () => parts.shardOf(shard).gauges())),
  );
  const shards: Pipeline["shards"] = [];
  for (const [shard, gauges] of results.entries()) {
    if (isShardFailure(gauges)) return gauges;
    shards.push({ shard, ...gauges });
  }
  return { bounds, shards };
}
