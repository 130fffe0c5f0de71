import { Hono } from "hono";
import { describeRoute } from "hono-openapi";
import type { ApiEnv } from "./deps.ts";
import { answers, health } from "./schemas.ts";

export function healthRoutes(): Hono<ApiEnv> {
  return new Hono<ApiEnv>().get(
    "/healthz",
    describeRoute({ summary: "Whether the Worker answers", security: [], responses: answers(health, "It does", {}) }),
    (c) => c.json({ status: "ok" }),
  );
}
