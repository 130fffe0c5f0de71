import type { Principal } from "../security/permissions.ts";
import type { Tenant } from "../security/tenant.ts";
import type { TenantKeys } from "../security/tenant-keys.ts";
import type { Configurations } from "../tiers/configurations.ts";
import type { ProcessParts } from "../tiers/store-verdicts.ts";

/** What the API needs from outside. */
export type ApiDeps = ProcessParts & {
  configurations: Configurations;
  keysOf(tenant: string): Promise<TenantKeys>;
};

/** What a handler finds in its context. */
export interface ApiEnv {
  Variables: {
    requestId: string;
    /** Set on every route that is not public. */
    principal: Principal;
    tenant: Tenant;
  };
}
