import { randomBytes } from "node:crypto";
import { newKid, newSecret, secretDigest } from "../security/api-key.ts";
import { platformTenant } from "../security/tenant.ts";

/** A key of the environment. */
export interface EnvironmentKey {
  /** `kid.secret`, what a client sends. */
  bearer: string;
  /** What the Worker is configured with. */
  entry: { kid: string; tenant: string; role: "admin" | "operator"; secret_sha256: string };
}

/** For an admin of a tenant, or for the operator of the platform. */
export function newKey(tenant: string): EnvironmentKey {
  const [kid, secret] = [newKid(), newSecret()];
  const role = tenant === platformTenant ? "operator" : "admin";
  const secret_sha256 = Buffer.from(secretDigest(secret)).toString("hex");
  return { bearer: `${kid}.${secret}`, entry: { kid, tenant, role, secret_sha256 } };
}

/** 32 bytes as base64: what everything at rest is sealed under. */
export function newMasterKey(): string {
  return randomBytes(32).toString("base64");
}
