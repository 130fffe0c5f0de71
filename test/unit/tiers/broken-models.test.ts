import { expect, it } from "vitest";
import type { Inference } from "../../../src/inference/inference.ts";
import { endInput } from "../../../src/tiers/end-input.ts";
import { LocalClock, localParts } from "../../../src/tiers/local-parts.ts";
import { judgeBatch } from "../../../src/tiers/process-batch.ts";
import { batchOf, sampleTrace, traceStartMs, type TraceFlow } from "../../support/trace.ts";

const flows = sampleTrace(5);
const recordsPerBatch = 700;

/** Models that say of every host that no benign one is like it. */
const alarmed: Inference = {
  async score(model, candidates) {
    const opinion = { model, version: "0123456789ab", score: 1, p_value: 1e-6, contributions: [] };
    return { ran: true, opinions: candidates.map(() => opinion), instance: "inline" };
  },
};

const broken: Readonly<Record<string, Inference>> = {
  throwing: { score: () => Promise.reject(new Error("broken")) },
  missing: { score: async () => ({ ran: false, reason: "missing" }) },
  "timing out": { score: async () => ({ ran: false, reason: "timed_out" }) },
  alarmed,
};

/** What was stored, in two: what statistics say, and what models say. */
async function storedWith(inference: Inference | undefined) {
  const clock = new LocalClock();
  const local = localParts({
    tenants: { acme: {} },
    masterKey: new Uint8Array(32),
    allowanceMs: 600_000,
    shards: 2,
    clock,
  });
  const parts = { ...local, inference };
  const tenant = parts.tenant("acme");
  clock.set(traceStartMs);
  for (let from = 0; from < flows.length; from += recordsPerBatch) {
    await judge(parts, tenant, flows.slice(from, from + recordsPerBatch), String(from));
  }
  await endInput(parts, tenant);
  const everything = { threats: [], severityMin: "info", sinceMs: 0, untilMs: Infinity } as const;
  const { anomalies } = await parts.anomalies.list(tenant, { ...everything, order: "oldest_first", limit: Infinity });
  const statistics = anomalies
    .filter(({ threat }) => threat !== "anomaly")
    .map(({ models: _models, tiers, storedRevision: _stored, ...said }) => JSON.stringify([said, tiers[0]]))
    .sort();
  return { statistics, models: anomalies.flatMap(({ models }) => models), anomalies };
}

async function judge(
  parts: Parameters<typeof judgeBatch>[0],
  tenant: Parameters<typeof judgeBatch>[1]["tenant"],
  some: TraceFlow[],
  name: string,
): Promise<void> {
  const key = Buffer.from(name.padEnd(32, "0")).toString("hex");
  const counts = {
    received: some.length,
    accepted: some.length,
    rejected: 0,
    skipped: 0,
    duplicate: 0,
    late: 0,
    sampled: 0,
  };
  const named = {
    tenant,
    key,
    isNamedByShipper: false,
    bodyDigest: key,
    flows: batchOf(some),
    receivedAtMs: traceStartMs,
  };
  const answer = await judgeBatch(parts, named, counts);
  if ("reason" in answer) throw new Error(answer.reason);
}

it.each(Object.keys(broken))("statistics say the same, byte for byte, with models %s", async (how) => {
  const without = await storedWith(undefined);
  const beside = await storedWith(broken[how]);
  expect(without.statistics.length).toBeGreaterThan(5);
  expect(without.models).toEqual([]);
  expect(beside.statistics).toEqual(without.statistics);
  expect(beside.models.length > 0).toBe(how === "alarmed");
});
