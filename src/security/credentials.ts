/** A key as it comes: whole, or as a signature that was made with it. */
export type Credential = SecretCredential | SignedCredential;

export interface SecretCredential {
  readonly kind: "secret";
  readonly kid: string;
  readonly secret: string;
}

export interface SignedCredential {
  readonly kind: "signature";
  readonly kid: string;
  /** Seconds since 1970, in digits. */
  readonly timestamp: string;
  readonly nonce: string;
  /** Of the body as sent, 64 hex digits. */
  readonly contentSha256: string;
  readonly signature: Uint8Array;
}

/** Longer than any key (kid 64, secret as long as an operator likes to type), short enough to look at without thought. */
const credentialCharsMax = 512;
/** A nonce that is shorter is drawn twice too soon; a longer one only costs rows. */
const noncePattern = /^[A-Za-z0-9_-]{16,64}$/;
const kidPattern = /^[A-Za-z0-9_-]{1,64}$/;
const secretPattern = /^[\x21-\x7e]+$/;
const base64Pattern = /^[A-Za-z0-9+/]+={0,2}$/;
const sha256Pattern = /^[0-9a-f]{64}$/;
const timestampPattern = /^\d{1,12}$/;

/**
 * The key that a request shows, in any of the ways that shippers know:
 *
 *     Authorization: Bearer kid.secret                          Weir, OpenTelemetry, syslog-ng
 *     Authorization: Splunk kid.secret                          HEC
 *     Authorization: ApiKey base64(kid:secret)                  Elasticsearch, Beats
 *     Authorization: Basic base64(kid:secret)                   everyone
 *     Authorization: Weir-HMAC-SHA256 kid=…, timestamp=…, nonce=…, content_sha256=…, signature=…
 *     X-Amz-Firehose-Access-Key: kid.secret                     Firehose
 *
 * Whoever shows two shows none: it would be chance which one counts.
 */
export function credentialIn(headers: Headers): Credential | "absent" | "malformed" {
  const authorization = headers.get("Authorization");
  const accessKey = headers.get("X-Amz-Firehose-Access-Key");
  if (authorization === null && accessKey === null) return "absent";
  if (authorization !== null && accessKey !== null) return "malformed";
  return (accessKey === null ? inAuthorization(authorization!) : secretIn(accessKey, ".")) ?? "malformed";
}

function inAuthorization(text: string): Credential | undefined {
  if (text.length > credentialCharsMax) return undefined;
  const space = text.indexOf(" ");
  if (space < 0) return undefined;
  const rest = text.slice(space).trim();
  switch (text.slice(0, space).toLowerCase()) {
    case "bearer":
    case "splunk":
      return secretIn(rest, ".");
    case "basic":
    case "apikey":
      return base64Pattern.test(rest) ? secretIn(Buffer.from(rest, "base64").toString("latin1"), ":") : undefined;
    case "weir-hmac-sha256":
      return signatureIn(rest);
    default:
      return undefined;
  }
}

function secretIn(text: string, separator: "." | ":"): SecretCredential | undefined {
  if (text.length > credentialCharsMax) return undefined;
  const at = text.indexOf(separator);
  const [kid, secret] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)];
  return kidPattern.test(kid) && secretPattern.test(secret) ? { kind: "secret", kid, secret } : undefined;
}

const signatureNames = ["kid", "timestamp", "nonce", "content_sha256", "signature"] as const;

/** Each name once, in any order, and no other. */
function signatureIn(text: string): SignedCredential | undefined {
  const given = new Map<string, string>();
  const parts = text.split(",");
  if (parts.length !== signatureNames.length) return undefined;
  for (const part of parts) {
    const equals = part.indexOf("=");
    given.set(part.slice(0, Math.max(0, equals)).trim(), part.slice(equals + 1).trim());
  }
  const [kid = "", timestamp = "", nonce = "", contentSha256 = "", signature = ""] = signatureNames.map((name) =>
    given.get(name),
  );
  if (!kidPattern.test(kid) || !timestampPattern.test(timestamp) || !noncePattern.test(nonce)) return undefined;
  if (!sha256Pattern.test(contentSha256) || !sha256Pattern.test(signature)) return undefined;
  return { kind: "signature", kid, timestamp, nonce, contentSha256, signature: Buffer.from(signature, "hex") };
}
