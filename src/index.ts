import { waitUntil } from "cloudflare:workers";
import type { Hono } from "hono";
import { createApp } from "./api/app.ts";
import type { ApiEnv } from "./api/deps.ts";
import { problemResponse } from "./api/problem.ts";
import { ConfigError, consoleLog, readConfig, systemClock } from "./config.ts";
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
import { Acknowledgements } from "./tiers/acknowledgements.ts";
import { ApiKeys } from "./tiers/api-keys.ts";
import { Configurations } from "./tiers/configurations.ts";
import { DataKeys } from "./tiers/data-keys.ts";
import { FactsExchange } from "./tiers/facts-exchange.ts";
import { Quotas } from "./tiers/quotas.ts";
import { shardName, type ShardRef } from "./tiers/shard-call.ts";
import { Tenants } from "./tiers/tenants.ts";

export { AuditHead } from "../durable-objects/audit-head.ts";
export { EntityShard } from "../durable-objects/entity-shard.ts";

/** Wires the platform into the parts. */
function appOf(env: Env): Hono<ApiEnv> {
  const config = readConfig(env);
  const audit = new D1Audit({
    db: env.DB,
    headOf: (tenant) => env.AUDIT_HEAD.get(env.AUDIT_HEAD.idFromName(tenant)),
    clock: systemClock,
    log: consoleLog,
    waitUntil,
  });
  const store = d1ConfigurationStore({ db: env.DB, clock: systemClock, audit });
  const dataKeys = d1DataKeyStore({ db: env.DB, clock: systemClock, audit });
  const provider = localKeyProvider(config.masterKeys);
  const keyring = new DataKeyring({ clock: systemClock, log: consoleLog, provider, store: dataKeys });
  const databases = databasesOf(env);
  const hasJurisdiction = (jurisdiction: Jurisdiction) =>
    databases.has(jurisdiction) && hasObjectsIn(env, jurisdiction);
  for (const { id, jurisdiction } of config.tenants.values()) {
    if (jurisdiction !== null && !hasJurisdiction(jurisdiction))
      throw new ConfigError("TENANTS", `${id}: nothing can be kept in the jurisdiction ${jurisdiction}`);
  }
  const seal = new DirectorySeal(config.masterKeys);
  const { allowanceMs } = config;
  const directoryStore = new D1Directory({ db: env.DB, clock: systemClock, seal, allowanceMs });
  const environment = { clock: systemClock, log: consoleLog, waitUntil };
  const directory = directoryOf({ ...environment, environment: config, reader: directoryStore });
  const administration = { ...environment, audit, directory, store: directoryStore };
  const anomalies = anomaliesByJurisdiction(databases, (db) => d1AnomalyStore({ db, clock: systemClock }));
  return createApp({
    directory,
    dataKeys: new DataKeys({
      ...environment,
      keyring,
      provider,
      store: dataKeys,
      directory: directoryStore,
      anomalies,
      shardOf: (shard) => shardOf(env, shard),
    }),
    quotas: new Quotas(),
    apiKeys: new ApiKeys({ ...administration, environment: config.apiKeys }),
    tenants: new Tenants({
      ...administration,
      environment: config.tenants,
      hasJurisdiction,
      destroyKeys: (tenant) => dataKeys.destroy(tenant),
      destroyShard: (shard) => shardOf(env, shard).destroy(),
      deleteRows: (tenant) => deleteRows({ databases, clock: systemClock }, tenant),
    }),
    audit,
    config,
    clock: systemClock,
    log: consoleLog,
    keyring,
    shardOf: (shard) => shardOf(env, shard),
    acknowledgements: new Acknowledgements(),
    facts: new FactsExchange(),
    configurations: new Configurations({ clock: systemClock, log: consoleLog, store, waitUntil }),
    anomalies,
    nonces: d1NonceStore({ db: env.DB, clock: systemClock }),
    rateLimit: env.RATE_LIMIT,
    waitUntil,
  });
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
let app: Hono<ApiEnv> | undefined;

export default {
  fetch(request, env, ctx) {
    try {
      app ??= appOf(env);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const { setting, detail } = error;
      const requestId = crypto.randomUUID();
      consoleLog({ level: "error", message: "bad configuration", request_id: requestId, setting, detail });
      return problemResponse({ reason: "misconfigured", setting, detail }, requestId);
    }
    return app.fetch(request, env, ctx);
  },
} satisfies ExportedHandler<Env>;
