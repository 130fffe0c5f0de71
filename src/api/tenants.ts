import { Hono } from "hono";
import { describeRoute, resolver } from "hono-openapi";
import * as v from "valibot";
import { tenantChanges, tenantDescription, tenantId } from "../security/tenant-settings.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { keyJson } from "./key-json.ts";
import { authorOf } from "./keys.ts";
import { problem } from "./problem.ts";
import {
  administrationBodyProblems as bodyProblems,
  administrationProblems as problems,
  answers,
  destroyedTenant,
  newTenant,
  tenant,
  tenantList,
} from "./schemas.ts";
import { tenantJson } from "./tenant-json.ts";
import { jsonBody, query } from "./validate.ts";

/** Tenants of one page, 15 KiB each at most. */
const pageMax = 100;

const wish = v.strictObject({ tenant: tenantId, ...tenantDescription.entries });
const listParameters = v.strictObject({
  behind: v.optional(v.pipe(tenantId, v.description("The `next` of the page before"))),
});

export function tenantRoutes({ tenants, clock }: Pick<ApiDeps, "tenants" | "clock">): Hono<ApiEnv> {
  const noQuery = query(v.strictObject({}));

  return new Hono<ApiEnv>()
    .get("/", describeList, query(listParameters), async (c) => {
      const { environment, stored } = await tenants.list(c.req.valid("query").behind ?? "", pageMax);
      const next = stored.length === pageMax ? stored[pageMax - 1].tenant : null;
      return c.json({ tenants: [...environment, ...stored].map(tenantJson), next });
    })
    .post("/", describeCreate, noQuery, async (c) => {
      const body = await jsonBody(c, wish);
      if ("reason" in body) return problem(c, body);
      const { tenant: id, ...description } = body.value;
      const made = await tenants.create(authorOf(c), id, description);
      if ("reason" in made) return problem(c, made);
      const { key, bearer } = made.admin;
      return c.json({ ...tenantJson(made.tenant), key: { ...keyJson(key, clock.nowMs()), bearer } });
    })
    .get("/:tenant", describeGet, noQuery, async (c) => {
      const found = await tenants.get(c.req.param("tenant"));
      return "reason" in found ? problem(c, found) : c.json(tenantJson(found));
    })
    .patch("/:tenant", describeChange, noQuery, async (c) => {
      const body = await jsonBody(c, tenantChanges);
      if ("reason" in body) return problem(c, body);
      const changed = await tenants.change(authorOf(c), c.req.param("tenant"), body.value);
      return "reason" in changed ? problem(c, changed) : c.json(tenantJson(changed));
    })
    .delete("/:tenant", describeDestroy, noQuery, async (c) => {
      const id = c.req.param("tenant");
      if (c.req.header("Weir-Confirm") !== id) {
        const errors = [{ header: "Weir-Confirm", detail: "must name the tenant: all that it has is destroyed" }];
        return problem(c, { reason: "invalid_parameters", errors });
      }
      const destroyed = await tenants.destroy(authorOf(c), id);
      if ("reason" in destroyed) return problem(c, destroyed);
      return c.json({ ...tenantJson(destroyed.tenant), left: destroyed.left });
    });
}

const describeList = describeRoute({
  summary: "All tenants, by name",
  responses: answers(tenantList, "Those of the environment, then those of the API; destroyed ones too", problems),
});

const describeCreate = describeRoute({
  summary: "Make a tenant",
  requestBody: { content: { "application/json": { schema: resolver(wish) } } },
  responses: answers(newTenant, "The tenant, and the first key of an admin, told this once", {
    ...bodyProblems,
    422: "jurisdiction-unavailable",
  }),
});

const describeGet = describeRoute({
  summary: "One tenant",
  responses: answers(tenant, "What it is, and what it may use", { ...problems, 404: "not-found" }),
});

const describeChange = describeRoute({
  summary: "Change what a tenant may use, from where, and over how many shards it lies",
  requestBody: { content: { "application/json": { schema: resolver(tenantChanges) } } },
  responses: answers(tenant, "The tenant as it is now", { ...bodyProblems, 404: "not-found" }),
});

const describeDestroy = describeRoute({
  summary: "Destroy a tenant: its keys, and all that was ever kept of it",
  parameters: [{ in: "header", name: "Weir-Confirm", required: true, schema: { type: "string" } }],
  responses: answers(destroyedTenant, "What may still be there; to be repeated until nothing is", {
    ...problems,
    400: "invalid-parameters",
    404: "not-found",
    409: "conflict",
  }),
});
