import { createHash } from "node:crypto";
import type { ApiKey } from "../../../src/security/api-key.ts";
import { roles, viewOf, type Role } from "../../../src/security/permissions.ts";
import { tenantSettings } from "../../../src/security/tenant-settings.ts";

export const secret = "correct.horse";
/** As docs/api.md says that it follows from the secret. */
export const signingKey = new Uint8Array(createHash("sha256").update(`weir-sign/1${secret}`).digest());

/** A key of tenant acme whose secret is `secret`. */
export function keyOf(more: Partial<ApiKey> & { role?: Role } = {}): ApiKey {
  const { role = "shipper" } = more;
  return {
    kid: "k1",
    tenant: "acme",
    role,
    permissions: new Set(roles[role]),
    view: viewOf[role],
    secretSha256: new Uint8Array(createHash("sha256").update(secret).digest()),
    signingKey,
    notBeforeMs: null,
    expiresAtMs: null,
    revokedAtMs: null,
    graceUntilMs: null,
    replacedBy: null,
    ...more,
  };
}

export const acme = tenantSettings("acme", {}, 600_000);
