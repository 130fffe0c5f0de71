import { DurableObject } from "cloudflare:workers";
import { readConfig } from "../src/config.ts";
import { detectors } from "../src/core/detectors/index.ts";
import { Shard } from "../src/core/slots/shard.ts";
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

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const config = readConfig(env);
    const name = ctx.id.name!;
    const tenant = name.slice(0, name.lastIndexOf("/"));
    this.#snapshot = new SnapshotStore(ctx.storage, tenantKeys(config.masterKey, tenant).seal, name);
    const saved = this.#snapshot.read();
    const reader = saved && new StateReader(saved);
    this.#batches = new BatchLedger(reader && (JSON.parse(reader.text()) as [string, AppliedBatch][]));
    this.#shard = new Shard({ detectors, allowanceMs: config.allowanceMs, owns: () => true }, reader && reader.block());
  }

  async apply(request: ApplyRequest): Promise<ApplyResult> {
    const { batchKey, bodyDigest, contacts, receivedAtMs } = request;
    const before = this.#batches.find(batchKey);
    if (before) return { status: before.digest === bodyDigest ? "duplicate" : "conflict" };
    const { verdicts, late } = this.#shard.apply(contacts);
    this.#batches.add(batchKey, { digest: bodyDigest, receivedAtMs });
    await this.#scheduleSnapshot();
    return { status: "applied", late, verdicts, decidedAtMs: Date.now() };
  }

  async end(): Promise<EndResult> {
    const verdicts = this.#shard.end();
    await this.#scheduleSnapshot();
    return { verdicts, decidedAtMs: Date.now() };
  }

  override alarm(): void {
    this.#snapshotDue = false;
    const writer = new StateWriter();
    writer.text(JSON.stringify(this.#batches.entries()));
    writer.block(this.#shard.save());
    this.#snapshot.write(writer.bytes());
  }

  async #scheduleSnapshot(): Promise<void> {
    if (this.#snapshotDue) return;
    this.#snapshotDue = true;
    await this.ctx.storage.setAlarm(Date.now() + snapshotDelayMs);
  }
}
