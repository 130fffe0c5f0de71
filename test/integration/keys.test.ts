import { env } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import * as v from "valibot";
import { apiKey, apiKeyList, newApiKey, rotatedApiKey } from "../../src/api/schemas.ts";
import { signingKeyOf } from "../../src/security/api-key.ts";
import { StorageError } from "../../src/storage/d1.ts";
import { iso, okay, problem } from "./answers.ts";
import { administrationOf, auditOf, auth, clock, hourMs, testApp, vpcLines } from "./harness.ts";

const dayMs = 24 * 3_600_000;
const json = { "Content-Type": "application/json" };
type Headers = Record<string, string>;

beforeEach(() => {
  clock.now = hourMs;
  return env.DB.exec("DELETE FROM api_keys");
});

/** An isolate that has just started. */
function isolate() {
  const { app, post, shard } = testApp(administrationOf());
  const send = async (method: string, path: string, headers: Headers = auth("admin"), body?: object) =>
    app.request(path, {
      method,
      headers: { ...headers, ...(body && json) },
      ...(body && { body: JSON.stringify(body) }),
    });
  const make = async (body: object, headers?: Headers) =>
    v.parse(newApiKey, await okay(await send("POST", "/v1/keys", headers, body)));
  const status = async (bearer: string, path = "/v1/anomalies") =>
    (await app.request(path, { headers: { Authorization: `Bearer ${bearer}` } })).status;
  return { app, send, make, status, post, shard };
}

describe("a key that the API made", () => {
  it("works at once, for its own tenant, as its role may", async () => {
    const { make, status, post } = isolate();
    const viewer = await make({ role: "viewer", label: "wall display" });
    expect(viewer).toMatchObject({ tenant: "acme", role: "viewer", view: "clear", state: "good", created_by: "admin" });
    expect(viewer.bearer.startsWith(`${viewer.kid}.`)).toBe(true);
    expect(await status(viewer.bearer)).toBe(200);
    expect(await status(viewer.bearer, "/v1/keys")).toBe(403);
    const shipper = await make({ role: "shipper" });
    const response = await post("/v1/ingest/aws-vpc", vpcLines(1), { Authorization: `Bearer ${shipper.bearer}` });
    expect(response.status).toBe(200);
    expect(await status(`${shipper.kid}.wrong`)).toBe(401);
  });

  it("is told once: lists and tables have no secret, and signing keys are sealed", async () => {
    const { make, send } = isolate();
    const { bearer, kid } = await make({ role: "shipper", signing: true });
    const secret = bearer.slice(kid.length + 1);
    const { keys } = v.parse(apiKeyList, await okay(await send("GET", "/v1/keys")));
    expect(keys.find((key) => key.kid === kid)).toMatchObject({ signing: true, source: "api" });
    expect(keys.find((key) => key.kid === "viewer")).toMatchObject({ source: "environment", created_at: null });
    expect(keys.every((key) => key.tenant === "acme")).toBe(true);
    const stored = JSON.stringify((await env.DB.prepare("SELECT * FROM api_keys").all()).results);
    const signing = Buffer.from(signingKeyOf(secret));
    for (const text of [secret, signing.toString("hex"), signing.toString("base64"), signing.toString("base64url")]) {
      expect(stored.includes(text)).toBe(false);
      expect(JSON.stringify(keys).includes(text)).toBe(false);
    }
    const { directory } = administrationOf();
    expect((await directory.keyOf(kid))?.signingKey).toEqual(signingKeyOf(secret));
  });

  it("may be good only from a time on, and until another one", async () => {
    const { make, status, send } = isolate();
    const times = { not_before: iso(hourMs + 1000), expires_at: iso(hourMs + 2000) };
    const { bearer, kid, state } = await make({ role: "viewer", ...times });
    expect(state).toBe("not_yet");
    expect(await status(bearer)).toBe(401);
    clock.now = hourMs + 1000;
    expect(await status(bearer)).toBe(200);
    clock.now = hourMs + 2000;
    expect(await status(bearer)).toBe(401);
    const { keys } = v.parse(apiKeyList, await okay(await send("GET", "/v1/keys")));
    expect(keys.find((key) => key.kid === kid)).toMatchObject({ state: "expired", ...times });
  });

  it("may do less than its role, and see less", async () => {
    const { make, status } = isolate();
    const scoped = await make({ role: "viewer", permissions: ["pipeline:read"], view: "sealed" });
    expect(scoped).toMatchObject({ permissions: ["pipeline:read"], view: "sealed" });
    expect(await status(scoped.bearer, "/v1/config")).toBe(403);
    expect(await status(scoped.bearer)).toBe(403);
  });

  it.each([
    [{}, "/role"],
    [{ role: "operator" }, "/role"],
    [{ role: "viewer", permissions: ["config:write"] }, "/permissions"],
    [{ role: "viewer", permissions: ["tenants:write"] }, "/permissions"],
    [{ role: "auditor", view: "clear" }, "/view"],
    [{ role: "viewer", label: "two\nlines" }, "/label"],
    [{ role: "viewer", expires_at: "tomorrow" }, "/expires_at"],
    [{ role: "viewer", not_before: iso(2000), expires_at: iso(1000) }, "/expires_at"],
    [{ role: "viewer", tenant: "lab" }, "/tenant"],
  ])("is refused if it is wanted as %j", async (body, pointer) => {
    const { send } = isolate();
    const response = await send("POST", "/v1/keys", auth("admin"), body);
    expect(await problem(response)).toMatchObject({
      status: 400,
      type: "/problems/invalid-parameters",
      errors: [{ pointer }],
    });
  });

  it("can make none that may do or see more than itself", async () => {
    const { make, send } = isolate();
    const clerk = await make({ role: "admin", permissions: ["keys:read", "keys:write", "ingest:write"] });
    const as = { Authorization: `Bearer ${clerk.bearer}` };
    expect(await make({ role: "shipper" }, as)).toMatchObject({ created_by: clerk.kid });
    expect(await problem(await send("POST", "/v1/keys", as, { role: "viewer" }))).toMatchObject({
      status: 403,
      permission: "anomalies:read",
    });

    const blind = await make({ role: "admin", view: "masked" });
    const asBlind = { Authorization: `Bearer ${blind.bearer}` };
    expect(await problem(await send("POST", "/v1/keys", asBlind, { role: "viewer" }))).toMatchObject({
      status: 403,
      permission: "anomalies:read",
    });
    expect(await make({ role: "viewer", view: "masked" }, asBlind)).toMatchObject({ view: "masked" });
    const seeing = await make({ role: "viewer" });
    expect(await problem(await send("POST", `/v1/keys/${seeing.kid}/rotate`, asBlind))).toMatchObject({ status: 403 });
  });

  it("is one of at most 1,000; those that are long dead make room", async () => {
    const { make, send } = isolate();
    await make({ role: "viewer" });
    const copy = (count: number) =>
      env.DB.prepare(
        `INSERT INTO api_keys SELECT kid || value, tenant, role, permissions, view, label, secret_sha256,
           signing_sealed, kek_id, not_before, expires_at, ?1, grace_until, replaced_by, created_at, created_by
         FROM api_keys, json_each(?2) WHERE length(kid) = 17`,
      ).bind(hourMs, JSON.stringify(Array.from({ length: count }, (_, i) => `-${i}`)));
    await copy(999).run();
    const response = await send("POST", "/v1/keys", auth("admin"), { role: "viewer" });
    expect(await problem(response)).toMatchObject({ status: 409, type: "/problems/conflict" });
    await make({ role: "viewer" }, auth("other"));
    clock.now = hourMs + 31 * dayMs;
    await make({ role: "viewer" });
    expect(await env.DB.prepare("SELECT count(*) AS rows FROM api_keys").first("rows")).toBe(3);
  });
});

describe("rotating a key", () => {
  it("leaves the old one good for its grace, and says by what it was replaced", async () => {
    const { app, make, send, status } = isolate();
    const old = await make({ role: "viewer", view: "masked", label: "wall", expires_at: iso(hourMs + 60 * dayMs) });
    clock.now = hourMs + dayMs;
    const response = await send("POST", `/v1/keys/${old.kid}/rotate`, auth("admin"), { grace_s: 3600 });
    const next = v.parse(rotatedApiKey, await okay(response));
    expect(next).toMatchObject({ role: "viewer", view: "masked", label: "wall" });
    // As long a life as the old one was meant to have.
    expect(next.expires_at).toBe(iso(clock.now + 60 * dayMs));
    const until = iso(clock.now + 3_600_000);
    expect(next.replaces).toEqual({ kid: old.kid, grace_until: until });

    const used = await app.request("/v1/anomalies", { headers: { Authorization: `Bearer ${old.bearer}` } });
    expect([used.status, used.headers.get("Weir-Key-Rotated")]).toEqual([200, next.kid]);
    const { keys } = v.parse(apiKeyList, await okay(await send("GET", "/v1/keys")));
    const listed = keys.find(({ kid }) => kid === old.kid);
    expect(listed).toMatchObject({ state: "rotated", grace_until: until, replaced_by: next.kid });
    clock.now += 3_600_000;
    expect(await status(old.bearer)).toBe(401);
    expect(await status(next.bearer)).toBe(200);
  });

  it("gives a day unless it is told, and thirty at most", async () => {
    const { make, send } = isolate();
    const { kid } = await make({ role: "shipper" });
    const tooLong = await send("POST", `/v1/keys/${kid}/rotate`, auth("admin"), { grace_s: 30 * 86_400 + 1 });
    expect(await problem(tooLong)).toMatchObject({ status: 400, errors: [{ pointer: "/grace_s" }] });
    const next = v.parse(rotatedApiKey, await okay(await send("POST", `/v1/keys/${kid}/rotate`)));
    expect(next.replaces.grace_until).toBe(iso(hourMs + dayMs));
  });

  it("is done once: of several at the same time one wins, and what is no good is not rotated", async () => {
    const { make, send } = isolate();
    const { kid } = await make({ role: "shipper" });
    const path = `/v1/keys/${kid}/rotate`;
    const all = await Promise.all([1, 2, 3].map(() => isolate().send("POST", path)));
    expect(all.map(({ status }) => status).toSorted()).toEqual([200, 409, 409]);
    expect(await problem(await send("POST", path))).toMatchObject({ status: 409, type: "/problems/conflict" });
    expect(await env.DB.prepare("SELECT count(*) AS rows FROM api_keys").first("rows")).toBe(2);
    const revoked = await make({ role: "shipper" });
    await okay(await send("DELETE", `/v1/keys/${revoked.kid}`));
    expect(await problem(await send("POST", `/v1/keys/${revoked.kid}/rotate`))).toMatchObject({
      status: 409,
      detail: "it was revoked",
    });
  });
});

describe("revoking a key", () => {
  it("takes hold within ten seconds in every isolate, and at once in the one that did it", async () => {
    const [here, there] = [isolate(), isolate()];
    const { bearer, kid } = await here.make({ role: "viewer" });
    expect([await here.status(bearer), await there.status(bearer)]).toEqual([200, 200]);
    clock.now += 1;
    const revoked = v.parse(apiKey, await okay(await here.send("DELETE", `/v1/keys/${kid}`)));
    expect(revoked).toMatchObject({ state: "revoked", revoked_at: iso(hourMs + 1) });
    expect(await here.status(bearer)).toBe(401);
    clock.now = hourMs + 10_000;
    expect(await there.status(bearer)).toBe(401);
    // Again is the same.
    expect(await okay(await there.send("DELETE", `/v1/keys/${kid}`))).toEqual(revoked);
  });

  it("leaves a tenant that is not of the environment an admin", async () => {
    const { tenants, ...rest } = administrationOf();
    const { app } = testApp({ tenants, ...rest });
    const made = await app.request("/v1/tenants", {
      method: "POST",
      headers: { ...auth("operator"), ...json },
      body: JSON.stringify({ tenant: "initech" }),
    });
    const { key } = (await okay(made)) as { key: { kid: string; bearer: string } };
    const { make, send } = isolate();
    const as = { Authorization: `Bearer ${key.bearer}` };
    await make({ role: "admin", expires_at: iso(hourMs + dayMs) }, as);
    expect(await problem(await send("DELETE", `/v1/keys/${key.kid}`, as))).toMatchObject({
      status: 409,
      type: "/problems/conflict",
    });
    const second = await make({ role: "admin" }, as);
    await okay(await send("DELETE", `/v1/keys/${key.kid}`, { Authorization: `Bearer ${second.bearer}` }));
  });
});

describe("keys of others", () => {
  it("are not there, and those of the environment are changed there", async () => {
    const { make, send } = isolate();
    const { kid } = await make({ role: "viewer" });
    for (const path of [`/v1/keys/${kid}`, "/v1/keys/viewer", "/v1/keys/nobody"])
      expect(await problem(await send("DELETE", path, auth("other")))).toMatchObject({
        status: 404,
        type: "/problems/not-found",
      });
    expect(await problem(await send("POST", `/v1/keys/${kid}/rotate`, auth("other")))).toMatchObject({ status: 404 });
    expect(await problem(await send("DELETE", "/v1/keys/viewer"))).toMatchObject({
      status: 409,
      type: "/problems/conflict",
    });
    expect(await problem(await send("POST", "/v1/keys/viewer/rotate"))).toMatchObject({
      status: 409,
      type: "/problems/conflict",
    });
  });
});

describe("the audit log", () => {
  it("tells of each change, in one transaction with it, and of no secret", async () => {
    const { make, send } = isolate();
    const before = (await auditOf().list("acme", { limit: 500 })).rows.length;
    const { kid, bearer } = await make({ role: "viewer" });
    const next = v.parse(rotatedApiKey, await okay(await send("POST", `/v1/keys/${kid}/rotate`)));
    await okay(await send("DELETE", `/v1/keys/${kid}`));
    await send("DELETE", `/v1/keys/${kid}`);
    const { rows } = await auditOf().list("acme", { limit: 500, after: before });
    const told = rows.map(({ actor, action, outcome, detail }) => ({ actor, action, outcome, ...JSON.parse(detail) }));
    expect(told).toMatchObject([
      { actor: "admin", action: "keys.create", outcome: "success", kid, role: "viewer" },
      { actor: "admin", action: "keys.rotate", outcome: "success", kid, next: next.kid },
      { actor: "admin", action: "keys.revoke", outcome: "success", kid },
    ]);
    expect(JSON.stringify(rows)).not.toContain(bearer.slice(kid.length + 1));
  });

  it("is not there: then nothing is changed", async () => {
    const audit = auditOf();
    audit.withChange = () => Promise.reject(new StorageError("away"));
    const { app } = testApp(administrationOf({ audit }));
    const response = await app.request("/v1/keys", {
      method: "POST",
      headers: { ...auth("admin"), ...json },
      body: '{"role":"viewer"}',
    });
    expect(response.status).toBe(503);
  });
});
