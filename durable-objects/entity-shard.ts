import { DurableObject } from "cloudflare:workers";
import { consoleLog, readConfig, systemClock } from "../src/config.ts";
import { detectors } from "../src/core/detectors/index.ts";
import { Shard, type ShardOptions } from "../src/core/slots/shard.ts";
import { StateReader, StateWriter } from "../src/core/slots/state-bytes.ts";
import { tenantKeys } from "../src/security/tenant-keys.ts";
import { BatchLedger, type AppliedBatch } from "./batch-ledger.ts";
import type { ApplyRequest, ApplyResult, EndResult, EntityShardRpc } from "./shard-rpc.ts";
import { SnapshotStore } from "./snapshot.ts";

/** From the first change to the snapshot that holds it: what an eviction can lose, against a row written each time. */
const snapshotDelayMs = 10_000;

/**
 * The memory of one tenant's entities: an actor around a `Shard` of the core.
 *
 * Named `tenant/index`. State lives in memory, and in a snapshot that an alarm writes.
 */
export class EntityShard extends DurableObject<Env> implements EntityShardRpc {
  readonly #shard: Shard;
  readonly #batches: BatchLedger;
  readonly #snapshot: SnapshotStore;
  #snapshotDue = false;
  /** Expected of the next one: a quarter more than the last. */
  #snapshotBytes = 65_536;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const config = readConfig(env);
    const name = ctx.id.name!;
    const tenant = name.slice(0, name.lastIndexOf("/"));
    this.#snapshot = new SnapshotStore(ctx.storage, tenantKeys(config.masterKey, tenant).seal, name);
    const options = { detectors, allowanceMs: config.allowanceMs, owns: () => true };
    const { batches, shard } = this.#restore(options) ?? { batches: new BatchLedger(), shard: new Shard(options) };
    this.#batches = batches;
    this.#shard = shard;
  }

  /** What the snapshot holds. One that cannot be read is reported, and the shard learns anew. */
  #restore(options: ShardOptions): { batches: BatchLedger; shard: Shard } | undefined {
    try {
      const saved = this.#snapshot.read();
      if (!saved) return undefined;
      const reader = new StateReader(saved);
      const batches = new BatchLedger(JSON.parse(reader.text()) as [string, AppliedBatch][]);
      return { batches, shard: new Shard(options, reader.block()) };
    } catch (error) {
      consoleLog({ level: "error", message: "snapshot set aside", shard: this.ctx.id.name, detail: String(error) });
      return undefined;
    }
  }

  async apply(request: ApplyRequest): Promise<ApplyResult> {
    const { batchKey, bodyDigest, contacts, receivedAtMs } = request;
    const before = this.#batches.find(batchKey);
    if (before) return { status: before.digest === bodyDigest ? "duplicate" : "conflict" };
    const { verdicts, late } = this.#shard.apply(contacts);
    this.#batches.add(batchKey, { digest: bodyDigest, receivedAtMs });
    await this.#scheduleSnapshot();
    return { status: "applied", late, verdicts, decidedAtMs: systemClock.nowMs() };
  }

  async end(): Promise<EndResult> {
    const verdicts = this.#shard.end();
    await this.#scheduleSnapshot();
    return { verdicts, decidedAtMs: systemClock.nowMs() };
  }

  override alarm(): void {
    this.#snapshotDue = false;
    const writer = new StateWriter(this.#snapshotBytes);
    writer.text(JSON.stringify(this.#batches.entries()));
    writer.block((block) => this.#shard.save(block));
    this.#snapshot.write(writer.bytes());
    this.#snapshotBytes = Math.ceil(1.25 * writer.length);
  }

  async #scheduleSnapshot(): Promise<void> {
    if (this.#snapshotDue) return;
    this.#snapshotDue = true;
    await this.ctx.storage.setAlarm(systemClock.nowMs() + snapshotDelayMs);
  }
}
