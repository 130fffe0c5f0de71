import { describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/config.ts";
import type { Anomaly } from "../../../src/core/verdict.ts";
import { parsePrefix } from "../../../src/security/prefix.ts";
import { LocalClock, localParts } from "../../../src/tiers/local-parts.ts";

const settings = { tenants: { acme: {}, lab: {} }, masterKey: new Uint8Array(32), allowanceMs: 600_000, shards: 3 };
const everything = { threats: [], severityMin: "info", sinceMs: 0, untilMs: Infinity, order: "oldest_first" } as const;

function anomaly(id: string, revision: number, changes: Partial<Anomaly> = {}): Anomaly {
  return {
    id,
    tenant: "acme",
    threat: "port_scan",
    detectorVersion: 1,
    configVersion: "",
    entity: "198.51.100.7",
    window: { startMs: 0, endMs: 1000 },
    score: 1,
    confidence: 1,
    severity: "medium",
    techniques: [],
    summary: "",
    peers: [],
    peerCount: 0,
    evidence: {},
    state: "final",
    revision,
    completeness: { late_records: 0, evicted_entities: 0, folded_contacts: 0, warming_up: false },
    receivedAtMs: 0,
    decidedAtMs: 0,
    tiers: [],
    models: [],
    ...changes,
  };
}

describe("local parts", () => {
  it("are set as a Worker is", () => {
    const parts = localParts({ ...settings, tenants: { acme: { internal: ["192.0.2.0/24"] }, lab: {} } });
    expect(parts.tenant("lab").shards).toBe(3);
    expect(parts.config.allowanceMs).toBe(600_000);
    expect(parts.tenant("acme").isInternal(0, 0, 0xffff, 0xc0000201)).toBe(true);
    expect(parts.tenant("lab").isInternal(0, 0, 0xffff, 0xc0000201)).toBe(false);
    expect(() => localParts({ ...settings, shards: 0 })).toThrow(ConfigError);
  });

  it("have one shard of each name", () => {
    const { shardOf } = localParts(settings);
    expect(shardOf({ tenant: "acme", jurisdiction: null, index: 1 })).toBe(
      shardOf({ tenant: "acme", jurisdiction: null, index: 1 }),
    );
    expect(shardOf({ tenant: "acme", jurisdiction: null, index: 1 })).not.toBe(
      shardOf({ tenant: "acme", jurisdiction: null, index: 2 }),
    );
  });

  it("keep the highest revision of each anomaly, in the order of storing", async () => {
    const { anomalies, tenant } = localParts(settings);
    await anomalies.upsert(tenant("acme"), [anomaly("a", 2), anomaly("b", 1), anomaly("c", 1, { severity: "low" })]);
    await anomalies.upsert(tenant("acme"), [anomaly("a", 1, { summary: "old" }), anomaly("b", 2, { summary: "new" })]);
    const { anomalies: found } = await anomalies.list(tenant("acme"), { ...everything, limit: 10 });
    expect(found.map(({ id, revision }) => [id, revision])).toEqual([
      ["a", 2],
      ["c", 1],
      ["b", 2],
    ]);
    expect(await anomalies.get(tenant("acme"), "b")).toMatchObject({ summary: "new" });
    expect(await anomalies.get(tenant("lab"), "b")).toBeUndefined();
  });

  it("list what is asked for, page by page", async () => {
    const { anomalies, tenant } = localParts(settings);
    const late = { window: { startMs: 5000, endMs: 6000 } };
    const some = [
      anomaly("a", 1),
      anomaly("b", 1, { severity: "low" }),
      anomaly("c", 1, late),
      anomaly("d", 1, { threat: "ddos" }),
    ];
    await anomalies.upsert(tenant("acme"), some);
    const ids = async (query: object) =>
      (await anomalies.list(tenant("acme"), { ...everything, limit: 10, ...query })).anomalies.map(({ id }) => id);
    expect(await ids({ order: "newest_first" })).toEqual(["d", "c", "b", "a"]);
    expect(await ids({ severityMin: "medium" })).toEqual(["a", "c", "d"]);
    expect(await ids({ threats: ["ddos"] })).toEqual(["d"]);
    expect(await ids({ sinceMs: 1001 })).toEqual(["c"]);
    expect(await ids({ untilMs: 1000 })).toEqual([]);
    expect(await ids({ entity: parsePrefix("198.51.100.0/24") })).toEqual(["a", "b", "c", "d"]);
    expect(await ids({ entity: parsePrefix("10.0.0.0/8") })).toEqual([]);
    expect(await ids({ entity: parsePrefix("198.51.100.0/24"), peer: parsePrefix("192.0.2.9") })).toEqual([]);
    const first = await anomalies.list(tenant("acme"), { ...everything, limit: 3 });
    expect(first.next).toMatchObject({ id: "c" });
    const second = await anomalies.list(tenant("acme"), { ...everything, limit: 3, behind: first.next });
    expect(second.anomalies.map(({ id }) => id)).toEqual(["d"]);
    expect(second.next).toBeUndefined();
  });
});

describe("LocalClock", () => {
  it("stands until it is set, never goes back, and wakes whose time has come", async () => {
    const clock = new LocalClock();
    const woken: number[] = [];
    const waits = [5, 50].map(async (ms) => {
      await clock.wait(ms);
      woken.push(ms);
    });
    clock.set(10);
    await waits[0];
    clock.set(3);
    expect([clock.nowMs(), woken]).toEqual([10, [5]]);
    clock.set(50);
    await waits[1];
    expect(woken).toEqual([5, 50]);
  });
});
