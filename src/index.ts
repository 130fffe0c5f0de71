import { waitUntil } from "cloudflare:workers";
import type { Hono } from "hono";
import { breakerObject } from "../durable-objects/model-breaker-rpc.ts";
import { openSession } from "../wasm/onnx-runtime.ts";
import { createApp } from "./api/app.ts";
import type { ApiEnv } from "./api/deps.ts";
import { problemResponse } from "./api/problem.ts";
import { ConfigError, consoleLog, readConfig, systemClock, type Config } from "./config.ts";
import { BearerSeal } from "./inference/bearer-seal.ts";
import { Breakers } from "./inference/breaker.ts";
import { builtInModels } from "./inference/built-in.ts";
import { faultyModels } from "./inference/fault.ts";
import { ModelInference } from "./inference/inference.ts";
import { Instances } from "./inference/instances.ts";
import { ModelCache } from "./inference/model-cache.ts";
import { Registry, type ModelsInForce } from "./inference/registry.ts";
import { Sessions } from "./inference/sessions.ts";
import { tryPackage } from "./inference/trial.ts";
import { directoryOf } from "./security/directory.ts";
import { DirectorySeal } from "./security/directory-seal.ts";
import { localKeyProvider } from "./security/key-provider.ts";
import { DataKeyring } from "./security/keyring.ts";
import type { Jurisdiction } from "./security/tenant.ts";
import { anomaliesByJurisdiction } from "./storage/anomalies-by-jurisdiction.ts";
import { D1Audit } from "./storage/d1-audit.ts";
import { d1AnomalyStore } from "./storage/d1-anomaly-store.ts";
import { d1DataKeyStore } from "./storage/d1-data-keys.ts";
import { d1ConfigurationStore } from "./storage/d1-configuration-store.ts";
import { D1Directory } from "./storage/d1-directory.ts";
import { d1NonceStore } from "./storage/d1-nonces.ts";
import { deleteRows } from "./storage/d1-rows.ts";
import { databasesOf } from "./storage/databases.ts";
import { guardedWrites } from "./storage/guarded-writes.ts";
import { unpacked } from "./storage/model-package.ts";
import { openDoors } from "./tiers/admission.ts";
import { Acknowledgements } from "./tiers/acknowledgements.ts";
import { ApiKeys } from "./tiers/api-keys.ts";
import { Configurations } from "./tiers/configurations.ts";
import { DataKeys } from "./tiers/data-keys.ts";
import { FactsExchange } from "./tiers/facts-exchange.ts";
import { ModelInstanceList } from "./tiers/model-instances.ts";
import { ModelVersions } from "./tiers/model-versions.ts";
import { Quotas } from "./tiers/quotas.ts";
import { shardName, type ShardRef } from "./tiers/shard-call.ts";
import { Tenants } from "./tiers/tenants.ts";

export { AuditHead } from "../durable-objects/audit-head.ts";
export { EntityShard } from "../durable-objects/entity-shard.ts";
export { ModelBreaker } from "../durable-objects/model-breaker.ts";
export { ModelInstances } from "../durable-objects/model-instances.ts";
export { ModelRegistry } from "../durable-objects/model-registry.ts";
export { ModelRunner } from "../durable-objects/model-runner.ts";

/** Everything outside that every part wants. */
const environment = { clock: systemClock, log: consoleLog, waitUntil };

/** What requests and cron ask of an isolate. */
interface Worker {
  app: Hono<ApiEnv>;
  models: ReturnType<typeof modelsOf>;
}

/** Wires the platform into the parts. */
function workerOf(env: Env): Worker {
  const config = readConfig(env);
  const stores = storesOf(env, config);
  const { audit, anomalies } = stores;
  const models = modelsOf(env, audit);
  const breakers = new Breakers({ ...environment, objectOf: (name) => breakerObject(env.MODEL_BREAKER, name) });
  const { inference, modelInstances } = inferenceOf(env, config, { models: models.inForce, audit, breakers });
  const app = createApp({
    ...environment,
    ...administrationOf(env, config, stores),
    config,
    audit,
    anomalies: guardedWrites(anomalies, breakers),
    quotas: new Quotas(),
    shardOf: (shard) => shardOf(env, shard),
    doors: openDoors(),
    acknowledgements: new Acknowledgements(),
    facts: new FactsExchange(),
    configurations: new Configurations({ ...environment, store: stores.configurations }),
    modelVersions: models.versions,
    modelInstances,
    inference,
    nonces: d1NonceStore({ db: env.DB, clock: systemClock }),
    rateLimit: env.RATE_LIMIT,
  });
  return { app, models };
}

type Stores = ReturnType<typeof storesOf>;

function storesOf(env: Env, { masterKeys, allowanceMs }: Config) {
  const home = { db: env.DB, clock: systemClock };
  const headOf = (tenant: string) => env.AUDIT_HEAD.get(env.AUDIT_HEAD.idFromName(tenant));
  const audit = new D1Audit({ ...environment, db: env.DB, headOf });
  const databases = databasesOf(env);
  return {
    audit,
    databases,
    configurations: d1ConfigurationStore({ ...home, audit }),
    dataKeys: d1DataKeyStore({ ...home, audit }),
    directory: new D1Directory({ ...home, seal: new DirectorySeal(masterKeys), allowanceMs }),
    anomalies: anomaliesByJurisdiction(databases, (db) => d1AnomalyStore({ db, clock: systemClock })),
  };
}

/** Tenants, their keys, and what is sealed with those. */
function administrationOf(
  env: Env,
  config: Config,
  { audit, databases, dataKeys, directory: store, anomalies }: Stores,
) {
  const provider = localKeyProvider(config.masterKeys);
  const keyring = new DataKeyring({ ...environment, provider, store: dataKeys });
  const hasJurisdiction = (jurisdiction: Jurisdiction) =>
    databases.has(jurisdiction) && hasObjectsIn(env, jurisdiction);
  for (const { id, jurisdiction } of config.tenants.values()) {
    if (jurisdiction !== null && !hasJurisdiction(jurisdiction))
      throw new ConfigError("TENANTS", `${id}: nothing can be kept in the jurisdiction ${jurisdiction}`);
  }
  const directory = directoryOf({ ...environment, environment: config, reader: store });
  const parts = { ...environment, audit, directory, store };
  return {
    keyring,
    directory,
    dataKeys: new DataKeys({
      ...environment,
      keyring,
      provider,
      store: dataKeys,
      directory: store,
      anomalies,
      shardOf: (shard) => shardOf(env, shard),
    }),
    apiKeys: new ApiKeys({ ...parts, environment: config.apiKeys }),
    tenants: new Tenants({
      ...parts,
      environment: config.tenants,
      hasJurisdiction,
      destroyKeys: (tenant) => dataKeys.destroy(tenant),
      destroyShard: (shard) => shardOf(env, shard).destroy(),
      deleteRows: (tenant) => deleteRows({ databases, clock: systemClock }, tenant),
    }),
  };
}

/** Which versions of the models are in force, and who changes that. */
function modelsOf(env: Env, audit: D1Audit) {
  const cache = new ModelCache({ ...environment, kv: env.MODEL_CACHE, bucket: env.MODELS, decode: unpacked });
  const registry = () => env.MODEL_REGISTRY.get(env.MODEL_REGISTRY.idFromName("models"));
  const parts = { ...environment, cache, registry, builtIn: builtInModels() };
  const inForce = new Registry(parts);
  const versions = new ModelVersions({
    ...parts,
    audit,
    tryPackage: (pkg) => tryPackage(pkg, openSession),
    changed: () => inForce.changed(),
  });
  return { inForce, versions };
}

/** Who runs them, and where that may be. */
function inferenceOf(
  { MODEL_INSTANCES, MODEL_RUNNER }: Env,
  config: Config,
  { models, audit, breakers }: { models: ModelsInForce; audit: D1Audit; breakers: Breakers },
) {
  const object = () => MODEL_INSTANCES.get(MODEL_INSTANCES.idFromName("instances"));
  const instances = new Instances({ ...environment, object });
  const bearers = new BearerSeal(config.masterKeys);
  const parts = { ...environment, breakers, models: faultyModels(models, config.modelFault) };
  const inference = new ModelInference({
    ...parts,
    instances,
    sessions: new Sessions({ ...environment, open: openSession }),
    runnerOf: (id) => MODEL_RUNNER.get(MODEL_RUNNER.idFromName(id)),
    openBearer: (instance, sealed) => bearers.open(instance, sealed),
    fetch,
    timeoutMs: config.modelTimeoutMs,
    fault: config.modelFault,
  });
  const modelInstances = new ModelInstanceList({
    ...parts,
    object,
    audit,
    inFlight: (id) => inference.inFlight(id),
    changed: () => instances.changed(),
  });
  return { inference, modelInstances };
}

function shardOf(env: Env, shard: ShardRef) {
  const shards = objectsIn(env, shard.jurisdiction);
  return shards.get(shards.idFromName(shardName(shard)));
}

function objectsIn({ ENTITY_SHARD }: Env, jurisdiction: Jurisdiction | null) {
  return jurisdiction === null ? ENTITY_SHARD : ENTITY_SHARD.jurisdiction(jurisdiction);
}

/** On a machine of one's own there are no jurisdictions, and workerd says so. */
function hasObjectsIn(env: Env, jurisdiction: Jurisdiction): boolean {
  try {
    return Boolean(objectsIn(env, jurisdiction));
  } catch {
    return false;
  }
}

/** One per isolate. */
let worker: Worker | undefined;

/** Begins to load the models in force when an isolate is asked for the first time. */
function startedWorker(env: Env): Worker {
  if (worker) return worker;
  worker = workerOf(env);
  waitUntil(worker.models.inForce.begin());
  return worker;
}

export default {
  fetch(request, env, ctx) {
    try {
      return startedWorker(env).app.fetch(request, env, ctx);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const { setting, detail } = error;
      const requestId = crypto.randomUUID();
      consoleLog({ level: "error", message: "bad configuration", request_id: requestId, setting, detail });
      return problemResponse({ reason: "misconfigured", setting, detail }, requestId);
    }
  },

  /** Keeps KV warm, and records what could not be recorded at its time. @throws ConfigError, StorageError */
  async scheduled(_controller, env) {
    const { inForce, versions } = startedWorker(env).models;
    await inForce.warmKv();
    await versions.recordChanges();
  },
} satisfies ExportedHandler<Env>;
