/** What a key may do within its tenant. */
const tenantPermissions = [
  "ingest:write",
  "anomalies:read",
  "pipeline:read",
  "config:read",
  "config:write",
  "models:read",
  "keys:read",
  "keys:write",
  "data_keys:rotate",
  "audit:read",
] as const;

/** What only the operator of the platform may do. */
const platformPermissions = ["tenants:read", "tenants:write", "models:write"] as const;

export const permissions = [...tenantPermissions, ...platformPermissions] as const;
export type Permission = (typeof permissions)[number];

/** Roles of tenants. Whoever may make keys could give itself any of them: an admin has all permissions. */
export const tenantRoles = ["shipper", "viewer", "analyst", "auditor", "admin"] as const;
/** `operator` belongs to the platform itself, and to no tenant. */
export type Role = (typeof tenantRoles)[number] | "operator";

export const roles: { readonly [role in Role]: readonly Permission[] } = {
  shipper: ["ingest:write"],
  viewer: ["anomalies:read", "pipeline:read", "config:read", "models:read"],
  analyst: ["anomalies:read", "pipeline:read", "config:read", "config:write", "models:read"],
  auditor: ["anomalies:read", "pipeline:read", "config:read", "models:read", "keys:read", "audit:read"],
  admin: tenantPermissions,
  operator: [...platformPermissions, "models:read", "audit:read"],
};

/** How a principal sees addresses, the widest first: as they are, cut to a prefix, or as ciphertext. */
export const views = ["clear", "masked", "sealed"] as const;
export type View = (typeof views)[number];

/** The widest view that a key of the role can have. */
export const viewOf: { readonly [role in Role]: View } = {
  shipper: "sealed",
  viewer: "clear",
  analyst: "clear",
  auditor: "masked",
  admin: "clear",
  operator: "sealed",
};

/** What each route wants. A route that is missing here cannot be reached. */
export const routeAccess: ReadonlyMap<string, Permission | "public"> = new Map<string, Permission | "public">([
  ["GET /healthz", "public"],
  ["GET /openapi.json", "public"],
  ["POST /v1/ingest/end", "ingest:write"],
  ["POST /v1/ingest/:format", "ingest:write"],
  ["GET /v1/anomalies", "anomalies:read"],
  ["GET /v1/anomalies/:id", "anomalies:read"],
  ["GET /v1/pipeline", "pipeline:read"],
  ["GET /v1/config", "config:read"],
  ["PUT /v1/config", "config:write"],
  ["GET /v1/config/versions", "config:read"],
  ["GET /v1/models", "models:read"],
  ["GET /v1/models/:name/versions/:sha256", "models:read"],
  ["POST /v1/models", "models:write"],
  ["POST /v1/models/:name/promote", "models:write"],
  ["POST /v1/models/:name/rollback", "models:write"],
  ["POST /v1/models/:name/shadow", "models:write"],
  ["GET /v1/models/instances", "models:read"],
  ["POST /v1/models/instances", "models:write"],
  ["DELETE /v1/models/instances/:id", "models:write"],
  ["GET /v1/keys", "keys:read"],
  ["POST /v1/keys", "keys:write"],
  ["POST /v1/keys/:kid/rotate", "keys:write"],
  ["DELETE /v1/keys/:kid", "keys:write"],
  ["POST /v1/data-keys/rotate", "data_keys:rotate"],
  ["POST /v1/data-keys/rewrap", "tenants:write"],
  ["GET /v1/audit", "audit:read"],
  ["GET /v1/audit/verify", "audit:read"],
  ["GET /v1/tenants", "tenants:read"],
  ["POST /v1/tenants", "tenants:write"],
  ["GET /v1/tenants/:tenant", "tenants:read"],
  ["PATCH /v1/tenants/:tenant", "tenants:write"],
  ["DELETE /v1/tenants/:tenant", "tenants:write"],
]);

/** Who asks, and what they may do. */
export interface Principal {
  readonly kid: string;
  readonly tenant: string;
  readonly role: Role;
  readonly permissions: ReadonlySet<Permission>;
  readonly view: View;
}
