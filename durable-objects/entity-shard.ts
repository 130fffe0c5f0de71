import { DurableObject } from "cloudflare:workers";
import { consoleLog, readConfig, systemClock } from "../src/config.ts";
import { detectors } from "../src/core/detectors/index.ts";
import { Shard } from "../src/core/shard/shard.ts";
import type { ApplyRequest, ApplyResult, EndRequest, EndResult, ShardGauges } from "../src/core/shard/rpc.ts";
import type { PackedFacts } from "../src/core/slots/network-facts.ts";
import { tenantKeys } from "../src/security/tenant-keys.ts";
import { d1AnomalyStore } from "../src/storage/d1-anomaly-store.ts";
import { Outbox } from "../src/tiers/outbox.ts";
import type { EntityShardRpc } from "./shard-rpc.ts";
import { SqlShardStorage } from "./sql-shard-storage.ts";

/**
 * The memory of one tenant's entities, or of a part of them: an actor around a `Shard` of the core.
 *
 * Named `tenant/index`. Memory is a cache of what its SQLite holds: whatever goes wrong, the object drops it and starts
 * again from there.
 */
export class EntityShard extends DurableObject<Env> implements EntityShardRpc {
  readonly #shard: Shard;
  readonly #outbox: Outbox;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const config = readConfig(env);
    const name = ctx.id.name!;
    const tenant = name.slice(0, name.lastIndexOf("/"));
    const keys = tenantKeys(config.masterKey, tenant);
    const storage = new SqlShardStorage(ctx.storage, keys.seal, name);
    this.#shard = new Shard({ storage, detectors });
    this.#report(name);
    this.#outbox = new Outbox(this.#shard, {
      clock: systemClock,
      log: consoleLog,
      alarm: ctx.storage,
      tenant: { id: tenant, jurisdiction: null, keys },
      anomalies: d1AnomalyStore({ db: env.DB, clock: systemClock }),
    });
  }

  async apply(request: ApplyRequest): Promise<ApplyResult> {
    const result = this.#change(() => this.#shard.apply(request, systemClock.nowMs()));
    this.#outbox.arm();
    return result;
  }

  async end(request: EndRequest): Promise<EndResult> {
    this.#change(() => this.#shard.end(request));
    this.#outbox.arm();
    // All that waits: whoever repeats a call that got lost wants what that one brought.
    return { verdicts: this.#shard.pending(), decidedAtMs: systemClock.nowMs() };
  }

  async facts(everything: boolean): Promise<{ facts: PackedFacts }> {
    return { facts: this.#shard.facts(everything) };
  }

  async gauges(): Promise<ShardGauges> {
    const gauges = this.#shard.gauges();
    return { ...gauges, rows_written: { ...gauges.rows_written, alarm: this.#outbox.alarmsSet } };
  }

  override async alarm(): Promise<void> {
    await this.#outbox.drain();
  }

  /** What throws has changed half of the memory: the object starts again from its storage, where nothing is half done. */
  #change<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const { name, message, stack } = error as Error;
      consoleLog({
        level: "error",
        message: "shard restarts",
        shard: this.ctx.id.name,
        error: `${name}: ${message}`,
        stack,
      });
      this.ctx.abort(`${name}: ${message}`);
      throw error;
    }
  }

  #report(shard: string): void {
    const { setAside, lost, entries } = this.#shard.restored;
    if (setAside === 0) return;
    const message = "blobs set aside: they could not be read";
    consoleLog({ level: "error", message, shard, set_aside: setAside, lost_slots: lost.length, replayed: entries });
  }
}
