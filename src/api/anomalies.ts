import { Hono } from "hono";
import { describeRoute } from "hono-openapi";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { anomalyJson } from "./anomaly-json.ts";
import { anomalyParameters, anomalyQuery, cursorOf } from "./anomaly-query.ts";
import { problem } from "./problem.ts";
import { anomaly, anomalyList, answers, keyProblems } from "./schemas.ts";
import { query } from "./validate.ts";

export function anomalyRoutes({ anomalies }: Pick<ApiDeps, "anomalies">): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get("/", describeList, query(anomalyParameters), async (c) => {
      const asked = anomalyQuery(c.req.valid("query"));
      if (!asked) {
        const detail = "belongs to a list of the other order: give after with all of its pages, or with none";
        return problem(c, { reason: "invalid_parameters", errors: [{ parameter: "cursor", detail }] });
      }
      const page = await anomalies.list(c.get("tenant"), asked);
      const next = page.next ? cursorOf(asked.order, page.next) : null;
      return c.json({ anomalies: page.anomalies.map(anomalyJson), next });
    })
    .get("/:id", describeOne, async (c) => {
      const found = await anomalies.get(c.get("tenant"), c.req.param("id"));
      return found ? c.json(anomalyJson(found)) : problem(c, { reason: "not_found" });
    });
}

const describeList = describeRoute({
  summary: "List stored verdicts, newest first; with after, oldest first",
  responses: answers(anomalyList, "A page", {
    400: "invalid-parameters",
    ...keyProblems,
    503: "storage-unavailable",
  }),
});

const describeOne = describeRoute({
  summary: "One stored verdict",
  responses: answers(anomaly, "The verdict", { ...keyProblems, 404: "not-found", 503: "storage-unavailable" }),
});
