import { createHash } from "node:crypto";
import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import { readConfig, type Config } from "../../src/config.ts";
import { unconfigured } from "../../src/core/detectors/configuration.ts";
import { allDetectors } from "../../src/core/detectors/index.ts";
import { packContacts } from "../../src/core/flow/pack-contacts.ts";
import type { Tenant } from "../../src/security/tenant.ts";
import { d1AnomalyStore } from "../../src/storage/d1-anomaly-store.ts";
import { openDoors } from "../../src/tiers/admission.ts";
import { Acknowledgements } from "../../src/tiers/acknowledgements.ts";
import { FactsExchange } from "../../src/tiers/facts-exchange.ts";
import { digestLines } from "../../src/tiers/digest.ts";
import { endInput } from "../../src/tiers/end-input.ts";
import { judgeBatch } from "../../src/tiers/process-batch.ts";
import { shardName, shardsOf, type ShardRef } from "../../src/tiers/shard-call.ts";
import type { ProcessParts } from "../../src/tiers/store-verdicts.ts";
import { Oracle } from "../simulation/oracle.ts";
import { planOf, type PlannedBatch } from "../simulation/plan.ts";
import { wantedLines } from "../simulation/wanted.ts";
import { Random } from "../support/random.ts";
import { batchOf, contactsOf } from "../support/trace.ts";
import { clock as wallClock, dataKeyringOf } from "./harness.ts";

/**
 * What `test/simulation` does under virtual time, here with real objects, real aborts and evictions, real alarms and the
 * real D1: fewer seeds, and one batch at a time, so that the order in which batches are learnt is known.
 */
const seeds = [1, 2, 3, 5, 8, 13];
const internal = ["10.0.0.0/8", "2001:db8:1::/48"];
const clock = { ...wallClock, nowMs: () => Date.now() };

class RealRun {
  readonly #random: Random;
  readonly #tenant: Tenant;
  readonly #parts: ProcessParts;
  readonly #oracle: Oracle;

  /** With the keys that its objects go by. */
  static async start(seed: number, shards: number, allowanceMs: number): Promise<RealRun> {
    const id = `sim-${seed}`;
    const settings = { LATENESS_ALLOWANCE_S: allowanceMs / 1000, TENANTS: { [id]: { internal, shards } } };
    const config = readConfig({ ...env, ...settings });
    const tenant = config.tenants.get(id)!;
    return new RealRun(seed, config, { ...tenant, keys: await dataKeyringOf({ clock }).of(tenant) });
  }

  private constructor(seed: number, config: Config, tenant: Tenant) {
    this.#random = new Random(seed).fork("real run");
    this.#tenant = tenant;
    this.#parts = {
      config,
      clock,
      log: () => {},
      shardOf: (shard) => this.#object(shard),
      doors: openDoors(),
      acknowledgements: new Acknowledgements(),
      facts: new FactsExchange(),
      configurations: { inForce: async () => unconfigured },
      anomalies: d1AnomalyStore({ db: env.DB, clock }),
      waitUntil: () => {},
    };
    const { isInternal, keys } = this.#tenant;
    const { allowanceMs } = config;
    this.#oracle = new Oracle({ hashKey: keys.entityHash, isInternal, allowanceMs, detectors: allDetectors });
  }

  /** Posts a batch until it is taken, while its shards die and forget; then the oracle learns it. */
  async post(batch: PlannedBatch): Promise<void> {
    const key = createHash("sha256").update(`${this.#tenant.id} ${batch.key}`).digest("hex");
    const flows = () => batchOf(batch.flows.map((flow) => ({ ...flow, recordId: 0 })));
    const received = batch.flows.length;
    const counts = { received, accepted: received, rejected: 0, skipped: 0, duplicate: 0, late: 0, sampled: 0 };
    const named = { tenant: this.#tenant, key, isNamedByShipper: false, bodyDigest: key };
    const judge = () => judgeBatch(this.#parts, { ...named, flows: flows(), receivedAtMs: Date.now() }, counts);
    for (;;) {
      const posts = this.#random.chance(0.2) ? [judge(), judge()] : [judge()];
      const [answers] = await Promise.all([Promise.all(posts), this.#disturb()]);
      if (answers.some((answer) => !("reason" in answer))) break;
    }
    const { entityHash: hashKey } = this.#tenant.keys;
    this.#oracle.knows(key, batch);
    const contacts = packContacts(contactsOf(batch.flows, { hashKey }));
    this.#oracle.applied({ batchKey: key, contacts } as Parameters<Oracle["applied"]>[0]);
  }

  async end(): Promise<{ stored: string[]; wanted: string[] }> {
    while ("reason" in (await endInput(this.#parts, this.#tenant)));
    const query = {
      threats: [],
      severityMin: "info",
      sinceMs: 0,
      untilMs: 1e15,
      order: "oldest_first",
      limit: 500,
    } as const;
    const { anomalies } = await this.#parts.anomalies.list(this.#tenant, query);
    const { id, keys } = this.#tenant;
    return { stored: digestLines(anomalies), wanted: wantedLines(this.#oracle.findings(), id, keys.anomalyId) };
  }

  async #disturb(): Promise<void> {
    const shard = this.#object(this.#random.pick(shardsOf(this.#tenant)));
    const chance = this.#random.next();
    if (chance < 0.15) await runInDurableObject(shard, (_, state) => state.abort("on purpose")).catch(() => {});
    else if (chance < 0.3) await evictDurableObject(shard).catch(() => {});
    else if (chance < 0.4) await runDurableObjectAlarm(shard).catch(() => {});
  }

  #object(shard: ShardRef) {
    return env.ENTITY_SHARD.get(env.ENTITY_SHARD.idFromName(shardName(shard)));
  }
}

it.each(seeds)(
  "seed %i: real objects that die and forget come to the oracle's verdicts",
  async (seed) => {
    const plan = planOf({ seed });
    const [{ shards, shippers }] = plan.tenants;
    const run = await RealRun.start(seed, shards, plan.allowanceMs);
    for (const batch of interleaved(shippers)) await run.post(batch);
    const { stored, wanted } = await run.end();
    expect(stored).toEqual(wanted);
    expect(stored.length).toBeGreaterThan(0);
  },
  120_000,
);

/** One batch of each shipper in turn. */
function interleaved(shippers: readonly PlannedBatch[][]): PlannedBatch[] {
  const longest = Math.max(...shippers.map((batches) => batches.length));
  return Array.from({ length: longest }, (_, i) => shippers.flatMap((batches) => batches.slice(i, i + 1))).flat();
}
