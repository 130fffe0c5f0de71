import type { D1PreparedStatement, D1Result } from "@cloudflare/workers-types";
import type { Clock, Log } from "../config.ts";
import type { Audit, AuditDetail } from "../security/audit.ts";
import type { Directory } from "../security/directory.ts";
import type { TenantChanges, TenantDescription } from "../security/tenant-settings.ts";
import { jurisdictions, platformTenant, type Jurisdiction, type TenantSettings } from "../security/tenant.ts";
import type { D1Directory, StoredTenant } from "../storage/d1-directory.ts";
import { keyOf, type Author, type NewKey } from "./api-keys.ts";
import type { ShardRef } from "./shard-call.ts";

/** A tenant without its keys. */
export type TenantRef = Pick<TenantSettings, "id" | "jurisdiction">;

export interface TenantsParts {
  /** Of the environment: they cannot be changed. */
  environment: ReadonlyMap<string, TenantSettings>;
  directory: Directory;
  store: D1Directory;
  audit: Audit;
  clock: Clock;
  log: Log;
  /** Whether rows and objects can be kept there. */
  hasJurisdiction(jurisdiction: Jurisdiction): boolean;
  /** What follows may each be repeated, and throws where it could not be done. */
  destroyKeys(tenant: TenantRef): Promise<void>;
  destroyShard(shard: ShardRef): Promise<void>;
  /** Answers whether none is left. */
  deleteRows(tenant: TenantRef): Promise<boolean>;
}

export type TenantRefusal =
  | { reason: "not_found" }
  | { reason: "conflict"; detail: string }
  | { reason: "jurisdiction_unavailable"; jurisdiction: Jurisdiction; known: readonly Jurisdiction[] };

/** What of a destroyed tenant may still be there. */
export type Remnant = "keys" | "shards" | "rows" | "requests";

/**
 * How long after a tenant was destroyed requests may still go by what they knew of it, in ms: what isolates remember of
 * tenants and keys is 10 s old at most where D1 answers, and then a request ends. An isolate that D1 does not answer goes
 * on for five minutes; what it writes meanwhile is sealed with keys that are gone, and whoever destroys again removes it.
 */
const settledMs = 15_000;

/** Tenants: made, listed, changed and destroyed by the operator. Every method throws StorageError. */
export class Tenants {
  readonly #parts: TenantsParts;

  constructor(parts: TenantsParts) {
    this.#parts = parts;
  }

  /** Those of the environment come before the first of D1. */
  async list(behind: string, limit: number): Promise<{ environment: TenantSettings[]; stored: StoredTenant[] }> {
    const { environment, store } = this.#parts;
    const all = [...environment.values()].filter(({ id }) => id !== platformTenant);
    return { environment: behind === "" ? all : [], stored: await store.tenants(behind, limit) };
  }

  async get(id: string): Promise<TenantSettings | StoredTenant | { reason: "not_found" }> {
    const { environment, store } = this.#parts;
    const settings = id === platformTenant ? undefined : environment.get(id);
    return settings ?? (await store.storedTenant(id)) ?? { reason: "not_found" };
  }

  /** With the first key of an admin. A name that was ever given is not given again. */
  async create(
    by: Author,
    id: string,
    { jurisdiction = null, ...description }: TenantDescription,
  ): Promise<{ tenant: StoredTenant; admin: NewKey } | TenantRefusal> {
    const { clock, environment, store } = this.#parts;
    const hasJurisdiction = (one: Jurisdiction) => this.#parts.hasJurisdiction(one);
    if (environment.has(id)) return ofTheEnvironment;
    if (jurisdiction !== null && !hasJurisdiction(jurisdiction)) {
      const known = jurisdictions.filter(hasJurisdiction);
      return { reason: "jurisdiction_unavailable", jurisdiction, known };
    }
    const of = { tenant: id, createdBy: by.principal.kid, nowMs: clock.nowMs() };
    const tenant: StoredTenant = {
      tenant: id,
      jurisdiction,
      description,
      version: 1,
      shardsEver: description.shards ?? 1,
      createdAtMs: of.nowMs,
      createdBy: of.createdBy,
      destroyedAtMs: null,
      goneAtMs: null,
    };
    const admin = keyOf({ role: "admin", label: "first key", ...withoutTimes, isForSigning: false }, of);
    const detail = { tenant: id, jurisdiction, kid: admin.key.kid };
    const results = await this.#change(by, "tenants.create", detail, store.createTenant(tenant, admin.key));
    if (store.keyIn(results)) return { tenant, admin };
    return { reason: "conflict", detail: "there is, or was, a tenant of that name" };
  }

  /** What is not named stays. */
  async change(by: Author, id: string, changes: TenantChanges): Promise<StoredTenant | TenantRefusal> {
    const { environment, store } = this.#parts;
    if (environment.has(id)) return ofTheEnvironment;
    const before = await store.storedTenant(id);
    if (!before) return { reason: "not_found" };
    if (!before.description) return { reason: "conflict", detail: "the tenant was destroyed" };
    const { description, version, shardsEver } = before;
    const limits = { ...description.limits, ...changes.limits };
    const networks = { ...description.networks, ...changes.networks };
    const shards = changes.shards ?? description.shards ?? 1;
    const next: StoredTenant = {
      ...before,
      description: { ...description, shards, limits, networks },
      version: version + 1,
      shardsEver: Math.max(shardsEver, shards),
    };
    const { flows_per_second = null, records_per_batch = null } = limits;
    const detail = { tenant: id, version: next.version, shards, flows_per_second, records_per_batch };
    const stored = store.tenantIn(await this.#change(by, "tenants.limits", detail, store.changeTenant(next)));
    if (JSON.stringify(stored) === JSON.stringify(next)) return next;
    return { reason: "conflict", detail: "the tenant was changed meanwhile" };
  }

  /**
   * First nobody gets in any more, then its data keys go, and with them all that was ever sealed; then objects and rows.
   * May be repeated, and has to be until nothing is left.
   */
  async destroy(by: Author, id: string): Promise<{ tenant: StoredTenant; left: Remnant[] } | TenantRefusal> {
    const { clock, environment, store } = this.#parts;
    if (environment.has(id)) return ofTheEnvironment;
    const found = await store.storedTenant(id);
    if (!found) return { reason: "not_found" };
    if (found.goneAtMs !== null) return { tenant: found, left: [] };
    const destroyed = found.destroyedAtMs === null ? await this.#shut(by, id) : found;
    const isSettled = clock.nowMs() >= destroyed.destroyedAtMs! + settledMs;
    const left = await this.#sweep(destroyed);
    if (!isSettled) left.push("requests");
    if (left.length > 0) return { tenant: destroyed, left };
    const detail = { tenant: id, is_gone: true };
    const results = await this.#change(by, "tenants.destroy", detail, store.tenantIsGone(id, clock.nowMs()));
    return { tenant: store.tenantIn(results) ?? destroyed, left };
  }

  async #shut(by: Author, id: string): Promise<StoredTenant> {
    const { clock, store } = this.#parts;
    const change = store.destroyTenant(id, clock.nowMs());
    return store.tenantIn(await this.#change(by, "tenants.destroy", { tenant: id }, change))!;
  }

  /** Answers what is left. */
  async #sweep({ tenant: id, jurisdiction, shardsEver }: StoredTenant): Promise<Remnant[]> {
    const shards = Array.from({ length: shardsEver }, (_, index) => ({ tenant: id, jurisdiction, index }));
    const left: Remnant[] = [];
    const attempt = async (what: Remnant, work: () => Promise<unknown>) => {
      if ((await this.#attempt(id, what, work)) === false) left.push(what);
    };
    await attempt("keys", () => this.#parts.destroyKeys({ id, jurisdiction }));
    await attempt("shards", () => Promise.all(shards.map((shard) => this.#parts.destroyShard(shard))));
    await attempt("rows", () => this.#parts.deleteRows({ id, jurisdiction }));
    return left;
  }

  /** What fails is left for the next time. */
  async #attempt(tenant: string, what: Remnant, work: () => Promise<unknown>): Promise<unknown> {
    try {
      return await work();
    } catch (error) {
      const { name, message } = error as Error;
      const event = { message: "not destroyed yet", tenant, what, error: `${name}: ${message}` };
      this.#parts.log({ level: "error", ...event });
      return false;
    }
  }

  /** In the chain of the platform: the tenant's own ends with it. */
  async #change(
    { principal, requestId }: Author,
    action: string,
    detail: AuditDetail,
    change: D1PreparedStatement[],
  ): Promise<D1Result[]> {
    const { audit, directory } = this.#parts;
    const event = { action, actor: principal.kid, outcome: "success", detail, requestId } as const;
    try {
      return await audit.withChange(platformTenant, event, () => change);
    } finally {
      directory.changed();
    }
  }
}

const ofTheEnvironment = {
  reason: "conflict",
  detail: "it is a tenant of the environment: change TENANTS",
} as const;

const withoutTimes = { notBeforeMs: null, expiresAtMs: null } as const;
