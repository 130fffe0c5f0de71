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
    expect(config).toMatchObject({ modelTimeoutMs: 2_000, modelFault: "none" });
    expect(Object.isFrozen(config)).toBe(true);
  });

  it("gives a key the permissions of its role, or those listed", () => {
    const listed = { ...key, kid: "k2", role: undefined, permissions: ["anomalies:read"] };
    const { apiKeys } = readConfig({ MASTER_KEY, API_KEYS: JSON.stringify([key, listed]) });
    expect([...apiKeys.get("k1")!.permissions]).toEqual(["ingest:write"]);
    expect([...apiKeys.get("k2")!.permissions]).toEqual(["anomalies:read"]);
  });

  it("gives a key with permissions alone the first role that has them, and each the view of its role or less", () => {
    const keys = [
      { ...key, kid: "reader", role: undefined, permissions: ["pipeline:read", "anomalies:read"] },
      { ...key, kid: "both", role: undefined, permissions: ["pipeline:read", "ingest:write"] },
      { ...key, kid: "auditor", role: "auditor" },
      { ...key, kid: "blind", role: "admin", view: "sealed" },
    ];
    const { apiKeys } = readConfig({ MASTER_KEY, API_KEYS: keys });
    const rolesAndViews = [...apiKeys.values()].map(({ role, view }) => `${role} ${view}`);
    expect(rolesAndViews).toEqual(["viewer clear", "admin clear", "auditor masked", "admin sealed"]);
  });

  it("has the platform for a tenant, whose keys are the operator's; no tenant may do what he may", () => {
    const operator = { ...key, kid: "op", tenant: "-", role: "operator" };
    const { apiKeys, tenants } = readConfig({ MASTER_KEY, API_KEYS: [key, operator] });
    expect([...apiKeys.get("op")!.permissions]).toContain("tenants:write");
    expect([...tenants.keys()]).toEqual(["acme", "-"]);
    expect(tenants.get("-")).toMatchObject({ id: "-", shards: 0 });
  });

  it("knows what a tenant may use, and from where", () => {
    const limits = { flows_per_second: 1000 };
    const networks = { deny: ["203.0.113.0/24"] };
    const { tenants } = readConfig({ MASTER_KEY, TENANTS: { acme: { limits, networks, jurisdiction: "us" } } });
    const acme = tenants.get("acme")!;
    expect(acme.limits).toEqual({ flowsPerSecond: 1000, recordsPerBatch: null });
    expect(acme.jurisdiction).toBe("us");
    expect(acme.networks.allow).toBeNull();
    expect(acme.networks.deny!(...parseAddress("203.0.113.7")!)).toBe(true);
  });

  it("takes several master keys by name, the current one first", () => {
    const other = Buffer.alloc(32, 8).toString("base64");
    expect(readConfig({ MASTER_KEY }).masterKeys).toMatchObject([{ id: "k1" }]);
    const { masterKeys, masterKey } = readConfig({ MASTER_KEY: `b:${other}, k1:${MASTER_KEY}` });
    expect(masterKeys.map(({ id }) => id)).toEqual(["b", "k1"]);
    expect(masterKey[0]).toBe(8);
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
    [{ API_KEYS: [{ ...key, tenant: "-" }] }, "API_KEYS: kid k1 may do what its tenant cannot"],
    [{ API_KEYS: [{ ...key, role: "operator" }] }, "API_KEYS: kid k1 may do what its tenant cannot"],
    [
      { API_KEYS: [{ ...key, role: undefined, permissions: ["tenants:read"] }] },
      "API_KEYS: kid k1 may do what its tenant cannot",
    ],
    [{ API_KEYS: [{ ...key, role: "auditor", view: "clear" }] }, "API_KEYS: kid k1 cannot have the view clear"],
    [{ MASTER_KEY: `${MASTER_KEY},${MASTER_KEY}` }, "MASTER_KEY: must not name two keys alike"],
    [{ MASTER_KEY: `a:${MASTER_KEY},b:c2hvcnQ=` }, "MASTER_KEY: must be 32 bytes"],
    [{ MASTER_KEY: `${"a".repeat(33)}:${MASTER_KEY}` }, "MASTER_KEY: ids must match"],
    [{ TENANTS: '{"acme":{"shards":65}}' }, "TENANTS: acme.shards"],
    [{ API_KEYS: [key, key] }, "API_KEYS: kid k1 stands there twice"],
    [{ TENANTS: '{"acme":{"internal":["10.0.0.0/33"]}}' }, 'TENANTS: acme.internal.0: not a network: "10.0.0.0/33"'],
    [{ TENANTS: '{"acme":{"internals":[]}}' }, "TENANTS: acme"],
    [{ LATENESS_ALLOWANCE_S: "-1" }, "LATENESS_ALLOWANCE_S: must be"],
    [{ LATENESS_ALLOWANCE_S: "soon" }, "LATENESS_ALLOWANCE_S: must be"],
    [{ MASTER_KEY, MODEL_TIMEOUT_MS: "120001" }, "MODEL_TIMEOUT_MS: must be 1 to 120000"],
    [{ MASTER_KEY, MODEL_TIMEOUT_MS: "" }, "MODEL_TIMEOUT_MS: must be 1 to 120000"],
    [{ MASTER_KEY, MODEL_FAULT: "slow" }, "MODEL_FAULT: "],
  ])("names the setting that is wrong: %j", (env, expected) => {
    const whole = "API_KEYS" in env || "TENANTS" in env || "LATENESS_ALLOWANCE_S" in env ? { MASTER_KEY, ...env } : env;
    expect(settingThatFails(whole)).toContain(expected);
  });
});
