import type { Context, MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { rawBytesMax } from "../ingest/body.ts";
import { applicationLayer } from "../security/application.ts";
import { runChain } from "../security/chain.ts";
import type { GuardedRequest, SecurityContext } from "../security/context.ts";
import { dataLayer } from "../security/data.ts";
import { gatewayLayer } from "../security/gateway.ts";
import { NetworkLayer } from "../security/network.ts";
import { routeAccess } from "../security/permissions.ts";
import { auditing } from "./auditing.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { jsonBytesMax } from "./json-body.ts";
import { uploadBytesMax } from "./model-upload.ts";
import { problem } from "./problem.ts";

/** Lets a request through to its route if every layer does, and has the audit log told what became of it. */
export function guard(deps: ApiDeps): MiddlewareHandler<ApiEnv> {
  const { config, clock, directory, nonces, rateLimit } = deps;
  const network = new NetworkLayer({ clock, denied: config.deniedNetworks, rateLimit, bodyBytesMax });
  const layers = [network, gatewayLayer({ clock, directory, nonces }), applicationLayer(deps), dataLayer];
  const tell = auditing(deps);

  return async (c, next) => {
    const context: SecurityContext = { requestId: c.get("requestId"), clientAddress: null, layers: [] };
    c.set("security", context);
    const request = guardedRequest(c);
    const refusal = await runChain(layers, request, context);
    if (refusal) {
      if (refusal.action === "authentication") network.charge(context);
      tell.refused(refusal, request, context);
      return problem(c, refusal.failure);
    }
    const { key, principal, tenant, data } = context;
    if (!principal || !tenant || !data) return next();
    c.set("principal", principal);
    c.set("tenant", tenant);
    c.set("data", data);
    await next();
    tell.answered(c, request, context);
    if (key?.replacedBy) c.header("Weir-Key-Rotated", key.replacedBy);
  };
}

/** What the router found, and what that wants. */
function guardedRequest(c: Context<ApiEnv>): GuardedRequest {
  const routes = matchedRoutes(c).filter(({ method }) => method !== "ALL");
  const names = routes.map(({ method, path }) => `${method} ${path}`);
  const wanted = names.map((name) => routeAccess.get(name) ?? null).filter((access) => access !== "public");
  return { raw: c.req.raw, route: names[0] ?? null, wanted };
}

function bodyBytesMax(path: string): number {
  if (path === "/v1/models") return uploadBytesMax;
  return path.startsWith("/v1/ingest/") ? rawBytesMax : jsonBytesMax;
}
