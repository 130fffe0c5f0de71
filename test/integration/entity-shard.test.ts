import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import type { ApplyRequest } from "../../src/core/shard/rpc.ts";
import { acknowledgementOf } from "../../src/core/slots/slot.ts";
import { Outcome } from "../../src/core/flow/flow-batch.ts";
import { applyRequest, contactsOf, traceStartMs, type TraceFlow } from "../support/trace.ts";

/** Ports of one host, tried by one source: half a scan is none. */
const probes = (from: number, to: number): TraceFlow[] =>
  Array.from({ length: to - from }, (_, i) => ({
    source: "198.51.100.7",
    target: "10.0.0.5",
    targetPort: from + i,
    startMs: traceStartMs + from + i,
    outcome: Outcome.Refused,
    targetPackets: 1,
  }));

const request = (name: string, flows: TraceFlow[]): ApplyRequest => ({
  ...applyRequest(name, contactsOf(flows)),
  receivedAtMs: traceStartMs,
  sentAtMs: Date.now(),
});

const shardOf = (name: string) => env.ENTITY_SHARD.get(env.ENTITY_SHARD.idFromName(name));

const kinds = ["shard_log", "shard_state", "shard_keys"] as const;

/** All sealed blobs of the object, one table after the other. */
async function blobsOf(shard: ReturnType<typeof shardOf>): Promise<Uint8Array[]> {
  return runInDurableObject(shard, (_, { storage }) =>
    kinds.flatMap((table) =>
      [...storage.sql.exec<{ sealed: ArrayBuffer }>(`SELECT sealed FROM ${table}`)].map(
        ({ sealed }) => new Uint8Array(sealed),
      ),
    ),
  );
}

describe("EntityShard", () => {
  it("goes on after an eviction where it was, with nothing but its log", async () => {
    const shard = shardOf("acme/0");
    expect(await shard.apply(request("a", probes(1, 9)))).toMatchObject({ status: "applied", verdicts: [] });
    await evictDurableObject(shard);
    const result = await shard.apply(request("b", probes(9, 17)));
    expect(result).toMatchObject({
      status: "applied",
      verdicts: [{ verdict: { threat: "port_scan", entity: "198.51.100.7", state: "provisional" } }],
    });
    await evictDurableObject(shard);
    expect((await shard.end({ receivedAtMs: 0, acknowledged: [] })).verdicts).toMatchObject([
      { verdict: { state: "final", evidence: { ports_failed_on_one_target: 16 } } },
    ]);
  });

  it("remembers batches after an abort", async () => {
    const shard = shardOf("acme/1");
    await shard.apply(request("a", probes(1, 9)));
    await expect(runInDurableObject(shard, (_, state) => state.abort("on purpose"))).rejects.toThrow("on purpose");
    const again = shardOf("acme/1");
    expect(await again.apply(request("a", probes(1, 9)))).toEqual({ status: "duplicate", late: 0 });
    expect(await again.apply({ ...request("a", probes(1, 9)), bodyDigest: "other" })).toEqual({ status: "conflict" });
  });

  it("sets a log row aside that was tampered with, and goes on without it", async () => {
    const shard = shardOf("acme/3");
    await shard.apply(request("a", probes(1, 9)));
    await runInDurableObject(shard, (_, { storage }) => void storage.sql.exec("UPDATE shard_log SET sealed = x'01'"));
    await evictDurableObject(shard);
    expect(await shard.gauges()).toMatchObject({ restored: { set_aside: 1, entries: 0 } });
    expect(await shard.apply(request("a", probes(1, 9)))).toMatchObject({ status: "applied", verdicts: [] });
    const aside = await runInDurableObject(shard, (_, { storage }) => [...storage.sql.exec("SELECT * FROM set_aside")]);
    expect(aside).toMatchObject([{ kind: "log", place: 0 }]);
  });

  it("writes nothing readable", async () => {
    const shard = shardOf("acme/2");
    for (let batch = 0; batch < 300; batch++) await shard.apply(request(`batch ${batch}`, probes(1, 40)));
    const stored = await blobsOf(shard);
    expect(stored.length).toBeGreaterThan(kinds.length);
    for (const blob of stored) {
      const text = new TextDecoder("latin1").decode(blob);
      // The source as a word of either byte order, and as text in what was published.
      expect(text).not.toContain(String.fromCharCode(7, 100, 51, 198));
      expect(text).not.toContain(String.fromCharCode(198, 51, 100, 7));
      expect(text).not.toContain("198.51.100.7".split("").join("\0"));
    }
  });

  it("uses log rows again once a snapshot covers them, and restores from both", async () => {
    const shard = shardOf("acme/4");
    for (let batch = 0; batch < 600; batch++)
      await shard.apply(request(`batch ${batch}`, probes(batch + 1, batch + 2)));
    const gauges = await shard.gauges();
    expect(gauges.rows_written).toMatchObject({ log: 600 });
    expect(gauges.rows_written.state + gauges.rows_written.keys).toBeLessThan(20);
    expect((await blobsOf(shard)).length).toBeLessThan(300);
    await evictDurableObject(shard);
    const restored = await shard.gauges();
    expect(restored.restored.entries).toBeLessThan(300);
    expect(restored).toMatchObject({ entities: gauges.entities, batch_keys: 600, restored: { set_aside: 0 } });
    expect(await shard.apply(request("batch 3", probes(4, 5)))).toMatchObject({ status: "duplicate" });
    const { verdicts } = await shard.end({ receivedAtMs: 0, acknowledged: [] });
    const final = verdicts.filter(({ verdict }) => verdict.state === "final");
    expect(final).toMatchObject([{ verdict: { evidence: { flows: 600 } } }]);
  });

  it("stores by alarm what nobody has acknowledged, once", async () => {
    const shard = shardOf("acme/5");
    const result = await shard.apply({ ...request("a", probes(1, 40)), receivedAtMs: Date.now() - 60_000 });
    expect(result).toMatchObject({ status: "applied", verdicts: [{ verdict: { threat: "port_scan" } }] });
    await evictDurableObject(shard);
    expect(await runDurableObjectAlarm(shard)).toBe(true);
    const rows = await env.DB.prepare("SELECT tenant, state FROM anomalies WHERE tenant = 'acme'").all();
    expect(rows.results).toEqual([{ tenant: "acme", state: "provisional" }]);
    expect(await runDurableObjectAlarm(shard)).toBe(false);
    expect(await shard.gauges()).toMatchObject({ pending_verdicts: 0 });
  });

  it("is told with the next batch what is stored", async () => {
    const shard = shardOf("acme/6");
    const first = await shard.apply(request("a", probes(1, 40)));
    if (first.status !== "applied") throw new Error(first.status);
    const acknowledged = first.verdicts.map(acknowledgementOf);
    expect(await shard.gauges()).toMatchObject({ pending_verdicts: 1 });
    await shard.apply({ ...request("b", probes(41, 42)), acknowledged });
    expect(await shard.gauges()).toMatchObject({ pending_verdicts: 0 });
    await evictDurableObject(shard);
    expect(await shard.gauges()).toMatchObject({ pending_verdicts: 0 });
  });

  it("sheds a request that waited too long, and changes nothing", async () => {
    const shard = shardOf("acme/7");
    const late = { ...request("a", probes(1, 9)), sentAtMs: Date.now() - 60_000 };
    expect(await shard.apply(late)).toEqual({ status: "overloaded" });
    expect(await shard.gauges()).toMatchObject({ log_rows: 0, batch_keys: 0 });
    expect(await shard.apply(request("a", probes(1, 9)))).toMatchObject({ status: "applied" });
  });
});
