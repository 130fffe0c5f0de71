import { createHash } from "node:crypto";
import { env } from "cloudflare:test";
import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, it } from "vitest";
import { signatureOf } from "../../src/security/signature.ts";
import { StorageError } from "../../src/storage/d1.ts";
import { keyOf, signingKey } from "../unit/security/keys.ts";
import { clock, directoryWith, hourMs, testApp, vpcLines } from "./harness.ts";

const shipper = keyOf({ kid: "signer", role: "shipper" });
const admin = keyOf({ kid: "boss", role: "admin" });
const directory = directoryWith([shipper, admin]);

let nonces = 0;

interface Signed {
  kid?: string;
  method?: string;
  path?: string;
  body?: string | Uint8Array<ArrayBuffer> | null;
  headers?: Record<string, string>;
  timestampS?: number;
  nonce?: string;
}

/** A request as a client with the key makes it. */
function signed({
  kid = "signer",
  method = "POST",
  path = "/v1/ingest/aws-vpc",
  body = null,
  headers = {},
  timestampS = hourMs / 1000,
  nonce = `n-${String(nonces++).padStart(16, "0")}`,
}: Signed) {
  const contentSha256 = createHash("sha256")
    .update(body ?? "")
    .digest("hex");
  const parts = { method, target: path, timestamp: String(timestampS), nonce, contentSha256 };
  const signature = signatureOf(signingKey, parts).toString("hex");
  const Authorization = `Weir-HMAC-SHA256 kid=${kid}, timestamp=${timestampS}, nonce=${nonce}, content_sha256=${contentSha256}, signature=${signature}`;
  return { path, init: { method, body, headers: { ...headers, Authorization } } };
}

const rows = async () => (await env.DB.prepare("SELECT * FROM nonces").all()).results;

beforeEach(() => env.DB.exec("DELETE FROM nonces"));

describe("a signed request", () => {
  it("is taken once, whichever isolate it comes to", async () => {
    const { path, init } = signed({ body: vpcLines(3) });
    const [one, other] = [testApp({ directory }), testApp({ directory })];
    expect((await one.app.request(path, init)).status).toBe(200);
    for (const { app, shard, audited } of [one, other]) {
      const calls = shard.calls.length;
      expect((await app.request(path, init)).status).toBe(401);
      expect(shard.calls).toHaveLength(calls);
      expect(audited.at(-1)).toMatchObject({
        tenant: "acme",
        actor: "signer",
        action: "authentication",
        outcome: "failure",
        detail: { fault: "replayed" },
      });
    }
    expect(await rows()).toHaveLength(1);
  });

  it("is taken without a body, and with one that is compressed: the bytes are signed as they are sent", async () => {
    const { app, shard } = testApp({ directory });
    const get = signed({ kid: "boss", method: "GET", path: "/v1/anomalies?limit=2" });
    expect((await app.request(get.path, get.init)).status).toBe(200);
    const post = signed({ body: gzipSync(vpcLines(500)), headers: { "Content-Encoding": "gzip" } });
    expect(await (await app.request(post.path, post.init)).json()).toMatchObject({ accepted: 500 });
    expect(shard.calls).toHaveLength(1);
  });

  it.each([
    ["another body", vpcLines(4)],
    ["no body", null],
    ["a longer body", `${vpcLines(3)}\n`],
  ])("is refused with %s, and nothing of it is learnt", async (_, body) => {
    const { app, shard, audited } = testApp({ directory });
    const { path, init } = signed({ body: vpcLines(3) });
    const response = await app.request(path, { ...init, body });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ type: "/problems/unauthenticated" });
    expect(shard.calls).toHaveLength(0);
    expect(audited).toMatchObject([{ action: "authentication", actor: "signer", detail: { fault: "wrong_body" } }]);
  });

  it("is refused with another compressed body, valid as it is", async () => {
    const { app, shard } = testApp({ directory });
    const { path, init } = signed({ body: gzipSync(vpcLines(3)), headers: { "Content-Encoding": "gzip" } });
    expect((await app.request(path, { ...init, body: gzipSync(vpcLines(2)) })).status).toBe(401);
    expect(shard.calls).toHaveLength(0);
  });

  it("is refused with another configuration than was signed", async () => {
    const { app } = testApp({ directory });
    const headers = { "If-Match": '"0"', "Content-Type": "application/json" };
    const { path, init } = signed({ kid: "boss", method: "PUT", path: "/v1/config", body: "{}", headers });
    const put = (body: string) => app.request(path, { ...init, body });
    expect((await put('{"preset":"quiet"}')).status).toBe(401);
    const { results } = await env.DB.prepare("SELECT * FROM configurations WHERE created_by = 'boss'").all();
    expect(results).toEqual([]);
  });

  it.each([
    ["path", "POST", "/v1/ingest/end"],
    ["query", "POST", "/v1/ingest/aws-vpc?sampling_rate=9"],
    ["method", "GET", "/v1/ingest/aws-vpc"],
  ])("is refused for another %s", async (_, method, path) => {
    const { app, audited } = testApp({ directory });
    const { init } = signed({ method: method === "GET" ? "POST" : method });
    const to = method === "GET" ? "/v1/anomalies" : path;
    expect((await app.request(to, { ...init, method })).status).toBe(401);
    expect(audited).toMatchObject([{ detail: { fault: "wrong_signature" } }]);
    expect(await rows()).toEqual([]);
  });

  it("is refused more than five minutes off", async () => {
    const { app, audited } = testApp({ directory });
    for (const offS of [-301, 301]) {
      const { path, init } = signed({ body: vpcLines(3), timestampS: hourMs / 1000 + offS });
      expect((await app.request(path, init)).status).toBe(401);
    }
    expect(audited.map(({ detail }) => detail?.fault)).toEqual(["stale", "stale"]);
    expect(await rows()).toEqual([]);
  });

  it("waits while D1 cannot tell whether it is a replay", async () => {
    const broken = { use: () => Promise.reject(new StorageError("lost")) };
    const { app, shard } = testApp({ directory, nonces: broken });
    const { path, init } = signed({ body: vpcLines(3) });
    expect((await app.request(path, init)).status).toBe(503);
    expect(shard.calls).toHaveLength(0);
  });

  it("leaves rows for as long as it could be sent again, and no longer", async () => {
    const { app } = testApp({ directory });
    const send = async (timestampS: number) => {
      const { path, init } = signed({ body: vpcLines(1), timestampS });
      expect((await app.request(path, init)).status).toBe(200);
    };
    for (let i = 0; i < 3; i++) await send(hourMs / 1000 + 300);
    clock.now = hourMs + 600_000;
    await send(clock.now / 1000);
    expect(await rows()).toHaveLength(4);
    clock.now = hourMs + 601_000;
    await send(clock.now / 1000);
    expect(await rows()).toHaveLength(2);
    clock.now = hourMs;
  });
});
