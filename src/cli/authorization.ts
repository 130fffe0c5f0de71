import { createHash, randomBytes } from "node:crypto";
import { signingKeyOf } from "../security/api-key.ts";
import { signatureOf, targetOf } from "../security/signature.ts";

/** What a request is authorised by. Signed ones each need their own. */
export type Authorize = (method: string, url: string, body: Uint8Array | undefined) => string;

/** Shows the key. */
export function shown(key: string): Authorize {
  return () => `Bearer ${key}`;
}

/** Signs with the key, which then nobody on the way sees. It must have been made for signing. */
export function signed(key: string, nowMs: () => number = Date.now): Authorize {
  const dot = key.indexOf(".");
  const kid = key.slice(0, dot);
  const signingKey = signingKeyOf(key.slice(dot + 1));
  return (method, url, body) => {
    const timestamp = String(Math.floor(nowMs() / 1000));
    const nonce = randomBytes(16).toString("base64url");
    const contentSha256 = createHash("sha256")
      .update(body ?? "")
      .digest("hex");
    const parts = { method, target: targetOf(new URL(url).href), timestamp, nonce, contentSha256 };
    const signature = signatureOf(signingKey, parts).toString("hex");
    return `Weir-HMAC-SHA256 kid=${kid}, timestamp=${timestamp}, nonce=${nonce}, content_sha256=${contentSha256}, signature=${signature}`;
  };
}
