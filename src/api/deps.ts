import type { DataScope, SecurityContext } from "../security/context.ts";
import type { Directory } from "../security/directory.ts";
import type { Keyring } from "../security/keyring.ts";
import type { Principal } from "../security/permissions.ts";
import type { RateLimitBinding } from "../security/rate-limit.ts";
import type { Tenant } from "../security/tenant.ts";
import type { SealedAnomalyStore } from "../storage/anomalies.ts";
import type { AuditLog } from "../storage/audits.ts";
import type { NonceStore } from "../storage/d1-nonces.ts";
import type { ApiKeys } from "../tiers/api-keys.ts";
import type { Configurations } from "../tiers/configurations.ts";
import type { DataKeys } from "../tiers/data-keys.ts";
import type { ModelInstanceList } from "../tiers/model-instances.ts";
import type { ModelVersions } from "../tiers/model-versions.ts";
import type { Quotas } from "../tiers/quotas.ts";
import type { ProcessParts } from "../tiers/store-verdicts.ts";
import type { Tenants } from "../tiers/tenants.ts";
import type { Failure } from "./problem.ts";

/** What the API needs from outside. */
export type ApiDeps = ProcessParts & {
  anomalies: SealedAnomalyStore;
  configurations: Configurations;
  quotas: Quotas;
  directory: Directory;
  tenants: Tenants;
  apiKeys: ApiKeys;
  dataKeys: DataKeys;
  modelVersions: ModelVersions;
  modelInstances: ModelInstanceList;
  keyring: Keyring;
  audit: AuditLog;
  nonces: NonceStore;
  /** The platform's own, where it is bound. */
  rateLimit?: RateLimitBinding | undefined;
  /** How long a body may take, in ms; by default as long as `src/ingest/body.ts` says. */
  bodyMsMax?: number | undefined;
};

/** What a handler finds in its context. */
export interface ApiEnv {
  Variables: {
    requestId: string;
    /** What the doors have learnt of the request. */
    security: SecurityContext;
    /** What is answered instead of what was asked for, where that is so. */
    failure: Failure | undefined;
    /** Set on every route that is not public. */
    principal: Principal;
    tenant: Tenant;
    data: DataScope;
  };
}
