import { timingSafeEqual } from "node:crypto";
import { isGood, secretDigest, type ApiKey } from "./api-key.ts";
import type { Credential, SecretCredential, SignedCredential } from "./credentials.ts";
import { signatureOf, signatureWindowS, targetOf } from "./signature.ts";

/** What is wrong with a credential. For the audit log alone: clients hear the same whatever it is. */
export type CredentialFault =
  | "absent"
  | "malformed"
  | "unknown_key"
  | "wrong_secret"
  | "wrong_signature"
  | "wrong_body"
  | "not_yet_valid"
  | "expired"
  | "rotated"
  | "revoked"
  | "stale"
  | "replayed";

/** Compared with where the key is unknown, so that the answer takes as long. */
const nobody: Uint8Array = new Uint8Array(32);

/** What is wrong with a credential for this key at this time, but for a replay; undefined: nothing. */
export function faultOf(
  credential: Credential,
  key: ApiKey | undefined,
  { method, url }: { method: string; url: string },
  nowMs: number,
): CredentialFault | undefined {
  const isProven = credential.kind === "secret" ? hasSecret(credential, key) : isSigned(credential, key, method, url);
  if (!key) return "unknown_key";
  if (!isProven) return credential.kind === "secret" ? "wrong_secret" : "wrong_signature";
  if (!isGood(key, nowMs)) return faultOfKey(key, nowMs);
  return credential.kind === "signature" && isStale(credential.timestamp, nowMs) ? "stale" : undefined;
}

/** The same digest and the same comparison for every key id. */
function hasSecret({ secret }: SecretCredential, key: ApiKey | undefined): boolean {
  return timingSafeEqual(secretDigest(secret), key?.secretSha256 ?? nobody) && key !== undefined;
}

function isSigned(credential: SignedCredential, key: ApiKey | undefined, method: string, url: string): boolean {
  const signature = signatureOf(key?.signingKey ?? nobody, { ...credential, method, target: targetOf(url) });
  return timingSafeEqual(signature, credential.signature) && !!key?.signingKey;
}

function isStale(timestamp: string, nowMs: number): boolean {
  return Math.abs(Number(timestamp) * 1000 - nowMs) > signatureWindowS * 1000;
}

/** Of a key that is not good. */
function faultOfKey({ revokedAtMs, notBeforeMs, expiresAtMs }: ApiKey, nowMs: number): CredentialFault {
  if (revokedAtMs !== null) return "revoked";
  if (notBeforeMs !== null && nowMs < notBeforeMs) return "not_yet_valid";
  return expiresAtMs !== null && nowMs >= expiresAtMs ? "expired" : "rotated";
}
