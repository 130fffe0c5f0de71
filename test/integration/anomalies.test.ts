import { env } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import * as v from "valibot";
import { anomaly as anomalySchema, anomalyList } from "../../src/api/schemas.ts";
import type { Severity, Threat } from "../../src/core/verdict.ts";
import type { Owner } from "../../src/security/tenant.ts";
import { acme, anomaly, auth, clock, hourMs, lab, store, testApp } from "./harness.ts";

const { get } = testApp();

async function list(search = "", kid: "viewer" | "other" = "viewer") {
  const response = await get(`/v1/anomalies${search}`, auth(kid));
  expect(response.status, await response.clone().text()).toBe(200);
  return v.parse(anomalyList, await response.json());
}

async function idsOf(search: string) {
  return (await list(search)).anomalies.map(({ id }) => Number.parseInt(id, 16));
}

beforeEach(async () => {
  await env.DB.exec("DELETE FROM anomalies");
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

  it("searches an entity beyond one read, and goes on where it stopped", async () => {
    const entityOf = (n: number) => (n % 200 === 0 ? "192.0.2.7" : "10.0.0.1");
    await store.upsert(
      acme,
      Array.from({ length: 1100 }, (_, i) => anomaly(i + 1, { entity: entityOf(i + 1) })),
    );
    expect(await idsOf("?entity=192.0.2.7")).toEqual([1000, 800, 600, 400, 200]);
    const first = await list("?entity=192.0.2.7&limit=2");
    expect(first.anomalies).toHaveLength(2);
    expect(await idsOf(`?entity=192.0.2.7&limit=2&cursor=${first.next}`)).toEqual([600, 400]);
  });

  it("gives up a search after 10,000 rows, and says where to go on", async () => {
    const many = Array.from({ length: 10_001 }, (_, i) => anomaly(i + 1, i === 0 ? { entity: "192.0.2.7" } : {}));
    await store.upsert(acme, many);
    const first = await list("?entity=192.0.2.7");
    expect(first.anomalies).toEqual([]);
    expect(first.next).not.toBeNull();
    expect(await idsOf(`?entity=192.0.2.7&cursor=${first.next}`)).toEqual([1]);
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
    expect(results).toHaveLength(1);
    const text = JSON.stringify(results) + Buffer.from(String(results[0].sealed), "base64").toString("latin1");
    for (const secret of [entity, "2001:db8::77", "198.51.100.77", "talks", "T1046"])
      expect(text).not.toContain(secret);
    expect(await store.get(acme, anomaly(1).id)).toMatchObject({ entity, peers, evidence });
  });

  it("refuses a sealed part that was moved to another row", async () => {
    await store.upsert(acme, [anomaly(1), anomaly(2)]);
    const ids = [anomaly(1).id, anomaly(2).id];
    await env.DB.prepare("UPDATE anomalies SET sealed = (SELECT sealed FROM anomalies WHERE id = ?) WHERE id = ?")
      .bind(...ids)
      .run();
    await expect(store.get(acme, ids[1])).rejects.toThrow();
    expect(await store.get(acme, ids[0])).toBeDefined();
  });
});
