import { createHash, randomBytes } from "node:crypto";
import type { Principal } from "./permissions.ts";

/** A key of the API as a request finds it. Times are ms since 1970; null: never. */
export interface ApiKey extends Principal {
  /** SHA-256 of the secret, which nobody but its holder has. */
  readonly secretSha256: Uint8Array;
  /** What signs requests: `SHA-256("weir-sign/1" ‖ secret)`; null for keys that were not made for it. */
  readonly signingKey: Uint8Array | null;
  readonly notBeforeMs: number | null;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  /** It was rotated, and is good until then. */
  readonly graceUntilMs: number | null;
  /** Id of the key that it was rotated to. */
  readonly replacedBy: string | null;
}

/** Whether a key is good at a time: begun, not expired, not revoked, and not rotated for longer than its grace. */
export function isGood({ notBeforeMs, expiresAtMs, revokedAtMs, graceUntilMs }: ApiKey, nowMs: number): boolean {
  if (revokedAtMs !== null) return false;
  if (notBeforeMs !== null && nowMs < notBeforeMs) return false;
  return nowMs < Math.min(expiresAtMs ?? Number.POSITIVE_INFINITY, graceUntilMs ?? Number.POSITIVE_INFINITY);
}

/** What a client sends behind the kid: 256 bits. */
export function newSecret(): string {
  return randomBytes(32).toString("base64url");
}

export function newKid(): string {
  return `k${randomBytes(8).toString("hex")}`;
}

export function secretDigest(secret: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(secret).digest());
}

/** What signs requests in the place of the secret, so that nothing stored is the secret itself. */
export function signingKeyOf(secret: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update("weir-sign/1").update(secret).digest());
}
