import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Outcome } from "../../../src/core/flow/flow-batch.ts";
import { ContactSeries } from "../../../src/core/sketches/contact-series.ts";
import { packSmall, smallRequestsMax, unpackSmall } from "../../../src/core/sketches/small-pair.ts";
import { largePairsMax, SourcePairs } from "../../../src/core/sketches/source-pairs.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";
import { contactsOf, traceStartMs, type TraceFlow } from "../../support/trace.ts";

const flows = (maxLength: number) =>
  fc
    .array(fc.tuple(fc.integer({ min: -90_000, max: 80_000_000 }), fc.nat(2 ** 33), fc.nat(65_535), fc.boolean()), {
      maxLength,
    })
    .map((list) =>
      list.map(([atMs, bytes, sourcePort, isLost]): TraceFlow => ({
        source: "10.0.0.1",
        target: "2001:db8:2::1",
        targetPort: 443,
        startMs: dayStartMs + Math.max(0, atMs),
        durationMs: Math.max(0, -atMs),
        sourcePort,
        sourceBytes: bytes,
        ...(isLost ? { outcome: Outcome.Unanswered } : {}),
      })),
    );

const dayMs = 86_400_000;
const dayStartMs = traceStartMs - (traceStartMs % dayMs);

function seriesOf(batches: readonly (readonly TraceFlow[])[]): ContactSeries {
  const series = new ContactSeries();
  for (const batch of batches) {
    const { pairs } = contactsOf(batch, { allowanceMs: 1e9 });
    for (let i = 0; i < pairs.length; i++) series.add(pairs, i, dayStartMs);
  }
  return series;
}

function savedOf(saved: { save(writer: StateWriter): void }): number[] {
  const writer = new StateWriter();
  saved.save(writer);
  return [...writer.bytes()];
}

describe("ContactSeries", () => {
  it("is the same for any order and cut, and through saving", () => {
    fc.assert(
      fc.property(flows(120), fc.nat(120), (list, cut) => {
        const whole = savedOf(seriesOf([list]));
        const reversed = [...list].reverse();
        expect(savedOf(seriesOf([reversed.slice(0, cut), reversed.slice(cut)]))).toEqual(whole);
        expect(savedOf(ContactSeries.load(new StateReader(Uint8Array.from(whole))))).toEqual(whole);
      }),
    );
  });

  it("is small as a few bytes, and comes back from them", () => {
    fc.assert(
      fc.property(flows(smallRequestsMax), (list) => {
        const series = seriesOf([list]);
        const packed = packSmall(series, [0x20010db8, 5]).slice();
        const unpacked = unpackSmall(packed);
        expect(unpacked.high).toEqual([0x20010db8, 5]);
        expect(savedOf(unpacked.series)).toEqual(savedOf(series));
        expect(packed.length).toBeLessThan(96);
      }),
    );
  });

  it("counts as many when several are merged", () => {
    const [one, other] = [0, 1].map((i) => calls(5).map((flow) => ({ ...flow, startMs: flow.startMs + i * 500 })));
    const merged = ContactSeries.merged([seriesOf([one]), seriesOf([other])]);
    expect(savedOf(merged)).toEqual(savedOf(seriesOf([[...one, ...other]])));
  });
});

/** One every minute. */
function calls(count: number, target = "203.0.113.1"): TraceFlow[] {
  return Array.from({ length: count }, (_, i) => ({
    source: "10.0.0.1",
    target,
    targetPort: 443,
    startMs: traceStartMs + i * 60_000,
    sourcePort: 40_000 + i,
  }));
}

describe("SourcePairs", () => {
  function learn(pairs: SourcePairs, list: readonly TraceFlow[]): void {
    const contacts = contactsOf(list, { allowanceMs: 1e9 });
    for (let i = 0; i < contacts.pairs.length; i++) pairs.learn(contacts, i, dayStartMs);
  }

  it("keeps the first three requests of a pair in less than 100 bytes", () => {
    const pairs = new SourcePairs();
    learn(pairs, calls(3));
    expect([pairs.size, pairs.largeSize]).toEqual([1, 0]);
    expect(pairs.bytes).toBeLessThan(100);
    learn(pairs, [{ ...calls(1)[0], startMs: traceStartMs + 500_000 }]);
    expect([pairs.size, pairs.largeSize]).toEqual([1, 1]);
    expect(pairs.bytes).toBeGreaterThan(400);
  });

  it("keeps the pairs that last longest, large ones and small ones apart", () => {
    const pairs = new SourcePairs();
    const target = (i: number) => `198.18.${i >> 8}.${i & 255}`;
    learn(pairs, calls(30, target(0)));
    for (let i = 1; i < 150; i++) learn(pairs, calls(4, target(i)));
    for (let i = 150; i < 600; i++) learn(pairs, calls(1, target(i)));
    expect(pairs.excess).toBe(600 - 128 - 256);
    pairs.trim();
    expect([pairs.excess, pairs.largeSize, pairs.size]).toEqual([0, largePairsMax, 384]);
    expect([...pairs.large()].some(({ series }) => series.requests === 30)).toBe(true);
  });

  it("tells pairs of one hash apart, and finds those that are left when others were dropped", () => {
    const pairs = new SourcePairs();
    const learnAlike = (i: number, count: number) => {
      const contacts = contactsOf(calls(count, `198.18.0.${i}`), { allowanceMs: 1e9 });
      contacts.addressHash.fill(0x12345678);
      for (let c = 0; c < contacts.pairs.length; c++) pairs.learn(contacts, c, dayStartMs);
    };
    for (let i = 0; i < 140; i++) learnAlike(i, 4 + (i % 2));
    expect(pairs.largeSize).toBe(140);
    pairs.trim();
    expect(pairs.largeSize).toBe(largePairsMax);
    const kept = [...pairs.large()];
    for (const { target } of kept) learnAlike(target[3] & 255, 1);
    expect([...pairs.large()]).toEqual(kept);
    expect(kept.reduce((sum, { series }) => sum + series.requests, 0)).toBe(70 * 6 + 58 * 5);
  });
});
