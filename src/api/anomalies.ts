import { Hono, type Context } from "hono";
import { describeRoute } from "hono-openapi";
import * as v from "valibot";
import { masked } from "../security/mask.ts";
import type { View } from "../security/permissions.ts";
import { UnknownKeyVersion } from "../security/seal.ts";
import type { Tenant } from "../security/tenant.ts";
import { SearchTooBroad, type Position } from "../storage/anomalies.ts";
import { anomalyJson, sealedAnomalyJson } from "./anomaly-json.ts";
import { anomalyParameters, anomalyQuery, cursorOf, oneAnomalyParameters } from "./anomaly-query.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { problem } from "./problem.ts";
import { anomaly, anomalyList, answers, keyProblems, sealedAnomaly, sealedAnomalyList } from "./schemas.ts";
import { query } from "./validate.ts";

export function anomalyRoutes({ anomalies, keyring }: Pick<ApiDeps, "anomalies" | "keyring">): Hono<ApiEnv> {
  /** Reads; where rows turn up whose keys are newer than those at hand, once more with the newest. */
  async function reading<T>(c: Context<ApiEnv>, read: (tenant: Tenant) => Promise<T>): Promise<T> {
    const tenant = c.get("tenant");
    try {
      return await read(tenant);
    } catch (error) {
      if (!(error instanceof UnknownKeyVersion)) throw error;
      return read({ ...tenant, keys: await keyring.reload(tenant) });
    }
  }

  return new Hono<ApiEnv>()
    .get("/", describeList, query(anomalyParameters), async (c) => {
      const given = c.req.valid("query");
      const { view } = c.get("data");
      const asked = anomalyQuery(given, view);
      if ("errors" in asked) return problem(c, { reason: "invalid_parameters", errors: asked.errors });
      const nextIn = ({ next }: { next: Position | undefined }) => (next ? cursorOf(asked.order, next) : null);
      try {
        if (isSealed(view, given)) {
          const page = await reading(c, (tenant) => anomalies.listSealed(tenant, asked));
          return c.json({ anomalies: page.anomalies.map(sealedAnomalyJson), next: nextIn(page) });
        }
        const page = await reading(c, (tenant) => anomalies.list(tenant, asked));
        const shown = page.anomalies.map((one) => anomalyJson(view === "masked" ? masked(one) : one));
        return c.json({ anomalies: shown, next: nextIn(page) });
      } catch (error) {
        if (!(error instanceof SearchTooBroad)) throw error;
        return problem(c, { reason: "search_too_broad", detail: tooBroad(error) });
      }
    })
    .get("/:id", describeOne, query(oneAnomalyParameters), async (c) => {
      const id = c.req.param("id");
      const { view } = c.get("data");
      if (isSealed(view, c.req.valid("query"))) {
        const found = await reading(c, (tenant) => anomalies.getSealed(tenant, id));
        return found ? c.json(sealedAnomalyJson(found)) : problem(c, { reason: "not_found" });
      }
      const found = await reading(c, (tenant) => anomalies.get(tenant, id));
      if (!found) return problem(c, { reason: "not_found" });
      return c.json(anomalyJson(view === "masked" ? masked(found) : found));
    });
}

function tooBroad({ rowsMax }: SearchTooBroad): string {
  return `more than ${rowsMax} verdicts would have to be opened: narrow it by since, until, threat or severity, or search for a prefix of /8, /16, /24 or /32, of IPv6 /32, /48, /64 or /128`;
}

function isSealed(view: View, { as }: { as?: "sealed" | undefined }): boolean {
  return view === "sealed" || as === "sealed";
}

const describeList = describeRoute({
  summary: "List stored verdicts, newest first; with after, oldest first",
  responses: answers(v.union([anomalyList, sealedAnomalyList]), "A page", {
    400: "invalid-parameters",
    ...keyProblems,
    422: "search-too-broad",
    503: "storage-unavailable, keys-unavailable",
  }),
});

const describeOne = describeRoute({
  summary: "One stored verdict",
  responses: answers(v.union([anomaly, sealedAnomaly]), "The verdict", {
    400: "invalid-parameters",
    ...keyProblems,
    404: "not-found",
    503: "storage-unavailable, keys-unavailable",
  }),
});
