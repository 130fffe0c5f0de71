import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bucketMs, Refused, type Contacts } from "../../../src/core/flow/contacts.ts";
import { Outcome, Protocol } from "../../../src/core/flow/flow-batch.ts";
import type { FoldOptions } from "../../../src/core/flow/fold.ts";
import { formatEntity } from "../../../src/core/flow/prefixes.ts";
import { wordsAt } from "../../../src/core/flow/address.ts";
import { bitCount } from "../../../src/core/sketches/bit-count.ts";
import { Random } from "../../support/random.ts";
import { contactsOf, traceStartMs, type TraceFlow } from "../../support/trace.ts";

const base = { source: "198.51.100.1", target: "10.0.0.1", targetPort: 443, startMs: traceStartMs, durationMs: 0 };

/** What each prefix received, by protocol and bucket: sums, and bits united. */
function sumsOf(all: readonly Contacts[]): { [key: string]: number[] } {
  const sums: { [key: string]: number[] } = {};
  for (const { prefixes, addresses } of all) {
    for (let i = 0; i < prefixes.length; i++) {
      const key = `${formatEntity(wordsAt(addresses, prefixes.prefix[i]))} ${prefixes.protocol[i]} ${prefixes.bucket[i]}`;
      const sum = (sums[key] ??= Array.from({ length: 10 }, () => 0));
      const added = [prefixes.requests[i], prefixes.answered[i], prefixes.failed[i], prefixes.minuteBytes[i]];
      [...added, prefixes.minutePackets[i]].forEach((value, at) => (sum[at] += value));
      sum[5] = Math.max(sum[5], prefixes.samplingRate[i]);
      const sets = [prefixes.targetsLow[i], prefixes.targetsHigh[i], prefixes.sourcesLow[i], prefixes.sourcesHigh[i]];
      sets.forEach((bits, at) => (sum[6 + at] = (sum[6 + at] | bits) >>> 0));
    }
  }
  return sums;
}

function flowsOf(seed: number): TraceFlow[] {
  const random = new Random(seed);
  const own = () => random.pick([`10.0.0.${random.int(1, 250)}`, `10.0.1.${random.int(1, 9)}`, "2001:db8:1:5::7"]);
  return Array.from({ length: 300 }, (_, i) => {
    const target = random.chance(0.9) ? own() : "203.0.113.1";
    const isV6 = target.includes(":");
    const outsider = isV6 ? `2001:db8:2::${random.int(1, 99)}` : `198.51.100.${random.int(1, 99)}`;
    return {
      source: random.chance(0.9) ? outsider : isV6 ? "2001:db8:1::9" : "10.0.0.9",
      target,
      targetPort: random.int(1, 5),
      protocol: random.pick([Protocol.Tcp, Protocol.Udp]),
      outcome: random.pick([Outcome.Answered, Outcome.Unanswered, Outcome.Unknown]),
      startMs: traceStartMs + i * 200,
      durationMs: random.int(0, 3000),
      sourceBytes: random.int(0, 9000),
      sourcePackets: random.int(1, 9),
      samplingRate: random.pick([1, 1, 10]),
    };
  });
}

describe("contacts of prefixes", () => {
  it("add up what came from outside to all hosts of a prefix, whatever the port", () => {
    const { prefixes, addresses, internal } = contactsOf([
      { ...base },
      { ...base, target: "10.0.0.2", targetPort: 80, sourceBytes: 70, outcome: Outcome.Unanswered },
      { ...base, source: "203.0.113.9", target: "10.0.0.2" },
    ]);
    expect(prefixes.length).toBe(1);
    expect(formatEntity(wordsAt(addresses, prefixes.prefix[0]))).toBe("10.0.0.0/24");
    expect(internal[prefixes.prefix[0]]).toBe(1);
    expect([prefixes.requests[0], prefixes.answered[0], prefixes.failed[0]]).toEqual([3, 2, 1]);
    expect([prefixes.minuteBytes[0], prefixes.minutePackets[0]]).toEqual([1070, 9]);
    const bits = (low: Uint32Array, high: Uint32Array) => bitCount(low[0]) + bitCount(high[0]);
    expect(bits(prefixes.targetsLow, prefixes.targetsHigh)).toBe(2);
    expect(bits(prefixes.sourcesLow, prefixes.sourcesHigh)).toBe(2);
  });

  it("tell protocols, ten seconds and prefixes apart", () => {
    const { prefixes } = contactsOf([
      { ...base },
      { ...base, protocol: Protocol.Udp },
      { ...base, target: "10.0.1.1" },
      { ...base, startMs: traceStartMs + bucketMs },
    ]);
    expect([...prefixes.requests]).toEqual([1, 1, 1, 1]);
  });

  it("are made of what crosses the border inward only", () => {
    const { prefixes } = contactsOf([
      { ...base, source: "10.0.0.9" },
      { ...base, source: "10.0.0.9", target: "203.0.113.1" },
      { ...base, target: "203.0.113.1" },
    ]);
    expect(prefixes.length).toBe(0);
  });

  it("are the same sums under any cut", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 1, max: 120 }), (seed, size) => {
        const flows = flowsOf(seed);
        const parts: Contacts[] = [];
        for (let from = 0; from < flows.length; from += size) parts.push(contactsOf(flows.slice(from, from + size)));
        const whole = sumsOf([contactsOf(flows)]);
        expect(Object.keys(whole).length).toBeGreaterThan(5);
        expect(sumsOf(parts)).toEqual(whole);
      }),
      { numRuns: 10 },
    );
  });

  it("say which period the prefix' own slot had reached", () => {
    const later = { ...base, target: "10.0.0.2", startMs: traceStartMs + 400_000 };
    const { prefixes, pairs } = contactsOf([later, { ...base, source: "203.0.113.5" }]);
    // The neighbour's record moved the prefix on, but neither the source nor the target of the earlier one.
    expect(prefixes.period[1]).toBe(prefixes.period[0]);
    expect(pairs.period[1]).toBeLessThan(pairs.period[0]);
  });

  const stale = { ...base, source: "203.0.113.5", startMs: traceStartMs };
  const recent = { ...base, target: "10.0.0.2", startMs: traceStartMs + 700_000 };

  it("leave out what is late for the prefix' slot alone", () => {
    const { prefixes, pairs, targets } = contactsOf([recent, stale]);
    expect([...pairs.refused]).toEqual([0, Refused.LateForPrefix]);
    expect([...prefixes.requests]).toEqual([1]);
    expect([...targets.requests]).toEqual([1, 1]);
    expect([...contactsOf([stale, recent]).prefixes.requests]).toEqual([1, 1]);
  });

  it("leave out what the prefix' slot knows, and that alone", () => {
    const flows = [stale, { ...stale, targetPort: 80 }];
    const knownBy = (known: number): Partial<FoldOptions> => ({ known: Uint8Array.of(known, 0) });
    const [prefix, target] = [Refused.KnownToPrefix, Refused.KnownToTarget].map((by) => contactsOf(flows, knownBy(by)));
    expect([[...prefix.prefixes.requests], [...prefix.targets.requests]]).toEqual([[1], [1, 1]]);
    expect([[...target.prefixes.requests], [...target.targets.requests]]).toEqual([[2], [1]]);
  });

  it("refuse nothing for a prefix that a record does not concern", () => {
    const outbound = { ...base, source: "10.0.0.1", target: "203.0.113.1" };
    const { pairs } = contactsOf([outbound], { known: Uint8Array.of(Refused.KnownToPrefix) });
    expect([...pairs.refused]).toEqual([0]);
  });
});
