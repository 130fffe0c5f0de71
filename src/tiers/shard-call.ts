import type { EntityShardRpc } from "../../durable-objects/shard-rpc.ts";
import type { Clock, Log } from "../config.ts";
import type { Jurisdiction, TenantSettings } from "../security/tenant.ts";
import { isRetryable, retryOnce } from "../storage/retry-once.ts";
import { within } from "../within.ts";

/** Which shard. */
export interface ShardRef {
  tenant: string;
  jurisdiction: Jurisdiction | null;
  index: number;
}

/** The shards of a tenant, by index. */
export function shardsOf({ id, jurisdiction, shards }: TenantSettings): ShardRef[] {
  return Array.from({ length: shards }, (_, index) => ({ tenant: id, jurisdiction, index }));
}

/** Finds a shard; a new stub with each call, since a broken one stays broken. */
export type ShardOf = (shard: ShardRef) => EntityShardRpc;

export type ShardFailure = { reason: "overloaded" } | { reason: "shard_unavailable" };

/** What the platform says of an object that it could not reach. */
type PlatformError = Error & { overloaded?: boolean };

/** The name of the object. */
export function shardName({ tenant, index }: ShardRef): string {
  return `${tenant}/${index}`;
}

/** How long a shard may take, in ms: the outer bound of tier 1. Shippers give up earlier. */
const callMsMax = 30_000;

/** Calls a shard, twice where the platform says that this may help. All of its methods may be called twice. */
export async function callShard<T extends object>(
  { clock, log }: { clock: Clock; log: Log },
  call: () => Promise<T>,
): Promise<T | ShardFailure> {
  try {
    return await retryOnce(clock, () => within(callMsMax, call()), isRetryable);
  } catch (error) {
    const { name, message, overloaded } = error as PlatformError;
    log({
      level: "error",
      message: "shard call failed",
      error: `${name}: ${message}`,
      overloaded: overloaded === true,
    });
    return { reason: overloaded ? "overloaded" : "shard_unavailable" };
  }
}

export function isShardFailure(result: object): result is ShardFailure {
  return "reason" in result;
}
