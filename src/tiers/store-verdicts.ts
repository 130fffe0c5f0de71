import { acknowledgementOf, type PendingVerdict } from "../core/slots/slot.ts";
import type { Verdict } from "../core/verdict.ts";
import type { Clock, Config, Log } from "../config.ts";
import type { Owner } from "../security/tenant.ts";
import type { AnomalyStore } from "../storage/anomalies.ts";
import type { ConfigurationsInForce } from "./configurations.ts";
import type { FactsExchange } from "./facts-exchange.ts";
import type { Acknowledgements } from "./acknowledgements.ts";
import { anomalyOf } from "./anomaly.ts";
import type { ModelParts, SecondTier } from "./ask-models.ts";
import { shardName, type ShardOf, type ShardRef } from "./shard-call.ts";

/** What processing needs from outside. */
export interface ProcessParts extends ModelParts {
  config: Config;
  clock: Clock;
  log: Log;
  shardOf: ShardOf;
  acknowledgements: Acknowledgements;
  facts: FactsExchange;
  configurations: ConfigurationsInForce;
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
  tenant: Owner;
  verdicts: readonly { shard: ShardRef; verdicts: readonly PendingVerdict[] }[];
  decidedAtMs: number;
  /** What the models say beside it. */
  second: SecondTier;
}

/**
 * Writes verdicts to D1 and waits for it at most `waitMsMax`; what takes longer goes on behind the answer. A failed
 * write is `stored: false` and not an error: the shards have them, and write what nobody acknowledges.
 */
export async function storeVerdicts(
  parts: ProcessParts,
  { tenant, verdicts, decidedAtMs, second }: DecidedVerdicts,
  waitMsMax: number,
): Promise<StoredVerdicts> {
  const all = [...verdicts.flatMap((one) => one.verdicts), ...second.novelties];
  if (all.length === 0) return { anomalies: [], stored: true };
  const context = { tenant: tenant.id, idKey: tenant.keys.anomalyId, decidedAtMs };
  const anomalies = all.map(({ verdict, receivedAtMs }) =>
    anomalyOf(verdict, second.of(verdict.entity), { ...context, receivedAtMs }),
  );

  const writing = parts.anomalies.upsert(tenant, anomalies).then(
    () => {
      for (const { shard, verdicts: stored } of verdicts) {
        parts.acknowledgements.add(shardName(shard), stored.map(acknowledgementOf));
      }
      return true;
    },
    (error: Error) => {
      parts.log({
        level: "error",
        message: "verdicts not stored",
        tenant: tenant.id,
        count: anomalies.length,
        error: error.message,
      });
      return false;
    },
  );
  parts.waitUntil(writing);
  const stored = await Promise.race([writing, parts.clock.wait(waitMsMax).then(() => false)]);
  return { anomalies: anomalies.map(({ id, revision, state }) => ({ id, revision, state })), stored };
}
