import { createHash } from "node:crypto";
import type { Clock } from "../config.ts";
import type { NonceStore } from "../storage/d1-nonces.ts";
import type { ApiKey } from "./api-key.ts";
import { faultOf, type CredentialFault } from "./authenticate.ts";
import { hasBody, type GuardedRequest, type Layer, type Refusal, type SecurityContext } from "./context.ts";
import { credentialIn } from "./credentials.ts";
import type { Directory } from "./directory.ts";
import { TokenBuckets } from "./rate-limit.ts";
import { signatureWindowS } from "./signature.ts";

/** Of one key, in each isolate: a tenant's objects answer about as many. */
const keyRate = { perSecond: 1000, burst: 2000 };
/** Keys that an isolate remembers, 200 bytes each. */
const keysMax = 10_000;

/** Of an empty body, in hex. Others are held against what was signed when they have been read. */
const nothingSha256 = createHash("sha256").digest("hex");

export interface GatewayParts {
  clock: Clock;
  directory: Directory;
  nonces: NonceStore;
}

/** Who asks. Every bad credential is answered alike, and looked at alike. */
export function gatewayLayer({ clock, directory, nonces }: GatewayParts): Layer {
  const rates = new TokenBuckets(keyRate, keysMax);

  async function check({ raw }: GuardedRequest, context: SecurityContext): Promise<Refusal | undefined> {
    const credential = credentialIn(raw.headers);
    if (typeof credential === "string") return unauthenticated(credential);
    const key = await directory.keyOf(credential.kid);
    const nowMs = clock.nowMs();
    const fault = faultOf(credential, key, raw, nowMs);
    if (fault || !key) return unauthenticated(fault ?? "unknown_key", key);

    const waitMs = rates.take(key.kid, 1, nowMs);
    if (waitMs > 0) return tooMany(key, waitMs);
    if (credential.kind === "signature") {
      const { kid, nonce, timestamp, contentSha256 } = credential;
      if (!hasBody(raw) && contentSha256 !== nothingSha256) return unauthenticated("wrong_body", key);
      const expiresAtMs = (Number(timestamp) + signatureWindowS) * 1000;
      if (!(await nonces.use({ kid, nonce, expiresAtMs }))) return unauthenticated("replayed", key);
      context.bodySha256 = contentSha256;
    }
    context.key = key;
    context.principal = key;
    return undefined;
  }

  return { name: "gateway", isForAll: false, check };
}

/** One answer for all of them; the audit log has the rest. */
export function unauthenticated(fault: CredentialFault | "unwelcome_network" | "no_tenant", key?: ApiKey): Refusal {
  return { failure: { reason: "unauthenticated" }, action: "authentication", fault, claimed: key };
}

function tooMany(key: ApiKey, waitMs: number): Refusal {
  const failure = { reason: "too_many_requests", retryAfterS: Math.max(1, Math.ceil(waitMs / 1000)) } as const;
  return { failure, action: "network", fault: "key_rate_limit", claimed: key };
}
