import { callShard, isShardFailure, type ShardFailure } from "./shard-call.ts";
import { storeVerdicts, type ProcessParts, type StoredVerdicts } from "./store-verdicts.ts";

/** How long to wait for D1, in ms: its own limit for a query. Nobody waits for this answer but who wants the verdicts. */
const storeWaitMs = 30_000;

/** Declares a tenant's input ended, and stores what its shard says at last. */
export async function endInput(
  parts: ProcessParts,
  tenant: string,
): Promise<StoredVerdicts | ShardFailure | { reason: "storage_unavailable" }> {
  const receivedAtMs = parts.clock.nowMs();
  const result = await callShard(() => parts.shardOf(tenant).end(), parts.log);
  if (isShardFailure(result)) return result;
  const told = await storeVerdicts(parts, { tenant, receivedAtMs, ...result }, storeWaitMs);
  return told.stored ? told : { reason: "storage_unavailable" };
}
