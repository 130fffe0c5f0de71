import { Hono } from "hono";
import { describeRoute } from "hono-openapi";
import * as v from "valibot";
import { readPipeline } from "../tiers/pipeline.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { problem } from "./problem.ts";
import { answers, keyProblems, pipeline } from "./schemas.ts";
import { query } from "./validate.ts";

export function pipelineRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>().get("/", describePipeline, query(v.strictObject({})), async (c) => {
    const result = await readPipeline(deps, c.get("tenant"));
    return "reason" in result ? problem(c, result) : c.json(result);
  });
}

const describePipeline = describeRoute({
  summary: "What the tenant's shards hold, how full they are, and what they had to leave out",
  responses: answers(pipeline, "The gauges of each shard, and the bounds in force", {
    ...keyProblems,
    503: "overloaded, shard-unavailable",
  }),
});
