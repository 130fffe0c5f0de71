import { DurableObject } from "cloudflare:workers";
import { consoleLog, readConfig, systemClock } from "../src/config.ts";
import { BearerSeal } from "../src/inference/bearer-seal.ts";
import { checked, checkRemote } from "../src/inference/check.ts";
import {
  afterCheck,
  checkEveryMs,
  checkMsMax,
  checksAtOnce,
  firstInstances,
  instancesMax,
  newInstance,
  type Checked,
  type Instance,
  type ModelInstancesRpc,
  type NewInstance,
} from "../src/inference/instances.ts";
import type { Packages } from "../src/inference/packages.ts";
import { RemoteModel } from "../src/inference/remote.ts";
import { packagesOf } from "./model-packages.ts";

const schema = "CREATE TABLE instances (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, json TEXT NOT NULL)";

/**
 * Where models may run: one object for the deployment. An alarm checks all that do not run in the isolate that asks, so
 * long as there are any: it arms itself again before it begins, and to be run twice does no harm.
 */
export class ModelInstances extends DurableObject<Env> implements ModelInstancesRpc {
  readonly #sql: SqlStorage;
  readonly #packages: Packages;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#packages = packagesOf(env, (promise) => ctx.waitUntil(promise));
    const isNew = this.#sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'instances'").toArray().length === 0;
    if (!isNew) return;
    ctx.storage.transactionSync(() => {
      this.#sql.exec(schema);
      for (const instance of firstInstances) this.#insert(instance);
    });
  }

  async list(): Promise<Instance[]> {
    return this.#all();
  }

  async register(wish: NewInstance): Promise<{ instance: Instance } | { refusal: "exists" | "full" }> {
    if (this.#find(wish.id)) return { refusal: "exists" };
    if (this.#all().length >= instancesMax) return { refusal: "full" };
    const bearer = wish.bearer === null ? null : this.#seal().seal(wish, wish.bearer);
    const instance = newInstance(wish, bearer);
    this.#insert(instance);
    if (instance.kind === "inline") return { instance };
    await this.ctx.storage.setAlarm(Date.now() + checkEveryMs);
    await this.#check(instance);
    return { instance: this.#find(instance.id) ?? instance };
  }

  async remove(id: string): Promise<Instance | null> {
    const found = this.#find(id);
    if (found) this.#sql.exec("DELETE FROM instances WHERE id = ?", id);
    return found ?? null;
  }

  override async alarm(): Promise<void> {
    const instances = this.#all().filter(({ kind }) => kind !== "inline");
    if (instances.length === 0) return;
    await this.ctx.storage.setAlarm(Date.now() + checkEveryMs);
    for (let from = 0; from < instances.length; from += checksAtOnce)
      await Promise.all(instances.slice(from, from + checksAtOnce).map((instance) => this.#check(instance)));
  }

  async #check(instance: Instance): Promise<void> {
    const found = await checked(() => this.#ask(instance));
    // Others may have removed it, or checked it, meanwhile.
    const current = this.#find(instance.id);
    if (!current) return;
    const after = afterCheck(current, found, Date.now());
    this.#sql.exec("UPDATE instances SET json = ? WHERE id = ?", JSON.stringify(after), after.id);
    if (after.health === current.health) return;
    const { id, model, kind, health, error } = after;
    consoleLog({ level: "info", message: "model instance changed", id, model, kind, health, error });
  }

  async #ask(instance: Instance): Promise<Checked> {
    const { id, kind, model, url, bearer } = instance;
    if (kind === "runner") return this.env.MODEL_RUNNER.get(this.env.MODEL_RUNNER.idFromName(id)).check(model);
    const remote = new RemoteModel({
      url: url!,
      bearer: bearer && this.#seal().open(instance, bearer),
      model,
      fetch,
      clock: systemClock,
      timeoutMs: checkMsMax,
    });
    return checkRemote(remote, await this.#packages.inForce(model));
  }

  #seal(): BearerSeal {
    return new BearerSeal(readConfig(this.env).masterKeys);
  }

  #all(): Instance[] {
    const rows = this.#sql.exec<{ json: string }>("SELECT json FROM instances ORDER BY number");
    return rows.toArray().map(({ json }) => JSON.parse(json) as Instance);
  }

  #find(id: string): Instance | undefined {
    const [row] = this.#sql.exec<{ json: string }>("SELECT json FROM instances WHERE id = ?", id).toArray();
    return row && (JSON.parse(row.json) as Instance);
  }

  #insert(instance: Instance): void {
    this.#sql.exec("INSERT INTO instances (id, json) VALUES (?, ?)", instance.id, JSON.stringify(instance));
  }
}
