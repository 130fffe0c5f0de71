import { env } from "cloudflare:test";
import { breakerObject } from "../../durable-objects/model-breaker-rpc.ts";
import type { EntityShardRpc } from "../../durable-objects/shard-rpc.ts";
import { createApp } from "../../src/api/app.ts";
import type { ApiDeps } from "../../src/api/deps.ts";
import { readConfig, type Clock, type Log } from "../../src/config.ts";
import type { ApplyRequest, ApplyResult, EndResult, ShardGauges } from "../../src/core/shard/rpc.ts";
import type { PackedFacts } from "../../src/core/slots/network-facts.ts";
import type { Anomaly, Verdict } from "../../src/core/verdict.ts";
import { MemoryStorage } from "../../src/core/shard/memory-storage.ts";
import { Shard } from "../../src/core/shard/shard.ts";
import type { ApiKey } from "../../src/security/api-key.ts";
import type { AuditEvent } from "../../src/security/audit.ts";
import { directoryOf, type Directory, type DirectoryReader } from "../../src/security/directory.ts";
import type { Tenant } from "../../src/security/tenant.ts";
import { localKeyProvider } from "../../src/security/key-provider.ts";
import { Breakers, type BreakersParts } from "../../src/inference/breaker.ts";
import { ModelCache, type ModelCacheParts } from "../../src/inference/model-cache.ts";
import type { ModelName, ModelPackage } from "../../src/inference/model.ts";
import { Registry, type RegistryParts } from "../../src/inference/registry.ts";
import { DataKeyring, derivedKeyring, type DataKeyringParts } from "../../src/security/keyring.ts";
import { d1AnomalyStore } from "../../src/storage/d1-anomaly-store.ts";
import type { AuditLog } from "../../src/storage/audits.ts";
import { D1Audit, type D1AuditParts } from "../../src/storage/d1-audit.ts";
import type { ConfigurationStore } from "../../src/storage/configurations.ts";
import { d1ConfigurationStore } from "../../src/storage/d1-configuration-store.ts";
import { d1DataKeyStore } from "../../src/storage/d1-data-keys.ts";
import { d1NonceStore } from "../../src/storage/d1-nonces.ts";
import { D1Directory } from "../../src/storage/d1-directory.ts";
import { deleteRows } from "../../src/storage/d1-rows.ts";
import { databasesOf } from "../../src/storage/databases.ts";
import { DirectorySeal } from "../../src/security/directory-seal.ts";
import { unpacked } from "../../src/storage/model-package.ts";
import { openDoors } from "../../src/tiers/admission.ts";
import { Acknowledgements } from "../../src/tiers/acknowledgements.ts";
import { ApiKeys } from "../../src/tiers/api-keys.ts";
import { Configurations } from "../../src/tiers/configurations.ts";
import { DataKeys, type DataKeysParts } from "../../src/tiers/data-keys.ts";
import { FactsExchange } from "../../src/tiers/facts-exchange.ts";
import { ModelVersions, type ModelVersionsParts } from "../../src/tiers/model-versions.ts";
import { ModelInstanceList, type ModelInstanceListParts } from "../../src/tiers/model-instances.ts";
import { Quotas } from "../../src/tiers/quotas.ts";
import { shardName } from "../../src/tiers/shard-call.ts";
import { Tenants, type TenantsParts } from "../../src/tiers/tenants.ts";
import { tinyForest, tinySequence } from "../support/tiny-models.ts";

/** 2026-11-22T17:00:00Z */
export const hourMs = Date.UTC(2026, 10, 22, 17);

export const config = readConfig(env);
const keyring = derivedKeyring(config.masterKey);
export const clock: Clock & { now: number } = {
  now: hourMs,
  nowMs: () => clock.now,
  wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  chance: () => 0,
};
/** As a request finds them. */
export const acme = await tenantNamed("acme");
export const lab = await tenantNamed("lab");
async function tenantNamed(id: string): Promise<Tenant> {
  const settings = config.tenants.get(id)!;
  return { ...settings, keys: await keyring.of(settings) };
}

export const store = d1AnomalyStore({ db: env.DB, clock });

type Kid = "admin" | "shipper" | "viewer" | "analyst" | "auditor" | "other" | "operator";

export function auth(kid: Kid): Record<string, string> {
  return { Authorization: `Bearer ${kid}.secret` };
}

/** Remembers batches as a shard does, and says what the test wants it to say. */
export class FakeShard implements EntityShardRpc {
  calls: ApplyRequest[] = [];
  late = 0;
  isFull = false;
  verdicts: Verdict[] = [];
  /** Thrown by the next calls, in order. */
  failures: Error[] = [];
  readonly #seen = new Map<string, string>();

  async apply(request: ApplyRequest): Promise<ApplyResult> {
    this.calls.push(request);
    this.#failMaybe();
    if (this.isFull) return { status: "overloaded" };
    const digest = this.#seen.get(request.batchKey);
    if (digest !== undefined)
      return digest === request.bodyDigest ? { status: "duplicate", late: this.late } : { status: "conflict" };
    this.#seen.set(request.batchKey, request.bodyDigest);
    const { receivedAtMs } = request;
    const verdicts = this.verdicts.map((one) => ({ slot: 0, verdict: one, receivedAtMs }));
    return {
      status: "applied",
      late: this.late,
      repaired: false,
      verdicts,
      candidates: [],
      factsRevision: 0,
      decidedAtMs: clock.now,
    };
  }

  async end(): Promise<EndResult> {
    this.#failMaybe();
    const verdicts = this.verdicts.map((one) => ({ slot: 0, verdict: one, receivedAtMs: clock.now }));
    return { verdicts, candidates: [], decidedAtMs: clock.now };
  }

  async facts(): Promise<{ facts: PackedFacts }> {
    return { facts: new Shard({ storage: new MemoryStorage(), detectors: [] }).facts(true) };
  }

  async gauges(): Promise<ShardGauges> {
    return new Shard({ storage: new MemoryStorage(), detectors: [] }).gauges();
  }

  #failMaybe(): void {
    const failure = this.failures.shift();
    if (failure) throw failure;
  }
}

/** Remembers what it is told, each count as one. */
class FakeAudit implements AuditLog {
  readonly events: (AuditEvent & { tenant: string })[] = [];

  async record(tenant: string, event: AuditEvent): Promise<void> {
    this.events.push({ tenant, ...event });
  }

  count(tenant: string, event: AuditEvent): void {
    this.events.push({ tenant, ...event });
  }

  async withChange(tenant: string, event: AuditEvent, statements: () => D1PreparedStatement[]) {
    const change = statements();
    const results = change.length > 0 ? await env.DB.batch(change) : [];
    if (results.length === 0 || results[0].meta.changes > 0) this.events.push({ tenant, ...event });
    return results;
  }

  list: AuditLog["list"] = (tenant, query) => auditOf().list(tenant, query);
  verify: AuditLog["verify"] = (tenant, after, limit) => auditOf().verify(tenant, after, limit);
}

const nothingInD1: DirectoryReader = { tenant: async () => undefined, key: async () => undefined };

/** Of an isolate that has just started, and that nobody waits for. */
export function auditOf(more: Partial<D1AuditParts> = {}): D1Audit {
  const wait: Clock["wait"] = (ms) => (ms > 1_000 ? new Promise(() => {}) : clock.wait(ms));
  const headOf = (tenant: string) => env.AUDIT_HEAD.get(env.AUDIT_HEAD.idFromName(tenant));
  const parts = { db: env.DB, headOf, clock: { ...clock, wait }, log: () => {}, waitUntil: () => {} };
  return new D1Audit({ ...parts, ...more });
}

const configurationStore = d1ConfigurationStore({ db: env.DB, clock, audit: auditOf() });

/** The environment, and these keys beside it. */
export function directoryWith(keys: readonly ApiKey[], tenants = config.tenants): Directory {
  const key = async (kid: string) => keys.find((one) => one.kid === kid);
  const reader = { ...nothingInD1, key };
  const environment = { apiKeys: config.apiKeys, tenants };
  return directoryOf({ environment, reader, clock, log: () => {}, waitUntil: () => {} });
}

/** Of an isolate that has just started. */
export function configurationsOf(of: ConfigurationStore = configurationStore): Configurations {
  return new Configurations({ clock, log: () => {}, store: of, waitUntil: () => {} });
}

/** Tenants and keys in the real D1, as an isolate that has just started finds them. */
export function administrationOf(more: Partial<TenantsParts> = {}): Pick<ApiDeps, "directory" | "apiKeys" | "tenants"> {
  const seal = new DirectorySeal(config.masterKeys);
  const reader = new D1Directory({ db: env.DB, clock, seal, allowanceMs: config.allowanceMs });
  const directory = directoryOf({ environment: config, reader, clock, log: () => {}, waitUntil: () => {} });
  const parts = { directory, store: reader, audit: more.audit ?? auditOf(), clock, log: () => {} };
  return {
    directory,
    apiKeys: new ApiKeys({ ...parts, environment: config.apiKeys }),
    tenants: new Tenants({
      ...parts,
      environment: config.tenants,
      hasJurisdiction: () => false,
      destroyKeys: async () => {},
      destroyShard: async () => {},
      deleteRows: (tenant) => deleteRows({ databases: databasesOf(env), clock }, tenant),
      ...more,
    }),
  };
}

const provider = localKeyProvider(config.masterKeys);
const dataKeyStore = d1DataKeyStore({ db: env.DB, clock, audit: auditOf() });

/** Of an isolate that has just started: the keys in D1, which the real objects go by. */
export function dataKeyringOf(more: Partial<DataKeyringParts> = {}): DataKeyring {
  return new DataKeyring({ clock, log: () => {}, provider, store: dataKeyStore, ...more });
}

export function dataKeysOf(more: Partial<DataKeysParts> = {}): DataKeys {
  return new DataKeys({
    clock,
    log: () => {},
    keyring: dataKeyringOf(),
    provider,
    store: dataKeyStore,
    directory: { reseal: async () => 0 },
    anomalies: store,
    shardOf: (shard) => env.ENTITY_SHARD.get(env.ENTITY_SHARD.idFromName(shardName(shard))),
    ...more,
  });
}

/** What ships with the Worker, in tests that are not about it. */
const tinyModels = new Map<ModelName, ModelPackage>([
  ["isolation_forest", tinyForest()],
  ["lstm_autoencoder", tinySequence()],
]);

/** Models as an isolate finds them that has just started: the real object, KV and R2. Whatever is uploaded passes. */
export function modelsOf(more: Partial<ModelVersionsParts & RegistryParts & ModelCacheParts<ModelPackage>> = {}) {
  const pending: Promise<unknown>[] = [];
  const events: Parameters<Log>[0][] = [];
  const parts = {
    clock,
    log: (event: Parameters<Log>[0]) => void events.push(event),
    waitUntil: (promise: Promise<unknown>) => void pending.push(promise),
    registry: () => env.MODEL_REGISTRY.get(env.MODEL_REGISTRY.idFromName("models")),
    builtIn: tinyModels,
    audit: auditOf(),
    tryPackage: async () => {},
    ...more,
  };
  const cache = new ModelCache({ kv: env.MODEL_CACHE, bucket: env.MODELS, decode: unpacked, ...parts });
  const inForce = new Registry({ ...parts, cache });
  const versions = new ModelVersions({ ...parts, cache, changed: () => inForce.changed() });
  /** What goes on behind the answers. */
  const settled = async () => {
    for (let done = 0; done < pending.length;) await pending[done++];
  };
  return { cache, inForce, versions, events, settled };
}

export const instancesObject = () => env.MODEL_INSTANCES.get(env.MODEL_INSTANCES.idFromName("instances"));

/** Of an isolate that has just started: the real objects. */
export function breakersOf(more: Partial<BreakersParts> = {}): Breakers {
  const objectOf = (name: string) => breakerObject(env.MODEL_BREAKER, name);
  return new Breakers({ clock, log: () => {}, waitUntil: () => {}, objectOf, ...more });
}

function instanceListOf(more: Partial<ModelInstanceListParts> = {}): ModelInstanceList {
  return new ModelInstanceList({
    clock,
    log: () => {},
    object: instancesObject,
    breakers: breakersOf(),
    models: modelsOf().inForce,
    audit: auditOf(),
    inFlight: () => 0,
    changed: () => {},
    ...more,
  });
}

/** An app over the real D1 and a fake shard. */
export function testApp(more: Partial<ApiDeps> = {}) {
  const shard = new FakeShard();
  const events: Parameters<Log>[0][] = [];
  const pending: Promise<unknown>[] = [];
  const audit = new FakeAudit();
  const app = createApp({
    config,
    clock,
    log: (event) => void events.push(event),
    keyring,
    ...administrationOf(),
    dataKeys: dataKeysOf(),
    modelVersions: modelsOf({ audit }).versions,
    modelInstances: instanceListOf({ audit }),
    directory: directoryWith([]),
    quotas: new Quotas(),
    audit,
    shardOf: () => shard,
    doors: openDoors(),
    acknowledgements: new Acknowledgements(),
    facts: new FactsExchange(),
    configurations: configurationsOf(),
    anomalies: store,
    nonces: d1NonceStore({ db: env.DB, clock }),
    waitUntil: (promise) => void pending.push(promise),
    ...more,
  });
  const post = (path: string, body: BodyInit | null, headers: Record<string, string> = {}) =>
    app.request(path, { method: "POST", body, headers: { ...auth("shipper"), ...headers } });
  const get = (path: string, headers: Record<string, string> = auth("viewer")) => app.request(path, { headers });
  return { app, shard, events, pending, audited: audit.events, post, get };
}

export function verdict(more: Partial<Verdict> = {}): Verdict {
  return {
    threat: "port_scan",
    detectorVersion: 1,
    configVersion: "5b2e81c09d41f3a7",
    entity: "10.0.0.5",
    window: { startMs: hourMs - 3_600_000, endMs: hourMs },
    score: 0.97,
    confidence: 0.9,
    severity: "high",
    techniques: ["T1046"],
    summary: "10.0.0.5 knocked on 200 ports of 10.0.1.1",
    peers: [{ address: "10.0.1.1", port: 0, protocol: "tcp" }],
    peerCount: 1,
    evidence: { ports: 200, ports_min: 15 },
    state: "provisional",
    revision: 1,
    completeness: { late_records: 0, evicted_entities: 0, folded_contacts: 0, warming_up: false },
    ...more,
  };
}

/** An anomaly whose id is `n` in hex. */
export function anomaly(n: number, more: Partial<Anomaly> = {}): Anomaly {
  return {
    ...verdict(),
    id: n.toString(16).padStart(32, "0"),
    tenant: "acme",
    receivedAtMs: hourMs - 20,
    decidedAtMs: hourMs - 10,
    tiers: [{ tier: 1, ran: true, reason: null }],
    models: [],
    ...more,
  };
}

/** VPC flow-log lines: `count` records that the parser accepts. */
export function vpcLines(count: number, from = 0): string {
  const startS = hourMs / 1000 - 600;
  const line = (i: number) =>
    `2 123456789010 eni-1 10.0.0.5 10.0.1.${i % 250} 49152 ${1 + (i % 60_000)} 6 1 40 ${startS} ${startS + 10} REJECT OK\n`;
  return Array.from({ length: count }, (_, i) => line(from + i)).join("");
}
