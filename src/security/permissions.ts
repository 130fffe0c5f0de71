export const permissions = ["ingest:write", "anomalies:read", "pipeline:read", "config:read", "config:write"] as const;
export type Permission = (typeof permissions)[number];

export const roles = {
  shipper: ["ingest:write"],
  viewer: ["anomalies:read", "pipeline:read", "config:read"],
  admin: permissions,
} as const satisfies Record<string, readonly Permission[]>;

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
]);

/** Who asks, and what they may do. */
export interface Principal {
  readonly kid: string;
  readonly tenant: string;
  readonly permissions: ReadonlySet<Permission>;
}
