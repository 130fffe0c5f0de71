import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hashService } from "../../../src/core/flow/keyed-hash.ts";
import { AnsweredCounts } from "../../../src/core/sketches/answered-counts.ts";
import { Attempt, AttemptLog } from "../../../src/core/sketches/attempt-log.ts";
import { RecentKeys } from "../../../src/core/sketches/recent-keys.ts";
import { SampleKind, StratifiedSample } from "../../../src/core/sketches/stratified-sample.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";

/** Of 256 addresses, the last eight are IPv6. */
const addresses = Uint32Array.from({ length: 4 * 256 }, (_, i) =>
  i % 4 === 2 && i < 4 * 248 ? 0xffff : i % 4 < 2 && i < 4 * 248 ? 0 : i,
);
const hashOf = (element: number) => Math.imul(element + 1, 0x9e3779b1) >>> 0;

/** Additions as (element, flags). */
type Additions = readonly (readonly [number, number])[];
const additions = (elements: number) =>
  fc.array(fc.tuple(fc.nat(elements), fc.integer({ min: 1, max: 7 })), { maxLength: 400 });

const kind = new SampleKind(8, [
  { flag: 2, k: 8 },
  { flag: 4, k: 3 },
]);

function sampleOf(list: Additions): StratifiedSample {
  const sample = new StratifiedSample(kind);
  for (const [element, flags] of list) sample.add(hashOf(element), addresses, element, element, flags);
  return sample;
}

/** By the definition: the head with all flags; beyond, of each stratum those that are among its lowest. */
function expected(list: Additions): [number, number][] {
  const flagsOf = new Map<number, number>();
  for (const [element, flags] of list) flagsOf.set(element, (flagsOf.get(element) ?? 0) | flags);
  const sorted = [...flagsOf].sort(([a], [b]) => hashOf(a) - hashOf(b));
  const lowest = kind.strata.map(({ flag, k }) => sorted.filter(([, flags]) => flags & flag).slice(0, k));
  return sorted.flatMap(([element, flags], i): [number, number][] => {
    if (i < kind.k) return [[element, flags]];
    const kept = kind.strata.reduce((all, { flag }, s) => {
      return lowest[s].some(([other]) => other === element) ? all | flag : all;
    }, 0);
    return kept === 0 ? [] : [[element, kept]];
  });
}

function contents(sample: StratifiedSample): [number, number][] {
  return Array.from({ length: sample.size }, (_, i) => {
    expect(sample.hash(i)).toBe(hashOf(sample.label(i)));
    expect(sample.address(i)).toEqual([...addresses.subarray(4 * sample.label(i), 4 * sample.label(i) + 4)]);
    return [sample.label(i), sample.flags(i)];
  });
}

function bytesOf(one: { save(writer: StateWriter): void }): number[] {
  const writer = new StateWriter();
  one.save(writer);
  return [...writer.bytes()];
}

describe("StratifiedSample", () => {
  it("keeps what it says, of all and of each stratum", () => {
    fc.assert(
      fc.property(additions(247), (list) => {
        expect(contents(sampleOf(list))).toEqual(expected(list));
      }),
    );
  });

  it("is the same in any order, and after saving at any moment", () => {
    fc.assert(
      fc.property(additions(255), fc.nat(400), (list, cut) => {
        const [before, after] = [list.slice(0, cut), list.slice(cut)];
        const writer = new StateWriter();
        sampleOf(before).save(writer);
        const loaded = new StratifiedSample(kind).load(new StateReader(writer.bytes()));
        for (const [element, flags] of after) loaded.add(hashOf(element), addresses, element, element, flags);
        expect(bytesOf(loaded)).toEqual(bytesOf(sampleOf(list.toReversed())));
        expect(loaded.memoryBytes).toBe(sampleOf(list).memoryBytes);
      }),
    );
  });

  it("is news to a shorter span whenever it is to a longer one", () => {
    fc.assert(
      fc.property(additions(255), additions(255), (past, list) => {
        const [long, short] = [sampleOf(past), sampleOf([])];
        for (const [element, flags] of list) {
          const isNews = short.add(hashOf(element), addresses, element, element, flags);
          if (isNews) long.add(hashOf(element), addresses, element, element, flags);
        }
        expect(bytesOf(long)).toEqual(bytesOf(sampleOf([...past, ...list])));
      }),
    );
  });

  it("merges into the sample of both", () => {
    fc.assert(
      fc.property(additions(255), additions(255), (one, other) => {
        const merged = sampleOf(one);
        merged.merge(sampleOf(other));
        expect(bytesOf(merged)).toEqual(bytesOf(sampleOf([...one, ...other])));
      }),
    );
  });

  it("counts exactly while it can, and about right beyond", () => {
    const few = sampleOf([...Array(7).keys()].map((element) => [element, 2]));
    expect([few.count(), few.countOf(0), few.countOf(1)]).toEqual([7, 7, 0]);
    const kindOfMany = new SampleKind(64, [{ flag: 2, k: 64 }]);
    const many = new StratifiedSample(kindOfMany);
    for (let i = 0; i < 200; i++) many.add(hashOf(i), addresses, i, i, i % 10 === 0 ? 2 : 1);
    expect(many.countOf(0)).toBe(20);
    expect(Math.abs(many.count() - 200)).toBeLessThan(60);
  });
});

describe("AttemptLog", () => {
  function logOf(list: Additions): AttemptLog {
    const log = new AttemptLog();
    for (const [element, flags] of list) log.add(hashOf(element), addresses, element, element, flags);
    return log;
  }

  it("is the same in any order, after saving, and as the union of its parts", () => {
    fc.assert(
      fc.property(additions(255), fc.nat(400), (list, cut) => {
        const whole = bytesOf(logOf(list));
        expect(bytesOf(logOf(list.toReversed()))).toEqual(whole);
        expect(bytesOf(AttemptLog.union(logOf(list.slice(0, cut)), logOf(list.slice(cut))))).toEqual(whole);
        expect(bytesOf(AttemptLog.load(new StateReader(Uint8Array.from(whole))))).toEqual(whole);
      }),
    );
  });

  it("is news to a shorter span whenever it is to a longer one", () => {
    fc.assert(
      fc.property(additions(255), additions(255), (past, list) => {
        const [long, short] = [logOf([...past, ...list]), logOf([])];
        const full = bytesOf(long);
        const rest = logOf(past);
        for (const [element, flags] of list) {
          const isNews = short.add(hashOf(element), addresses, element, element, flags);
          if (isNews) rest.add(hashOf(element), addresses, element, element, flags);
        }
        expect(bytesOf(rest)).toEqual(full);
      }),
    );
  });

  it("knows how many were answered on a service, among thousands", () => {
    const log = new AttemptLog();
    const word = new Uint32Array([0, 0, 0xffff, 0]);
    for (let i = 0; i < 5000; i++) {
      word[3] = i;
      const isScan = i % 50 === 0;
      const flags = Attempt.Sent | (isScan ? Attempt.Failed : Attempt.Answered);
      log.add(hashOf(i), word, 0, isScan ? 445 : 443, flags);
    }
    expect(log.failed).toBeGreaterThan(75);
    expect(log.failed).toBeLessThan(130);
    expect(log.answeredOfService(445)).toBe(0);
    expect(log.answeredOfService(443)).toBe(Number.POSITIVE_INFINITY);
  });
});

it("counts answers by service and by target, about right", () => {
  const counts = new AnsweredCounts();
  for (let i = 0; i < 50; i++) counts.add(hashService(i, 22, 6), 22, 7);
  expect(Math.abs(counts.ofService(22) - 50)).toBeLessThan(20);
  expect(Math.abs(counts.ofTarget(7) - 50)).toBeLessThan(20);
  expect([counts.ofService(23), counts.ofTarget(8)]).toEqual([0, 0]);
});

it("knows what was learnt a moment ago, until it is cleared", () => {
  const recent = new RecentKeys();
  expect([recent.has(7, 9), recent.has(7, 9), recent.has(9, 7), recent.has(7, 9)]).toEqual([false, true, false, false]);
  recent.has(5, 6);
  recent.clear();
  expect(recent.has(5, 6)).toBe(false);
});
