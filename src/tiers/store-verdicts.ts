import type { Verdict } from "../core/verdict.ts";
import type { Clock, Config, Log } from "../config.ts";
import type { TenantKeys } from "../security/tenant-keys.ts";
import type { AnomalyStore } from "../storage/anomalies.ts";
import { anomalyOf } from "./anomaly.ts";
import type { ShardOf } from "./shard-call.ts";

/** What processing needs from outside. */
export interface ProcessParts {
  config: Config;
  clock: Clock;
  log: Log;
  keysOf(tenant: string): TenantKeys;
  shardOf: ShardOf;
  anomalies: AnomalyStore;
  /** Keeps the isolate alive until the promise settles. */
  waitUntil(promise: Promise<unknown>): void;
}

/** A verdict as an answer names it. */
export interface ChangedAnomaly {
  id: string;
  revision: number;
  state: Verdict["state"];
}

export interface StoredVerdicts {
  anomalies: ChangedAnomaly[];
  stored: boolean;
}

export interface DecidedVerdicts {
  tenant: string;
  verdicts: readonly Verdict[];
  receivedAtMs: number;
  decidedAtMs: number;
}

/**
 * Writes verdicts to D1 and waits for it at most `waitMsMax`; what takes longer goes on behind the answer. A failed
 * write is `stored: false` and not an error: the shard has them.
 */
export async function storeVerdicts(
  parts: ProcessParts,
  { tenant, verdicts, receivedAtMs, decidedAtMs }: DecidedVerdicts,
  waitMsMax: number,
): Promise<StoredVerdicts> {
  if (verdicts.length === 0) return { anomalies: [], stored: true };
  const idKey = parts.keysOf(tenant).anomalyId;
  const configVersion = parts.config.tenants.get(tenant)!.configVersion;
  const context = { tenant, idKey, configVersion, receivedAtMs, decidedAtMs };
  const anomalies = verdicts.map((verdict) => anomalyOf(verdict, context));

  const writing = parts.anomalies.upsert(tenant, anomalies).then(
    () => true,
    (error: Error) => {
      parts.log({
        level: "error",
        message: "verdicts not stored",
        tenant,
        count: anomalies.length,
        error: error.message,
      });
      return false;
    },
  );
  parts.waitUntil(writing);
  const stored = await within(waitMsMax, writing);
  return { anomalies: anomalies.map(({ id, revision, state }) => ({ id, revision, state })), stored };
}

/** What the promise becomes, or false after so long. */
async function within(waitMsMax: number, promise: Promise<boolean>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), waitMsMax);
  });
  const result = await Promise.race([promise, timeout]);
  clearTimeout(timer);
  return result;
}
