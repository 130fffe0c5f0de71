import { env } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { routeAccess } from "../../src/security/permissions.ts";
import type { AuditRow } from "../../src/security/audit-chain.ts";
import type { ApiKey } from "../../src/security/api-key.ts";
import { tenantSettings } from "../../src/security/tenant-settings.ts";
import { keyOf, secret } from "../unit/security/keys.ts";
import { anomaly, acme, auth, clock, config, directoryWith, hourMs, lab, store, testApp, vpcLines } from "./harness.ts";

const path = "/v1/ingest/aws-vpc";
const MiB = 1024 * 1024;

type App = ReturnType<typeof testApp>;

/** Asked, refused with this status and problem, which names nothing but itself, and written down once. */
async function checkRefused(
  { audited }: App,
  response: Response,
  { status, type, fault, more = [] }: { status: number; type: string; fault: string; more?: string[] },
) {
  const text = await response.text();
  expect(response.status, text).toBe(status);
  const document = JSON.parse(text) as Record<string, unknown>;
  expect(document).toMatchObject({ type: `/problems/${type}`, status });
  expect(Object.keys(document).toSorted()).toEqual(["instance", "status", "title", "type", ...more].toSorted());
  expect(audited).toHaveLength(1);
  expect(audited[0]).toMatchObject({ outcome: "failure", detail: { fault, status } });
  expect(audited[0].requestId).toBe(response.headers.get("X-Request-Id"));
}

/** A body that is made as it is read, and how much of it was. */
function streamOf(bytes: number, fill: string): { body: ReadableStream<Uint8Array>; made: () => number } {
  const block = new Uint8Array(64 * 1024).fill(fill.charCodeAt(0));
  let made = 0;
  const body = new ReadableStream({
    type: "bytes",
    pull(controller) {
      if (made >= bytes) {
        controller.close();
        controller.byobRequest?.respond(0);
        return;
      }
      made += block.length;
      controller.enqueue(block.slice());
    },
  });
  return { body, made: () => made };
}

describe("bodies", () => {
  it("a zip bomb is given up at its limit", async () => {
    const app = testApp();
    const { body } = streamOf(1024 * MiB, "0");
    const bomb = body.pipeThrough(new CompressionStream("gzip"));
    const response = await app.post(path, bomb, { "Content-Encoding": "gzip" });
    await checkRefused(app, response, {
      status: 413,
      type: "limit-exceeded",
      fault: "limit_exceeded",
      more: ["limit"],
    });
    expect(app.shard.calls).toHaveLength(0);
  });

  it("a line of 100 MB is not read to its end", async () => {
    const app = testApp();
    const { body, made } = streamOf(100 * MiB, "1");
    const response = await app.post(path, body);
    await checkRefused(app, response, {
      status: 413,
      type: "limit-exceeded",
      fault: "limit_exceeded",
      more: ["limit"],
    });
    expect(made()).toBeLessThan(18 * MiB);
  });

  it("a long line that compresses well is one record that is rejected", async () => {
    const { post, shard } = testApp();
    const { body } = streamOf(50 * MiB, "1");
    const gzip = { "Content-Encoding": "gzip" };
    const response = await post(path, body.pipeThrough(new CompressionStream("gzip")), gzip);
    expect(await response.json()).toMatchObject({ received: 1, rejected: 1, rejects: [{ line: 1 }] });
    expect(shard.calls).toHaveLength(0);
  });

  it.each(["[", '{"a":', '[{"a":'])(
    "JSON that nests a million times as %j rejects records, and nothing else",
    async (open) => {
      for (const format of ["auto", "suricata-eve", "zeek-conn-json", "nfdump-json"]) {
        const { post, shard } = testApp();
        const response = await post(`/v1/ingest/${format}`, open.repeat(1_000_000));
        const answer = (await response.json()) as { accepted?: number };
        expect([200, 400, 413, 415], JSON.stringify(answer)).toContain(response.status);
        expect(answer.accepted ?? 0).toBe(0);
        expect(shard.calls).toHaveLength(0);
      }
    },
  );

  it("a configuration that nests deeper than any does is not parsed, one that is long not read", async () => {
    const put = (app: App, body: BodyInit) => {
      const headers = { ...auth("admin"), "If-Match": '"0"', "Content-Type": "application/json" };
      return app.app.request("/v1/config", { method: "PUT", body, headers });
    };
    const refusal = { status: 413, type: "limit-exceeded", fault: "limit_exceeded", more: ["limit"] };
    for (const open of ["[", '{"a":']) {
      const [deep, long] = [testApp(), testApp()];
      await checkRefused(deep, await put(deep, open.repeat(17)), refusal);
      const { body, made } = streamOf(100 * MiB, open);
      await checkRefused(long, await put(long, body), refusal);
      expect(made()).toBeLessThan(MiB);
    }
  });

  it("JSON has to be called JSON", async () => {
    const app = testApp();
    const headers = { ...auth("admin"), "If-Match": '"0"', "Content-Type": "text/plain" };
    const response = await app.app.request("/v1/config", { method: "PUT", body: "{}", headers });
    const refusal = { status: 415, type: "unsupported-media-type", fault: "content_type", more: ["known"] };
    await checkRefused(app, response, refusal);
  });

  it("a body that does not come is not waited for", async () => {
    const app = testApp({ bodyMsMax: 20 });
    let isCancelled = false;
    const body = new ReadableStream({
      type: "bytes",
      start: (controller) => controller.enqueue(Buffer.from("2 123456789010 ")),
      cancel: () => void (isCancelled = true),
    });
    await checkRefused(app, await app.post(path, body), { status: 408, type: "body-too-slow", fault: "body_too_slow" });
    expect(isCancelled).toBe(true);
    expect(app.shard.calls).toHaveLength(0);
  });

  it("a length that is too long is refused before anything is read, and before anyone is asked who it is", async () => {
    const app = testApp();
    const headers = { "Content-Length": String(16 * MiB + 1) };
    const response = await app.app.request(path, { method: "POST", body: "x", headers });
    await checkRefused(app, response, { status: 413, type: "limit-exceeded", fault: "body_too_long", more: ["limit"] });
  });
});

describe("requests", () => {
  it.each([
    ["many", Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`X-${i}`, "1"]))],
    ["long", { "X-Long": "x".repeat(60_000) }],
  ])("with %s headers are refused", async (_, headers) => {
    const app = testApp();
    const response = await app.get("/v1/anomalies", { ...auth("viewer"), ...headers });
    await checkRefused(app, response, { status: 400, type: "bad-request", fault: "too_many_headers" });
  });

  it.each([
    "/v1/anomalies%2f..%2fconfig",
    "/v1/%61nomalies",
    "/v1/%252e%252e/config",
    "/v1//anomalies",
    "//v1/anomalies",
    "/v1/anomalies/%00",
    "/healthz/%2e%2e%2fv1/config",
    "/v1/anomalies/..%5c..%5cconfig",
    "/v1/anomalies/' OR 1=1 --",
  ])("for the path %j are refused, whoever asks", async (trick) => {
    for (const headers of [auth("admin"), {}]) {
      const app = testApp();
      const response = await app.get(trick, headers);
      await checkRefused(app, response, { status: 400, type: "bad-request", fault: "path_trick" });
    }
  });

  it("find no other door by dot segments: they are what the URL says without them", async () => {
    const { app } = testApp();
    for (const trick of ["/healthz/../v1/anomalies", "/healthz/%2e%2e/v1/anomalies", "/healthz/.%2e/v1/./anomalies"])
      expect((await app.request(trick)).status).toBe(401);
  });

  it("whose URL has no end are refused", async () => {
    const app = testApp();
    const response = await app.get(`/v1/anomalies?entity=${"1".repeat(10_000)}`);
    await checkRefused(app, response, { status: 400, type: "bad-request", fault: "url_too_long" });
  });
});

describe("SQL", () => {
  const injections = [
    "' OR 1=1 --",
    "x'); DROP TABLE anomalies; --",
    "1 UNION SELECT secret_sha256 FROM api_keys",
    "%",
    "\\",
  ];
  const tables = ["anomalies", "configurations", "api_keys", "tenants", "audit", "nonces"];
  const sizes = async () =>
    Promise.all(tables.map((table) => env.DB.prepare(`SELECT count(*) AS n FROM ${table}`).first<number>("n")));

  it("in any parameter, path or header is a bad one or finds nothing", async () => {
    await store.upsert(acme, [anomaly(0x51)]);
    const before = await sizes();
    const { app } = testApp();
    const described = (await (await app.request("/openapi.json")).json()) as {
      paths: Record<string, Record<string, { parameters?: { name: string; in: string }[] }>>;
    };
    let asked = 0;
    for (const [template, methods] of Object.entries(described.paths)) {
      for (const [method, { parameters = [] }] of Object.entries(methods)) {
        const access = routeAccess.get(`${method.toUpperCase()} ${template.replace(/\{(\w+)\}/g, ":$1")}`);
        if (access === "public" || access?.startsWith("tenants:")) continue;
        for (const { name, in: place } of parameters) {
          for (const injection of injections) {
            const inPath = (text: string) => template.replace(/\{\w+\}/, text);
            const target =
              place === "query"
                ? `${inPath("auto")}?${name}=${encodeURIComponent(injection)}`
                : inPath(place === "path" ? encodeURIComponent(injection) : "auto");
            const headers = { ...auth("admin"), ...(place === "header" && { [name]: injection }) };
            const response = await app.request(target, { method: method.toUpperCase(), headers });
            const answer = `${method} ${target}: ${response.status} ${await response.text()}`;
            expect(response.status, answer).toBeLessThan(500);
            // A word of the audit log may be any; it finds nothing.
            expect(response.status >= 400 || answer.includes('"rows":[]'), answer).toBe(true);
            asked++;
          }
        }
      }
    }
    expect(asked).toBeGreaterThan(50);
    expect(await sizes()).toEqual(before);
  });

  it("in what the API has no name for changes nothing, either", async () => {
    const before = await sizes();
    for (const injection of injections) {
      const { app, post } = testApp();
      const headers = {
        ...auth("shipper"),
        "Idempotency-Key": `${injection.replaceAll(" ", "_")}-${asciiOnly(injection)}`,
      };
      expect((await post(path, vpcLines(1), headers)).status).toBe(200);
      const bearer = { Authorization: `Bearer ${injection}.secret` };
      expect((await app.request("/v1/anomalies", { headers: bearer })).status).toBe(401);
      const body = JSON.stringify({ preset: injection, [injection]: injection, thresholds: { [injection]: {} } });
      const put = { ...auth("admin"), "If-Match": injection, "Content-Type": "application/json" };
      expect((await app.request("/v1/config", { method: "PUT", body, headers: put })).status).toBe(422);
    }
    expect(await sizes()).toEqual(before);
  });

  const asciiOnly = (text: string) => text.replace(/[^\x21-\x7e]/g, "");
});

describe("forged origins", () => {
  const networks = { allow: ["192.0.2.0/24"] };
  const inside = "192.0.2.7";
  const tenants = new Map([...config.tenants, ["acme", tenantSettings("acme", { networks }, config.allowanceMs)]]);
  const from = (headers: Record<string, string>, cf?: object) => {
    const directory = directoryWith([], tenants);
    const app = testApp({ directory });
    const request = new Request("https://weir.example/v1/anomalies", { headers: { ...auth("viewer"), ...headers } });
    if (cf) Object.defineProperty(request, "cf", { value: cf });
    return { app, response: app.app.request(request) };
  };

  it("a key is good where its tenant is, as the platform tells it", async () => {
    expect((await from({ "CF-Connecting-IP": inside }).response).status).toBe(200);
  });

  it.each([
    [{}],
    [{ "X-Forwarded-For": inside }],
    [{ Forwarded: `for=${inside}` }],
    [{ "X-Real-IP": inside }],
    [{ "True-Client-IP": inside }],
    [{ "CF-Connecting-IP": "198.51.100.1", "X-Forwarded-For": inside }],
    [{ "CF-Connecting-IP": `198.51.100.1, ${inside}` }],
    [{ "CF-Connecting-IPv6": "2001:db8::1", "CF-Pseudo-IPv4": inside }],
  ])("it is not because of %j", async (headers) => {
    const { app, response } = from(headers, { clientIp: inside, asOrganization: "acme" });
    await checkRefused(app, await response, { status: 401, type: "unauthenticated", fault: "unwelcome_network" });
  });

  it("networks that are denied are told nothing at all, and the log does not name them", async () => {
    const { networkMatcher } = await import("../../src/core/flow/networks.ts");
    const app = testApp({ config: { ...config, deniedNetworks: networkMatcher(["198.51.100.0/24"]) } });
    const response = await app.get("/healthz", { "CF-Connecting-IP": "198.51.100.1" });
    await checkRefused(app, response, { status: 403, type: "refused", fault: "denied_network" });
    expect(JSON.stringify(app.audited)).not.toContain("198.51.100");
    expect(app.audited[0].detail?.client).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe("keys", () => {
  const ask = async (keys: ApiKey[], token: string) => {
    const app = testApp({ directory: directoryWith(keys) });
    return { app, response: await app.get("/v1/anomalies", { Authorization: `Bearer ${token}` }) };
  };
  const viewer = (more: Partial<ApiKey>) => keyOf({ kid: "v", role: "viewer", ...more });

  it.each([
    ["expired", { expiresAtMs: hourMs }],
    ["not_yet_valid", { notBeforeMs: hourMs + 1 }],
    ["revoked", { revokedAtMs: hourMs - 1 }],
    ["rotated", { graceUntilMs: hourMs, replacedBy: "w" }],
  ])("that are %s open nothing, and are not told from unknown ones", async (fault, more) => {
    const { app, response } = await ask([viewer(more)], `v.${secret}`);
    const { app: other, response: unknown } = await ask([], `v.${secret}`);
    const told = [...response.headers].filter(([name]) => name !== "x-request-id");
    expect(told).toEqual([...unknown.headers].filter(([name]) => name !== "x-request-id"));
    await checkRefused(app, response, { status: 401, type: "unauthenticated", fault });
    await checkRefused(other, unknown, { status: 401, type: "unauthenticated", fault: "unknown_key" });
    expect(app.audited[0]).toMatchObject({ tenant: "acme", actor: "v", action: "authentication" });
    expect(other.audited[0]).toMatchObject({ tenant: "-", actor: "-", action: "authentication" });
  });

  it("that were rotated say so while they are good", async () => {
    const { response } = await ask([viewer({ graceUntilMs: hourMs + 1, replacedBy: "w" })], `v.${secret}`);
    expect(response.status).toBe(200);
    expect(response.headers.get("Weir-Key-Rotated")).toBe("w");
  });

  it("of tenants that are gone open nothing", async () => {
    const { app, response } = await ask([viewer({ tenant: "gone" })], `v.${secret}`);
    await checkRefused(app, response, { status: 401, type: "unauthenticated", fault: "no_tenant" });
  });

  it("that are guessed are answered later and later", async () => {
    const app = testApp();
    const from = { "CF-Connecting-IP": "198.51.100.9", Authorization: "Bearer admin.guess" };
    const statuses: number[] = [];
    for (let i = 0; i < 60; i++) statuses.push((await app.get("/v1/anomalies", from)).status);
    expect(statuses.filter((status) => status === 401).length).toBeLessThan(42);
    const response = await app.get("/v1/anomalies", from);
    expect(response.status).toBe(429);
    expect(Number(response.headers.get("Retry-After"))).toBeGreaterThan(0);
    const neighbour = await app.get("/v1/anomalies", { ...auth("admin"), "CF-Connecting-IP": "198.51.100.8" });
    expect(neighbour.status).toBe(200);
  });

  it("of another tenant find nothing of this one, whatever they search for", async () => {
    await store.upsert(acme, [anomaly(0x77, { entity: "10.7.7.7" })]);
    const { get } = testApp();
    const found = async (query: string, headers: Record<string, string>) =>
      (await (await get(`/v1/anomalies?${query}`, headers)).json()) as { anomalies: object[]; next: string | null };
    expect((await found("entity=10.7.7.7", auth("viewer"))).anomalies).toHaveLength(1);
    const nobodys = await found("entity=10.8.8.8", auth("other"));
    for (const network of ["10.7.7.7", "10.7.7.0%2F24", "10.7.0.0%2F16", "10.0.0.0%2F8", "0.0.0.0%2F0"])
      expect(await found(`entity=${network}`, auth("other"))).toEqual(nobodys);
    expect((await get(`/v1/anomalies/${anomaly(0x77).id}`, auth("other"))).status).toBe(404);
    // Not even with what stands in the index: the same address has other tokens there.
    const [mine, theirs] = [acme, lab].map(({ keys }) => keys.index.tokensOf("source_ip", ["10.7.7.7"]));
    expect(mine.length).toBeGreaterThan(0);
    expect(theirs.filter((token) => mine.includes(token))).toEqual([]);
  });

  it("that see prefixes alone find no address by guessing it", async () => {
    await store.upsert(acme, [anomaly(0x78, { entity: "10.7.8.9" })]);
    const app = testApp();
    const shown = await app.get("/v1/anomalies?entity=10.7.8.0%2F24", auth("auditor"));
    const { anomalies } = (await shown.json()) as { anomalies: object[] };
    expect(anomalies).toMatchObject([{ entity: "10.7.8.0/24" }]);
    app.audited.length = 0;
    const response = await app.get("/v1/anomalies?entity=10.7.8.9", auth("auditor"));
    const refusal = { status: 400, type: "invalid-parameters", fault: "invalid_parameters", more: ["errors"] };
    await checkRefused(app, response, refusal);
  });
});

describe("the Worker as it is deployed", () => {
  it("writes every refusal into a chain: of the key's tenant, or of nobody's", async () => {
    const fetch = (to: string, headers: Record<string, string>) =>
      exports.default.fetch(`https://weir.example${to}`, { headers });
    const client = { "CF-Connecting-IP": "198.51.100.77" };
    for (const [to, headers, status] of [
      ["/v1/anomalies", { Authorization: "Bearer nobody.secret", ...client }, 401],
      ["/v1/anomalies", { Authorization: "Bearer other.guess", ...client }, 401],
      ["/v1/tenants", { ...auth("other"), ...client }, 403],
      ["/v1//anomalies", client, 400],
    ] as const) {
      const response = await fetch(to, headers);
      expect(response.status).toBe(status);
      await response.body?.cancel();
    }
    const written = async () => {
      const { results } = await env.DB.prepare("SELECT * FROM audit WHERE outcome = 'failure'").all<AuditRow>();
      return results.map(({ tenant, actor, action, detail }) => {
        const { fault, client: hash } = JSON.parse(detail) as Record<string, string>;
        return { text: `${tenant} ${actor} ${action} ${fault}`, hash };
      });
    };
    await vi.waitFor(async () => expect(await written()).toHaveLength(4), { timeout: 20_000 });
    const rows = await written();
    expect(rows.map(({ text }) => text).toSorted()).toEqual([
      "- - authentication unknown_key",
      "- - network path_trick",
      "lab other authentication wrong_secret",
      "lab other authorization tenants:read",
    ]);
    // One client is one hash within a tenant, and another one in another.
    expect(new Set(rows.map(({ hash }) => hash)).size).toBe(2);
    expect(JSON.stringify(rows)).not.toContain("198.51.100");
  });
});

describe("every answer", () => {
  it("has the headers that keep it from being framed, guessed, kept or read by other sites", async () => {
    clock.now = hourMs;
    const { app, get } = testApp();
    for (const response of [
      await get("/healthz"),
      await get("/v1/anomalies"),
      await get("/v1/anomalies", {}),
      await get("/nothing"),
      await get("/v1//x"),
      await app.request("/v1/anomalies", { method: "DELETE" }),
    ]) {
      expect(Object.fromEntries(response.headers)).toMatchObject({
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "strict-transport-security": "max-age=63072000; includeSubDomains",
      });
      expect([...response.headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
    }
  });

  it("to a preflight is no", async () => {
    const { app } = testApp();
    const headers = { Origin: "https://evil.example", "Access-Control-Request-Method": "POST" };
    for (const [to, status] of [
      ["/v1/anomalies", 405],
      ["/v1/ingest/auto", 405],
      ["/nothing", 404],
    ] as const) {
      const response = await app.request(to, { method: "OPTIONS", headers });
      expect(response.status).toBe(status);
      expect([...response.headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
    }
  });
});
