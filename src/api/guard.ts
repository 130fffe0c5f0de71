import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { authenticate } from "../security/authenticate.ts";
import { routeAccess } from "../security/permissions.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { problem } from "./problem.ts";

/** Lets a request through to its route if the caller may do what the route wants; a route that wants nothing is shut. */
export function guard({ config, keysOf }: Pick<ApiDeps, "config" | "keysOf">): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const routes = matchedRoutes(c).filter((route) => route.method !== "ALL");
    const wanted = routes.map((route) => routeAccess.get(`${route.method} ${route.path}`) ?? null);
    if (wanted.every((access) => access === "public")) return next();

    const principal = authenticate(c.req.header("Authorization"), config.apiKeys);
    if (!principal) return problem(c, { reason: "unauthenticated" });
    for (const access of wanted) {
      if (access === "public") continue;
      if (access === null || !principal.permissions.has(access)) {
        return problem(c, { reason: "forbidden", permission: access });
      }
    }
    c.set("principal", principal);
    const { tenant } = principal;
    c.set("tenant", { ...config.tenants.get(tenant)!, keys: await keysOf(tenant) });
    return next();
  };
}
