import { env } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import * as v from "valibot";
import { anomaly as anomalySchema, anomalyList, sealedAnomaly, sealedAnomalyList } from "../../src/api/schemas.ts";
import type { Severity, Threat } from "../../src/core/verdict.ts";
import { parsePrefix } from "../../src/security/prefix.ts";
import type { View } from "../../src/security/permissions.ts";
import type { Owner } from "../../src/security/tenant.ts";
import type { AnomalyQuery } from "../../src/storage/anomalies.ts";
import { selectOf } from "../../src/storage/d1-anomaly-store.ts";
import {
  acme,
  anomaly,
  auth,
  clock,
  config,
  dataKeyringOf,
  dataKeysOf,
  directoryWith,
  hourMs,
  lab,
  store,
  testApp,
} from "./harness.ts";

const { get } = testApp();

const byAdmin = { principal: config.apiKeys.get("admin")!, requestId: "r1" };

/** A viewer's key with another view. */
function bearerOf({ view }: { view: View }) {
  const directory = directoryWith([{ ...config.apiKeys.get("viewer")!, kid: view, view }]);
  return { directory, headers: { Authorization: `Bearer ${view}.secret` } };
}

async function list(search = "", kid: "viewer" | "auditor" | "other" = "viewer") {
  const response = await get(`/v1/anomalies${search}`, auth(kid));
  expect(response.status, await response.clone().text()).toBe(200);
  return v.parse(anomalyList, await response.json());
}

async function idsOf(search: string) {
  return (await list(search)).anomalies.map(({ id }) => Number.parseInt(id, 16));
}

beforeEach(async () => {
  await env.DB.batch(["anomalies", "anomaly_index"].map((table) => env.DB.prepare(`DELETE FROM ${table}`)));
});

describe("GET /v1/anomalies", () => {
  it("shows an anomaly with all of its fields", async () => {
    clock.now = hourMs;
    await store.upsert(acme, [anomaly(1)]);
    const { anomalies, next } = await list();
    expect(next).toBeNull();
    expect(anomalies).toEqual([
      {
        id: "00000000000000000000000000000001",
        tenant: "acme",
        threat: "port_scan",
        detector_version: 1,
        config_version: "5b2e81c09d41f3a7",
        severity: "high",
        score: 0.97,
        confidence: 0.9,
        entity: "10.0.0.5",
        peers: [{ address: "10.0.1.1", port: 0, protocol: "tcp" }],
        peer_count: 1,
        models: [],
        techniques: ["T1046"],
        summary: "10.0.0.5 knocked on 200 ports of 10.0.1.1",
        window: { start: "2026-11-22T16:00:00.000Z", end: "2026-11-22T17:00:00.000Z" },
        state: "provisional",
        revision: 1,
        stored_revision: 1,
        received_at: "2026-11-22T16:59:59.980Z",
        decided_at: "2026-11-22T16:59:59.990Z",
        stored_at: "2026-11-22T17:00:00.000Z",
        evidence: { ports: 200, ports_min: 15 },
        completeness: { late_records: 0, evicted_entities: 0, folded_contacts: 0, warming_up: false },
        tiers: [{ tier: 1, ran: true, reason: null }],
      },
    ]);
    const one = await get(`/v1/anomalies/${anomalies[0].id}`);
    expect(v.parse(anomalySchema, await one.json())).toEqual(anomalies[0]);
  });

  it("filters by threats, least severity and the end of the window", async () => {
    const of = (n: number, threat: Threat, severity: Severity, endMs: number) =>
      anomaly(n, { threat, severity, window: { startMs: endMs - 1, endMs } });
    await store.upsert(acme, [
      of(1, "port_scan", "low", hourMs),
      of(2, "ddos", "medium", hourMs + 1000),
      of(3, "c2_beacon", "critical", hourMs + 2000),
    ]);
    expect(await idsOf("")).toEqual([3, 2, 1]);
    expect(await idsOf("?threat=ddos")).toEqual([2]);
    expect(await idsOf("?threat=ddos&threat=port_scan")).toEqual([2, 1]);
    expect(await idsOf("?severity=medium")).toEqual([3, 2]);
    expect(await idsOf("?severity=critical&threat=ddos")).toEqual([]);
    expect(await idsOf(`?since=${hourMs + 1000}`)).toEqual([3, 2]);
    expect(await idsOf(`?until=${hourMs + 1000}`)).toEqual([1]);
    expect(await idsOf("?since=2026-11-22T17:00:01Z&until=2026-11-22T18:00:02%2B01:00")).toEqual([2]);
  });

  it("finds an entity by address or prefix, IPv4 or IPv6", async () => {
    const entities = ["10.0.0.5", "10.1.0.5", "2001:db8::5", "10.0.0.0/24"];
    await store.upsert(
      acme,
      entities.map((entity, i) => anomaly(i + 1, { entity })),
    );
    expect(await idsOf("?entity=10.0.0.5")).toEqual([1]);
    expect(await idsOf("?entity=10.0.0.0/8")).toEqual([4, 2, 1]);
    expect(await idsOf("?entity=2001:db8::/32")).toEqual([3]);
    expect(await idsOf("?entity=2001:0db8:0::5")).toEqual([3]);
    expect(await idsOf("?entity=192.0.2.1")).toEqual([]);
    expect(await idsOf("?entity=10.0.0.0/24")).toEqual([4, 1]);
    expect(await idsOf("?entity=10.0.0.0/28")).toEqual([1]);
    expect(await idsOf("?entity=10.0.0.0/7")).toEqual([4, 2, 1]);
    expect(await idsOf("?entity=::/0")).toEqual([4, 3, 2, 1]);
  });

  it("finds a peer, whatever its place among them, and both at once", async () => {
    const peer = (address: string) => ({ address, port: 0, protocol: "tcp" });
    const peers = [peer("192.0.2.1"), peer("2001:db8::9")];
    await store.upsert(acme, [
      anomaly(1, { entity: "10.0.0.5", peers }),
      anomaly(2, { entity: "10.0.0.6", peers: [peer("192.0.2.9")] }),
      anomaly(3, { entity: "192.0.2.1", peers: [] }),
    ]);
    expect(await idsOf("?peer=192.0.2.1")).toEqual([1]);
    expect(await idsOf("?peer=2001:db8::/32")).toEqual([1]);
    expect(await idsOf("?peer=192.0.2.0/24")).toEqual([2, 1]);
    expect(await idsOf("?peer=192.0.2.0/28&entity=10.0.0.6")).toEqual([2]);
    expect(await idsOf("?peer=192.0.2.1&entity=10.0.0.6")).toEqual([]);
  });

  it("finds a peer no more that a later revision does not have", async () => {
    await store.upsert(acme, [anomaly(1, { peers: [{ address: "192.0.2.1", port: 0, protocol: "tcp" }] })]);
    await store.upsert(acme, [anomaly(1, { revision: 2, peers: [] })]);
    await store.upsert(acme, [anomaly(1, { revision: 1, entity: "192.0.2.7" })]);
    expect(await idsOf("?peer=192.0.2.1")).toEqual([]);
    expect(await idsOf("?entity=192.0.2.7")).toEqual([]);
    const { results } = await env.DB.prepare("SELECT * FROM anomaly_index").all();
    expect(results).toHaveLength(8);
  });

  it("pages newest first without gap or repeat", async () => {
    await store.upsert(
      acme,
      Array.from({ length: 7 }, (_, i) => anomaly(i + 1)),
    );
    const seen: string[] = [];
    let search = "?limit=3";
    for (let pages = 0; search; pages++) {
      expect(pages).toBeLessThan(3);
      const { anomalies, next } = await list(search);
      seen.push(...anomalies.map(({ id }) => id));
      search = next ? `?limit=3&cursor=${next}` : "";
    }
    expect(seen.map((id) => Number.parseInt(id, 16))).toEqual([7, 6, 5, 4, 3, 2, 1]);
  });

  it("searches a network between two indexed ones beyond one read, and goes on where it stopped", async () => {
    const entityOf = (n: number) => (n % 200 === 0 ? "10.0.16.7" : "10.0.0.1");
    await store.upsert(
      acme,
      Array.from({ length: 1100 }, (_, i) => anomaly(i + 1, { entity: entityOf(i + 1) })),
    );
    expect(await idsOf("?entity=10.0.16.0/20")).toEqual([1000, 800, 600, 400, 200]);
    const first = await list("?entity=10.0.16.0/20&limit=2");
    expect(first.anomalies).toHaveLength(2);
    expect(await idsOf(`?entity=10.0.16.0/20&limit=2&cursor=${first.next}`)).toEqual([600, 400]);
  });

  it("opens 10,000 rows for a search, and refuses one that needs more", async () => {
    const endMs = hourMs - 1000;
    const old = { entity: "10.0.16.7", window: { startMs: endMs - 1, endMs } };
    const many = Array.from({ length: 10_000 }, (_, i) => anomaly(i + 1, i === 0 ? old : {}));
    await store.upsert(acme, many);
    expect(await idsOf("?entity=10.0.16.0/20")).toEqual([1]);
    await store.upsert(acme, [anomaly(10_001)]);
    const refused = await get("/v1/anomalies?entity=10.0.16.0/20");
    expect(refused.status).toBe(422);
    const { type, detail } = (await refused.json()) as { type: string; detail: string };
    expect(type).toBe("/problems/search-too-broad");
    expect(detail).toContain("10000 verdicts");
    expect(detail).not.toContain("10.0.");
    expect(await idsOf(`?entity=10.0.16.0/20&until=${hourMs}`)).toEqual([1]);
    expect(await idsOf("?entity=10.0.16.7")).toEqual([1]);
    // One that finds enough is none.
    expect(await idsOf("?entity=10.0.0.0/20&limit=3")).toEqual([10_001, 10_000, 9_999]);
  });

  it.each<[string, Partial<AnomalyQuery>]>([
    ["an entity", { entity: parsePrefix("10.1.0.0/20")! }],
    ["a peer", { peer: parsePrefix("10.1.2.3")! }],
    ["both", { entity: parsePrefix("10.1.0.0/20")!, peer: parsePrefix("2001:db8::/32")! }],
  ])("searches %s by the index, and goes to each row by its key", async (_, searched) => {
    const all = { threats: [], severityMin: "info", sinceMs: 0, untilMs: 1e15, limit: 100 } as const;
    for (const order of ["newest_first", "oldest_first"] as const) {
      const behind = { storedRevision: 7, id: "0" };
      const { sql, values } = selectOf(acme, { ...all, order, behind, ...searched }, 500);
      const { results } = await env.DB.prepare(`EXPLAIN QUERY PLAN ${sql}`)
        .bind(...values)
        .all<{ detail: string }>();
      const plan = results.map(({ detail }) => detail).join("\n");
      expect(plan).toMatch(/SEARCH anomaly_index USING PRIMARY KEY \(tenant=\? AND token=\?\)/);
      expect(plan).toMatch(/SEARCH anomalies USING PRIMARY KEY \(tenant=\? AND id=\?\)/);
      expect(plan).not.toMatch(/SCAN anomal/);
    }
  });

  it("lets a follower see every change once, oldest first", async () => {
    await store.upsert(acme, [anomaly(1), anomaly(2), anomaly(3)]);
    const first = await list("?after=0&limit=2");
    expect(first.anomalies.map(({ stored_revision }) => stored_revision)).toEqual([1, 2]);
    expect(await idsOf(`?after=0&limit=2&cursor=${first.next}`)).toEqual([3]);
    expect(await idsOf("?after=3")).toEqual([]);
    await store.upsert(acme, [anomaly(2, { revision: 2 })]);
    expect(await idsOf("?after=3")).toEqual([2]);
  });

  it("shows a tenant nothing of another", async () => {
    await store.upsert(lab, [anomaly(1, { tenant: "lab" })]);
    await store.upsert(acme, [anomaly(2)]);
    expect((await list("", "viewer")).anomalies.map(({ tenant }) => tenant)).toEqual(["acme"]);
    expect((await list("", "other")).anomalies.map(({ tenant }) => tenant)).toEqual(["lab"]);
    expect((await get(`/v1/anomalies/${anomaly(1).id}`)).status).toBe(404);
  });

  it.each([
    ["threat=worm", "threat"],
    ["threat=ddos&threat=worm", "threat"],
    ["severity=severe", "severity"],
    ["entity=10.0.0.0/33", "entity"],
    ["entity=host", "entity"],
    ["entity=10.0.0.5&entity=10.0.0.6", "entity"],
    ["entity=10.0.0.5'%20OR%20'1'='1", "entity"],
    ["peer=10.0.0.0/33", "peer"],
    ["as=clear", "as"],
    ["since=yesterday", "since"],
    ["since=2026-13-01T00:00:00Z", "since"],
    ["until=-1", "until"],
    ["limit=0", "limit"],
    ["limit=501", "limit"],
    ["limit=1.5", "limit"],
    ["limit=1&limit=2", "limit"],
    ["after=-1", "after"],
    ["cursor=AAAA", "cursor"],
    ["treat=ddos", "treat"],
  ])("refuses ?%s", async (search, parameter) => {
    const response = await get(`/v1/anomalies?${search}`);
    expect(response.status).toBe(400);
    const { type, errors } = (await response.json()) as {
      type: string;
      errors: { parameter: string; detail: string }[];
    };
    expect(type).toBe("/problems/invalid-parameters");
    expect(errors.map((error) => error.parameter)).toEqual([parameter]);
    expect(errors[0].detail).not.toBe("");
  });

  it("refuses the cursor of a list of the other order", async () => {
    await store.upsert(acme, [anomaly(1), anomaly(2)]);
    const { next } = await list("?limit=1");
    expect((await get(`/v1/anomalies?after=0&cursor=${next}`)).status).toBe(400);
  });

  it("takes limits of 1 and 500", async () => {
    await store.upsert(acme, [anomaly(1), anomaly(2)]);
    expect(await idsOf("?limit=1")).toEqual([2]);
    expect(await idsOf("?limit=500")).toEqual([2, 1]);
  });
});

describe("AnomalyStore", () => {
  it("lets the higher revision win, whichever comes first", async () => {
    await store.upsert(acme, [anomaly(1, { revision: 2, summary: "two" })]);
    await store.upsert(acme, [
      anomaly(1, { revision: 1, summary: "one" }),
      anomaly(1, { revision: 2, summary: "two again" }),
    ]);
    expect(await store.get(acme, anomaly(1).id)).toMatchObject({ revision: 2, summary: "two", storedRevision: 1 });
    await store.upsert(acme, [anomaly(1, { revision: 3, summary: "three", state: "withdrawn", severity: "low" })]);
    const stored = await store.get(acme, anomaly(1).id);
    expect(stored).toMatchObject({ revision: 3, summary: "three", state: "withdrawn", severity: "low" });
    expect(stored!.storedRevision).toBeGreaterThan(1);
  });

  it("keeps the highest revision of one write", async () => {
    await store.upsert(acme, [anomaly(1, { revision: 1 }), anomaly(1, { revision: 3 }), anomaly(1, { revision: 2 })]);
    expect(await store.get(acme, anomaly(1).id)).toMatchObject({ revision: 3 });
  });

  it("numbers the writes of each tenant for itself, rising", async () => {
    await store.upsert(acme, [anomaly(1), anomaly(2)]);
    await store.upsert(lab, [anomaly(1, { tenant: "lab" })]);
    await store.upsert(acme, [anomaly(3)]);
    const revisionOf = async (tenant: Owner, n: number) => (await store.get(tenant, anomaly(n).id))!.storedRevision;
    expect([await revisionOf(acme, 1), await revisionOf(acme, 2), await revisionOf(acme, 3)]).toEqual([1, 2, 3]);
    expect(await revisionOf(lab, 1)).toBe(1);
  });

  it("writes more than one statement holds", async () => {
    const evidence = { text: "x".repeat(300_000) };
    await store.upsert(
      acme,
      Array.from({ length: 7 }, (_, i) => anomaly(i + 1, { evidence })),
    );
    expect(await idsOf("")).toEqual([7, 6, 5, 4, 3, 2, 1]);
  });

  it("writes nothing that shows an address", async () => {
    const entity = "203.0.113.77";
    const peers = [{ address: "2001:db8::77", port: 443, protocol: "tcp" }];
    const evidence = { sources: ["198.51.100.77"], ports: 3 };
    await store.upsert(acme, [anomaly(1, { entity, peers, evidence, summary: `${entity} talks` })]);
    const { results } = await env.DB.prepare("SELECT * FROM anomalies").all();
    const { results: tokens } = await env.DB.prepare("SELECT * FROM anomaly_index").all();
    expect([results.length, tokens.length]).toEqual([1, 8]);
    const sealed = ["sealed_entity", "sealed_peers", "sealed_evidence"].map((column) => String(results[0][column]));
    const bytes = sealed.map((text) => Buffer.from(text, "base64").toString("latin1"));
    const text = JSON.stringify([results, tokens, bytes]);
    for (const secret of [entity, "2001:db8::77", "198.51.100.77", "talks", "T1046"])
      expect(text).not.toContain(secret);
    expect(await store.get(acme, anomaly(1).id)).toMatchObject({ entity, peers, evidence });
  });

  it("hides how long an entity is", async () => {
    await store.upsert(acme, [anomaly(1, { entity: "10.0.0.5" }), anomaly(2, { entity: "2001:db8:1:2:3:4:5:6" })]);
    const { results } = await env.DB.prepare("SELECT DISTINCT length(sealed_entity) FROM anomalies").all();
    expect(results).toHaveLength(1);
  });

  it.each(["sealed_entity", "sealed_peers", "sealed_evidence"])("refuses a %s from another row", async (column) => {
    await store.upsert(acme, [anomaly(1), anomaly(2)]);
    const ids = [anomaly(1).id, anomaly(2).id];
    await env.DB.prepare(`UPDATE anomalies SET ${column} = (SELECT ${column} FROM anomalies WHERE id = ?) WHERE id = ?`)
      .bind(...ids)
      .run();
    await expect(store.get(acme, ids[1])).rejects.toThrow();
    expect(await store.get(acme, ids[0])).toBeDefined();
  });
});

describe("how addresses are shown", () => {
  const one = anomaly(1, {
    entity: "10.0.0.5",
    peers: [{ address: "2001:db8:1:2::5", port: 443, protocol: "tcp" }],
    summary: "10.0.0.5 talks to 2001:db8:1:2::5",
    evidence: { sources: ["10.0.0.5"], flows: 3 },
  });
  beforeEach(() => store.upsert(acme, [one, anomaly(2, { entity: "10.9.0.5" })]));
  const sealedOnly = bearerOf({ view: "sealed" });

  it("is as prefixes, to whom the view is masked", async () => {
    const shown = await get(`/v1/anomalies/${one.id}`, auth("auditor"));
    const text = await shown.text();
    expect(v.parse(anomalySchema, JSON.parse(text))).toMatchObject({
      entity: "10.0.0.0/24",
      peers: [{ address: "2001:db8:1::/48", port: 443, protocol: "tcp" }],
      summary: "10.0.0.0/24 talks to 2001:db8:1::/48",
      evidence: { sources: ["10.0.0.0/24"], flows: 3 },
    });
    expect(text).not.toMatch(/10\.0\.0\.5|1:2::5/);
    const { anomalies } = await list("?entity=10.0.0.0/24", "auditor");
    expect(anomalies.map(({ entity }) => entity)).toEqual(["10.0.0.0/24"]);
  });

  it.each(["entity=10.0.0.5", "entity=10.0.0.0/25", "peer=2001:db8:1::/49"])(
    "does not let whom it is masked to probe for ?%s",
    async (search) => {
      const refused = await get(`/v1/anomalies?${search}`, auth("auditor"));
      expect(refused.status).toBe(400);
      expect(await refused.json()).toMatchObject({ errors: [{ parameter: search.split("=")[0] }] });
    },
  );

  it("is as ciphertext with all that opens it but the key, for ?as=sealed and to whom the view is sealed", async () => {
    const { get: getSealed } = testApp({ directory: sealedOnly.directory });
    const answers = [
      await get("/v1/anomalies?as=sealed&entity=10.0.0.5"),
      await getSealed("/v1/anomalies?limit=1&after=0", sealedOnly.headers),
    ];
    for (const answer of answers) {
      const { anomalies } = v.parse(sealedAnomalyList, await answer.json());
      const [{ encryption_metadata, entity, peers, evidence }] = anomalies;
      expect(encryption_metadata).toEqual({
        encrypted_fields: ["source_ip", "destination_ip", "evidence"],
        encryption_timestamp: new Date(clock.now).toISOString(),
        key_id: "acme/1",
      });
      const opened = (["source_ip", "destination_ip", "evidence"] as const).map((family, i) => {
        const { ciphertext, nonce, tag } = [entity, peers, evidence][i];
        const parts = [nonce, tag, ciphertext].map((part) => Buffer.from(part, "base64"));
        const sealed = Buffer.concat([Buffer.from("0200000001", "hex"), ...parts]);
        const context = `acme|anomalies|${one.id}/1|${family}`;
        return Buffer.from(acme.keys.seals[family].open(sealed, context)).toString();
      });
      expect(opened[0].trimEnd()).toBe(one.entity);
      expect(JSON.parse(opened[1])).toEqual(one.peers);
      expect(JSON.parse(opened[2])).toMatchObject({ summary: one.summary, evidence: one.evidence });
    }
    const single = await get(`/v1/anomalies/${one.id}?as=sealed`, auth("auditor"));
    expect(v.parse(sealedAnomaly, await single.json()).id).toBe(one.id);
    const also = await getSealed(`/v1/anomalies/${one.id}`, sealedOnly.headers);
    expect(v.parse(sealedAnomaly, await also.json()).id).toBe(one.id);
    expect((await getSealed("/v1/anomalies?entity=10.0.0.0/8", sealedOnly.headers)).status).toBe(400);
  });

  it("is asked of the newest keys once, where a row has newer ones than are at hand", async () => {
    const older = await dataKeyringOf().of(acme);
    await dataKeysOf().rotate(byAdmin, acme);
    const newer = { ...acme, keys: await dataKeyringOf().of(acme) };
    await store.upsert(newer, [anomaly(3, { entity: "10.0.0.5" })]);
    let reloads = 0;
    const reload = async () => {
      reloads++;
      return newer.keys;
    };
    const behind = testApp({ keyring: { of: async () => older, reload } });
    await env.DB.exec("DELETE FROM anomalies WHERE id < '00000000000000000000000000000003'");
    for (const path of [`/v1/anomalies/${anomaly(3).id}`, "/v1/anomalies", "/v1/anomalies?entity=10.0.0.5"]) {
      const answer = await behind.get(path);
      expect(answer.status, path).toBe(200);
      expect(await answer.text()).toContain("10.0.0.5");
    }
    expect(reloads).toBe(3);
  });
});
