import { env, evictDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import * as v from "valibot";
import { configuration, configurationVersions } from "../../src/api/schemas.ts";
import { StorageError } from "../../src/storage/d1.ts";
import { d1ConfigurationStore } from "../../src/storage/d1-configuration-store.ts";
import { auditOf, auth, clock, configurationsOf, testApp, vpcLines } from "./harness.ts";

type App = ReturnType<typeof testApp>["app"];

const ask = (app: App, path = "/v1/config", headers = auth("viewer")) => app.request(path, { headers });

const json = { "Content-Type": "application/json" };

function put(app: App, body: unknown, ifMatch?: string, headers = auth("admin")): Promise<Response> {
  return Promise.resolve(
    app.request("/v1/config", {
      method: "PUT",
      body: typeof body === "string" ? body : JSON.stringify(body),
      headers: { ...headers, ...json, ...(ifMatch !== undefined && { "If-Match": ifMatch }) },
    }),
  );
}

async function inForce(response: Response) {
  expect(response.status, await response.clone().text()).toBe(200);
  return v.parse(configuration, await response.json());
}

const louder = { thresholds: { port_scan: { ports_min: 500 } } };

beforeEach(() => env.DB.exec("DELETE FROM configurations"));

describe("/v1/config", () => {
  it("answers the defaults as version 0 while nothing was chosen", async () => {
    const response = await ask(testApp().app);
    expect(response.headers.get("ETag")).toBe('"0"');
    const { version, preset, thresholds, updated_at, updated_by } = await inForce(response);
    expect({ version, preset, updated_at, updated_by }).toEqual({
      version: 0,
      preset: "balanced",
      updated_at: null,
      updated_by: null,
    });
    const { ports_min } = thresholds["port_scan"];
    expect(ports_min).toMatchObject({ value: ports_min.default, unit: "ports", whole: true, chosen: false });
  });

  it("replaces it as a whole, and numbers what it replaces", async () => {
    const { app } = testApp();
    const first = await put(app, { preset: "quiet", ...louder }, '"0"');
    expect(first.headers.get("ETag")).toBe('"1"');
    const quiet = await inForce(first);
    expect(quiet).toMatchObject({ version: 1, preset: "quiet", updated_by: "admin" });
    expect(quiet.thresholds["port_scan"].ports_min).toMatchObject({ value: 500, chosen: true });
    const { remote_targets_min: sweep } = quiet.thresholds["port_scan"];
    expect(sweep.value).toBeGreaterThan(sweep.default);

    const second = await inForce(await put(app, {}, '"1"'));
    expect(second).toMatchObject({ version: 2, preset: "balanced" });
    expect(second.thresholds["port_scan"].ports_min.chosen).toBe(false);
    // In D1, not in this isolate.
    expect(await inForce(await ask(testApp().app))).toEqual(second);
    const { versions } = v.parse(configurationVersions, await (await ask(app, "/v1/config/versions")).json());
    expect(versions).toMatchObject([
      { version: 2, preset: "balanced", thresholds: {} },
      { version: 1, preset: "quiet", ...louder },
    ]);
    expect(await inForce(await ask(app, "/v1/config", auth("other")))).toMatchObject({ version: 0 });
  });

  it("wants to be told which version it replaces", async () => {
    const { app } = testApp();
    const unsure = await put(app, louder);
    expect(unsure.status).toBe(428);
    expect(await unsure.json()).toMatchObject({ type: "/problems/precondition-required" });
    await inForce(await put(app, {}, '"0"'));
    for (const ifMatch of ['"0"', '"2"', "*", 'W/"1"', '"1", "0"', "1", ""]) {
      const stale = await put(app, louder, ifMatch);
      expect(stale.status, ifMatch).toBe(412);
      expect(await stale.json()).toMatchObject({ type: "/problems/precondition-failed", etag: '"1"' });
    }
    expect(await inForce(await ask(app))).toMatchObject({ version: 1 });
  });

  it("lets one of two that replace the same version win", async () => {
    const choices = [100, 200, 300, 400, 500].map((ports_min) => ({ thresholds: { port_scan: { ports_min } } }));
    const statuses = await Promise.all(choices.map(async (one) => (await put(testApp().app, one, '"0"')).status));
    expect(statuses.toSorted()).toEqual([200, 412, 412, 412, 412]);
  });

  it("succeeds where the database did it and its answer got lost", async () => {
    let failures = 1;
    const batch: typeof env.DB.batch = async (statements) => {
      const results = await env.DB.batch(statements);
      if (failures-- > 0) throw new Error("Network connection lost");
      return results as never;
    };
    const db = { prepare: (sql: string) => env.DB.prepare(sql), batch } as typeof env.DB;
    const { app } = testApp({
      configurations: configurationsOf(d1ConfigurationStore({ db, clock, audit: auditOf({ db }) })),
    });
    expect(await inForce(await put(app, louder, '"0"'))).toMatchObject({ version: 1 });
    expect(failures).toBe(-1);
  });

  it("keeps the newest thousand versions, and lists a hundred", async () => {
    const insert = `INSERT INTO configurations (tenant, version, json, created_at, created_by)
      SELECT 'acme', value, '{"preset":"quiet","thresholds":{}}', 0, 'k' FROM json_each(?)`;
    const older = Array.from({ length: 1000 }, (_, i) => i + 1);
    await env.DB.prepare(insert).bind(JSON.stringify(older)).run();
    const { app } = testApp();
    await inForce(await put(app, louder, '"1000"'));
    const count = await env.DB.prepare("SELECT count(*) AS n, min(version) AS first FROM configurations").first();
    expect(count).toEqual({ n: 1000, first: 2 });
    const { versions } = v.parse(configurationVersions, await (await ask(app, "/v1/config/versions")).json());
    expect([versions.length, versions[0].version]).toEqual([100, 1001]);
  });

  it("names everything that is wrong, and changes nothing", async () => {
    const { app } = testApp();
    const response = await put(app, { thresholds: { port_scan: { ports_min: 1.5 }, rain: {} } }, '"0"');
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({
      type: "/problems/invalid-configuration",
      errors: [
        { pointer: "/thresholds/port_scan/ports_min", detail: "must be a whole number" },
        { pointer: "/thresholds/rain", detail: expect.stringContaining("known are port_scan") },
      ],
    });
    expect((await put(app, " ".repeat(20_000), '"0"')).status).toBe(413);
    expect(await inForce(await ask(app))).toMatchObject({ version: 0 });
  });

  it("is for those who may", async () => {
    const { app } = testApp();
    expect((await ask(app, "/v1/config", auth("shipper"))).status).toBe(403);
    expect((await put(app, {}, '"0"', auth("viewer"))).status).toBe(403);
  });
});

describe("the configuration in force", () => {
  it("goes with each batch, and a change is known within seconds", async () => {
    const { app, post, shard } = testApp();
    await post("/v1/ingest/aws-vpc", vpcLines(1));
    await inForce(await put(testApp().app, louder, '"0"'));
    await post("/v1/ingest/aws-vpc", vpcLines(1, 1));
    await inForce(await put(app, { preset: "quiet" }, '"1"'));
    await post("/v1/ingest/aws-vpc", vpcLines(1, 2));
    // The first isolate remembered what it had read, until it changed it itself.
    expect(shard.calls.map((call) => call.configuration?.version)).toEqual([0, 0, 2]);
    const later = testApp({ configurations: configurationsOf() });
    await later.post("/v1/ingest/aws-vpc", vpcLines(1, 3));
    expect(later.shard.calls[0].configuration).toMatchObject({ version: 2, preset: "quiet" });
  });

  it("does not keep a batch from being taken while D1 fails", async () => {
    const failing = { list: () => Promise.reject(new StorageError("D1 is away")), add: () => Promise.reject() };
    const { post, shard } = testApp({ configurations: configurationsOf(failing) });
    expect((await post("/v1/ingest/aws-vpc", vpcLines(1))).status).toBe(200);
    expect(shard.calls[0].configuration).toMatchObject({ version: 0, preset: "balanced" });
  });
});

/** The Worker as it is deployed: real D1 and object. */
const send = (path: string, init: { method?: string; body?: string; headers?: Record<string, string> } = {}) =>
  exports.default.fetch(`https://weir.example${path}`, { ...init, headers: { ...auth("admin"), ...init.headers } });

/** A host that tries `ports` ports of one other within minutes, an hour ago. */
function scan(source: string, from: number, ports: number): string {
  const startS = Math.floor(Date.now() / 3_600_000) * 3600 - 3600;
  const line = (i: number) =>
    `2 123456789010 eni-1 ${source} 10.0.1.9 ${40_000 + i} ${i} 6 1 40 ${startS + i} ${startS + i} REJECT OK\n`;
  return Array.from({ length: ports }, (_, i) => line(from + i)).join("");
}

interface Answered {
  anomalies: { id: string; state: string }[];
}
const ingest = async (body: string) => okay<Answered>(await send("/v1/ingest/aws-vpc", { method: "POST", body }));

async function okay<T>(response: Response): Promise<T> {
  expect(response.status, await response.clone().text()).toBe(200);
  return (await response.json()) as T;
}

async function found(entity: string) {
  const response = await send(`/v1/anomalies?threat=port_scan&entity=${entity}`);
  const { anomalies } = (await response.json()) as { anomalies: { severity: string; config_version: string }[] };
  return anomalies;
}

describe("a Worker that runs", () => {
  it("judges by what is chosen, without a deploy, and says by which version; also after its object was evicted", async () => {
    expect((await ingest(scan("10.0.0.66", 1, 100))).anomalies).toHaveLength(1);
    const [byDefault] = await found("10.0.0.66");
    expect(byDefault.config_version).toMatch(/^0-[0-9a-f]{16}$/);

    const { thresholds } = v.parse(configuration, await (await send("/v1/config")).json());
    const quietest = Object.entries(thresholds["port_scan"]).map(([name, { min, max, raising }]) => {
      return [name, raising === "quieter" ? max : min];
    });
    const chosen = { thresholds: { port_scan: Object.fromEntries(quietest) } };
    const replaced = await send("/v1/config", {
      method: "PUT",
      body: JSON.stringify(chosen),
      headers: { ...json, "If-Match": '"0"' },
    });
    expect(replaced.status).toBe(200);
    expect((await ingest(scan("10.0.0.67", 1, 100))).anomalies).toHaveLength(0);
    await evictDurableObject(env.ENTITY_SHARD.get(env.ENTITY_SHARD.idFromName("acme/0")));
    expect((await ingest(scan("10.0.0.67", 101, 100))).anomalies).toHaveLength(0);

    // What was said before is taken back, by the version that says so.
    await send("/v1/ingest/end", { method: "POST" });
    const [withdrawn] = await found("10.0.0.66");
    expect(withdrawn).toMatchObject({ state: "withdrawn" });
    expect(withdrawn.config_version).toMatch(/^1-[0-9a-f]{16}$/);
    expect(withdrawn.config_version.slice(2)).not.toBe(byDefault.config_version.slice(2));
    expect(await found("10.0.0.67")).toEqual([]);
  });
});
