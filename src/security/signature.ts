import { createHmac } from "node:crypto";

/** How far a signature's time may lie from ours, in s: clocks that differ more are wrong, nonces are kept as long. */
export const signatureWindowS = 300;

/** What a signature covers, as it stands in the request. */
export interface SignedParts {
  method: string;
  /** Path with query, as sent: `/v1/ingest/auto?sampling_rate=8`. */
  target: string;
  /** Seconds since 1970, in digits. */
  timestamp: string;
  nonce: string;
  /** SHA-256 of the body as sent, before any encoding is undone: 64 hex digits. */
  contentSha256: string;
}

/** HMAC-SHA256 over the parts, one a line, no line break behind the last. */
export function signatureOf(
  signingKey: Uint8Array,
  { method, target, timestamp, nonce, contentSha256 }: SignedParts,
): Buffer {
  return createHmac("sha256", signingKey).update([method, target, timestamp, nonce, contentSha256].join("\n")).digest();
}

/** Path with query of a URL, as it was sent. */
export function targetOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  if (start < 0) return "/";
  const end = url.indexOf("#", start);
  return end < 0 ? url.slice(start) : url.slice(start, end);
}
