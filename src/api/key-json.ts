import type * as v from "valibot";
import type { ApiKey } from "../security/api-key.ts";
import type { StoredKey } from "../storage/d1-directory.ts";
import type { apiKey } from "./schemas.ts";

/** A key as the API tells of it: all but what proves that one has it. */
export function keyJson(key: StoredKey | ApiKey, nowMs: number): v.InferInput<typeof apiKey> {
  const stored = "createdAtMs" in key ? key : undefined;
  return {
    kid: key.kid,
    tenant: key.tenant,
    role: key.role,
    permissions: [...key.permissions],
    view: key.view,
    label: stored?.label ?? null,
    source: stored ? "api" : "environment",
    state: stateOf(key, nowMs),
    signing: key.signingKey !== null,
    not_before: timeOf(key.notBeforeMs),
    expires_at: timeOf(key.expiresAtMs),
    revoked_at: timeOf(key.revokedAtMs),
    grace_until: timeOf(key.graceUntilMs),
    replaced_by: key.replacedBy,
    created_at: timeOf(stored?.createdAtMs ?? null),
    created_by: stored?.createdBy ?? null,
  };
}

function stateOf({ revokedAtMs, notBeforeMs, expiresAtMs, graceUntilMs }: ApiKey, nowMs: number) {
  if (revokedAtMs !== null) return "revoked";
  if (nowMs >= Math.min(expiresAtMs ?? Infinity, graceUntilMs ?? Infinity)) return "expired";
  if (notBeforeMs !== null && nowMs < notBeforeMs) return "not_yet";
  return graceUntilMs === null ? "good" : "rotated";
}

/** As ISO 8601. */
export function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
