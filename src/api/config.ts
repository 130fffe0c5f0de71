import { Hono, type Context } from "hono";
import { describeRoute, resolver } from "hono-openapi";
import * as v from "valibot";
import { allDetectors } from "../core/detectors/index.ts";
import type { StoredConfiguration } from "../storage/configurations.ts";
import { choiceIn } from "./config-body.ts";
import { configurationJson, versionsJson } from "./config-json.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { etagOf, versionOf } from "./etag.ts";
import { jsonText } from "./json-body.ts";
import { problem } from "./problem.ts";
import { answers, configuration, configurationBody, configurationVersions, keyProblems } from "./schemas.ts";
import { query } from "./validate.ts";

export function configRoutes({ configurations }: Pick<ApiDeps, "configurations">): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get("/", describeGet, query(v.strictObject({})), async (c) =>
      answer(c, await configurations.latest(c.get("tenant"))),
    )
    .put("/", describePut, query(v.strictObject({})), async (c) => {
      const tenant = c.get("tenant");
      const author = { kid: c.get("principal").kid, requestId: c.get("requestId") };
      const ifMatch = c.req.header("If-Match");
      if (ifMatch === undefined) return problem(c, { reason: "precondition_required" });
      const body = await jsonText(c, "configuration");
      if ("reason" in body) return problem(c, body);
      const choice = choiceIn(body.text, allDetectors);
      if ("errors" in choice) return problem(c, { reason: "invalid_configuration", errors: choice.errors });
      const version = versionOf(ifMatch);
      const stored = version === undefined ? undefined : await configurations.replace(tenant, version, choice, author);
      if (stored) return answer(c, stored);
      return problem(c, {
        reason: "precondition_failed",
        etag: etagOf((await configurations.latest(tenant))?.version ?? 0),
      });
    })
    .get("/versions", describeVersions, query(v.strictObject({})), async (c) =>
      c.json(versionsJson(await configurations.versions(c.get("tenant")))),
    );
}

function answer(c: Context<ApiEnv>, stored: StoredConfiguration | undefined): Response {
  return c.json(configurationJson(stored, allDetectors), 200, { ETag: etagOf(stored?.version ?? 0) });
}

const describeGet = describeRoute({
  summary: "The configuration in force",
  responses: answers(configuration, "Every threshold, with the version as ETag", {
    ...keyProblems,
    503: "storage-unavailable",
  }),
});

const describePut = describeRoute({
  summary: "Replace the configuration as a whole",
  parameters: [{ in: "header", name: "If-Match", required: true, schema: { type: "string" } }],
  requestBody: { content: { "application/json": { schema: resolver(configurationBody) } } },
  responses: answers(configuration, "What is in force now, with its version as ETag", {
    ...keyProblems,
    412: "precondition-failed",
    413: "limit-exceeded",
    422: "invalid-configuration",
    428: "precondition-required",
    503: "storage-unavailable",
  }),
});

const describeVersions = describeRoute({
  summary: "The newest 100 configurations, newest first",
  responses: answers(configurationVersions, "What was chosen, when, and by which key", {
    ...keyProblems,
    503: "storage-unavailable",
  }),
});
