import { hasBody, type GuardedRequest, type Layer, type Refusal, type SecurityContext } from "./context.ts";
import type { Directory } from "./directory.ts";
import { unauthenticated } from "./gateway.ts";
import { isWelcome } from "./network.ts";
import type { Principal } from "./permissions.ts";
import { KeysDestroyed, type Keyring } from "./keyring.ts";
import type { TenantKeys } from "./tenant-keys.ts";
import type { TenantSettings } from "./tenant.ts";

export interface ApplicationParts {
  directory: Directory;
  keyring: Keyring;
}

/** What may be asked: the tenant is the key's own, whatever the path says, and each route wants one permission. */
export function applicationLayer({ directory, keyring }: ApplicationParts): Layer {
  async function check(request: GuardedRequest, context: SecurityContext): Promise<Refusal | undefined> {
    const { key, clientAddress } = context;
    if (!key) return unauthenticated("absent");
    const settings = await directory.tenantOf(key.tenant);
    if (!settings) return unauthenticated("no_tenant", key);
    // A key that was stolen should not tell that it is good.
    if (!isWelcome(settings.networks, clientAddress)) return unauthenticated("unwelcome_network", key);
    const refused = forbidden(request, key) ?? badContentType(request, key);
    if (refused) return refused;
    const keys = await keysOf(keyring, settings);
    if (!keys) return unauthenticated("no_tenant", key);
    context.tenant = { ...settings, keys };
    return undefined;
  }

  return { name: "application", isForAll: false, check };
}

/** Undefined where they were destroyed. */
async function keysOf(keyring: Keyring, tenant: TenantSettings): Promise<TenantKeys | undefined> {
  try {
    return await keyring.of(tenant);
  } catch (error) {
    if (error instanceof KeysDestroyed) return undefined;
    throw error;
  }
}

function forbidden({ wanted }: GuardedRequest, principal: Principal): Refusal | undefined {
  for (const permission of wanted) {
    if (permission !== null && principal.permissions.has(permission)) continue;
    const failure = { reason: "forbidden", permission } as const;
    return { failure, action: "authorization", fault: permission ?? "no_permission", claimed: principal };
  }
  return undefined;
}

/** Flow logs come as anything; a model comes as a form, what comes to another route is JSON, and says so. */
function badContentType({ raw, route }: GuardedRequest, principal: Principal): Refusal | undefined {
  if (!hasBody(raw) || route?.startsWith("POST /v1/ingest/")) return undefined;
  const wanted = route === "POST /v1/models" ? "multipart/form-data" : "application/json";
  const [type] = (raw.headers.get("Content-Type") ?? "").split(";");
  if (type.trim().toLowerCase() === wanted) return undefined;
  const failure = { reason: "unsupported_media_type", known: [wanted] } as const;
  return { failure, action: "request", fault: "content_type", claimed: principal };
}
