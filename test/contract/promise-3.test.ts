import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Detector, SlotDetector } from "../../src/core/detectors/detector.ts";
import { allDetectors } from "../../src/core/detectors/index.ts";
import type { Contacts } from "../../src/core/flow/contacts.ts";
import { threats, type Finding } from "../../src/core/verdict.ts";
import { Random } from "../support/random.ts";
import {
  contactsOf,
  finalVerdicts,
  sampleTrace,
  verdictsOf,
  type RunOptions,
  type TraceFlow,
} from "../support/trace.ts";

/** Promise 3: final verdicts depend on the records alone. One check per rule, and one broken rule to show that it bites. */
const trace = sampleTrace(1);

/** The trace with some records held back for 20 minutes: they are late wherever their slot moved on meanwhile. */
const traceWithLateRecords = delayed(trace, 20 * 60_000);

function delayed(flows: readonly TraceFlow[], delayMs: number): TraceFlow[] {
  const random = new Random(2);
  const arrival = (flow: TraceFlow) => flow.startMs + (flow.durationMs ?? 100);
  return flows
    .map((flow) => ({ flow, at: arrival(flow) + (random.chance(0.05) ? delayMs : 0) }))
    .sort((a, b) => a.at - b.at)
    .map(({ flow }) => flow);
}

const cuts = [1013, 97];

/** Rule 1: lateness, caps, eviction and sampling are decided per slot. */
function checkPerSlot(broken: RunOptions = {}): void {
  const whole = finalVerdicts(traceWithLateRecords, broken);
  expect(whole.length).toBeGreaterThan(5);
  for (const cut of cuts) expect(finalVerdicts(traceWithLateRecords, { cut, ...broken })).toEqual(whole);
  for (const shards of [2, 7])
    expect(finalVerdicts(traceWithLateRecords, { cut: 500, shards, ...broken })).toEqual(whole);
}

/** Rule 2: the state of open windows is a commutative monoid in canonical form. */
function checkOrderFree(broken: RunOptions = {}): void {
  // Nothing may be late: the allowance covers the whole trace.
  const options = { cut: 150, allowanceMs: 24 * 3_600_000, ...broken };
  const inOrder = finalVerdicts(trace, options);
  expect(inOrder.length).toBeGreaterThan(5);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), (seed) => {
      expect(finalVerdicts(new Random(seed).shuffled(trace), options)).toEqual(inOrder);
    }),
    { numRuns: 5 },
  );
}

/** Rule 3: windows are handed on closed, in order, once. */
function checkClosedOnce(broken: RunOptions = {}): void {
  const seen = new Map<string, number>();
  const lastStart = new Map<string, number>();
  for (const { state, threat, entity, window } of verdictsOf(trace, { cut: 200, ...broken })) {
    if (state === "provisional") continue;
    const key = `${threat} ${entity} ${window.startMs} ${window.endMs}`;
    seen.set(key, (seen.get(key) ?? 0) + 1);
    const series = `${threat} ${entity} ${window.endMs - window.startMs}`;
    expect(window.startMs).toBeGreaterThan(lastStart.get(series) ?? -1);
    lastStart.set(series, window.startMs);
  }
  expect(seen.size).toBeGreaterThan(5);
  expect([...seen.values()].every((times) => times === 1)).toBe(true);
}

/** Rule 4: fold(A ++ B) = fold(A) + fold(B), cut at any place. */
function checkFoldAdds(broken: RunOptions = {}, numRuns = 8): void {
  const whole = finalVerdicts(trace, broken);
  fc.assert(
    fc.property(fc.integer({ min: 500, max: trace.length - 1 }), (cut) => {
      expect(finalVerdicts(trace, { cut, ...broken })).toEqual(whole);
    }),
    { numRuns },
  );
}

/** Rule 5: chance is a keyed hash, never a generator. */
function checkKeyedChance(broken: RunOptions = {}): void {
  expect(finalVerdicts(trace, broken)).toEqual(finalVerdicts(trace, broken));
}

describe("promise 3", () => {
  it("has a trace in which several detectors speak", () => {
    const heard = new Set(finalVerdicts(trace).map((text) => (JSON.parse(text) as Finding).threat));
    expect([...heard]).toEqual(expect.arrayContaining(["port_scan", "ddos", "c2_beacon"]));
  });

  it("has a name for every detector, and a detector for every name", () => {
    expect(allDetectors.map(({ id }) => id).sort()).toEqual([...threats].sort());
  });

  it("survives a loss of memory after every batch", () => {
    expect(finalVerdicts(trace, { cut: 500, evict: true })).toEqual(finalVerdicts(trace));
  });

  it("rule 1: decides lateness per slot", () => checkPerSlot());
  it("rule 1: decides per slot what to forget", () => {
    const tight = { bounds: { stateBytesMax: 4000, stateBytesHardMax: 1e12 } };
    expect(finalVerdicts(traceWithLateRecords, tight)).not.toEqual(finalVerdicts(traceWithLateRecords));
    checkPerSlot(tight);
  });
  it("rule 2: learns in any order", () => checkOrderFree());
  it("rule 3: closes each window once, in order", () => checkClosedOnce());
  it("rule 4: adds folds", () => checkFoldAdds());
  it("rule 5: takes chance from keyed hashes", () => checkKeyedChance());
});

describe("promise 3, broken on purpose", () => {
  it("rule 1: notices lateness decided per batch", () => {
    // The fold no longer tells what was late within its own batch: only what earlier batches had shown counts.
    expect(() => checkPerSlot({ foldOptions: { allowanceMs: 1e12 } })).toThrow("to deeply equal");
  });

  it("rule 2: notices state that depends on the order of arrival", () => {
    expect(() => checkOrderFree({ detectors: allDetectors.map(missesTheEighth) })).toThrow("Property failed");
  });

  it("rule 3: notices a window that closes twice", () => {
    expect(() => checkClosedOnce({ detectors: allDetectors.map(closesTwice) })).toThrow("to be greater than");
  });

  it("rule 4: notices contacts that do not add up", () => {
    // A quarter of the cuts shows it.
    expect(() => checkFoldAdds({ tamper: saturates }, 60)).toThrow("Property failed");
  });

  it("rule 5: notices a generator of chance", () => {
    const random = new Random(3);
    expect(() => checkKeyedChance({ tamper: (contacts) => withChance(contacts, random) })).toThrow("to deeply equal");
  });
});

/** Does some things in its own way, and the rest as the detector does. */
function spoilt(detector: SlotDetector, own: Partial<SlotDetector>): SlotDetector {
  return new Proxy(detector, {
    get(_, name) {
      if (name in own) return Reflect.get(own, name) as unknown;
      const value: unknown = Reflect.get(detector, name);
      return typeof value === "function" ? (value.bind(detector) as unknown) : value;
    },
  });
}

/** Overlooks every eighth contact of a call. */
function missesTheEighth(kind: Detector): Detector {
  return {
    ...kind,
    create(settings, saved) {
      const detector = kind.create(settings, saved);
      return spoilt(detector, {
        learn(contacts) {
          detector.learn({ ...contacts, pairs: contacts.pairs.filter((_, at) => at % 8 !== 7) });
        },
      });
    },
  };
}

/** Hands every closed window on with the next one again. */
function closesTwice(kind: Detector): Detector {
  return {
    ...kind,
    create(settings, saved) {
      const detector = kind.create(settings, saved);
      return spoilt(detector, {
        findings(closedMs) {
          const opinions = detector.findings(closedMs);
          return [...opinions, ...opinions.filter(({ final }) => final)];
        },
      });
    },
  };
}

/** A counter that stops at 300 within one contact. */
function saturates(contacts: Contacts): Contacts {
  const { requests, failed } = contacts.targets;
  const stop = (column: Uint32Array<ArrayBuffer>) => column.map((n) => Math.min(n, 300));
  return { ...contacts, targets: { ...contacts.targets, requests: stop(requests), failed: stop(failed) } };
}

function withChance(contacts: Contacts, random: Random): Contacts {
  return { ...contacts, addressHash: contacts.addressHash.map(() => random.int(0, 2 ** 32 - 1)) };
}

it("folds the same flows into the same contacts", () => {
  expect(contactsOf(trace)).toEqual(contactsOf(trace));
});
