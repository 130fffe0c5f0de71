import { createHash } from "node:crypto";
import { readConfig } from "../../src/config.ts";
import { unconfigured } from "../../src/core/detectors/configuration.ts";
import { allDetectors } from "../../src/core/detectors/index.ts";
import type { Detector } from "../../src/core/detectors/detector.ts";
import type { Threshold } from "../../src/core/detectors/thresholds.ts";
import { shardOfSlot } from "../../src/core/flow/split-contacts.ts";
import { SlotSet } from "../../src/core/slots/slot-set.ts";
import type { SlotBounds } from "../../src/core/slots/slot.ts";
import type { Anomaly } from "../../src/core/verdict.ts";
import type { Tenant } from "../../src/security/tenant.ts";
import { tenantKeys } from "../../src/security/tenant-keys.ts";
import { d1AnomalyStore } from "../../src/storage/d1-anomaly-store.ts";
import { openDoors } from "../../src/tiers/admission.ts";
import { Acknowledgements } from "../../src/tiers/acknowledgements.ts";
import { FactsExchange } from "../../src/tiers/facts-exchange.ts";
import { digestLines } from "../../src/tiers/digest.ts";
import { endInput } from "../../src/tiers/end-input.ts";
import { judgeBatch } from "../../src/tiers/process-batch.ts";
import type { ProcessParts } from "../../src/tiers/store-verdicts.ts";
import { Random } from "../support/random.ts";
import { batchOf } from "../support/trace.ts";
import { simulatedD1 } from "./d1.ts";
import { SimulatedObject } from "./object.ts";
import { Oracle } from "./oracle.ts";
import { planOf, type Plan, type PlannedBatch, type PlannedTenant, type PlanOptions } from "./plan.ts";
import { wantedLines } from "./wanted.ts";
import { World } from "./world.ts";

/** How a run went: what is wrong with it, and the final verdicts of each tenant. */
export interface Outcome {
  plan: Plan;
  wrong: string[];
  /** Per tenant, lines of what promise 3 speaks of. */
  digests: { [tenant: string]: string[] };
  late: number;
  evicted: number;
}

/** So low that a few dozen flows make an attack. */
const sensitive: readonly Detector[] = allDetectors.map((kind) => {
  const { unansweredMin, unsolicitedMin } = kind.thresholds as { [name: string]: Threshold };
  if (!unansweredMin || !unsolicitedMin) return kind;
  const low = {
    unansweredMin: { ...unansweredMin, default: 40 },
    unsolicitedMin: { ...unsolicitedMin, default: 15 },
  };
  return { ...kind, thresholds: { ...kind.thresholds, ...low } };
});

/** So low that a small network outgrows it. */
const tight: SlotBounds = { stateBytesMax: 6_000, stateBytesHardMax: 1e12 };

/** Isolates of the Worker: each knows of itself alone what it has stored. */
const isolatesCount = 3;

/** Times that slots move, and that a batch is cut anew: so that a run ends. */
const movesMax = 4;
const cutsMax = 2;

export async function simulate(options: PlanOptions): Promise<Outcome> {
  return new Simulation(planOf(options), options.schedule ?? options.seed).run();
}

class Simulation {
  readonly #plan: Plan;
  readonly #random: Random;
  readonly #world: World;
  readonly #outcome: Outcome;
  readonly #wrong: string[] = [];
  readonly #isolates: ProcessParts[];
  readonly #config;
  readonly #d1;
  readonly #store;
  readonly #oracles = new Map<string, Oracle>();
  readonly #objects = new Map<string, SimulatedObject>();
  readonly #shards = new Map<string, number>();
  readonly #bounds: SlotBounds | undefined;
  #detectors = sensitive;
  #moves = 0;

  constructor(plan: Plan, schedule: number) {
    this.#plan = plan;
    this.#outcome = { plan, wrong: this.#wrong, digests: {}, late: 0, evicted: 0 };
    this.#random = new Random(schedule).fork("schedule");
    this.#world = new World(this.#random.fork("world"));
    this.#bounds = plan.faults.has("caps") ? tight : undefined;
    this.#config = readConfig({
      MASTER_KEY: Buffer.alloc(32, 5).toString("base64"),
      LATENESS_ALLOWANCE_S: plan.allowanceMs / 1000,
      TENANTS: Object.fromEntries(
        plan.tenants.map(({ name }) => [name, { internal: ["10.0.0.0/8", "2001:db8:1::/48"] }]),
      ),
    });
    this.#d1 = simulatedD1(this.#world, plan, this.#random.fork("d1"));
    const { clock } = this.#world;
    this.#store = d1AnomalyStore({ db: this.#d1.db, clock });
    this.#isolates = Array.from({ length: isolatesCount }, () => this.#isolate());
    for (const { name, shards } of plan.tenants) {
      this.#shards.set(name, shards);
      this.#oracles.set(name, this.#oracle(name));
    }
  }

  async run(): Promise<Outcome> {
    let isOver = false;
    const all = this.#everything().then(
      () => (isOver = true),
      (error: Error) => {
        this.#wrong.push(`threw: ${error.stack}`);
        isOver = true;
      },
    );
    await this.#world.run(() => isOver);
    await all;
    return this.#outcome;
  }

  async #everything(): Promise<void> {
    const { tenants } = this.#plan;
    let isShipping = true;
    const disturbing = this.#disturb(() => isShipping);
    await Promise.all(tenants.flatMap((tenant) => tenant.shippers.map((batches) => this.#ship(tenant, batches))));
    isShipping = false;
    await disturbing;
    this.#d1.calm();
    for (const object of this.#objects.values()) object.calm();
    for (const { name } of tenants) await this.#untilDone(() => endInput(this.#isolates[0], this.#tenant(name)));
    await this.#world.sleep(200_000);
    for (const tenant of tenants) await this.#check(tenant);
  }

  /** One shipper: in order, two at a time, each until it is taken. */
  async #ship(tenant: PlannedTenant, batches: readonly PlannedBatch[]): Promise<void> {
    const random = this.#random.fork(`shipper ${batches[0]?.key}`);
    let next = 0;
    const lane = async () => {
      while (next < batches.length) {
        const batch = batches[next++];
        const isTwin = this.#plan.faults.has("twins") && random.chance(3 * this.#plan.chance);
        const posts = [this.#post(tenant, batch, random)];
        if (isTwin) posts.push(this.#world.sleep(random.int(0, 3000)).then(() => this.#post(tenant, batch, random)));
        await Promise.all(posts);
      }
    };
    await Promise.all([lane(), lane()]);
  }

  /** Posts a batch until it is taken; where its records have ids, perhaps cut anew after a lost answer. */
  async #post(tenant: PlannedTenant, batch: PlannedBatch, random: Random): Promise<void> {
    for (let attempt = 1; !(await this.#postOnce(tenant, batch, random)); attempt++) {
      await this.#world.sleep(random.int(50, 400) * attempt);
      const cuts = batch.key.split(".").length - 1;
      const mayCut = this.#plan.faults.has("recuts") && tenant.hasRecordIds && batch.flows.length > 1 && cuts < cutsMax;
      if (mayCut && random.chance(0.3)) {
        const at = random.int(1, batch.flows.length - 1);
        const halves = [batch.flows.slice(0, at), batch.flows.slice(at)];
        for (const [i, flows] of halves.entries()) {
          await this.#post(tenant, { key: `${batch.key}.${attempt}${"ab"[i]}`, flows }, random);
        }
        return;
      }
      if (attempt > 200) throw new Error(`batch ${batch.key} was not taken after ${attempt} attempts`);
    }
  }

  async #postOnce(tenant: PlannedTenant, { key, flows }: PlannedBatch, random: Random): Promise<boolean> {
    const name = createHash("sha256").update(key).digest("hex");
    this.#oracles.get(tenant.name)!.knows(name, { key, flows });
    const isolate = random.int(0, isolatesCount - 1);
    if (this.#plan.faults.has("evictions") && random.chance(this.#plan.chance))
      this.#isolates[isolate] = this.#isolate();
    const received = flows.length;
    const counts = { received, accepted: received, rejected: 0, skipped: 0, duplicate: 0, late: 0, sampled: 0 };
    const answer = await judgeBatch(
      this.#isolates[isolate],
      {
        tenant: this.#tenant(tenant.name),
        key: name,
        isNamedByShipper: false,
        bodyDigest: name,
        flows: batchOf(flows),
        receivedAtMs: this.#world.clock.nowMs(),
      },
      counts,
    );
    // An answer can be lost as well.
    if (this.#plan.faults.has("lost_messages") && random.chance(this.#plan.chance)) return false;
    if ("reason" in answer) {
      if (answer.reason === "conflict") this.#wrong.push(`batch ${key}: a conflict with itself`);
      return false;
    }
    const { accepted, rejected, skipped, duplicate, late, sampled } = answer;
    const isBalanced = accepted + rejected + skipped + duplicate + late + sampled === received && accepted >= 0;
    if (!isBalanced) this.#wrong.push(`batch ${key}: the balance is off: ${JSON.stringify(answer)}`);
    return true;
  }

  /** What happens from outside while batches are on their way. */
  async #disturb(isGoingOn: () => boolean): Promise<void> {
    const random = this.#random.fork("disturbances");
    while (isGoingOn()) {
      await this.#world.sleep(random.int(500, 4000));
      const { faults } = this.#plan;
      if (faults.has("clock_jumps")) this.#world.jump(random.int(-600_000, 600_000));
      if (faults.has("deploys") && random.chance(0.3)) this.#deploy();
      if (faults.has("moves") && this.#moves < movesMax && random.chance(0.3))
        await this.#move(random.pick(this.#plan.tenants).name, random.int(1, 4));
    }
  }

  /** New code, whose detectors have another version and know how to read what the last one saved. */
  #deploy(): void {
    this.#detectors = this.#detectors.map((kind) => ({
      ...kind,
      version: kind.version + 1,
      migrate: (saved, version) => (version <= kind.version ? saved : undefined),
    }));
    for (const object of this.#objects.values()) object.die();
    this.#isolates.forEach((_, i) => (this.#isolates[i] = this.#isolate()));
  }

  /** Deals a tenant's slots anew, among more or fewer shards. */
  async #move(tenant: string, shards: number): Promise<void> {
    const before = this.#shards.get(tenant)!;
    const routes = new Map<string, { from: number; to: number; slots: SlotSet }>();
    for (let slot = 0; slot < 256; slot++) {
      const [from, to] = [shardOfSlot(slot, before), shardOfSlot(slot, shards)];
      if (from === to) continue;
      const route = routes.get(`${from} ${to}`) ?? { from, to, slots: new SlotSet() };
      route.slots.add(slot);
      routes.set(`${from} ${to}`, route);
    }
    this.#moves++;
    for (const { from, to, slots } of routes.values()) {
      const bytes = await this.#untilDone(() => this.#object(tenant, from).exportSlots(slots));
      await this.#untilDone(() => this.#object(tenant, to).importSlots(slots, bytes, this.#moves));
    }
    this.#shards.set(tenant, shards);
  }

  async #untilDone<T>(work: () => Promise<T>): Promise<Exclude<T, { reason: string }>> {
    for (let attempt = 0; attempt < 200; attempt++) {
      try {
        const result = await work();
        if (typeof result !== "object" || result === null || !("reason" in result))
          return result as Exclude<T, { reason: string }>;
      } catch (error) {
        if (!(error as { retryable?: boolean }).retryable) throw error;
      }
      await this.#world.sleep(1000);
    }
    throw new Error("it never came to pass");
  }

  async #check({ name, shippers, hasRecordIds }: PlannedTenant): Promise<void> {
    const oracle = this.#oracles.get(name)!;
    const gauges = await Promise.all(
      Array.from({ length: this.#shards.get(name)! }, (_, index) => this.#object(name, index).gauges()),
    );
    const sum = (of: (one: (typeof gauges)[number]) => number) => gauges.reduce((total, one) => total + of(one), 0);
    const flows = shippers.flat().flatMap((batch) => batch.flows);
    for (const words of oracle.miscounted(flows).slice(0, 3)) this.#wrong.push(`${name}: learnt ${words}`);
    if (sum((one) => one.pending_verdicts) > 0) this.#wrong.push(`${name}: verdicts were never stored`);
    const late = sum((one) => one.late_records);
    if (!hasRecordIds && late !== oracle.late) {
      this.#wrong.push(`${name}: ${late} late records instead of ${oracle.late}`);
    }
    const stored = await this.#final(name);
    const wanted = this.#bounds ? oracle.boundedFindings(this.#bounds) : oracle.findings();
    const lines = digestLines(stored);
    this.#compare(name, wantedLines(wanted, name, this.#tenant(name).keys.anomalyId), lines);
    this.#outcome.digests[name] = lines;
    this.#outcome.late += oracle.late;
    this.#outcome.evicted += sum((one) => one.evicted_entities);
  }

  #compare(tenant: string, wanted: readonly string[], found: readonly string[]): void {
    const missing = wanted.filter((line) => !found.includes(line));
    const surplus = found.filter((line) => !wanted.includes(line));
    for (const line of missing.slice(0, 3)) this.#wrong.push(`${tenant}: missing ${line}`);
    for (const line of surplus.slice(0, 3)) this.#wrong.push(`${tenant}: not wanted ${line}`);
  }

  async #final(tenant: string): Promise<Anomaly[]> {
    const query = {
      threats: [],
      severityMin: "info",
      sinceMs: 0,
      untilMs: 1e15,
      order: "oldest_first",
      limit: 10_000,
    } as const;
    const { anomalies } = await this.#untilDone(() => this.#store.list(this.#tenant(tenant), query));
    return anomalies;
  }

  /** As a request finds it now: with as many shards as it has been given. */
  #tenant(name: string): Tenant {
    const keys = tenantKeys(this.#config.masterKey, name);
    return { ...this.#config.tenants.get(name)!, shards: this.#shards.get(name)!, keys };
  }

  #isolate(): ProcessParts {
    return {
      config: this.#config,
      clock: this.#world.clock,
      log: () => {},
      shardOf: ({ tenant, index }) => this.#object(tenant, index),
      doors: openDoors(),
      acknowledgements: new Acknowledgements(),
      facts: new FactsExchange(),
      configurations: { inForce: async () => unconfigured },
      anomalies: this.#store,
      waitUntil: () => {},
    };
  }

  #object(tenant: string, index: number): SimulatedObject {
    const name = `${tenant}/${index}`;
    let object = this.#objects.get(name);
    if (!object) this.#objects.set(name, (object = this.#newObject(tenant, name)));
    return object;
  }

  #newObject(tenant: string, name: string): SimulatedObject {
    return new SimulatedObject({
      world: this.#world,
      plan: this.#plan,
      random: this.#random.fork(`object ${name}`),
      bounds: this.#bounds,
      detectors: () => this.#detectors,
      outbox: {
        clock: this.#world.clock,
        log: () => {},
        tenant: this.#tenant(tenant),
        anomalies: this.#store,
      },
      onApplied: (request) => this.#oracles.get(tenant)!.applied(request),
    });
  }

  #oracle(tenant: string): Oracle {
    return new Oracle({
      hashKey: this.#tenant(tenant).keys.entityHash,
      isInternal: this.#tenant(tenant).isInternal,
      allowanceMs: this.#plan.allowanceMs,
      detectors: sensitive,
    });
  }
}
