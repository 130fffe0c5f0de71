import { Hono } from "hono";
import { StorageError } from "../storage/d1.ts";
import { anomalyRoutes } from "./anomalies.ts";
import { configRoutes } from "./config.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { guard } from "./guard.ts";
import { healthRoutes } from "./health.ts";
import { ingestRoutes } from "./ingest.ts";
import { openApiRoutes } from "./openapi.ts";
import { pipelineRoutes } from "./pipeline.ts";
import { problem } from "./problem.ts";

/** The HTTP API, as `docs/api.md` says. Tests call `app.request(path)`. */
export function createApp(deps: ApiDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>();

  app.use(async (c, next) => {
    const requestId = crypto.randomUUID();
    c.set("requestId", requestId);
    await next();
    c.header("X-Request-Id", requestId);
  });
  app.use(guard(deps));
  app.route("/", healthRoutes());
  app.route("/", openApiRoutes(app));
  app.route("/v1/ingest", ingestRoutes(deps));
  app.route("/v1/anomalies", anomalyRoutes(deps));
  app.route("/v1/pipeline", pipelineRoutes(deps));
  app.route("/v1/config", configRoutes(deps));

  app.notFound((c) => {
    const allow = methodsOf(app, c.req.path);
    return problem(c, allow.length > 0 ? { reason: "method_not_allowed", allow } : { reason: "not_found" });
  });
  app.onError((error, c) => {
    const event = { request_id: c.get("requestId"), error: `${error.name}: ${error.message}`, stack: error.stack };
    const isStorage = error instanceof StorageError;
    deps.log({ level: "error", message: isStorage ? "storage failed" : "unexpected error", ...event });
    return problem(c, { reason: isStorage ? "storage_unavailable" : "internal" });
  });
  return app;
}

/** The methods that a path has. Hono answers HEAD by GET. */
function methodsOf(app: Hono<ApiEnv>, path: string): string[] {
  const methods = ["GET", "POST", "PUT", "PATCH", "DELETE"].filter((method) =>
    app.router.match(method, path)[0].some(([[, route]]) => route.method !== "ALL"),
  );
  return methods.includes("GET") ? ["HEAD", ...methods] : methods;
}
