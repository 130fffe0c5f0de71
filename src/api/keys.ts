import { Hono, type Context } from "hono";
import { describeRoute, resolver } from "hono-openapi";
import * as v from "valibot";
import { permissions, tenantRoles, views } from "../security/permissions.ts";
import type { Author, NewKey } from "../tiers/api-keys.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { keyJson } from "./key-json.ts";
import { problem } from "./problem.ts";
import {
  administrationBodyProblems as bodyProblems,
  administrationProblems as problems,
  answers,
  apiKey,
  apiKeyList,
  newApiKey,
  rotatedApiKey,
} from "./schemas.ts";
import { jsonBody, query } from "./validate.ts";

/** Characters of a label: a line. */
const labelCharsMax = 100;
/** How long a key is good after it was rotated, in s: a day, for shippers that are set up by hand. */
const graceS = 24 * 3600;
const graceSMax = 30 * 24 * 3600;

const time = v.pipe(v.string(), v.isoTimestamp("must be a time as in 2026-11-22T17:00:00Z"), v.transform(Date.parse));

const wish = v.strictObject({
  role: v.picklist(tenantRoles),
  permissions: v.optional(v.pipe(v.array(v.picklist(permissions)), v.minLength(1), v.maxLength(permissions.length))),
  view: v.optional(v.picklist(views)),
  // It is shown in terminals and pages.
  label: v.optional(v.pipe(v.string(), v.maxLength(labelCharsMax), v.regex(/^[^\p{C}]*$/u, "must be one line")), ""),
  not_before: v.optional(v.nullable(time), null),
  expires_at: v.optional(v.nullable(time), null),
  signing: v.optional(v.boolean(), false),
});

const rotation = v.strictObject({
  grace_s: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(graceSMax)), graceS),
});

export function keyRoutes({ apiKeys, clock }: Pick<ApiDeps, "apiKeys" | "clock">): Hono<ApiEnv> {
  const noQuery = query(v.strictObject({}));
  const newKeyJson = ({ key, bearer }: NewKey) => ({ ...keyJson(key, clock.nowMs()), bearer });

  return new Hono<ApiEnv>()
    .get("/", describeList, noQuery, async (c) => {
      const { environment, stored } = await apiKeys.list(c.get("tenant").id);
      return c.json({ keys: [...environment, ...stored].map((key) => keyJson(key, clock.nowMs())) });
    })
    .post("/", describeCreate, noQuery, async (c) => {
      const body = await jsonBody(c, wish);
      if ("reason" in body) return problem(c, body);
      const { not_before, expires_at, signing, ...rest } = body.value;
      const times = { notBeforeMs: not_before, expiresAtMs: expires_at };
      const made = await apiKeys.create(authorOf(c), { ...rest, ...times, isForSigning: signing });
      return "reason" in made ? problem(c, made) : c.json(newKeyJson(made));
    })
    .post("/:kid/rotate", describeRotate, noQuery, async (c) => {
      const body = await jsonBody(c, rotation);
      if ("reason" in body) return problem(c, body);
      const kid = c.req.param("kid");
      const made = await apiKeys.rotate(authorOf(c), kid, body.value.grace_s * 1000);
      if ("reason" in made) return problem(c, made);
      const replaces = { kid, grace_until: new Date(made.graceUntilMs).toISOString() };
      return c.json({ ...newKeyJson(made), replaces });
    })
    .delete("/:kid", describeRevoke, noQuery, async (c) => {
      const revoked = await apiKeys.revoke(authorOf(c), c.req.param("kid"));
      return "reason" in revoked ? problem(c, revoked) : c.json(keyJson(revoked, clock.nowMs()));
    });
}

/** Who asks, as changes are recorded. */
export function authorOf(c: Context<ApiEnv>): Author {
  return { principal: c.get("principal"), requestId: c.get("requestId") };
}

const describeList = describeRoute({
  summary: "The tenant's API keys, without their secrets",
  responses: answers(apiKeyList, "Those of the environment, then those of the API, the oldest first", problems),
});

const describeCreate = describeRoute({
  summary: "Make an API key",
  requestBody: { content: { "application/json": { schema: resolver(wish) } } },
  responses: answers(newApiKey, "The key; what its holder sends is told this once", bodyProblems),
});

const describeRotate = describeRoute({
  summary: "Make another key that does the same; the old one is good for a while",
  requestBody: { content: { "application/json": { schema: resolver(rotation) } } },
  responses: answers(rotatedApiKey, "The new key, told this once", { ...bodyProblems, 404: "not-found" }),
});

const describeRevoke = describeRoute({
  summary: "Revoke an API key: within 10 s it opens nothing",
  responses: answers(apiKey, "The key as it is now", { ...problems, 404: "not-found", 409: "conflict" }),
});
