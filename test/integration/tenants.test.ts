import { env, runInDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import * as v from "valibot";
import { destroyedTenant, newApiKey, newTenant, tenant, tenantList } from "../../src/api/schemas.ts";
import { DirectorySeal } from "../../src/security/directory-seal.ts";
import { D1Directory } from "../../src/storage/d1-directory.ts";
import { tablesOfTenants } from "../../src/storage/d1-rows.ts";
import { StorageError } from "../../src/storage/d1.ts";
import { databasesOf } from "../../src/storage/databases.ts";
import type { ShardRef } from "../../src/tiers/shard-call.ts";
import type { TenantRef, TenantsParts } from "../../src/tiers/tenants.ts";
import { iso, okay, problem } from "./answers.ts";
import { administrationOf, auditOf, auth, clock, config, hourMs, testApp, verdict, vpcLines } from "./harness.ts";

const json = { "Content-Type": "application/json" };
type Headers = Record<string, string>;

beforeEach(async () => {
  clock.now = hourMs;
  await env.DB.exec("DELETE FROM api_keys");
  await env.DB.exec("DELETE FROM tenants");
});

/** An isolate that has just started. */
function isolate(more: Partial<TenantsParts> = {}) {
  const events: string[] = [];
  const { app, shard } = testApp(administrationOf({ log: ({ message }) => void events.push(message), ...more }));
  const send = async (method: string, path: string, headers: Headers = auth("operator"), body?: object | string) =>
    app.request(path, {
      method,
      headers: { ...headers, ...(body && json) },
      ...(body && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  const make = async (body: object) => {
    const made = v.parse(newTenant, await okay(await send("POST", "/v1/tenants", auth("operator"), body)));
    return { ...made, as: { Authorization: `Bearer ${made.key.bearer}` } };
  };
  const destroy = (id: string) => send("DELETE", `/v1/tenants/${id}`, { ...auth("operator"), "Weir-Confirm": id });
  return { app, shard, events, send, make, destroy };
}

describe("a tenant that the API made", () => {
  it("has a key of an admin, makes others, sends, and reads what was found: its own", async () => {
    const { app, shard, make, send } = isolate();
    const { as, key, ...made } = await make({ tenant: "initech", internal: ["198.51.100.0/24"], shards: 2 });
    expect(made).toMatchObject({ tenant: "initech", source: "api", shards: 2, created_by: "operator" });
    expect(key).toMatchObject({ tenant: "initech", role: "admin", state: "good" });
    const shipper = v.parse(newApiKey, await okay(await send("POST", "/v1/keys", as, { role: "shipper" })));

    shard.verdicts = [verdict()];
    const ships = { Authorization: `Bearer ${shipper.bearer}` };
    const sent = await app.request("/v1/ingest/aws-vpc", { method: "POST", headers: ships, body: vpcLines(20) });
    expect(await okay(sent)).toMatchObject({ accepted: 20, stored: true });
    expect(await okay(await send("GET", "/v1/anomalies", as))).toMatchObject({ anomalies: [{ tenant: "initech" }] });
    expect(await okay(await send("GET", "/v1/anomalies", auth("viewer")))).toEqual({ anomalies: [], next: null });
    // What the admin of a tenant may not.
    expect((await send("GET", "/v1/tenants", as)).status).toBe(403);
    expect((await send("GET", "/v1/anomalies")).status).toBe(403);
  });

  it("is told of as it was made, but for its key; its networks lie in D1 only sealed", async () => {
    const { make, send } = isolate();
    const networks = { allow: ["203.0.113.0/24"], deny: ["203.0.113.7"] };
    const { key, as: _, ...made } = await make({ tenant: "initech", internal: ["198.51.100.17/32"], networks });
    expect(v.parse(tenant, await okay(await send("GET", "/v1/tenants/initech")))).toEqual(made);
    expect(made).toMatchObject({ networks, internal: ["198.51.100.17/32"] });
    const { results } = await env.DB.prepare("SELECT * FROM tenants").all();
    expect(JSON.stringify(results)).not.toMatch(/198\.51|203\.0/);
    expect(JSON.stringify(await okay(await send("GET", "/v1/tenants")))).not.toContain(key.bearer);
  });

  it("is let in only from the networks that it allows", async () => {
    const { make, send } = isolate();
    const { as } = await make({ tenant: "initech", networks: { allow: ["203.0.113.0/24"] } });
    const from = (address: string) => send("GET", "/v1/config", { ...as, "CF-Connecting-IP": address });
    expect((await from("203.0.113.9")).status).toBe(200);
    expect((await from("198.51.100.9")).status).toBe(401);
  });

  it("is listed by name, page by page, behind those of the environment", async () => {
    const { make, send } = isolate();
    await make({ tenant: "t000" });
    await env.DB.prepare(
      `INSERT INTO tenants SELECT 't' || substr('00' || value, -3), NULL, NULL, NULL, 1, 1, 0, 'operator', 1, NULL
       FROM json_each(?)`,
    )
      .bind(JSON.stringify(Array.from({ length: 149 }, (_, i) => i + 1)))
      .run();
    const page = async (search: string) =>
      v.parse(tenantList, await okay(await send("GET", `/v1/tenants${search}`, auth("operator"))));
    const first = await page("");
    expect(first.tenants.map((one) => one.tenant).slice(0, 3)).toEqual(["acme", "lab", "t000"]);
    expect(first.tenants[0]).toMatchObject({ source: "environment", shards: 1, internal: null });
    expect(first.next).toBe("t099");
    const second = await page("?behind=t099");
    expect([second.tenants.length, second.tenants[0].tenant, second.next]).toEqual([50, "t100", null]);
  });

  it.each([
    [{}, "/tenant"],
    [{ tenant: "-" }, "/tenant"],
    [{ tenant: "Initech" }, "/tenant"],
    [{ tenant: "initech", shards: 65 }, "/shards"],
    [{ tenant: "initech", internal: ["10.0.0.0/33"] }, "/internal/0"],
    [{ tenant: "initech", limits: { flows_per_second: 0 } }, "/limits/flows_per_second"],
    [{ tenant: "initech", jurisdiction: "mars" }, "/jurisdiction"],
    [{ tenant: "initech", view: "clear" }, "/view"],
    ["[", ""],
  ])("is refused if it is wanted as %j", async (body, pointer) => {
    const response = await isolate().send("POST", "/v1/tenants", auth("operator"), body);
    expect(await problem(response)).toMatchObject({ status: 400, errors: [{ pointer }] });
  });

  it("does not take the name of another one, or one of the environment", async () => {
    const wish = { tenant: "initech" };
    const all = await Promise.all([1, 2, 3].map(() => isolate().send("POST", "/v1/tenants", auth("operator"), wish)));
    expect(all.map(({ status }) => status).toSorted()).toEqual([200, 409, 409]);
    expect(await env.DB.prepare("SELECT count(*) AS rows FROM api_keys").first("rows")).toBe(1);
    const { send } = isolate();
    expect(await problem(await send("POST", "/v1/tenants", auth("operator"), { tenant: "acme" }))).toMatchObject({
      status: 409,
    });
    expect(await problem(await send("PATCH", "/v1/tenants/acme", auth("operator"), { shards: 2 }))).toMatchObject({
      status: 409,
    });
    const confirmed = { ...auth("operator"), "Weir-Confirm": "acme" };
    expect(await problem(await send("DELETE", "/v1/tenants/acme", confirmed))).toMatchObject({
      status: 409,
      type: "/problems/conflict",
    });
    expect(await okay(await send("GET", "/v1/tenants/acme"))).toMatchObject({ source: "environment" });
    expect(await problem(await send("GET", "/v1/tenants/nobody"))).toMatchObject({ status: 404 });
    expect(await problem(await send("PATCH", "/v1/tenants/nobody", auth("operator"), { shards: 2 }))).toMatchObject({
      status: 404,
    });
    expect(await problem(await send("GET", "/v1/tenants/-"))).toMatchObject({ status: 404 });
  });

  it("is refused where nothing can be kept in its jurisdiction", async () => {
    const wish = { tenant: "initech", jurisdiction: "eu" };
    const { send } = isolate({ hasJurisdiction: (jurisdiction) => jurisdiction === "us" });
    const type = "/problems/jurisdiction-unavailable";
    expect(await problem(await send("POST", "/v1/tenants", auth("operator"), wish))).toMatchObject({
      status: 422,
      type,
      known: ["us"],
    });
    const { make } = isolate({ hasJurisdiction: () => true });
    expect(await make(wish)).toMatchObject({ jurisdiction: "eu" });
    expect(await administrationOf().directory.tenantOf("initech")).toMatchObject({ jurisdiction: "eu" });
  });
});

it("each jurisdiction has its database, where one is bound", () => {
  const [home, eu] = [{} as D1Database, {} as D1Database];
  const databases = databasesOf({ DB: home, DB_EU: eu } as { DB: D1Database });
  expect(databases.of(null)).toBe(home);
  expect(databases.of("eu")).toBe(eu);
  expect([databases.has("eu"), databases.has("us")]).toEqual([true, false]);
  expect(() => databases.of("us")).toThrow("no database is bound for the jurisdiction us");
});

describe("limits", () => {
  it("are changed one by one, and in force within ten seconds", async () => {
    const { app, make, send } = isolate();
    const there = isolate();
    const { as } = await make({ tenant: "initech", limits: { flows_per_second: 50, records_per_batch: 1000 } });
    await there.send("GET", "/v1/config", as);
    const patch = (body: object) => send("PATCH", "/v1/tenants/initech", auth("operator"), body);
    const changed = v.parse(tenant, await okay(await patch({ shards: 4, limits: { records_per_batch: 10 } })));
    expect(changed).toMatchObject({ shards: 4, limits: { flows_per_second: 50, records_per_batch: 10 } });
    const ingest = (of: typeof app, count: number, from = 0) =>
      of.request("/v1/ingest/aws-vpc", { method: "POST", headers: as, body: vpcLines(count, from) });
    expect(await problem(await ingest(app, 11))).toMatchObject({
      status: 413,
      limit: { name: "records", value: 10, unit: "records" },
    });
    expect((await ingest(app, 10)).status).toBe(200);
    clock.now += 10_000;
    expect((await ingest(there.app, 11)).status).toBe(413);
    expect(await okay(await patch({ limits: { records_per_batch: null } }))).toMatchObject({
      limits: { flows_per_second: 50, records_per_batch: null },
    });
    expect((await ingest(app, 11, 20)).status).toBe(200);
  });

  it("on flows are 429 with the time to wait; nothing is learnt", async () => {
    const { app, shard, make } = isolate();
    const { as } = await make({ tenant: "initech", limits: { flows_per_second: 10 } });
    const ingest = (count: number, from: number) =>
      app.request("/v1/ingest/aws-vpc", { method: "POST", headers: as, body: vpcLines(count, from) });
    expect((await ingest(95, 0)).status).toBe(200);
    const calls = shard.calls.length;
    const response = await ingest(25, 100);
    expect(response.headers.get("Retry-After")).toBe("2");
    const limit = { name: "flows_per_second", value: 10, unit: "records/s" };
    expect(await problem(response)).toMatchObject({ status: 429, type: "/problems/quota-exceeded", limit });
    expect(shard.calls).toHaveLength(calls);
    clock.now += 2000;
    expect(await okay(await ingest(25, 100))).toMatchObject({ accepted: 25, duplicate: 0 });
  });

  it("are changed by one at a time", async () => {
    await isolate().make({ tenant: "initech" });
    const shards = [2, 3, 4, 5];
    const answers = await Promise.all(
      shards.map((count) => isolate().send("PATCH", "/v1/tenants/initech", auth("operator"), { shards: count })),
    );
    expect(answers.some(({ status }) => status === 200)).toBe(true);
    expect(answers.every(({ status }) => status === 200 || status === 409)).toBe(true);
    const row = await env.DB.prepare("SELECT version, shards_ever FROM tenants").first();
    expect(row!["version"]).toBe(1 + answers.filter(({ status }) => status === 200).length);
    expect(row!["shards_ever"]).toBeGreaterThan(1);
  });
});

describe("destroying a tenant", () => {
  it("wants it to be named twice", async () => {
    const { make, send } = isolate();
    const { as } = await make({ tenant: "initech" });
    for (const headers of [auth("operator"), { ...auth("operator"), "Weir-Confirm": "acme" }])
      expect(await problem(await send("DELETE", "/v1/tenants/initech", headers))).toMatchObject({
        status: 400,
        errors: [{ header: "Weir-Confirm" }],
      });
    expect((await send("GET", "/v1/config", as)).status).toBe(200);
  });

  it("shuts everyone out, destroys its keys, objects and rows, and says what is left until nothing is", async () => {
    const done: string[] = [];
    const failing = { keys: true, shards: true };
    const parts = {
      async destroyKeys({ id }: TenantRef) {
        if (failing.keys) throw new StorageError("away");
        done.push(`keys of ${id}`);
      },
      async destroyShard({ tenant: id, index }: ShardRef) {
        if (failing.shards && index === 2) throw new Error("overloaded");
        done.push(`${id}/${index}`);
      },
    };
    const { app, shard, make, send, destroy, events } = isolate(parts);
    const { as } = await make({ tenant: "initech", shards: 3 });
    // It had more shards than it has.
    await okay(await send("PATCH", "/v1/tenants/initech", auth("operator"), { shards: 1 }));
    shard.verdicts = [verdict()];
    const ingest = (headers: Headers, from: number) =>
      app.request("/v1/ingest/aws-vpc", { method: "POST", headers, body: vpcLines(5, from) });
    await ingest(as, 0);
    await ingest(auth("shipper"), 0);
    await send("PUT", "/v1/config", { ...as, "If-Match": '"0"' }, { preset: "quiet" });

    const first = v.parse(destroyedTenant, await okay(await destroy("initech")));
    expect(first).toMatchObject({ destroyed_at: iso(hourMs), gone_at: null, left: ["keys", "shards", "requests"] });
    expect(first).toMatchObject({ internal: null, shards: null });
    expect(events).toEqual(["not destroyed yet", "not destroyed yet"]);
    expect((await send("GET", "/v1/config", as)).status).toBe(401);
    expect((await ingest(as, 50)).status).toBe(401);

    Object.assign(failing, { keys: false, shards: false });
    done.length = 0;
    expect(v.parse(destroyedTenant, await okay(await destroy("initech"))).left).toEqual(["requests"]);
    expect(done).toEqual(["keys of initech", "initech/0", "initech/1", "initech/2"]);
    // An isolate that went by what it knew may have written meanwhile.
    clock.now += 15_000;
    const last = v.parse(destroyedTenant, await okay(await isolate(parts).destroy("initech")));
    expect(last).toMatchObject({ destroyed_at: iso(hourMs), gone_at: iso(clock.now), left: [] });
    expect(v.parse(destroyedTenant, await okay(await destroy("initech")))).toEqual(last);

    const rows = async (table: string, of: string) =>
      env.DB.prepare(`SELECT count(*) AS rows FROM ${table} WHERE tenant = ?`).bind(of).first<number>("rows");
    for (const table of ["anomalies", "configurations", "api_keys"])
      expect(await rows(table, "initech"), table).toBe(0);
    expect(await rows("anomalies", "acme")).toBe(1);
    expect(await problem(await send("POST", "/v1/tenants", auth("operator"), { tenant: "initech" }))).toMatchObject({
      status: 409,
    });
    expect(await problem(await send("PATCH", "/v1/tenants/initech", auth("operator"), { shards: 2 }))).toMatchObject({
      status: 409,
    });
  });

  it("leaves nothing in any table but its name and the audit log", async () => {
    const tables = env.DB.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%tenant TEXT%'");
    const { results } = await tables.all<{ name: string }>();
    expect(results.length).toBeGreaterThan(5);
    const kept = ["tenants", "audit"];
    // By `destroyTenant`, and with the data keys.
    const otherwise = ["api_keys", "data_keys"];
    const deleted = tablesOfTenants.map(({ table }) => table);
    const known = new Set([...kept, ...otherwise, ...deleted]);
    expect(results.map(({ name }) => name).filter((name) => !known.has(name))).toEqual([]);
  });
});

describe("the audit log", () => {
  it("tells of each change in the chain of the platform", async () => {
    const before = (await auditOf().list("-", { limit: 500 })).rows.length;
    const { make, send, destroy } = isolate();
    const { key } = await make({ tenant: "initech" });
    await send("PATCH", "/v1/tenants/initech", auth("operator"), { limits: { flows_per_second: 5 } });
    await destroy("initech");
    clock.now += 15_000;
    await destroy("initech");
    await destroy("initech");
    const { rows } = await auditOf().list("-", { limit: 500, after: before });
    const told = rows.map(({ actor, action, detail }) => ({ actor, action, ...JSON.parse(detail) }));
    expect(told).toMatchObject([
      { actor: "operator", action: "tenants.create", tenant: "initech", kid: key.kid },
      { actor: "operator", action: "tenants.limits", tenant: "initech", flows_per_second: 5, version: 2 },
      { actor: "operator", action: "tenants.destroy", tenant: "initech" },
      { actor: "operator", action: "tenants.destroy", tenant: "initech", is_gone: true },
    ]);
    expect(told).toHaveLength(4);
  });
});

it("what is sealed under a master key is sealed again under a newer one, page by page", async () => {
  const { make, send } = isolate();
  const { as } = await make({ tenant: "initech", internal: ["198.51.100.0/24"] });
  const signer = v.parse(newApiKey, await okay(await send("POST", "/v1/keys", as, { role: "shipper", signing: true })));
  const newer = { id: "k2", key: new Uint8Array(32).fill(9) };
  const directoryUnder = (keys: typeof config.masterKeys) =>
    new D1Directory({ db: env.DB, clock, seal: new DirectorySeal(keys), allowanceMs: config.allowanceMs });
  const both = directoryUnder([newer, ...config.masterKeys]);
  const before = await both.storedKey(signer.kid);
  expect([await both.reseal(100), await both.reseal(100)]).toEqual([2, 0]);
  const alone = directoryUnder([newer]);
  expect(await alone.storedKey(signer.kid)).toEqual(before);
  expect(await alone.storedTenant("initech")).toMatchObject({ description: { internal: ["198.51.100.0/24"] } });
});

describe("the Worker as it is deployed", () => {
  const send = async (method: string, path: string, headers: Headers, body?: string) =>
    exports.default.fetch(`https://weir.example${path}`, { method, headers, ...(body !== undefined && { body }) });
  const create = (body: object) => send("POST", "/v1/tenants", { ...auth("operator"), ...json }, JSON.stringify(body));

  /** A host that tries 400 ports of one other, an hour ago. */
  function scan(): string {
    const startS = Math.floor(Date.now() / 3_600_000) * 3600 - 3600;
    const line = (i: number) =>
      `2 123456789010 eni-1 10.0.0.66 10.0.1.9 ${40_000 + i} ${1 + i} 6 1 40 ${startS + i} ${startS + i} REJECT OK\n`;
    return Array.from({ length: 400 }, (_, i) => line(i)).join("");
  }

  it("takes a new tenant in at once, and leaves nothing of it when it is destroyed", async () => {
    const { key } = v.parse(newTenant, await okay(await create({ tenant: "umbrella", shards: 2 })));
    const as = { Authorization: `Bearer ${key.bearer}` };
    expect(await okay(await send("POST", "/v1/ingest/aws-vpc", as, scan()))).toMatchObject({ accepted: 400 });
    const found = (await okay(await send("GET", "/v1/anomalies?entity=10.0.0.66", as))) as { anomalies: object[] };
    expect(found.anomalies).toMatchObject([{ tenant: "umbrella", threat: "port_scan", entity: "10.0.0.66" }]);
    const blobs = async () => {
      const count = (index: number) =>
        runInDurableObject(env.ENTITY_SHARD.getByName(`umbrella/${index}`), (_, { storage }) => {
          const tables = storage.sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE name LIKE 'shard_%'");
          const rows = [...tables].map(({ name }) => storage.sql.exec(`SELECT * FROM ${name}`).toArray().length);
          return rows.reduce((sum, one) => sum + one, 0);
        });
      return (await count(0)) + (await count(1));
    };
    expect(await blobs()).toBeGreaterThan(0);

    const confirmed = { ...auth("operator"), "Weir-Confirm": "umbrella" };
    const { left } = v.parse(destroyedTenant, await okay(await send("DELETE", "/v1/tenants/umbrella", confirmed)));
    expect(left).toEqual(["requests"]);
    expect(await blobs()).toBe(0);
    for (const table of ["anomalies", "anomaly_index", "api_keys"]) {
      const rows = await env.DB.prepare(`SELECT * FROM ${table} WHERE tenant = 'umbrella'`).all();
      expect(rows.results, table).toEqual([]);
    }
    expect((await send("GET", "/v1/anomalies", as)).status).toBe(401);
  });

  it("keeps nothing in a jurisdiction here: no database is bound", async () => {
    const response = await create({ tenant: "umbrella-eu", jurisdiction: "eu" });
    expect(await problem(response)).toMatchObject({ type: "/problems/jurisdiction-unavailable", known: [] });
  });
});
