import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import type { ApplyRequest } from "../../durable-objects/shard-rpc.ts";
import { Outcome } from "../../src/core/flow/flow-batch.ts";
import { contactsOf, traceStartMs, type TraceFlow } from "../support/trace.ts";

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
  batchKey: name,
  bodyDigest: name,
  contacts: contactsOf(flows),
  receivedAtMs: traceStartMs,
});

const shardOf = (name: string) => env.ENTITY_SHARD.get(env.ENTITY_SHARD.idFromName(name));

describe("EntityShard", () => {
  it("goes on from its snapshot after an eviction", async () => {
    const shard = shardOf("acme/0");
    expect(await shard.apply(request("a", probes(1, 9)))).toMatchObject({ status: "applied", verdicts: [] });
    expect(await runDurableObjectAlarm(shard)).toBe(true);
    await evictDurableObject(shard);
    const result = await shard.apply(request("b", probes(9, 17)));
    expect(result).toMatchObject({
      status: "applied",
      verdicts: [{ threat: "port_scan", entity: "198.51.100.7", state: "provisional" }],
    });
    expect((await shard.end()).verdicts).toMatchObject([
      { state: "final", evidence: { ports_failed_on_one_target: 16 } },
    ]);
  });

  it("remembers batches after an eviction", async () => {
    const shard = shardOf("acme/1");
    await shard.apply(request("a", probes(1, 9)));
    await runDurableObjectAlarm(shard);
    await evictDurableObject(shard);
    expect(await shard.apply(request("a", probes(1, 9)))).toEqual({ status: "duplicate" });
    expect(await shard.apply({ ...request("a", probes(1, 9)), bodyDigest: "other" })).toEqual({ status: "conflict" });
  });

  it("starts anew where the snapshot was tampered with", async () => {
    const shard = shardOf("acme/3");
    await shard.apply(request("a", probes(1, 9)));
    await runDurableObjectAlarm(shard);
    await runInDurableObject(shard, (_, { storage }) => void storage.sql.exec("UPDATE snapshot SET sealed = x'01'"));
    await evictDurableObject(shard);
    expect(await shard.apply(request("a", probes(1, 9)))).toMatchObject({ status: "applied", verdicts: [] });
  });

  it("writes nothing readable", async () => {
    const shard = shardOf("acme/2");
    await shard.apply(request("a", probes(1, 40)));
    await runDurableObjectAlarm(shard);
    const stored = await runInDurableObject(shard, (_, { storage }) =>
      [...storage.sql.exec<{ sealed: ArrayBuffer }>("SELECT sealed FROM snapshot")].map(
        ({ sealed }) => new Uint8Array(sealed),
      ),
    );
    expect(stored.length).toBe(1);
    const text = new TextDecoder("latin1").decode(stored[0]);
    // The source in the snapshot's own form, and as text in what was published.
    expect(text).not.toContain(String.fromCharCode(7, 100, 51, 198));
    expect(text).not.toContain("198.51.100.7".split("").join("\0"));
  });
});
