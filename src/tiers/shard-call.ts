import type { EntityShardRpc } from "../../durable-objects/shard-rpc.ts";
import type { Log } from "../config.ts";
import { retryOnce } from "../storage/retry-once.ts";

/** Finds the shard of a tenant; a new stub with each call, since a broken one stays broken. */
export type ShardOf = (tenant: string) => EntityShardRpc;

export type ShardFailure = { reason: "overloaded" } | { reason: "shard_unavailable" };

/** What the platform says of an object that it could not reach. */
type PlatformError = Error & { retryable?: boolean; overloaded?: boolean };

/** Calls a shard, twice where the platform says that this may help. Both of its methods may be called twice. */
export async function callShard<T extends object>(call: () => Promise<T>, log: Log): Promise<T | ShardFailure> {
  try {
    return await retryOnce(call, (error) => {
      const { retryable, overloaded } = error as PlatformError;
      return retryable === true && overloaded !== true;
    });
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
