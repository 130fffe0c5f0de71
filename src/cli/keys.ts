import { createHash, randomBytes } from "node:crypto";

export interface ApiKey {
  /** `kid.secret`, what a client sends. */
  bearer: string;
  /** What the Worker is configured with. */
  entry: { kid: string; tenant: string; role: "admin"; secret_sha256: string };
}

export function newKey(tenant: string): ApiKey {
  const kid = `k${randomBytes(6).toString("hex")}`;
  const secret = randomBytes(32).toString("base64url");
  const secret_sha256 = createHash("sha256").update(secret).digest("hex");
  return { bearer: `${kid}.${secret}`, entry: { kid, tenant, role: "admin", secret_sha256 } };
}

/** 32 bytes as base64: what everything at rest is sealed under. */
export function newMasterKey(): string {
  return randomBytes(32).toString("base64");
}
