import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { thresholdsOf } from "../../src/core/detectors/configuration.ts";
import type { Detector, Evicted, Opinion, SlotDetector } from "../../src/core/detectors/detector.ts";
import { explained } from "../../src/core/detectors/explain.ts";
import { isAlarm } from "../../src/core/detectors/forgetting.ts";
import { anomaly } from "../../src/core/detectors/anomaly.ts";
import { allDetectors, detectors } from "../../src/core/detectors/index.ts";
import { apiName, presets, settingsOf, type Preset, type Thresholds } from "../../src/core/detectors/thresholds.ts";
import { StateReader, StateWriter } from "../../src/core/slots/state-bytes.ts";
import { peersMax, severities, type Finding } from "../../src/core/verdict.ts";
import { inventedBy, traceOf } from "../support/detector-traces.ts";
import { Random } from "../support/random.ts";
import {
  contactsOf,
  endOf,
  finalVerdicts,
  slotOfDetector,
  traceStartMs,
  verdictsOf,
  wholeSlot,
  type TraceFlow,
} from "../support/trace.ts";

/** Settings by name, as a tenant sets them. */
type Settings = Readonly<Record<string, number>>;

/** A detector as if the scoreboard vouched for it: its severities come through as it says them. */
function vouchedFor(detector: Detector): Detector {
  const { isExperimental: _isExperimental, ...vouched } = detector;
  return vouched;
}

/** Computes at the first call, and once: a detector that throws fails its own tests, not the file. */
function lazily<T>(compute: () => T): () => T {
  let known: { value: T } | undefined;
  return () => (known ??= { value: compute() }).value;
}

/** What every detector owes to its kind. */
function detectorContract(detector: Detector): void {
  const trace = lazily(() => traceOf(detector.id, 4));
  const alone = { detectors: [vouchedFor(detector)], cut: 1000 };
  const said = lazily(() => verdictsOf(trace(), alone));
  const finals = lazily(() => finalVerdicts(trace(), alone));

  it("finds something in its trace that an analyst should look at", () => {
    expect(finals().map(parsed).filter(isAlarm).length).toBeGreaterThan(0);
  });

  it("wakes somebody, unless it is experimental", () => {
    const asItIs = verdictsOf(trace(), { ...alone, detectors: [detector] });
    expect(asItIs.length).toBeGreaterThan(0);
    expect(asItIs.some(isAlarm)).toBe(!detector.isExperimental);
  });

  it("is silent on nothing", () => {
    const slot = slotOfDetector(detector);
    slot.learn(wholeSlot(contactsOf([])));
    expect(slot.findings(0)).toEqual([]);
    expect(slot.findings(Number.POSITIVE_INFINITY)).toEqual([]);
  });

  it("gives scores, confidence and evidence that an analyst can read", () => {
    for (const verdict of said()) {
      expect(verdict.threat).toBe(detector.id);
      expect(verdict.score).toBeGreaterThanOrEqual(0);
      expect(verdict.score).toBeLessThanOrEqual(1);
      expect(verdict.confidence).toBeGreaterThan(0);
      expect(verdict.confidence).toBeLessThanOrEqual(1);
      expect(verdict.summary.length).toBeGreaterThan(20);
      expect(verdict.summary).not.toMatch(/undefined|NaN|Infinity/);
      expect(Object.keys(verdict.evidence).length).toBeGreaterThan(2);
      expect(Object.keys(verdict.evidence).join()).toMatch(/^[a-z0-9_,]+$/);
      expect(verdict.techniques[0]).toMatch(/^T\d{4}(\.\d{3})?$/);
      expect(verdict.peers.length).toBeGreaterThan(0);
      expect(verdict.peers.length).toBeLessThanOrEqual(Math.min(peersMax, verdict.peerCount));
    }
  });

  it("leaves its input as it was", () => {
    const contacts = contactsOf(trace());
    const before = structuredClone(contacts);
    const slot = slotOfDetector(detector);
    slot.learn(wholeSlot(contacts));
    slot.findings(0);
    expect(contacts).toEqual(before);
  });

  it("learns only in learn: looking twice changes nothing", () => {
    const slot = slotOfDetector(detector);
    slot.learn(wholeSlot(contactsOf(trace())));
    slot.findings(0);
    expect(slot.findings(0)).toEqual([]);
  });

  it("survives eviction after every batch", () => {
    expect(finalVerdicts(trace(), { ...alone, evict: true })).toEqual(finals());
    expect(finalVerdicts(jumbled(trace(), 1), { ...alone, evict: true })).toEqual(finals());
  });

  it("says the same, whichever way its records come within the allowance", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 1e6 }), fc.integer({ min: 200, max: 2000 }), (seed, cut) => {
        expect(finalVerdicts(jumbled(trace(), seed), { ...alone, cut })).toEqual(finals());
      }),
      // A failure is not made smaller: that would take a minute.
      { numRuns: 3, endOnFailure: true },
    );
  });

  it("sees IPv6 as it sees IPv4", () => {
    const mapped = trace().map((flow) => ({ ...flow, source: asV6(flow.source), target: asV6(flow.target) }));
    const isInternal = (a: number, b: number) => a === 0x20010db8 && b >>> 16 === 1;
    const options = { ...alone, foldOptions: { isInternal } };
    const severitiesOf = (texts: string[]) => texts.map((text) => parsed(text).severity).sort();
    expect(severitiesOf(finalVerdicts(mapped, options))).toEqual(severitiesOf(finals()));
  });

  it("is no surer of a sample than of everything", () => {
    const plain = new Map(finalsOf(detector, trace()).map(({ finding }) => [kindOf(finding), finding.confidence]));
    const sampled = finalsOf(
      detector,
      trace().map((flow) => ({ ...flow, samplingRate: 100 })),
    );
    const both = sampled
      .map(({ finding }) => ({ whole: plain.get(kindOf(finding)), sample: finding.confidence, name: kindOf(finding) }))
      .filter(({ whole }) => whole !== undefined);
    expect(both.length).toBeGreaterThan(0);
    expect(both.filter(({ whole, sample }) => sample > whole!)).toEqual([]);
    expect(!hasVolumeThresholds(detector) || both.some(({ whole, sample }) => sample < whole!)).toBe(true);
  });
}

/** What is said of thresholds. */
function thresholdRanges(detector: Detector): void {
  const thresholds: Thresholds<Settings> = thresholdsOf(detector);

  it("says of each threshold what it counts, its range, and what raising it costs", () => {
    expect(Object.keys(thresholds).length).toBeGreaterThan(0);
    for (const [name, threshold] of Object.entries(thresholds)) {
      const {
        unit,
        min,
        max,
        raising,
        cost,
        isWhole,
        quiet = threshold.default,
        sensitive = threshold.default,
      } = threshold;
      expect(unit, name).toMatch(/^\S.*$/);
      expect(cost, name).toMatch(/^[A-Z].+\.$/);
      const values = [quiet, threshold.default, sensitive];
      for (const value of values) expect(value >= min && value <= max, `${name}: ${value}`).toBe(true);
      const ascending = raising === "quieter" ? values.toReversed() : values;
      expect(
        values.toSorted((a, b) => a - b),
        name,
      ).toEqual(ascending);
      expect(!isWhole || [...values, min, max].every(Number.isInteger), name).toBe(true);
    }
  });
}

/** What every detector owes to those who set its thresholds. */
function thresholdContract(detector: Detector): void {
  const thresholds: Thresholds<Settings> = thresholdsOf(detector);
  const balanced = settingsOf(thresholds);
  const trace = lazily(() => traceOf(detector.id, 4));
  const alarms = lazily(() => alarmsBy(detector, trace(), balanced));
  const decided = lazily(() => [
    ...new Set(alarms().flatMap(({ finding }) => (finding.observed ?? []).map(({ threshold }) => threshold))),
  ]);
  /** The same finding may still be made, but nobody is to act on it. */
  const isQuiet = (finding: Finding | undefined) => finding === undefined || !isAlarm(finding);

  thresholdRanges(detector);

  it("finds no more by the quiet preset, and no less by the sensitive one", () => {
    const count = (settings: Settings) => alarmsBy(detector, trace(), settings).length;
    const [quiet, middle, sensitive] = presets.map((preset) => count(settingsOf(thresholds, preset)));
    expect(quiet).toBeLessThanOrEqual(middle);
    expect(sensitive).toBeGreaterThanOrEqual(middle);
    for (const name of decided()) {
      const by = (preset: Preset) => ({
        ...balanced,
        [name]: settingsOf(thresholds, preset)[name],
      });
      expect(count(by("quiet")), `${name}, quiet`).toBeLessThanOrEqual(middle);
      expect(count(by("sensitive")), `${name}, sensitive`).toBeGreaterThanOrEqual(middle);
    }
  });

  it("lists what it held against its thresholds, where anyone is to act", () => {
    expect(alarms().length).toBeGreaterThan(0);
    for (const { finding } of alarms()) {
      expect(finding.observed?.length, nameOf(finding)).toBeGreaterThan(0);
      for (const { threshold: name, value } of finding.observed!) {
        expect(Object.keys(thresholds)).toContain(name);
        expect(Number.isFinite(value), name).toBe(true);
        const reaches = thresholds[name].raising === "quieter" ? value >= balanced[name] : value <= balanced[name];
        expect(reaches, `${name} is ${balanced[name]}, observed ${value}`).toBe(true);
      }
    }
  });

  it("is quiet with a threshold where it says it would be", () => {
    const quietAt = alarms().flatMap((opinion) =>
      counterfactuals(detector, opinion, balanced).map((one) => ({ ...one, opinion })),
    );
    expect(quietAt.length).toBeGreaterThan(0);
    for (const { name, value, opinion } of quietAt) {
      const settings = { ...balanced, [name]: value };
      expect(isQuiet(opinion.judge!(settings)), `${name} at ${value}`).toBe(true);
    }
    // And so it is with that threshold in force from the beginning: of each one, the first that it is told of.
    for (const { name, value, opinion } of new Map(quietAt.map((one) => [one.name, one])).values()) {
      const names = alarmsBy(detector, trace(), { ...balanced, [name]: value }).map(({ finding }) => nameOf(finding));
      expect(names, `${name} at ${value}`).not.toContain(nameOf(opinion.finding));
    }
  });

  it("judges by other settings as soon as they are in force", () => {
    for (const preset of presets) {
      const settings = settingsOf(thresholds, preset);
      const [told, made] = [slotOfDetector(detector), detector.create(settings)];
      for (const slot of [told, made]) learn(slot, trace());
      told.findings(0);
      told.configure(settings);
      expect(finalOf(told)).toEqual(finalOf(made));
    }
  });
}

/** Of a finding, which thresholds alone would keep it below medium, and at what. */
function counterfactuals(detector: Detector, { finding, judge }: Opinion, settings: Settings) {
  const thresholds: Thresholds<Settings> = thresholdsOf(detector);
  const { evidence } = explained(finding, settings, thresholds, judge);
  const held = evidence["thresholds"] as { threshold: string; quiet_at: number | null }[];
  const nameBy = new Map(Object.keys(detector.thresholds).map((name) => [apiName(name), name]));
  return held.flatMap(({ threshold, quiet_at }) =>
    quiet_at === null ? [] : [{ name: nameBy.get(threshold)!, value: quiet_at }],
  );
}

function alarmsBy(detector: Detector, flows: readonly TraceFlow[], settings: Settings): Opinion[] {
  return finalsOf(detector, flows, settings).filter(({ finding }) => isAlarm(finding));
}

/** All final opinions of a slot that learns the flows. */
function finalsOf(detector: Detector, flows: readonly TraceFlow[], settings?: Settings): Opinion[] {
  const slot = settings ? detector.create(settings) : slotOfDetector(detector);
  learn(slot, flows);
  return slot.findings(Infinity).filter(({ final }) => final);
}

function hasVolumeThresholds(detector: Detector): boolean {
  return Object.values(thresholdsOf(detector)).some(({ unit }) => /bytes|packets/.test(unit));
}

/** As they may come: each up to just below the allowance after its end. */
function jumbled(flows: readonly TraceFlow[], seed: number): TraceFlow[] {
  const random = new Random(seed);
  return flows
    .map((flow) => ({ flow, atMs: endOf(flow) + 590_000 * random.next() }))
    .sort((a, b) => a.atMs - b.atMs)
    .map(({ flow }) => flow);
}

/** What every member of a slot owes to the memory that it shares. */
function boundsContract(detector: Detector): void {
  const crowded = lazily(() => crowdedTrace(detector));
  const roomy = lazily(() => settled(detector, { flows: crowded() }));
  const bytesMax = lazily(() => Math.round(Math.max(...roomy().log.map(({ bytes }) => bytes)) / 4));

  it("counts what it holds as if it were counted anew", () => {
    for (const bounds of [{}, { bytesMax: bytesMax() }]) {
      const counts: number[][] = [];
      const countsAnew: number[][] = [];
      settled(detector, {
        flows: crowded(),
        ...bounds,
        each(slot) {
          const anew = restored(detector, slot);
          counts.push([slot.bytes, slot.entities]);
          countsAnew.push([anew.bytes, anew.entities]);
        },
      });
      expect(counts.length).toBeGreaterThan(0);
      expect(counts).toEqual(countsAnew);
    }
  });

  it("settles alike, however its contacts were cut and whenever it was restored", () => {
    const whole = settled(detector, { flows: crowded(), bytesMax: bytesMax() });
    expect(whole.log.some(({ evicted }) => evicted.entities > 0)).toBe(true);
    for (const options of [{ pieces: 5 }, { pieces: 12, isReversed: true }, { isRestored: true }]) {
      const other = settled(detector, { flows: crowded(), bytesMax: bytesMax(), ...options });
      expect(other.log).toEqual(whole.log);
      expect(saidBy(other, detector)).toEqual(saidBy(whole, detector));
    }
  });
}

/** And what those owe that raise alarms. */
function memoryContract(detector: Detector): void {
  const trace = lazily(() => flowsInAlarm(detector));
  const crowded = lazily(() => crowdedTrace(detector));
  const roomy = lazily(() => settled(detector, { flows: crowded() }));
  const bytesMax = lazily(() => Math.round(Math.max(...roomy().log.map(({ bytes }) => bytes)) / 4));

  it("settles within its bound, and forgets none in alarm", () => {
    const tight = Math.round(bytesMax() / 8);
    let evictions = 0;
    settled(detector, {
      flows: crowded(),
      bytesMax: tight,
      each(slot) {
        const { entities: entitiesBefore } = slot;
        const alarms = alarmsOf(restored(detector, slot));
        const { entities, alarmed } = slot.settle(tight, Infinity);
        evictions += entities;
        expect(alarmed).toEqual([]);
        expect(alarmsOf(restored(detector, slot))).toEqual(alarms);
        // Parts of a state are counted as well.
        expect(slot.entities).toBeGreaterThanOrEqual(entitiesBefore - entities);
        // An entity in alarm has a state or two more than that of the alarm.
        expect(slot.bytes <= tight || slot.entities <= 3 * alarms.length).toBe(true);
      },
    });
    expect(evictions).toBeGreaterThan(100);
  });

  it("forgets alarms only beyond the hard bound, and says which", () => {
    const { slot } = settled(detector, { flows: trace() });
    const alarms = alarmsOf(restored(detector, slot));
    expect(alarms.length).toBeGreaterThan(0);
    expect(slot.settle(0, Infinity).alarmed).toEqual([]);
    expect(alarmsOf(restored(detector, slot))).toEqual(alarms);
    expect(slot.entities).toBeLessThanOrEqual(3 * alarms.length);
    const { bytes } = slot;
    const { entities, alarmed } = slot.settle(0, bytes - 1);
    expect(entities).toBeGreaterThan(0);
    expect(alarmed.length).toBeGreaterThan(0);
    expect(slot.bytes).toBeLessThan(bytes);
    const rest = slot.settle(0, 0);
    expect([slot.bytes, slot.entities]).toEqual([0, 0]);
    const names = [...alarmed, ...rest.alarmed].map(nameOf);
    expect(names).toEqual(expect.arrayContaining(alarms.map(nameOf)));
    expect(slot.findings(Infinity)).toEqual([]);
  });

  it("takes at most 4 KiB for what is in alarm", () => {
    const { slot } = settled(detector, { flows: trace() });
    slot.settle(0, Infinity);
    expect(slot.bytes / alarmsOf(restored(detector, slot)).length).toBeLessThan(alarmBytesMax(detector));
  });

  it("finds the same, packed or not", () => {
    const never = settled(detector, { flows: crowded(), bytesMax: undefined });
    expect(saidBy(roomy(), detector)).toEqual(saidBy(never, detector));
    expect(saidBy(settled(detector, { flows: crowded(), isRestored: true }), detector)).toEqual(
      saidBy(never, detector),
    );
  });

  it("keeps what it found when thousands of invented sources show up", () => {
    const { slot } = settled(detector, { flows: trace() });
    const { bytes } = slot;
    const found = finalOf(restored(detector, slot));
    const minute = (endOf(trace().at(-1)!) - traceStartMs) / 60_000;
    const sources = Array.from({ length: 12_000 }, (_, i) => `10.200.${i >> 8}.${i & 255}`);
    learn(
      slot,
      sources.flatMap((source) => inventedBy(detector.id, source, minute)),
    );
    expect(slot.bytes).toBeGreaterThan(1.4 * bytes);
    const { entities } = slot.settle(1.4 * bytes, Infinity);
    expect(entities).toBeGreaterThan(1000);
    expect(slot.bytes).toBeLessThan(1.4 * bytes);
    expect(finalOf(slot)).toEqual(found);
  });
}

/** Of an entity in alarm, its memory included. A beacon's source has other pairs, which its day keeps with it. */
function alarmBytesMax({ id }: Detector): number {
  return id === "c2_beacon" ? 8192 : 4096;
}

/** The trace, and hundreds of hosts that did one thing; some of them come back later. */
function crowdedTrace({ id }: Detector): TraceFlow[] {
  const crowd = Array.from({ length: 900 }, (_, i) => {
    const source = i % 5 === 0 ? `2001:db8:1:9::${i.toString(16)}` : `10.9.${i >> 8}.${i & 255}`;
    const once = inventedBy(id, source, 15 + i / 30);
    const again = once.map((flow) => ({
      ...flow,
      startMs: flow.startMs + 20 * 60_000,
      targetPort: flow.targetPort + 7637,
    }));
    return i % 3 === 0 ? [...once, ...again] : once;
  }).flat();
  return [...traceOf(id, 4), ...crowd].sort((a, b) => endOf(a) - endOf(b));
}

/** The trace up to where most of what is open is in alarm. */
function flowsInAlarm(detector: Detector): TraceFlow[] {
  const flows = traceOf(detector.id, 4);
  let most = { alarms: 0, seen: 0 };
  settled(detector, {
    flows,
    each(slot, seen) {
      const alarms = alarmsOf(restored(detector, slot)).length;
      if (alarms >= most.alarms) most = { alarms, seen };
    },
  });
  return flows.slice(0, most.seen);
}

interface SettleOptions {
  /** What to learn, by order of end. */
  flows: readonly TraceFlow[];
  /** Undefined: never settles. */
  bytesMax?: number | undefined;
  /** Batches between two settlements, and whether they come last first. */
  pieces?: number;
  isReversed?: boolean;
  /** Whether the slot is saved and restored before and after it settles. */
  isRestored?: boolean;
  /** Looks at the slot before it settles, so many flows being learnt. */
  each?: (slot: SlotDetector, seen: number) => void;
}

interface Settled {
  slot: SlotDetector;
  /** What became final on the way. */
  said: string[];
  log: { bytes: number; entities: number; evicted: Evicted }[];
}

/** A slot settles every five minutes. */
const settleEveryMs = 180_000;

/** Windows close so much behind event time: no trace of two hours sees any close. */
const closesAfterMs = 2 * 3_600_000;

/** A slot that learns a trace, and closes and settles now and then. */
function settled(detector: Detector, options: SettleOptions): Settled {
  const { flows: all, pieces = 1, isReversed = false, isRestored = false, each } = options;
  const bytesMax = "bytesMax" in options ? options.bytesMax : Infinity;
  const spans = Map.groupBy(all, (flow) => Math.floor(endOf(flow) / settleEveryMs));
  let slot = slotOfDetector(detector);
  const said: string[] = [];
  const log: Settled["log"] = [];
  let seen = 0;
  for (const [span, flows] of spans) {
    said.push(...finalOf(slot, span * settleEveryMs - closesAfterMs));
    const batches = Array.from({ length: pieces }, (_, piece) => flows.filter((_flow, i) => i % pieces === piece));
    for (const batch of isReversed ? batches.reverse() : batches) {
      learn(slot, batch);
      slot.findings(0);
      if (isRestored) slot = restored(detector, slot);
    }
    seen += flows.length;
    each?.(slot, seen);
    if (bytesMax === undefined) continue;
    const evicted = slot.settle(bytesMax, Infinity);
    log.push({ bytes: slot.bytes, entities: slot.entities, evicted });
    if (isRestored) slot = restored(detector, slot);
  }
  return { slot, said, log };
}

function learn(slot: SlotDetector, flows: readonly TraceFlow[]): void {
  slot.learn(wholeSlot(contactsOf(flows)));
}

function restored(detector: Detector, slot: SlotDetector): SlotDetector {
  const writer = new StateWriter();
  slot.save(writer);
  return slotOfDetector(detector, new StateReader(writer.bytes()));
}

/** Closes what ended by then: everything, unless told. */
function finalOf(slot: SlotDetector, closedMs = Infinity): string[] {
  return slot
    .findings(closedMs)
    .filter(({ final }) => final)
    .map(({ finding }) => JSON.stringify(finding))
    .sort();
}

/** Everything that became final, or would if the input ended. */
function saidBy({ slot, said }: Settled, detector: Detector): string[] {
  return [...said, ...finalOf(restored(detector, slot))].sort();
}

function alarmsOf(slot: SlotDetector): Finding[] {
  return finalOf(slot).map(parsed).filter(isAlarm);
}

function parsed(text: string): Finding {
  return JSON.parse(text) as Finding;
}

function nameOf({ entity, window }: Finding): string {
  return JSON.stringify({ entity, windowStartMs: window.startMs, windowEndMs: window.endMs });
}

/** Findings of different rules are not held against each other. */
function kindOf(finding: Finding): string {
  return `${nameOf(finding)} ${JSON.stringify(finding.evidence["kind"])}`;
}

/** The same host in documentation space: inside stays inside. */
function asV6(address: string): string {
  if (address.includes(":")) return address;
  const [a, b, c, d] = address.split(".").map((octet) => Number(octet).toString(16));
  return a === "a" ? `2001:db8:1:${b}:${c}::${d}` : `2001:db8:2:${a}:${b}:${c}::${d}`;
}

for (const detector of detectors) {
  describe(detector.id, () => {
    detectorContract(detector);
    describe("thresholds", () => {
      thresholdContract(detector);
    });
    describe("bounds", () => {
      boundsContract(detector);
      memoryContract(detector);
    });
  });
}

describe("anomaly", () => {
  thresholdRanges(anomaly);
  boundsContract(anomaly);
});

it("has severities in which medium is what an analyst should look at", () => {
  expect(severities.filter((severity) => isAlarm({ severity } as Finding))).toEqual(["medium", "high", "critical"]);
});

it("lists every detector of the folder", () => {
  const files = Object.keys(import.meta.glob("../../src/core/detectors/*.ts", { eager: true })).map((path) =>
    path.split("/").at(-1),
  );
  const shared = new Set([
    "configuration.ts",
    "detector.ts",
    "explain.ts",
    "forgetting.ts",
    "index.ts",
    "regularity.ts",
    "runs.ts",
    "sampling.ts",
    "scoring.ts",
    "thresholds.ts",
    "windowed.ts",
  ]);
  const named = allDetectors.map(({ id }) => `${id.replaceAll("_", "-")}.ts`);
  expect(files.filter((file) => !shared.has(file!)).sort()).toEqual(named.sort());
});
