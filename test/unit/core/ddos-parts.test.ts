import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sourcesKept } from "../../../src/core/flow/contacts.ts";
import { BottomK } from "../../../src/core/sketches/bottom-k.ts";
import { cusum } from "../../../src/core/sketches/cusum.ts";
import { Habit } from "../../../src/core/sketches/habit.ts";
import { Inflow, setMax, Traffic } from "../../../src/core/sketches/inflow.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";

const hourMs = 3_600_000;
const startMs = Date.UTC(2026, 0, 5);

function bytesOf(one: { save(writer: StateWriter): void }): Uint8Array {
  const writer = new StateWriter();
  one.save(writer);
  return writer.bytes();
}

describe("Inflow", () => {
  it("sums by minute and kind of traffic, beyond what a word holds", () => {
    const inflow = new Inflow();
    const tcp = inflow.row(29_000_000, Traffic.Tcp);
    const udp = inflow.row(29_000_000, Traffic.Udp);
    inflow.add(tcp, 1, 1, 0, 10, 2 ** 40 + 3);
    inflow.add(udp, 2, 0, 2, 20, 7);
    inflow.add(inflow.row(29_000_000, Traffic.Tcp), 1, 0, 0, 2 ** 32, 2 ** 33 + 2);
    expect([inflow.flowsOf(tcp), inflow.answeredOf(tcp), inflow.packetsOf(tcp)]).toEqual([2, 1, 2 ** 32 - 1]);
    expect(inflow.bytesOf(tcp)).toBe(2 ** 40 + 2 ** 33 + 5);
    expect([inflow.failedOf(udp), inflow.bytesOf(udp)]).toEqual([2, 7]);
    expect([inflow.minuteOf(udp), inflow.trafficOf(udp)]).toEqual([29_000_000, Traffic.Udp]);
  });

  it("estimates distinct members of its sets, up to what fills them", () => {
    const inflow = new Inflow();
    const row = inflow.row(1, Traffic.Tcp);
    expect(inflow.marksOf(row)).toBe(0);
    for (let bit = 0; bit < 32; bit++) inflow.mark(row, bit);
    expect(inflow.marksOf(row)).toBe(44);
    inflow.unite(row, 0, 0xffffffff, 1, 0x80000000);
    expect([inflow.marksOf(row), inflow.othersOf(row)]).toEqual([setMax, 2]);
  });

  it("is restored as it was", () => {
    const addresses = new Uint32Array([0, 0, 0xffff, 5]);
    const flow = fc.record({ minute: fc.nat(90), kind: fc.nat(3), flows: fc.nat(50), bytes: fc.nat({ max: 2 ** 45 }) });
    fc.assert(
      fc.property(fc.array(flow, { maxLength: 40 }), (flows) => {
        const inflow = new Inflow();
        for (const { minute, kind, flows: count, bytes } of flows) {
          const row = inflow.row(minute, kind);
          inflow.add(row, count, 0, count, count, bytes);
          inflow.mark(row, minute & 63);
          inflow.addOther(bytes >>> 0, addresses, 0, 1, 1);
        }
        const restored = Inflow.load(new StateReader(bytesOf(inflow)));
        expect(bytesOf(restored)).toEqual(bytesOf(inflow));
        const known = ({ excess, mostFlows, mostPackets, mostBytes, memoryBytes, isSmall }: Inflow) => {
          return { excess, mostFlows, mostPackets, mostBytes, memoryBytes, isSmall };
        };
        expect(known(restored)).toEqual(known(inflow));
      }),
    );
  });

  it("knows the greatest of all rows, and what is beyond twice the answered", () => {
    const inflow = new Inflow();
    const addTo = (minute: number, ...counts: [number, number, number, number, number]) =>
      inflow.add(inflow.row(minute, Traffic.Tcp), ...counts);
    addTo(1, 10, 0, 0, 19_999, 7);
    addTo(2, 30, 5, 0, 1, 2 ** 40);
    expect(inflow).toMatchObject({ excess: 30, mostFlows: 30, mostPackets: 0, mostBytes: 2 ** 40 });
    addTo(1, 25, 20, 0, 1, 0);
    expect(inflow).toMatchObject({ excess: 20, mostFlows: 35, mostPackets: 20_000, mostBytes: 2 ** 40 });
    expect([inflow.flows, inflow.packets, inflow.bytes]).toEqual([65, 20_001, 2 ** 40 + 7]);
  });

  it("samples others alike, whether it has just seen them or not", () => {
    const addresses = Uint32Array.from({ length: 4 * 40 }, (_, i) => [0, 0, 0xffff, i >> 2][i & 3]);
    const other = fc.record({ index: fc.nat(39), service: fc.nat(2), internal: fc.nat(1) });
    fc.assert(
      fc.property(fc.array(other, { maxLength: 200 }), (others) => {
        const inflow = new Inflow();
        for (const minute of [1, 2]) inflow.row(minute, Traffic.Udp);
        const sample = new BottomK(sourcesKept);
        for (const { index, service, internal } of others) {
          const hash = Math.imul(index, 0x9e3779b1) >>> 0;
          inflow.addOther(hash, addresses, index, service, internal);
          sample.add(hash, addresses, index, service, internal);
        }
        expect(bytesOf(inflow.others)).toEqual(bytesOf(sample));
      }),
    );
  });
});

describe("Habit", () => {
  const least = [10, 1000];
  const learnt = (hours: number, minutes: (hour: number) => { measure: number; value: number }[]) => {
    const habit = new Habit(least);
    for (let hour = 0; hour < hours; hour++) habit.learn(startMs + (hour + 1) * hourMs, minutes(hour));
    return habit;
  };

  it("knows the worst minute of the last four hours, each measure by itself", () => {
    const habit = learnt(6, (hour) => [
      { measure: 0, value: hour === 2 ? 900 : 30 },
      { measure: 1, value: 5000 },
    ]);
    // Of the week, the upper end of its bucket is known.
    expect(habit.usual(0, startMs + 6 * hourMs)).toBe(905);
    expect(habit.usual(1, startMs + 6 * hourMs)).toBeLessThan(5000 * 1.42);
  });

  it("forgets a single peak after four hours, but not what is done every night", () => {
    const once = learnt(30, (hour) => Array.from({ length: 20 }, () => ({ measure: 0, value: hour === 2 ? 900 : 30 })));
    expect(once.usual(0, startMs + 30 * hourMs)).toBeLessThan(50);
    const nightly = new Habit(least);
    for (let day = 0; day < 7; day++) {
      nightly.learn(
        startMs + (24 * day + 3) * hourMs,
        Array.from({ length: 50 }, () => ({ measure: 0, value: 700 })),
      );
    }
    const usual = nightly.usual(0, startMs + 7 * 24 * hourMs + 2 * hourMs);
    expect(usual).toBeGreaterThanOrEqual(700);
    expect(usual).toBeLessThan(700 * 1.42);
  });

  it("takes no account of what is trivial, and has no habit before its fourth hour", () => {
    const habit = learnt(3, () => [{ measure: 0, value: 9 }]);
    expect([habit.isKnown, habit.usual(0, startMs + 3 * hourMs)]).toEqual([false, 0]);
    expect(learnt(4, () => []).isKnown).toBe(true);
  });

  it("stays small, and is restored as it was", () => {
    const habit = learnt(300, (hour) =>
      Array.from({ length: 60 }, (_, i) => ({ measure: i % 2, value: (i + 1) ** 2 * (hour + 1) })),
    );
    expect(habit.bytes).toBeLessThan(2048);
    const restored = Habit.load(least, new StateReader(bytesOf(habit)));
    expect(bytesOf(restored)).toEqual(bytesOf(habit));
    expect([restored.usual(0, startMs), restored.bytes, restored.firstMs]).toEqual([
      habit.usual(0, startMs),
      habit.bytes,
      startMs,
    ]);
  });
});

describe("cusum", () => {
  const points = (values: readonly number[]) => values.map((value, at) => ({ at, value, of: at }));

  it("adds up what exceeds the drift, and says since when", () => {
    expect(cusum(points([0, 12, 12, 12, 0]), 10)).toEqual({ sum: 6, of: 3, length: 3 });
    expect(cusum(points([9, 10, 3]), 10)).toBeUndefined();
  });

  it("falls where there is nothing, and takes points in any order", () => {
    const gap = [
      { at: 9, value: 30, of: "b" },
      { at: 0, value: 60, of: "a" },
    ];
    expect(cusum(gap, 10)).toEqual({ sum: 50, of: "a", length: 1 });
    expect(
      cusum(
        [
          { at: 2, value: 30, of: "b" },
          { at: 0, value: 60, of: "a" },
        ],
        10,
      ),
    ).toEqual({ sum: 60, of: "b", length: 3 });
  });
});
