import { describe, expect, it } from "vitest";
import { applicationLayer } from "../../../src/security/application.ts";
import { runChain } from "../../../src/security/chain.ts";
import type { GuardedRequest, Layer, SecurityContext } from "../../../src/security/context.ts";
import { dataLayer } from "../../../src/security/data.ts";
import type { Directory } from "../../../src/security/directory.ts";
import { gatewayLayer } from "../../../src/security/gateway.ts";
import { derivedKeyring, KeysDestroyed, type Keyring } from "../../../src/security/keyring.ts";
import { NetworkLayer, type NetworkParts } from "../../../src/security/network.ts";
import { networkMatcher } from "../../../src/core/flow/networks.ts";
import { tenantSettings } from "../../../src/security/tenant-settings.ts";
import type { TenantSettings } from "../../../src/security/tenant.ts";
import { acme, keyOf, secret } from "./keys.ts";

const nowMs = 1_795_366_800_000;
const clock = { nowMs: () => nowMs, wait: () => Promise.resolve(), chance: () => 0 };

function contextOf(more: Partial<SecurityContext> = {}): SecurityContext {
  return { requestId: "r1", clientAddress: null, layers: [], ...more };
}

function requestOf(path = "/v1/anomalies", init: RequestInit = {}, more: Partial<GuardedRequest> = {}): GuardedRequest {
  const raw = new Request(`https://weir.example${path}`, init);
  return { raw, route: "GET /v1/anomalies", wanted: ["anomalies:read"], ...more };
}

function directoryOf(keys = [keyOf({ role: "viewer" })], tenants: TenantSettings[] = [acme]): Directory {
  return {
    keyOf: async (kid) => keys.find((key) => key.kid === kid),
    tenantOf: async (id) => tenants.find((tenant) => tenant.id === id),
    changed: () => {},
  };
}

describe("runChain", () => {
  const layer = (name: string, isForAll: boolean, refuses = false): Layer => ({
    name,
    isForAll,
    check: async () => (refuses ? { failure: { reason: "refused" }, action: "network", fault: name } : undefined),
  });

  it("asks in order, and no further than the first that refuses", async () => {
    const context = contextOf();
    const refusal = await runChain(
      [layer("a", true), layer("b", false, true), layer("c", false)],
      requestOf(),
      context,
    );
    expect(refusal?.fault).toBe("b");
    expect(context.layers).toEqual([
      { name: "a", outcome: "passed" },
      { name: "b", outcome: "refused" },
    ]);
  });

  it("asks only the layers for all where nothing is wanted", async () => {
    const context = contextOf();
    const open = requestOf("/healthz", {}, { wanted: [] });
    expect(await runChain([layer("a", true), layer("b", false, true)], open, context)).toBeUndefined();
    expect(context.layers.at(-1)).toEqual({ name: "b", outcome: "skipped" });
  });

  it("ends with what a layer throws", async () => {
    const broken: Layer = { name: "a", isForAll: true, check: () => Promise.reject(new Error("lost")) };
    await expect(runChain([broken, layer("b", true)], requestOf(), contextOf())).rejects.toThrow("lost");
  });
});

describe("the network layer", () => {
  const layerOf = (more: Partial<NetworkParts> = {}) =>
    new NetworkLayer({ clock, denied: null, bodyBytesMax: () => 1000, ...more });
  const from = (address: string, more: Record<string, string> = {}) => ({
    headers: { "CF-Connecting-IP": address, ...more },
  });

  it("knows the client by what the platform says alone", async () => {
    const context = contextOf();
    const forged = { "X-Forwarded-For": "10.9.9.9", Forwarded: "for=10.9.9.9", "X-Real-IP": "10.9.9.9" };
    const { raw, ...rest } = requestOf("/v1/anomalies", from("192.0.2.7", forged));
    Object.defineProperty(raw, "cf", { value: { clientIp: "10.9.9.9" } });
    expect(await layerOf().check({ raw, ...rest }, context)).toBeUndefined();
    expect(context.clientAddress).toBe("192.0.2.7");
    const alone = contextOf();
    await layerOf().check(requestOf("/", { headers: forged }), alone);
    expect(alone.clientAddress).toBeNull();
  });

  it.each(["192.0.2.7, 10.0.0.1", "unknown", "192.0.2.999", "x".repeat(1000), ""])(
    "knows no client by %j",
    async (text) => {
      const context = contextOf();
      await layerOf().check(requestOf("/", from(text)), context);
      expect(context.clientAddress).toBeNull();
    },
  );

  it("refuses networks that are denied, mapped addresses too", async () => {
    const layer = layerOf({ denied: networkMatcher(["192.0.2.0/24", "2001:db8::/32"]) });
    for (const address of ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"])
      expect((await layer.check(requestOf("/", from(address)), contextOf()))?.fault).toBe("denied_network");
    expect(await layer.check(requestOf("/", from("192.0.3.7")), contextOf())).toBeUndefined();
  });

  /** As a request that was never parsed: what comes over the wire is not normalised. */
  const rawOf = (url: string) => ({ ...requestOf(), raw: { url, headers: new Headers(), method: "GET" } as Request });

  it.each([
    "/v1/../healthz",
    "/v1/./anomalies",
    "/v1/..",
    "/healthz/../v1/anomalies",
    "//v1/anomalies",
    "/v1//anomalies",
    "/v1/anomalies%2f..%2fconfig",
    "/v1/%61nomalies",
    "/v1/%2e%2e/healthz",
    "/v1/%252e%252e/healthz",
    "/v1/anomalies%00",
    "/v1\\anomalies",
    "/v1/anomalies\u0000",
    "/v1/anomalies;x\u00e4",
    "/v1/%c0%af",
  ])("refuses the path %j", async (path) => {
    expect(await layerOf().check(rawOf(`https://weir.example${path}`), contextOf())).toMatchObject({
      failure: { reason: "bad_request" },
      fault: "path_trick",
    });
  });

  it.each(["/", "/healthz", "/v1/anomalies?entity=10.0.0.0%2F8&x=/../", "/services/collector/health/1.0", "/_bulk"])(
    "lets %j be routed",
    async (path) => {
      expect(await layerOf().check(rawOf(`https://weir.example${path}`), contextOf())).toBeUndefined();
    },
  );

  it("looks at a path of hostile length in no time", async () => {
    const refusal = await layerOf().check(rawOf(`https://weir.example/${"a/".repeat(5_000_000)}`), contextOf());
    expect(refusal?.fault).toBe("url_too_long");
  });

  it("refuses floods of headers, by count and by size", async () => {
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`X-${i}`, "1"]));
    for (const headers of [many, { "X-Long": "x".repeat(20_000) }])
      expect((await layerOf().check(requestOf("/", { headers }), contextOf()))?.fault).toBe("too_many_headers");
  });

  it("refuses a body by its length before it is read", async () => {
    const check = (length: string) => {
      const raw = { url: "https://weir.example/v1/config", headers: new Headers({ "Content-Length": length }) };
      return layerOf().check({ ...requestOf(), raw: raw as Request }, contextOf());
    };
    expect(await check("1000")).toBeUndefined();
    expect(await check("1001")).toMatchObject({ failure: { reason: "limit_exceeded" }, fault: "body_too_long" });
    for (const text of ["-1", "1e9", "0x10", "1, 2", "9".repeat(400)])
      expect((await check(text))?.fault).toBe("bad_content_length");
  });

  it("limits each client network, and bad keys sooner", async () => {
    const layer = layerOf();
    const check = (address: string) => layer.check(requestOf("/", from(address)), contextOf());
    for (let i = 0; i < 2000; i++) expect(await check("2001:db8::1")).toBeUndefined();
    expect(await check("2001:db8::ffff")).toMatchObject({
      failure: { reason: "too_many_requests", retryAfterS: 1 },
      fault: "rate_limit",
    });
    expect(await check("2001:db8:0:1::1")).toBeUndefined();
    for (let i = 0; i < 40; i++) layer.charge(contextOf({ clientAddress: "192.0.2.7" }));
    expect((await check("192.0.2.7"))?.fault).toBe("rate_limit");
    expect(await check("192.0.2.8")).toBeUndefined();
  });

  it("goes by the platform's limit as well, and on without it where that fails", async () => {
    const check = (limit: () => Promise<{ success: boolean }>) =>
      layerOf({ rateLimit: { limit } }).check(requestOf("/", from("192.0.2.7")), contextOf());
    expect(await check(async () => ({ success: true }))).toBeUndefined();
    expect((await check(async () => ({ success: false })))?.failure).toMatchObject({ reason: "too_many_requests" });
    expect(await check(() => Promise.reject(new Error("lost")))).toBeUndefined();
  });
});

describe("the gateway layer", () => {
  const bearer = (text: string) => ({ headers: { Authorization: `Bearer ${text}` } });
  const nonces = { use: async () => true };

  it("names the principal, and answers all bad keys alike", async () => {
    const keys = [keyOf({ kid: "good", role: "viewer" }), keyOf({ kid: "old", expiresAtMs: 1 })];
    const layer = gatewayLayer({ clock, directory: directoryOf(keys), nonces });
    const context = contextOf();
    expect(await layer.check(requestOf("/", bearer(`good.${secret}`)), context)).toBeUndefined();
    expect(context.principal).toMatchObject({ kid: "good", tenant: "acme", role: "viewer" });
    const bad = [{}, bearer("x"), bearer(`nobody.${secret}`), bearer("good.wrong"), bearer(`old.${secret}`)];
    const refusals = await Promise.all(bad.map((init) => layer.check(requestOf("/", init), contextOf())));
    expect(refusals.map((refusal) => refusal?.failure)).toEqual(bad.map(() => ({ reason: "unauthenticated" })));
    const faults = ["absent", "malformed", "unknown_key", "wrong_secret", "expired"];
    expect(refusals.map((refusal) => refusal?.fault)).toEqual(faults);
    expect(refusals.map((refusal) => refusal?.claimed?.kid)).toEqual([undefined, undefined, undefined, "good", "old"]);
  });

  it("limits each key", async () => {
    const layer = gatewayLayer({ clock, directory: directoryOf([keyOf(), keyOf({ kid: "k2" })]), nonces });
    const check = (kid: string) => layer.check(requestOf("/", bearer(`${kid}.${secret}`)), contextOf());
    for (let i = 0; i < 2000; i++) expect(await check("k1")).toBeUndefined();
    expect(await check("k1")).toMatchObject({ failure: { reason: "too_many_requests" }, fault: "key_rate_limit" });
    expect(await check("k2")).toBeUndefined();
  });
});

describe("the application layer", () => {
  const keyring = derivedKeyring(new Uint8Array(32));
  const check = (
    { request = requestOf(), key = keyOf({ role: "viewer" }), clientAddress = null as string | null } = {},
    { tenants = [acme], ring = keyring }: { tenants?: TenantSettings[]; ring?: Keyring } = {},
  ) => {
    const context = contextOf({ key, principal: key, clientAddress });
    const layer = applicationLayer({ directory: directoryOf([key], tenants), keyring: ring });
    return layer.check(request, context).then((refusal) => ({ refusal, context }));
  };

  it("finds the tenant of the principal, with its keys", async () => {
    const { refusal, context } = await check();
    expect(refusal).toBeUndefined();
    expect(context.tenant).toMatchObject({ id: "acme", shards: 1 });
    expect(context.tenant?.keys.anomalyId).toHaveLength(32);
  });

  it.each([
    ["what it may not do", ["config:write"]],
    ["what nobody may do", [null]],
    ["two things of which it may do one", ["anomalies:read", null]],
  ] as [string, GuardedRequest["wanted"]][])("refuses a key %s", async (_, wanted) => {
    const { refusal, context } = await check({ request: requestOf("/", {}, { wanted }) });
    expect(refusal?.failure).toMatchObject({ reason: "forbidden" });
    expect(context.tenant).toBeUndefined();
  });

  it("refuses a tenant that is not there, or whose keys are gone, like a bad key", async () => {
    const ring: Keyring = { ...keyring, of: () => Promise.reject(new KeysDestroyed("acme")) };
    for (const parts of [{ tenants: [] }, { ring }])
      expect((await check({}, parts)).refusal).toMatchObject({
        failure: { reason: "unauthenticated" },
        fault: "no_tenant",
        claimed: { tenant: "acme" },
      });
  });

  it("refuses a good key from a network where its tenant is not, like a bad key", async () => {
    const of = (networks: { allow?: string[]; deny?: string[] }, clientAddress: string | null) =>
      check({ clientAddress }, { tenants: [tenantSettings("acme", { networks }, 0)] }).then(({ refusal }) => refusal);
    expect(await of({ allow: ["192.0.2.0/24"] }, "192.0.2.7")).toBeUndefined();
    expect(await of({ deny: ["192.0.2.0/24"] }, "192.0.3.7")).toBeUndefined();
    for (const refusal of [
      await of({ allow: ["192.0.2.0/24"] }, "192.0.3.7"),
      await of({ allow: ["192.0.2.0/24"] }, null),
      await of({ deny: ["192.0.2.0/24"] }, "192.0.2.7"),
      await of({ allow: ["192.0.2.0/24"], deny: ["192.0.2.7"] }, "192.0.2.7"),
    ])
      expect(refusal).toMatchObject({ failure: { reason: "unauthenticated" }, fault: "unwelcome_network" });
  });

  it("takes nothing but JSON where it is not flow logs", async () => {
    const put = (type: string, route = "PUT /v1/config") => {
      const init = { method: "PUT", body: "{}", headers: { "Content-Type": type } };
      return check({ request: requestOf("/v1/config", init, { route }) }).then(({ refusal }) => refusal);
    };
    for (const type of ["application/json", "application/json; charset=utf-8", "Application/JSON"])
      expect(await put(type)).toBeUndefined();
    for (const type of ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonp"])
      expect((await put(type))?.failure).toMatchObject({ reason: "unsupported_media_type" });
    expect(await put("text/plain", "POST /v1/ingest/:format")).toBeUndefined();
  });
});

describe("the data layer", () => {
  it("shows as much as the key's view, of the key's tenant", async () => {
    const principal = keyOf({ role: "auditor" });
    const tenant = { ...acme, keys: await derivedKeyring(new Uint8Array(32)).of(acme) };
    const context = contextOf({ key: principal, principal, tenant });
    expect(await dataLayer.check(requestOf(), context)).toBeUndefined();
    expect(context.data).toEqual({ view: "masked", rowsOf: "acme" });
    const other = contextOf({ principal: keyOf({ tenant: "lab" }), tenant });
    expect(await dataLayer.check(requestOf(), other)).toMatchObject({ failure: { reason: "unauthenticated" } });
  });
});
