import { Hono } from "hono";
import { KeyProviderError } from "../security/key-provider.ts";
import { KeysDestroyed } from "../security/keyring.ts";
import { StorageError } from "../storage/d1.ts";
import { anomalyRoutes } from "./anomalies.ts";
import { auditRoutes } from "./audit.ts";
import { configRoutes } from "./config.ts";
import { dataKeyRoutes } from "./data-keys.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { guard } from "./guard.ts";
import { securityHeaders } from "./headers.ts";
import { healthRoutes } from "./health.ts";
import { ingestRoutes } from "./ingest.ts";
import { keyRoutes } from "./keys.ts";
import { modelInstanceRoutes } from "./model-instances.ts";
import { modelRoutes } from "./models.ts";
import { openApiRoutes } from "./openapi.ts";
import { pipelineRoutes } from "./pipeline.ts";
import { problem } from "./problem.ts";
import { tenantRoutes } from "./tenants.ts";

/** The HTTP API, as `docs/api.md` says. Tests call `app.request(path)`. */
export function createApp(deps: ApiDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>();

  app.use(async (c, next) => {
    const requestId = crypto.randomUUID();
    c.set("requestId", requestId);
    await next();
    c.header("X-Request-Id", requestId);
    for (const [name, value] of Object.entries(securityHeaders)) c.header(name, value);
  });
  app.use(guard(deps));
  app.route("/", healthRoutes());
  app.route("/", openApiRoutes(app));
  app.route("/v1/ingest", ingestRoutes(deps));
  app.route("/v1/anomalies", anomalyRoutes(deps));
  app.route("/v1/pipeline", pipelineRoutes(deps));
  app.route("/v1/config", configRoutes(deps));
  app.route("/v1/models/instances", modelInstanceRoutes(deps));
  app.route("/v1/models", modelRoutes(deps));
  app.route("/v1/keys", keyRoutes(deps));
  app.route("/v1/data-keys", dataKeyRoutes(deps));
  app.route("/v1/tenants", tenantRoutes(deps));
  app.route("/v1/audit", auditRoutes(deps));

  app.notFound((c) => {
    const allow = methodsOf(app, c.req.path);
    return problem(c, allow.length > 0 ? { reason: "method_not_allowed", allow } : { reason: "not_found" });
  });
  app.onError((error, c) => {
    const event = { request_id: c.get("requestId"), error: `${error.name}: ${error.message}`, stack: error.stack };
    const reason = reasonOf(error);
    deps.log({ level: "error", message: messageOf[reason], ...event });
    return problem(c, { reason });
  });
  return app;
}

/** What to answer where something was thrown. */
function reasonOf(error: Error): keyof typeof messageOf {
  if (error instanceof StorageError) return "storage_unavailable";
  if (error instanceof KeyProviderError) return "keys_unavailable";
  // The tenant is gone, but not yet for everybody.
  return error instanceof KeysDestroyed ? "unauthenticated" : "internal";
}

const messageOf = {
  storage_unavailable: "storage failed",
  keys_unavailable: "keys do not open",
  unauthenticated: "keys were destroyed",
  internal: "unexpected error",
} as const;

/** The methods that a path has. Hono answers HEAD by GET. */
function methodsOf(app: Hono<ApiEnv>, path: string): string[] {
  const methods = ["GET", "POST", "PUT", "PATCH", "DELETE"].filter((method) =>
    app.router.match(method, path)[0].some(([[, route]]) => route.method !== "ALL"),
  );
  return methods.includes("GET") ? ["HEAD", ...methods] : methods;
}
