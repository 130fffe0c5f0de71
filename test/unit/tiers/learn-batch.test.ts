import { describe, expect, it } from "vitest";
import { contactsMax } from "../../../src/core/flow/contacts.ts";
import type { ApplyRequest } from "../../../src/core/shard/rpc.ts";
import { learnBatch, type NamedBatch } from "../../../src/tiers/learn-batch.ts";
import { LocalClock, localParts } from "../../../src/tiers/local-parts.ts";
import { judgeBatch } from "../../../src/tiers/process-batch.ts";
import type { ProcessParts } from "../../../src/tiers/store-verdicts.ts";
import { batchOf, sampleTrace, traceStartMs, type TraceFlow } from "../../support/trace.ts";

const trace = sampleTrace(7);
const hex = (digit: string) => digit.repeat(64);

const masterKey = new Uint8Array(32).fill(3);
const options = { tenants: { acme: { internal: ["10.0.0.0/8"] } }, masterKey, allowanceMs: 86_400_000, shards: 4 };
const tenant = localParts(options).tenant("acme");

/** Four shards; `calls` are those that got through, `failing` those that do not answer: before or after they did it. */
function fourShards(failing: { [index: number]: "before" | "after" } = {}) {
  const local = localParts({ ...options, clock: new LocalClock(), log: () => {} });
  const calls: { index: number; request: ApplyRequest }[] = [];
  const parts: ProcessParts = {
    ...local,
    shardOf: (ref) => {
      const shard = local.shardOf(ref);
      return {
        end: (request) => shard.end(request),
        facts: (everything) => shard.facts(everything),
        gauges: () => shard.gauges(),
        async apply(request) {
          if (failing[ref.index] === "before") throw new Error("lost request");
          calls.push({ index: ref.index, request });
          const result = await shard.apply(request);
          if (failing[ref.index] === "after") throw new Error("lost answer");
          return result;
        },
      };
    },
  };
  return { parts, calls, failing };
}

function named(flows: readonly TraceFlow[], more: Partial<NamedBatch> = {}): NamedBatch {
  const body = { key: hex("a"), bodyDigest: hex("b"), receivedAtMs: traceStartMs };
  return { tenant, isNamedByShipper: false, ...body, flows: batchOf(flows), ...more };
}

describe("a batch", () => {
  it("goes to every shard that it concerns, once", async () => {
    const { parts, calls } = fourShards();
    expect(await learnBatch(parts, named(trace))).toMatchObject({ isDuplicate: false, repaired: false, late: 0 });
    expect(calls.map(({ index }) => index).sort()).toEqual([0, 1, 2, 3]);
    expect(await learnBatch(parts, named(trace))).toMatchObject({ isDuplicate: true });
  });

  it.each(["before", "after"] as const)("that was torn is completed by its repeat (%s)", async (when) => {
    const { parts, failing } = fourShards({ 2: when });
    expect(await learnBatch(parts, named(trace))).toEqual({ reason: "shard_unavailable" });
    delete failing[2];
    const counts = { received: 9, accepted: 9, rejected: 0, skipped: 0, duplicate: 0, late: 0, sampled: 0 };
    const again = await judgeBatch(parts, named(trace), counts);
    // Where the answer alone was lost, all of it had been done.
    const expected = { before: { repaired: true, accepted: 9 }, after: { repaired: false, accepted: 0, duplicate: 9 } };
    expect(again).toMatchObject(expected[when]);
  });

  it("under a name that was used for another body changes nothing in any shard", async () => {
    const { parts, calls } = fourShards();
    const own = { isNamedByShipper: true };
    await learnBatch(parts, named(trace.slice(0, 3), own));
    const before = calls.length;
    expect(await learnBatch(parts, named(trace, { ...own, bodyDigest: hex("c") }))).toEqual({ reason: "conflict" });
    expect(calls.length).toBe(before + 1);
    expect(await learnBatch(parts, named(trace.slice(0, 3), own))).toMatchObject({ isDuplicate: true });
  });

  it("of more contacts than one call takes goes in parts, each once", async () => {
    const { parts, calls } = fourShards();
    const flood = Array.from({ length: contactsMax + 500 }, (_, i) => ({
      source: `198.18.${i >> 8}.${i & 255}`,
      target: "10.0.0.80",
      targetPort: 443,
      startMs: traceStartMs,
    }));
    expect(await learnBatch(parts, named(flood))).toMatchObject({ isDuplicate: false, duplicates: 0 });
    expect(new Set(calls.map(({ request }) => request.part))).toEqual(new Set([0, 1]));
    const before = calls.length;
    expect(await learnBatch(parts, named(flood))).toMatchObject({ isDuplicate: true });
    expect(calls.length).toBe(2 * before);
  });

  it("learns only those of its records that its slots do not know from another", async () => {
    const { parts } = fourShards();
    const flows = trace.slice(0, 400).map((flow, i) => ({ ...flow, recordId: i + 1 }));
    await learnBatch(parts, named(flows.slice(0, 300)));
    const more = named([...flows.slice(200), ...flows.slice(390)], { key: hex("d"), bodyDigest: hex("d") });
    expect(await learnBatch(parts, more)).toMatchObject({ isDuplicate: false, duplicates: 110 });
    const cut = named(flows.slice(50, 60), { key: hex("e"), bodyDigest: hex("e") });
    expect(await learnBatch(parts, cut)).toMatchObject({ duplicates: 10 });
  });

  it("tells its shards with the next call what was stored", async () => {
    const { parts, calls } = fourShards();
    const counts = { received: 1, accepted: 1, rejected: 0, skipped: 0, duplicate: 0, late: 0, sampled: 0 };
    const half = trace.length >> 1;
    await judgeBatch(parts, named(trace.slice(0, half)), counts);
    const pending = await Promise.all(
      [0, 1, 2, 3].map((index) => parts.shardOf({ tenant: "acme", jurisdiction: null, index }).gauges()),
    );
    expect(pending.some((one) => one.pending_verdicts > 0)).toBe(true);
    calls.length = 0;
    await judgeBatch(parts, named(trace.slice(half), { key: hex("f"), bodyDigest: hex("f") }), counts);
    expect(calls.flatMap(({ request }) => request.acknowledged).length).toBeGreaterThan(0);
  });
});
