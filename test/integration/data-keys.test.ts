import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import * as fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import * as v from "valibot";
import { rotation } from "../../src/api/schemas.ts";
import { Outcome } from "../../src/core/flow/flow-batch.ts";
import type { ApplyRequest } from "../../src/core/shard/rpc.ts";
import type { Anomaly } from "../../src/core/verdict.ts";
import { localKeyProvider } from "../../src/security/key-provider.ts";
import { KeysDestroyed } from "../../src/security/keyring.ts";
import { liesIn, parsePrefix } from "../../src/security/prefix.ts";
import { headOf, sealContext, UnknownKeyVersion } from "../../src/security/seal.ts";
import { sealFamilies } from "../../src/security/tenant-keys.ts";
import type { TenantSettings } from "../../src/security/tenant.ts";
import { d1DataKeyStore } from "../../src/storage/d1-data-keys.ts";
import { deleteRows } from "../../src/storage/d1-rows.ts";
import { databasesOf } from "../../src/storage/databases.ts";
import { applyRequest, contactsOf, traceStartMs } from "../support/trace.ts";
import {
  anomaly,
  auditOf,
  auth,
  clock,
  config,
  dataKeyringOf,
  dataKeysOf,
  hourMs,
  store,
  testApp,
  vpcLines,
} from "./harness.ts";

const keyStore = d1DataKeyStore({ db: env.DB, clock, audit: auditOf() });
const byAdmin = { principal: config.apiKeys.get("admin")!, requestId: "r1" };
/** After so long, in ms, older keys are removed. */
const retireAfterMs = 10 * 60_000;

/** A tenant of its own for each test: objects, and destroyed keys, outlive one. */
let tenants = 0;
function newTenant(shards = 1): TenantSettings {
  return { ...config.tenants.get("acme")!, id: `tenant-${++tenants}`, shards };
}

async function withKeys<T extends TenantSettings>(tenant: T) {
  return { ...tenant, keys: await dataKeyringOf().of(tenant) };
}

const objectOf = ({ id }: TenantSettings, index = 0) =>
  env.ENTITY_SHARD.get(env.ENTITY_SHARD.idFromName(`${id}/${index}`));

/** Half a scan, or all of it. */
function probes(name: string, from: number, to: number): ApplyRequest {
  const flows = Array.from({ length: to - from }, (_, i) => ({
    source: "198.51.100.7",
    target: "10.0.0.5",
    targetPort: from + i,
    startMs: traceStartMs + from + i,
    outcome: Outcome.Refused,
    targetPackets: 1,
  }));
  return { ...applyRequest(name, contactsOf(flows)), receivedAtMs: traceStartMs, sentAtMs: Date.now() };
}

/** A call as a promise of this isolate: what the platform makes of one is more than that, and `expect` looks into it. */
async function called(call: () => Promise<unknown>): Promise<unknown> {
  return await call();
}

const tables = ["shard_log", "shard_state", "shard_keys", "shard_facts", "set_aside"];

/** The sealed blobs of an object. */
async function blobsOf(tenant: TenantSettings): Promise<Uint8Array[]> {
  return runInDurableObject(objectOf(tenant), (_, { storage }) =>
    tables.flatMap((table) =>
      [...storage.sql.exec<{ sealed: ArrayBuffer }>(`SELECT sealed FROM ${table}`)].map(
        ({ sealed }) => new Uint8Array(sealed),
      ),
    ),
  );
}

const versionsOf = (blobs: readonly Uint8Array[]) => [
  ...new Set(blobs.map((blob) => new DataView(blob.buffer, blob.byteOffset).getUint32(1))),
];

/** Rows of a table that belong to a tenant. */
async function rowsOf(table: string, { id }: TenantSettings): Promise<Record<string, unknown>[]> {
  return (await env.DB.prepare(`SELECT * FROM ${table} WHERE tenant = ?`).bind(id).all()).results;
}

beforeEach(() => {
  clock.now = hourMs;
});

describe("data keys", () => {
  it("are made once, whoever comes first", async () => {
    const tenant = newTenant();
    const all = await Promise.all(Array.from({ length: 8 }, () => dataKeyringOf().of(tenant)));
    const sealed = all[0].seals.state.seal(Buffer.from("x"), "c");
    for (const keys of all) {
      expect(Buffer.from(keys.seals.state.open(sealed, "c")).toString()).toBe("x");
      expect(keys.anomalyId).toEqual(all[0].anomalyId);
    }
    const rows = await rowsOf("data_keys", tenant);
    expect(rows.map(({ family, version, kek_id }) => [family, version, kek_id])).toEqual(
      ["destination_ip", "evidence", "identity", "index", "source_ip", "state"].map((family) => [family, 1, "k1"]),
    );
    expect(JSON.stringify(rows)).not.toContain(Buffer.from(all[0].anomalyId).toString("base64").slice(0, 20));
  });

  it("have to be readable: else a shard takes nothing, the Worker says when to come back, and nothing is lost", async () => {
    const tenant = newTenant();
    clock.now = Date.now();
    const { post, events } = testApp({ shardOf: () => objectOf(tenant) });
    await env.DB.exec("ALTER TABLE data_keys RENAME TO data_keys_away");
    try {
      const refused = await post("/v1/ingest/aws-vpc", vpcLines(3));
      expect(refused.status).toBe(503);
      expect(Number(refused.headers.get("Retry-After"))).toBeGreaterThan(0);
      expect(events).toMatchObject([{ message: "shard call failed" }]);
      await expect(called(() => objectOf(tenant).destroy())).rejects.toThrow();
    } finally {
      await env.DB.exec("ALTER TABLE data_keys_away RENAME TO data_keys");
    }
    const taken = await post("/v1/ingest/aws-vpc", vpcLines(3));
    expect(await taken.json()).toMatchObject({ accepted: 3 });
  });

  it("have to open: else the Worker answers 503 and logs why", async () => {
    const provider = localKeyProvider([{ id: "k1", key: new Uint8Array(32).fill(99) }]);
    await dataKeyringOf().of(config.tenants.get("acme")!);
    const { get, events } = testApp({ keyring: dataKeyringOf({ provider }) });
    const refused = await get("/v1/anomalies");
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ type: "/problems/keys-unavailable" });
    expect(events).toMatchObject([{ message: "keys do not open" }]);
  });

  it("that an object cannot read put its alarm off, and what waits is written later", async () => {
    const tenant = newTenant();
    const request = { ...probes("a", 1, 40), receivedAtMs: Date.now() - 60_000 };
    expect(await objectOf(tenant).apply(request)).toMatchObject({ verdicts: [{}] });
    await evictDurableObject(objectOf(tenant));
    await env.DB.exec("ALTER TABLE data_keys RENAME TO data_keys_away");
    expect(await runDurableObjectAlarm(objectOf(tenant))).toBe(true);
    await env.DB.exec("ALTER TABLE data_keys_away RENAME TO data_keys");
    expect(await rowsOf("anomalies", tenant)).toEqual([]);
    expect(await runDurableObjectAlarm(objectOf(tenant))).toBe(true);
    expect(await rowsOf("anomalies", tenant)).toHaveLength(1);
  });
});

describe("a rotation", () => {
  it("seals everything anew, a part at a time, and everything opens all the time", async () => {
    const tenant = newTenant();
    const before = await withKeys(tenant);
    const many = Array.from({ length: 1100 }, (_, i) =>
      anomaly(i + 1, { tenant: tenant.id, entity: i === 0 ? "192.0.2.7" : "10.0.0.5" }),
    );
    await store.upsert(before, many);
    await objectOf(tenant).apply(probes("a", 1, 9));
    const dataKeys = dataKeysOf();
    const query = {
      threats: [],
      severityMin: "info",
      sinceMs: 0,
      untilMs: 1e15,
      order: "newest_first",
      limit: 2000,
    } as const;
    const checkAll = async () => {
      const now = await withKeys(tenant);
      expect((await store.list(now, query)).anomalies).toHaveLength(1100);
      const found = await store.list(now, { ...query, entity: parsePrefix("192.0.2.0/24")! });
      expect(found.anomalies.map(({ id }) => id)).toEqual([anomaly(1).id]);
    };
    const first = await dataKeys.rotate(byAdmin, tenant);
    expect(first).toMatchObject({ version: 2, rows: { resealed: 500, left: 600 }, isDone: false });
    await checkAll();
    // Somebody whose keys are older still reads what is old, and asks for newer ones where it has to.
    await expect(store.list(before, query)).rejects.toThrow(UnknownKeyVersion);
    await expect(store.list(before, { ...query, entity: parsePrefix("10.0.0.5")! })).rejects.toThrow(UnknownKeyVersion);
    expect(await dataKeys.goOn(byAdmin, tenant)).toMatchObject({ version: 2, rows: { resealed: 500, left: 100 } });
    await checkAll();
    const last = await dataKeys.goOn(byAdmin, tenant);
    expect(last).toMatchObject({ version: 2, rows: { resealed: 100, left: 0 }, blobs: { left: 0 }, isDone: true });
    await checkAll();
    const rows = await rowsOf("anomalies", tenant);
    const head = Buffer.from(headOf(2)).toString("hex");
    for (const column of ["sealed_entity", "sealed_peers", "sealed_evidence"])
      for (const row of rows) expect(Buffer.from(String(row[column]), "base64").toString("hex", 0, 5)).toBe(head);
    expect(rows.every((row) => row["stored_revision"] === Number.parseInt(String(row["id"]), 16))).toBe(true);
    expect((await rowsOf("anomaly_index", tenant)).every((row) => String(row["token"]).startsWith("00000002"))).toBe(
      true,
    );
  });

  it("seals an object's blobs anew, and the object goes on where it was", async () => {
    const tenant = newTenant();
    for (let i = 0; i < 300; i++) await objectOf(tenant).apply(probes(`batch ${i}`, 1 + i, 2 + i));
    const before = await blobsOf(tenant);
    expect(versionsOf(before)).toEqual([1]);
    const rotated = await dataKeysOf().rotate(byAdmin, tenant);
    expect(rotated).toMatchObject({ blobs: { resealed: before.length, unreadable: 0, left: 0 }, isDone: true });
    expect(versionsOf(await blobsOf(tenant))).toEqual([2]);
    expect(await objectOf(tenant).apply(probes("one more", 301, 302))).toMatchObject({ status: "applied" });
    expect(versionsOf(await blobsOf(tenant))).toEqual([2]);
    await evictDurableObject(objectOf(tenant));
    expect(await objectOf(tenant).apply(probes("batch 7", 8, 9))).toMatchObject({ status: "duplicate" });
    expect(await objectOf(tenant).gauges()).toMatchObject({ restored: { set_aside: 0 }, batch_keys: 301 });
    const { verdicts } = await objectOf(tenant).end({ receivedAtMs: 0, acknowledged: [] });
    const final = verdicts.filter(({ verdict }) => verdict.state === "final");
    expect(final).toMatchObject([{ verdict: { evidence: { flows: 301 } } }]);
  });

  it("does not stop for blobs and rows that cannot be opened", async () => {
    const tenant = newTenant();
    await objectOf(tenant).apply(probes("a", 1, 9));
    await runInDurableObject(objectOf(tenant), (_, { storage }) => {
      storage.sql.exec("INSERT INTO shard_log (place, sealed) VALUES (999, x'0200000001')");
    });
    await store.upsert(
      await withKeys(tenant),
      [1, 2].map((n) => anomaly(n, { tenant: tenant.id })),
    );
    await env.DB.prepare("UPDATE anomalies SET sealed_peers = sealed_entity WHERE tenant = ? AND id = ?")
      .bind(tenant.id, anomaly(1).id)
      .run();
    expect(await dataKeysOf().rotate(byAdmin, tenant)).toMatchObject({
      rows: { resealed: 1, unreadable: 1, left: 0 },
      blobs: { unreadable: 1, left: 0 },
      isDone: true,
    });
  });

  it("leaves rows as they are that somebody wrote meanwhile", async () => {
    const tenant = newTenant();
    const old = await withKeys(tenant);
    await store.upsert(old, [anomaly(1, { tenant: tenant.id })]);
    const dataKeys = dataKeysOf({
      anomalies: {
        reseal: async (owner, rowsMax) => {
          // Between the rows' reading and their writing nobody can come; but one with older keys may write again.
          const result = await store.reseal(owner, rowsMax);
          await store.upsert(old, [anomaly(1, { tenant: tenant.id, revision: 2, entity: "192.0.2.7" })]);
          return result;
        },
      },
    });
    await dataKeys.rotate(byAdmin, tenant);
    const again = await dataKeysOf().goOn(byAdmin, tenant);
    expect(again).toMatchObject({ rows: { resealed: 1, left: 0 }, isDone: true });
    const found = await store.get(await withKeys(tenant), anomaly(1).id);
    expect(found).toMatchObject({ revision: 2, entity: "192.0.2.7" });
  });

  it("removes older keys once nothing needs them and nobody can have them any more", async () => {
    const tenant = newTenant();
    const { keys } = await withKeys(tenant);
    const sealed = keys.seals.state.seal(Buffer.from("x"), "c");
    await store.upsert({ ...tenant, keys }, [anomaly(1, { tenant: tenant.id })]);
    const dataKeys = dataKeysOf();
    const rotated = await dataKeys.rotate(byAdmin, tenant);
    expect(rotated).toMatchObject({ isDone: true, retireAtMs: hourMs + retireAfterMs });
    clock.now += retireAfterMs - 1;
    expect(await dataKeys.goOn(byAdmin, tenant)).toMatchObject({ retireAtMs: hourMs + retireAfterMs });
    expect(await rowsOf("data_keys", tenant)).toHaveLength(11);
    // One of those who were late.
    await store.upsert({ ...tenant, keys }, [anomaly(2, { tenant: tenant.id })]);
    clock.now += 1;
    expect(await dataKeys.goOn(byAdmin, tenant)).toMatchObject({ rows: { resealed: 1 }, retireAtMs: null });
    expect(await rowsOf("data_keys", tenant)).toHaveLength(6);
    const now = await withKeys(tenant);
    expect(now.keys.anomalyId).toEqual(keys.anomalyId);
    expect(() => now.keys.seals.state.open(sealed, "c")).toThrow(UnknownKeyVersion);
    expect(await store.get(now, anomaly(2).id)).toMatchObject({ entity: "10.0.0.5" });
    expect((await auditOf().list(tenant.id, { limit: 10 })).rows).toMatchObject([
      { action: "data_keys.rotate", actor: "admin", detail: JSON.stringify({ version: 2 }) },
      { action: "data_keys.retire", actor: "admin", detail: JSON.stringify({ below: 2 }) },
    ]);
  });

  it("is refused where there are too many that did not come to an end", async () => {
    const tenant = newTenant(0);
    await withKeys(tenant);
    const dataKeys = dataKeysOf();
    for (let version = 2; version <= 16; version++)
      expect(await dataKeys.rotate(byAdmin, tenant)).toMatchObject({ version });
    expect(await dataKeys.rotate(byAdmin, tenant)).toMatchObject({ reason: "conflict" });
  });

  it("by two at once makes keys that both have", async () => {
    const tenant = newTenant(0);
    await withKeys(tenant);
    const rotations = await Promise.all([dataKeysOf().rotate(byAdmin, tenant), dataKeysOf().rotate(byAdmin, tenant)]);
    const [one, two] = rotations.map((result) => ("version" in result ? result.version : 0));
    expect([2, 3]).toContain(Math.max(one, two));
    const rows = await rowsOf("data_keys", tenant);
    expect(rows).toHaveLength(1 + 5 * Math.max(one, two));
  });

  it("is asked for over HTTP until it is done", async () => {
    const { app } = testApp();
    const rotate = async (search = "") => {
      const response = await app.request(`/v1/data-keys/rotate${search}`, { method: "POST", headers: auth("admin") });
      expect(response.status, await response.clone().text()).toBe(200);
      return v.parse(rotation, await response.json());
    };
    const first = await rotate();
    expect(first).toMatchObject({ done: true });
    expect(await rotate("?resume=true")).toMatchObject({ version: first.version });
    const bad = await app.request("/v1/data-keys/rotate?resume=no", { method: "POST", headers: auth("admin") });
    expect(bad.status).toBe(400);
  });
});

describe("another key-encryption key", () => {
  it("takes over while everything works, and then the old one can go", async () => {
    const [old, young] = [config.masterKeys[0], { id: "k2", key: new Uint8Array(32).fill(2) }];
    const tenant = newTenant();
    const before = await withKeys(tenant);
    const copies = await keyStore.read(tenant);
    const both = localKeyProvider([young, old]);
    const dataKeys = dataKeysOf({ provider: both });
    let rewrapped = 0;
    for (let left = 1; left > 0;) {
      const part = await dataKeys.rewrap();
      rewrapped += part.rewrapped;
      left = part.left;
      const during = await dataKeyringOf({ provider: both }).of(tenant);
      expect(during.anomalyId).toEqual(before.keys.anomalyId);
    }
    expect(rewrapped).toBeGreaterThanOrEqual(6);
    const { anomalyId } = await dataKeyringOf({ provider: localKeyProvider([young]) }).of(tenant);
    expect(anomalyId).toEqual(before.keys.anomalyId);
    // Copies of what was wrapped before open nothing without the old one.
    for (const copy of copies!) await expect(localKeyProvider([young]).unwrap(copy)).rejects.toThrow("k1");
    await dataKeysOf({ provider: localKeyProvider([old, young]) }).rewrap();
  });
});

describe("POST /v1/data-keys/rewrap", () => {
  it("is for the operator, and is written down", async () => {
    const { app, audited } = testApp();
    const ask = (kid: "admin" | "operator") =>
      app.request("/v1/data-keys/rewrap", { method: "POST", headers: auth(kid) });
    expect((await ask("admin")).status).toBe(403);
    expect(await (await ask("operator")).json()).toEqual({ rewrapped: 0, left: 0 });
    const detail = { rewrapped: 0, left: 0 };
    expect(audited.at(-1)).toMatchObject({ tenant: "-", actor: "operator", action: "data_keys.rewrap", detail });
  });
});

describe("a destroyed tenant", () => {
  it("cannot be opened any more by anybody, and its objects are empty", async () => {
    const tenant = newTenant(2);
    const before = await withKeys(tenant);
    const entities = ["10.0.0.5", "2001:db8::5"];
    await store.upsert(
      before,
      entities.map((entity, i) => anomaly(i + 1, { tenant: tenant.id, entity })),
    );
    for (const index of [0, 1]) {
      const request = { ...probes("a", 1, 40), receivedAtMs: Date.now() - 60_000 };
      await objectOf(tenant, index).apply(request);
    }
    // Whoever reads the storage files has copies of all there is.
    const copies = {
      anomalies: await rowsOf("anomalies", tenant),
      dataKeys: (await rowsOf("data_keys", tenant)) as { family: string }[],
      blobs: await blobsOf(tenant),
    };
    expect([copies.anomalies.length, copies.dataKeys.length]).toEqual([2, 6]);
    expect(copies.blobs.length).toBeGreaterThan(0);
    await expect(called(() => objectOf(tenant).destroy())).rejects.toThrow("has keys");

    await keyStore.destroy(tenant);
    for (const index of [0, 1]) {
      await objectOf(tenant, index).destroy();
      await objectOf(tenant, index).destroy();
    }
    expect(await deleteRows({ databases: databasesOf(env), clock }, tenant)).toBe(true);

    await expect(dataKeyringOf().of(tenant)).rejects.toThrow(KeysDestroyed);
    for (const table of ["anomalies", "anomaly_index"]) expect(await rowsOf(table, tenant)).toEqual([]);
    expect(await rowsOf("data_keys", tenant)).toMatchObject([{ family: "destroyed", wrapped: "" }]);
    for (const index of [0, 1]) {
      const object = objectOf(tenant, index);
      const left = await runInDurableObject(object, async (_, { storage }) => ({
        alarm: await storage.getAlarm(),
        tables: [...storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'")],
      }));
      expect(left).toEqual({ alarm: null, tables: [] });
      await expect(called(() => object.apply(probes("b", 1, 9)))).rejects.toThrow("were destroyed");
      await expect(called(() => object.end({ receivedAtMs: 0, acknowledged: [] }))).rejects.toThrow("were destroyed");
      await expect(called(() => object.gauges())).rejects.toThrow("were destroyed");
      await expect(called(() => object.reseal())).rejects.toThrow("were destroyed");
      await evictDurableObject(object);
      await expect(called(() => object.apply(probes("b", 1, 9)))).rejects.toThrow("were destroyed");
      expect(await runDurableObjectAlarm(object)).toBe(false);
    }

    // Put back where it was, it opens with none of the keys that there are, and with none that could be made.
    for (const row of copies.anomalies) await insert("anomalies", row);
    for (const row of copies.dataKeys) await insert("data_keys", row);
    await expect(dataKeyringOf().of(tenant)).rejects.toThrow(KeysDestroyed);
    await keyStore.destroy(tenant);
    const others = [await withKeys(newTenant()), await withKeys(config.tenants.get("lab")!)];
    for (const { keys } of others) {
      await expect(store.get({ ...tenant, keys }, anomaly(1).id)).rejects.toThrow();
      for (const family of sealFamilies)
        for (const blob of copies.blobs)
          expect(() => keys.seals[family].open(blob, sealContext(tenant.id, "shard_log", "0/0", "sealed"))).toThrow();
    }
    // The wrapped keys open nothing without the key-encryption key.
    const stranger = localKeyProvider([{ id: "k1", key: new Uint8Array(32).fill(1) }]);
    for (const row of copies.dataKeys as { family: string; wrapped?: string }[]) {
      const bytes = new Uint8Array(Buffer.from(row.wrapped!, "base64"));
      await expect(stranger.unwrap({ kekId: "k1", bytes })).rejects.toThrow();
    }
  });

  it("is not let in by an isolate that still knows it, 10 s later", async () => {
    const tenant = newTenant();
    const keyring = dataKeyringOf();
    await keyring.of(tenant);
    await keyStore.destroy(tenant);
    clock.now += 10_000;
    await expect(keyring.of(tenant)).rejects.toThrow(KeysDestroyed);
    expect(await keyStore.add(tenant, [])).toBeUndefined();
  });
});

async function insert(table: string, row: Record<string, unknown>): Promise<void> {
  const names = Object.keys(row);
  await env.DB.prepare(`INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`)
    .bind(...Object.values(row))
    .run();
}

describe("tenants, mixed at random", () => {
  const address = fc.constantFrom("10.0.0.5", "10.0.0.6", "10.0.16.7", "192.0.2.7", "2001:db8::5", "10.0.0.0/24");
  const network = fc.constantFrom("10.0.0.0/8", "10.0.0.0/20", "10.0.0.5", "192.0.2.0/24", "2001:db8::/33", "::/0");
  const row = fc.record({ by: fc.nat(2), n: fc.integer({ min: 1, max: 6 }), entity: address, peer: address });
  const search = fc.record({
    by: fc.nat(2),
    entity: fc.option(network, { nil: undefined }),
    peer: fc.option(network, { nil: undefined }),
  });
  const rotations = fc.array(fc.nat(2), { maxLength: 2 });

  it("find what is theirs, all of it, and nothing else", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 20 }), fc.array(search, { maxLength: 6 }), rotations, checkMix),
      { numRuns: 25 },
    );
  });

  async function checkMix(
    rows: { by: number; n: number; entity: string; peer: string }[],
    searches: { by: number; entity: string | undefined; peer: string | undefined }[],
    rotated: number[],
  ): Promise<void> {
    const mixed = [0, 1, 2].map(() => newTenant(0));
    const model = mixed.map(() => new Map<string, Anomaly>());
    for (const [i, { by, n, entity, peer }] of rows.entries()) {
      const peers = [{ address: peer, port: 0, protocol: "tcp" }];
      const written = anomaly(n, { tenant: mixed[by].id, entity, peers, revision: i + 1 });
      await store.upsert(await withKeys(mixed[by]), [written]);
      model[by].set(written.id, written);
      if (i === Math.floor(rows.length / 2)) for (const who of rotated) await dataKeysOf().rotate(byAdmin, mixed[who]);
    }
    const owners = await Promise.all(mixed.map(withKeys));
    for (const { by, entity, peer } of searches) {
      const query = {
        threats: [],
        severityMin: "info",
        sinceMs: 0,
        untilMs: 1e15,
        order: "oldest_first",
        limit: 100,
        entity: entity === undefined ? undefined : parsePrefix(entity),
        peer: peer === undefined ? undefined : parsePrefix(peer),
      } as const;
      const isFound = (one: Anomaly) =>
        (!query.entity || liesIn(query.entity, one.entity)) &&
        (!query.peer || liesIn(query.peer, one.peers[0].address));
      const wanted = [...model[by].values()].filter(isFound).map(({ id }) => id);
      const found = await store.list(owners[by], query);
      expect(found.anomalies.map(({ id }) => id).toSorted()).toEqual(wanted.toSorted());
      expect(found.anomalies.every(({ tenant }) => tenant === mixed[by].id)).toBe(true);
      const sealed = await store.listSealed(owners[by], query);
      expect(sealed.anomalies.map(({ id }) => id)).toEqual(found.anomalies.map(({ id }) => id));
    }
    for (const owner of owners) {
      for (const other of owners) {
        const stolen = { ...owner, keys: other.keys };
        for (const id of model[owners.indexOf(owner)].keys()) {
          const opened = await store.get(stolen, id).catch(() => undefined);
          expect(opened !== undefined).toBe(owner === other);
        }
        if (owner === other) continue;
        for (const family of sealFamilies) {
          const blob = owner.keys.seals[family].seal(Buffer.from("10.0.0.5"), "c");
          for (const another of sealFamilies) expect(() => other.keys.seals[another].open(blob, "c")).toThrow();
        }
        const token = owner.keys.index.tokensFor("source_ip", parsePrefix("10.0.0.5")!);
        expect(other.keys.index.tokensFor("source_ip", parsePrefix("10.0.0.5")!)).not.toEqual(token);
      }
    }
  }
});
