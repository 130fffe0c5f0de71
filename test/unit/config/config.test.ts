import { describe, expect, it } from "vitest";
import { parseAddress } from "../../../src/core/flow/address.ts";
import { ConfigError, readConfig } from "../../../src/config.ts";

const MASTER_KEY = Buffer.alloc(32, 7).toString("base64");
const key = { kid: "k1", tenant: "acme", role: "shipper", secret_sha256: "ab".repeat(32) };

function settingThatFails(env: object): string {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return `${error.setting}: ${error.detail}`;
    throw error;
  }
  return "none";
}

function isInternal(env: object, tenant: string, address: string): boolean {
  return readConfig(env)
    .tenants.get(tenant)!
    .isInternal(...parseAddress(address)!);
}

describe("readConfig", () => {
  it("needs nothing but a master key", () => {
    const config = readConfig({ MASTER_KEY });
    expect(config.apiKeys.size).toBe(0);
    expect(config.allowanceMs).toBe(600_000);
    expect(Object.isFrozen(config)).toBe(true);
  });

  it("gives a key the permissions of its role, or those listed", () => {
    const listed = { ...key, kid: "k2", role: undefined, permissions: ["anomalies:read"] };
    const { apiKeys } = readConfig({ MASTER_KEY, API_KEYS: JSON.stringify([key, listed]) });
    expect([...apiKeys.get("k1")!.permissions]).toEqual(["ingest:write"]);
    expect([...apiKeys.get("k2")!.permissions]).toEqual(["anomalies:read"]);
  });

  it("takes private networks for internal unless a tenant says otherwise", () => {
    const env = { MASTER_KEY, API_KEYS: JSON.stringify([key]), TENANTS: '{"lab":{"internal":["198.51.100.0/24"]}}' };
    for (const address of [
      "10.1.2.3",
      "172.31.0.1",
      "100.64.0.1",
      "169.254.1.1",
      "127.0.0.1",
      "fd00::1",
      "fe80::1",
      "::1",
    ]) {
      expect(isInternal(env, "acme", address), address).toBe(true);
    }
    expect(isInternal(env, "acme", "198.51.100.1")).toBe(false);
    expect(isInternal(env, "lab", "198.51.100.1")).toBe(true);
    expect(isInternal(env, "lab", "10.1.2.3")).toBe(false);
  });

  it("changes the digest of a tenant's settings with those that verdicts depend on, and with nothing else", () => {
    const version = (more: object) =>
      readConfig({ MASTER_KEY, TENANTS: '{"acme":{}}', ...more }).tenants.get("acme")!.settingsDigest;
    expect(version({})).toMatch(/^[0-9a-f]{16}$/);
    expect(version({ API_KEYS: JSON.stringify([key]) })).toBe(version({}));
    expect(version({ LATENESS_ALLOWANCE_S: "60" })).not.toBe(version({}));
    expect(version({ TENANTS: '{"acme":{"internal":["10.0.0.0/9"]}}' })).not.toBe(version({}));
  });

  it.each([
    [{}, "MASTER_KEY: must be set"],
    [{ MASTER_KEY: "c2hvcnQ=" }, "MASTER_KEY: must be 32 bytes"],
    [{ API_KEYS: "[" }, "API_KEYS: is not JSON"],
    [{ API_KEYS: [{ ...key, secret_sha256: "ab" }] }, "API_KEYS: 0.secret_sha256: must be 64 hex digits"],
    [{ API_KEYS: [{ ...key, tenant: "Acme" }] }, "API_KEYS: 0.tenant: must match"],
    [{ API_KEYS: [{ ...key, role: "root" }] }, "API_KEYS: 0.role"],
    [{ API_KEYS: [{ ...key, role: undefined }] }, "API_KEYS: kid k1 has neither"],
    [{ API_KEYS: [key, key] }, "API_KEYS: kid k1 stands there twice"],
    [{ TENANTS: '{"acme":{"internal":["10.0.0.0/33"]}}' }, 'TENANTS: acme: not a network: "10.0.0.0/33"'],
    [{ TENANTS: '{"acme":{"internals":[]}}' }, "TENANTS: acme"],
    [{ LATENESS_ALLOWANCE_S: "-1" }, "LATENESS_ALLOWANCE_S: must be"],
    [{ LATENESS_ALLOWANCE_S: "soon" }, "LATENESS_ALLOWANCE_S: must be"],
  ])("names the setting that is wrong: %j", (env, expected) => {
    const whole = "API_KEYS" in env || "TENANTS" in env || "LATENESS_ALLOWANCE_S" in env ? { MASTER_KEY, ...env } : env;
    expect(settingThatFails(whole)).toContain(expected);
  });
});
