import type { Failure } from "../api/problem.ts";
import type { ApiKey } from "./api-key.ts";
import type { Permission, Principal, View } from "./permissions.ts";
import type { Tenant } from "./tenant.ts";

/** A request as the layers see it. Nothing of its body has been read. */
export interface GuardedRequest {
  readonly raw: Request;
  /** `POST /v1/ingest/:format`; null where there is no such route. */
  readonly route: string | null;
  /** What each route that matches wants; null: nothing opens it. Public routes are not among them. */
  readonly wanted: readonly (Permission | null)[];
}

/** What the layers have learnt of a request, each what it is for. */
export interface SecurityContext {
  readonly requestId: string;
  /** As the platform says it; null where it says nothing, as on a machine of one's own. */
  clientAddress: string | null;
  readonly layers: { name: string; outcome: "passed" | "refused" | "skipped" }[];
  key?: ApiKey;
  principal?: Principal;
  tenant?: Tenant;
  /** SHA-256 that the body must have as it is sent, in hex: what was signed. */
  bodySha256?: string;
  data?: DataScope;
}

/** What of all that is stored a request may see. */
export interface DataScope {
  /** How addresses are shown. */
  readonly view: View;
  /** The tenant whose rows there are. */
  readonly rowsOf: string;
}

/** Whether something came along that has to be looked at. */
export function hasBody({ body, headers }: Request): boolean {
  return body !== null && headers.get("Content-Length") !== "0";
}

/** Why not: what the client is told, which is little, and what the audit log is told. */
export interface Refusal {
  readonly failure: Failure;
  readonly action: "network" | "authentication" | "authorization" | "request";
  readonly fault: string;
  /** Whose log it belongs to, and who it was, where that is known without having been proven. */
  readonly claimed?: { readonly tenant: string; readonly kid: string } | undefined;
}

/** One door of several. */
export interface Layer {
  readonly name: string;
  /** Whether public routes, and paths that are none, pass it as well. */
  readonly isForAll: boolean;
  /** Adds what it learns to the context; undefined lets the request through. @throws StorageError */
  check(request: GuardedRequest, context: SecurityContext): Promise<Refusal | undefined>;
}
