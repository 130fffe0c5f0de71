import type * as v from "valibot";
import type { TenantSettings } from "../security/tenant.ts";
import type { StoredTenant } from "../storage/d1-directory.ts";
import { timeOf } from "./key-json.ts";
import type { tenant } from "./schemas.ts";

type TenantJson = v.InferInput<typeof tenant>;

export function tenantJson(one: StoredTenant | TenantSettings): TenantJson {
  return "createdAtMs" in one ? storedJson(one) : environmentJson(one);
}

/** Of what the environment says, networks are not told: its settings have them. */
function environmentJson({ id, jurisdiction, shards, limits }: TenantSettings): TenantJson {
  return {
    tenant: id,
    source: "environment",
    jurisdiction,
    shards,
    limits: { flows_per_second: limits.flowsPerSecond, records_per_batch: limits.recordsPerBatch },
    internal: null,
    networks: { allow: null, deny: null },
    created_at: null,
    created_by: null,
    destroyed_at: null,
    gone_at: null,
  };
}

function storedJson({ tenant: id, jurisdiction, description, ...rest }: StoredTenant): TenantJson {
  const { shards = 1, limits = {}, networks = {}, internal = null } = description ?? { shards: null };
  const { flows_per_second = null, records_per_batch = null } = limits;
  const { allow = null, deny = null } = networks;
  return {
    tenant: id,
    source: "api",
    jurisdiction,
    shards,
    limits: { flows_per_second, records_per_batch },
    internal,
    networks: { allow, deny },
    created_at: timeOf(rest.createdAtMs),
    created_by: rest.createdBy,
    destroyed_at: timeOf(rest.destroyedAtMs),
    gone_at: timeOf(rest.goneAtMs),
  };
}
