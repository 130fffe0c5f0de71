import { createHash } from "node:crypto";

/** Longest `Idempotency-Key`, in characters: enough for any shipper's id, small enough for a header. */
export const idempotencyKeyCharsMax = 255;

export function isIdempotencyKey(text: string): boolean {
  return text.length <= idempotencyKeyCharsMax && /^[\x21-\x7e]+$/.test(text);
}

/**
 * Names a batch: 64 hex digits over tenant, key id, and the shipper's own id or else the digest of the decoded body.
 * The same bytes sent twice are one batch; two shippers never share one.
 */
export function batchKey(batch: {
  tenant: string;
  kid: string;
  idempotencyKey?: string | undefined;
  bodyDigest: string;
}): string {
  const { tenant, kid, idempotencyKey, bodyDigest } = batch;
  const name = idempotencyKey === undefined ? ["body", bodyDigest] : ["key", idempotencyKey];
  return createHash("sha256")
    .update(JSON.stringify([tenant, kid, ...name]))
    .digest("hex");
}
