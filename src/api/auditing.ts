import type { Context } from "hono";
import { clientHasher, noTenant, type AuditEvent } from "../security/audit.ts";
import type { GuardedRequest, Refusal, SecurityContext } from "../security/context.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { toProblem } from "./problem.ts";

/** Tells the audit log what became of requests, behind their answers. */
export function auditing({ audit, config, waitUntil }: Pick<ApiDeps, "audit" | "config" | "waitUntil">) {
  const clientHash = clientHasher(config.masterKey);

  function record(tenant: string, event: AuditEvent, { requestId, clientAddress }: SecurityContext): void {
    const client = clientAddress === null ? {} : { client: clientHash(tenant, clientAddress) };
    waitUntil(audit.record(tenant, { ...event, requestId, detail: { ...event.detail, ...client } }));
  }

  return {
    /** Who was not let in is in the log of whose key it claimed to have. */
    refused({ action, fault, claimed, failure }: Refusal, { route }: GuardedRequest, context: SecurityContext): void {
      const layer = context.layers.at(-1)!.name;
      const actor = claimed?.kid ?? noTenant;
      const detail = { layer, fault, route, status: toProblem(failure).status };
      record(claimed?.tenant ?? noTenant, { action, actor, outcome: "failure", detail }, context);
    },

    /** What was read, what was sent, and what the route itself refused. Changes are recorded with the change. */
    answered(c: Context<ApiEnv>, { raw, route }: GuardedRequest, context: SecurityContext): void {
      const { kid: actor, tenant } = context.principal!;
      const action = actionOf(route!);
      const { status } = c.res;
      if (status >= 500) return;
      if (status >= 400) {
        const reason = c.get("failure")?.reason ?? null;
        // The only thing that a route finds wrong with a key: it signed another body.
        const [failed, fault] = reason === "unauthenticated" ? ["authentication", "wrong_body"] : [action, reason];
        record(tenant, { action: failed, actor, outcome: "failure", detail: { fault, route, status } }, context);
      } else if (action === "ingest") audit.count(tenant, { action, actor, outcome: "success" });
      else if (raw.method === "GET" || raw.method === "HEAD") {
        const read = c.req.query("as") === undefined ? action : "export";
        const detail = { route, view: context.data?.view ?? null };
        record(tenant, { action: read, actor, outcome: "success", detail }, context);
      }
    },
  };
}

/** As those name them that record the change. */
const changes: { readonly [route: string]: string } = {
  "PUT /v1/config": "config.replace",
  "POST /v1/models": "models.upload",
  "POST /v1/models/:name/promote": "models.promote",
  "POST /v1/models/:name/rollback": "models.rollback",
  "POST /v1/models/:name/shadow": "models.shadow",
  "POST /v1/models/instances": "model_instances.register",
  "DELETE /v1/models/instances/:id": "model_instances.remove",
  "POST /v1/keys": "keys.create",
  "POST /v1/keys/:kid/rotate": "keys.rotate",
  "DELETE /v1/keys/:kid": "keys.revoke",
  "POST /v1/data-keys/rotate": "data_keys.rotate",
  "POST /v1/data-keys/rewrap": "data_keys.rewrap",
  "POST /v1/tenants": "tenants.create",
  "PATCH /v1/tenants/:tenant": "tenants.limits",
  "DELETE /v1/tenants/:tenant": "tenants.destroy",
};

/** What the log calls a request to a route: `GET /v1/anomalies/:id` is `anomalies.read`. */
export function actionOf(route: string): string {
  const [, , resource] = route.split("/");
  return resource === "ingest" ? resource : (changes[route] ?? `${resource.replaceAll("-", "_")}.read`);
}
