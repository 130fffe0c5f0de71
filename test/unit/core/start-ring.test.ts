import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bucketMs, startsMax } from "../../../src/core/flow/contacts.ts";
import { StartRing, startsKept } from "../../../src/core/sketches/start-ring.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";
import { contactsOf, traceStartMs, type TraceFlow } from "../../support/trace.ts";

const flowsOf = (minLength: number) =>
  fc.array(fc.tuple(fc.nat(1_500_000), fc.nat(5)), { minLength, maxLength: 250 }).map((list) =>
    list.map(([atMs, bytes]): TraceFlow => ({
      source: "10.0.0.1",
      target: "203.0.113.1",
      targetPort: 443,
      startMs: traceStartMs + atMs,
      durationMs: 0,
      sourceBytes: bytes,
    })),
  );
const flows = flowsOf(1);
/** More than a ring keeps. */
const manyFlows = flowsOf(2 * startsKept);

function ringOf(batches: readonly (readonly TraceFlow[])[]): StartRing {
  const ring = new StartRing();
  for (const batch of batches) {
    const { pairs } = contactsOf(batch, { allowanceMs: 1e9 });
    for (let i = 0; i < pairs.length; i++) ring.add(pairs, i, traceStartMs);
  }
  return ring;
}

/** The definition, word for word: the earliest of each bucket, then the latest whole buckets. */
function naive(list: readonly TraceFlow[]): { atMs: number[]; bytes: number[] } {
  const sorted = [...list].sort((a, b) => a.startMs - b.startMs || a.sourceBytes! - b.sourceBytes!);
  const buckets = Map.groupBy(sorted, ({ startMs }) => Math.floor(startMs / bucketMs));
  const kept: TraceFlow[] = [];
  for (const [, bucket] of [...buckets].sort(([a], [b]) => b - a)) {
    const earliest = bucket.slice(0, startsMax);
    if (kept.length + earliest.length > startsKept) break;
    kept.unshift(...earliest);
  }
  return {
    atMs: kept.map(({ startMs }) => startMs - traceStartMs),
    bytes: kept.map(({ sourceBytes }) => sourceBytes!),
  };
}

describe("StartRing", () => {
  it("keeps the earliest starts of each bucket, of the latest whole buckets", () => {
    fc.assert(
      fc.property(flows, (list) => {
        expect(ringOf([list]).starts()).toEqual(naive(list));
      }),
    );
  });

  it("is the same for any order and cut", () => {
    fc.assert(
      fc.property(fc.oneof(flows, manyFlows), fc.nat(250), (list, cut) => {
        const reversed = [...list].reverse();
        expect(ringOf([reversed.slice(0, cut), reversed.slice(cut)]).starts()).toEqual(naive(list));
      }),
    );
  });

  it("takes nothing more of a bucket that it dropped, though there is room", () => {
    const flow = (bucket: number, more = 0): TraceFlow => {
      const startMs = traceStartMs + bucket * bucketMs + more;
      return { source: "10.0.0.1", target: "203.0.113.1", targetPort: 443, startMs, durationMs: 0, sourceBytes: 7 };
    };
    const later = Array.from({ length: startsKept - 2 }, (_, i) => flow(1 + i));
    const ring = ringOf([[flow(0), flow(0, 1), flow(0, 2), ...later], [flow(0, 3)]]);
    expect(ring.size).toBe(startsKept - 2);
    expect(ring.bins()[0]).toBe(0);
  });

  it("remembers the ten-minute bins of what it dropped, whichever way it came", () => {
    fc.assert(
      fc.property(manyFlows, fc.nat(250), (list, cut) => {
        const bins = [...new Set(list.map(({ startMs }) => Math.floor((startMs - traceStartMs) / 600_000)))];
        const expected = bins.sort((a, b) => a - b);
        expect(ringOf([list]).bins()).toEqual(expected);
        expect(ringOf([list.slice(cut), list.slice(0, cut)]).bins()).toEqual(expected);
      }),
    );
  });

  it("keeps the start of a flow older than its window through saving", () => {
    const long = { source: "10.0.0.1", target: "203.0.113.1", targetPort: 443, startMs: traceStartMs - 90_000 };
    const writer = new StateWriter();
    ringOf([[{ ...long, durationMs: 100_000, sourceBytes: 7 }]]).save(writer);
    expect(StartRing.load(new StateReader(writer.bytes())).starts()).toEqual({ atMs: [-90_000], bytes: [7] });
  });

  it("remembers what it dropped when it is restored", () => {
    fc.assert(
      fc.property(fc.oneof(flows, manyFlows), fc.nat(250), (list, cut) => {
        const writer = new StateWriter();
        ringOf([list.slice(0, cut)]).save(writer);
        const ring = StartRing.load(new StateReader(writer.bytes()));
        const { pairs } = contactsOf(list.slice(cut), { allowanceMs: 1e9 });
        for (let i = 0; i < pairs.length; i++) ring.add(pairs, i, traceStartMs);
        expect(ring.starts()).toEqual(naive(list));
      }),
    );
  });
});
