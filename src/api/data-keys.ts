import { Hono } from "hono";
import { describeRoute } from "hono-openapi";
import * as v from "valibot";
import type { Rotation } from "../tiers/data-keys.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { authorOf } from "./keys.ts";
import { problem } from "./problem.ts";
import { answers, keyProblems, rewrapping, rotation } from "./schemas.ts";
import { query } from "./validate.ts";

const rotateParameters = v.strictObject({
  resume: v.optional(
    v.pipe(v.picklist(["true"], "must be true"), v.description("Make no new keys, go on with the newest")),
  ),
});

export function dataKeyRoutes({ audit, dataKeys }: Pick<ApiDeps, "audit" | "dataKeys">): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .post("/rotate", describeRotate, query(rotateParameters), async (c) => {
      const [by, tenant] = [authorOf(c), c.get("tenant")];
      const isResumed = c.req.valid("query").resume !== undefined;
      const result = isResumed ? await dataKeys.goOn(by, tenant) : await dataKeys.rotate(by, tenant);
      return "reason" in result ? problem(c, result) : c.json(rotationJson(result));
    })
    .post("/rewrap", describeRewrap, query(v.strictObject({})), async (c) => {
      const { principal, requestId } = authorOf(c);
      const part = await dataKeys.rewrap();
      const event = { action: "data_keys.rewrap", actor: principal.kid, outcome: "success", requestId } as const;
      // Of all tenants: it belongs to none. What wraps them can be seen at each.
      await audit.record(principal.tenant, { ...event, detail: { ...part } });
      return c.json(part);
    });
}

function rotationJson({ version, rows, blobs, isDone, retireAtMs }: Rotation): v.InferInput<typeof rotation> {
  const retire_at = retireAtMs === null ? null : new Date(retireAtMs).toISOString();
  return { version, rows, blobs, done: isDone, retire_at };
}

const problems = { ...keyProblems, 503: "storage-unavailable, keys-unavailable" };

const describeRotate = describeRoute({
  summary: "Make new data keys, and seal with them what older ones sealed: a part with each call",
  responses: answers(rotation, "How far it has come; to be resumed until it is done", {
    ...problems,
    400: "invalid-parameters",
    409: "conflict",
    503: "storage-unavailable, keys-unavailable, overloaded, shard-unavailable",
  }),
});

const describeRewrap = describeRoute({
  summary: "Wrap all keys with the current key-encryption key: a part with each call",
  responses: answers(rewrapping, "How many were wrapped, and are left; to be repeated until none is", problems),
});
