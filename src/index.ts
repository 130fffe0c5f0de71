import { waitUntil } from "cloudflare:workers";
import type { Hono } from "hono";
import { createApp } from "./api/app.ts";
import type { ApiEnv } from "./api/deps.ts";
import { problemResponse } from "./api/problem.ts";
import { ConfigError, consoleLog, readConfig, systemClock } from "./config.ts";
import { keyring } from "./security/tenant-keys.ts";
import { d1AnomalyStore } from "./storage/d1-anomaly-store.ts";
import { d1ConfigurationStore } from "./storage/d1-configuration-store.ts";
import { Acknowledgements } from "./tiers/acknowledgements.ts";
import { Configurations } from "./tiers/configurations.ts";
import { FactsExchange } from "./tiers/facts-exchange.ts";
import { shardName } from "./tiers/shard-call.ts";

export { EntityShard } from "../durable-objects/entity-shard.ts";

/** Wires the platform into the parts. */
function appOf(env: Env): Hono<ApiEnv> {
  const config = readConfig(env);
  const keysOf = keyring(config.masterKey);
  const store = d1ConfigurationStore({ db: env.DB, clock: systemClock });
  return createApp({
    config,
    clock: systemClock,
    log: consoleLog,
    keysOf,
    shardOf: (shard) => env.ENTITY_SHARD.get(env.ENTITY_SHARD.idFromName(shardName(shard))),
    acknowledgements: new Acknowledgements(),
    facts: new FactsExchange(),
    configurations: new Configurations({ clock: systemClock, log: consoleLog, store, waitUntil }),
    anomalies: d1AnomalyStore({ db: env.DB, clock: systemClock }),
    waitUntil,
  });
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
