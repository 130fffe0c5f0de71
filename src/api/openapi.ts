import { Hono } from "hono";
import { describeRoute, openAPIRouteHandler } from "hono-openapi";
import type { ApiEnv } from "./deps.ts";

/** Describes the routes of `app`, whatever they are when it is first asked. */
export function openApiRoutes(app: Hono<ApiEnv>): Hono<ApiEnv> {
  const describe = openAPIRouteHandler(app, {
    excludeStaticFile: false,
    documentation: {
      info: {
        title: "Weir",
        version: "1",
        description: "Flow logs in, verdicts out. What the fields mean stands in docs/api.md.",
      },
      components: { securitySchemes: { key: { type: "http", scheme: "bearer", description: "<kid>.<secret>" } } },
      security: [{ key: [] }],
    },
  });
  const responses = { 200: { description: "OpenAPI 3.1", content: { "application/json": {} } } };
  return new Hono<ApiEnv>().get(
    "/openapi.json",
    describeRoute({ summary: "This description", security: [], responses }),
    describe,
  );
}
