import { describe, expect, it } from "vitest";
import type { Detector, Evicted, SlotDetector } from "../../src/core/detectors/detector.ts";
import { detectors } from "../../src/core/detectors/index.ts";
import { StateReader, StateWriter } from "../../src/core/slots/state-bytes.ts";
import { peersMax, severities, type Finding } from "../../src/core/verdict.ts";
import { contactsOf, finalVerdicts, sampleTrace, traceStartMs, verdictsOf, type TraceFlow } from "../support/trace.ts";

const trace = sampleTrace(4);

/** What every detector owes to its kind. */
function detectorContract(detector: Detector): void {
  describe(detector.id, () => {
    const alone = { detectors: [detector], cut: 400 };

    it("finds something in the sample", () => {
      expect(finalVerdicts(trace, alone).length).toBeGreaterThan(0);
    });

    it("is silent on nothing", () => {
      const slot = detector.create(detector.defaults);
      slot.learn({ contacts: contactsOf([]), pairs: new Uint32Array(), targets: new Uint32Array() });
      expect(slot.findings(0)).toEqual([]);
      expect(slot.findings(Number.POSITIVE_INFINITY)).toEqual([]);
    });

    it("gives scores, confidence and evidence that an analyst can read", () => {
      for (const verdict of verdictsOf(trace, alone)) {
        expect(verdict.threat).toBe(detector.id);
        expect(verdict.score).toBeGreaterThanOrEqual(0);
        expect(verdict.score).toBeLessThanOrEqual(1);
        expect(verdict.confidence).toBeGreaterThan(0);
        expect(verdict.confidence).toBeLessThanOrEqual(1);
        expect(verdict.summary.length).toBeGreaterThan(20);
        expect(Object.keys(verdict.evidence).length).toBeGreaterThan(2);
        expect(Object.keys(verdict.evidence).join()).toMatch(/^[a-z0-9_,]+$/);
        expect(verdict.techniques[0]).toMatch(/^T\d{4}(\.\d{3})?$/);
        expect(verdict.peers.length).toBeGreaterThan(0);
        expect(verdict.peers.length).toBeLessThanOrEqual(Math.min(peersMax, verdict.peerCount));
      }
    });

    it("leaves its input as it was", () => {
      const contacts = contactsOf(trace);
      const before = structuredClone(contacts);
      const slot = detector.create(detector.defaults);
      const pairs = Uint32Array.from({ length: contacts.pairs.length }, (_, i) => i);
      slot.learn({ contacts, pairs, targets: Uint32Array.from({ length: contacts.targets.length }, (_, i) => i) });
      slot.findings(0);
      expect(contacts).toEqual(before);
    });

    it("learns only in learn: looking twice changes nothing", () => {
      const slot = detector.create(detector.defaults);
      const contacts = contactsOf(trace);
      const pairs = Uint32Array.from({ length: contacts.pairs.length }, (_, i) => i);
      slot.learn({ contacts, pairs, targets: Uint32Array.from({ length: contacts.targets.length }, (_, i) => i) });
      expect(slot.findings(0).length).toBeGreaterThan(0);
      expect(slot.findings(0)).toEqual([]);
    });

    it("survives eviction after any batch", () => {
      for (const cut of [333, 1500]) {
        expect(finalVerdicts(trace, { ...alone, cut, evict: true })).toEqual(finalVerdicts(trace, { ...alone, cut }));
      }
    });

    it("sees IPv6 as it sees IPv4", () => {
      const mapped = trace.map((flow) => ({ ...flow, source: asV6(flow.source), target: asV6(flow.target) }));
      const isInternal = (a: number, b: number) => a === 0x20010db8 && b >>> 16 === 1;
      const options = { ...alone, foldOptions: { isInternal } };
      const severitiesOf = (texts: string[]) => texts.map((text) => (JSON.parse(text) as Finding).severity).sort();
      expect(severitiesOf(finalVerdicts(mapped, options))).toEqual(severitiesOf(finalVerdicts(trace, alone)));
    });
  });
}

/** What every detector owes to the memory that it shares. */
function memoryContract(detector: Detector): void {
  describe(`${detector.id}, bounded`, () => {
    const roomy = settled(detector);
    const bytesMax = Math.round(Math.max(...roomy.log.map(({ bytes }) => bytes)) / 4);

    it("counts what it holds as if it were counted anew", () => {
      for (const bounds of [{}, { bytesMax }]) {
        const counts: number[][] = [];
        const countsAnew: number[][] = [];
        settled(detector, {
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

    it("settles within its bound, and forgets none in alarm", () => {
      const tight = Math.round(bytesMax / 8);
      let evictions = 0;
      settled(detector, {
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
      const { slot } = settled(detector, { flows: trace });
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

    it("settles alike, however its contacts were cut and whenever it was restored", () => {
      const whole = settled(detector, { bytesMax });
      expect(whole.log.some(({ evicted }) => evicted.entities > 0)).toBe(true);
      for (const options of [{ pieces: 5 }, { pieces: 40, isReversed: true }, { isRestored: true }]) {
        const other = settled(detector, { bytesMax, ...options });
        expect(other.log).toEqual(whole.log);
        expect(finalOf(other.slot)).toEqual(finalOf(restored(detector, whole.slot)));
      }
    });

    it("finds the same, packed or not", () => {
      const never = settled(detector, { bytesMax: undefined });
      expect(finalOf(restored(detector, roomy.slot))).toEqual(finalOf(never.slot));
      const { slot } = settled(detector, { isRestored: true });
      expect(finalOf(slot)).toEqual(finalOf(roomy.slot));
    });

    it("keeps what it found when thousands of invented sources show up", () => {
      const { slot } = settled(detector, { flows: trace });
      const { bytes } = slot;
      const found = finalOf(restored(detector, slot));
      learn(
        slot,
        Array.from({ length: 12_000 }, (_, i) => oneFlow(`10.200.${i >> 8}.${i & 255}`, 91)),
      );
      expect(slot.bytes).toBeGreaterThan(1.4 * bytes);
      const { entities } = slot.settle(1.4 * bytes, Infinity);
      expect(entities).toBeGreaterThan(1000);
      expect(slot.bytes).toBeLessThan(1.4 * bytes);
      expect(finalOf(slot)).toEqual(found);
    });
  });
}

/** The sample, and hundreds of hosts that did one thing; some of them come back later. */
const crowdedTrace = [...trace, ...crowd()].sort((a, b) => endOf(a) - endOf(b));

function crowd(): TraceFlow[] {
  return Array.from({ length: 900 }, (_, i) => {
    const source = i % 5 === 0 ? `2001:db8:1:9::${i.toString(16)}` : `10.9.${i >> 8}.${i & 255}`;
    const once = oneFlow(source, 15 + i / 30);
    return i % 3 === 0 ? [once, { ...once, startMs: once.startMs + 20 * 60_000, targetPort: 8080 }] : [once];
  }).flat();
}

function oneFlow(source: string, minute: number): TraceFlow {
  const target = source.includes(":") ? "2001:db8:2::7" : "203.0.113.7";
  return { source, target, targetPort: 443, startMs: Math.floor(traceStartMs + minute * 60_000) };
}

function endOf(flow: TraceFlow): number {
  return flow.startMs + (flow.durationMs ?? 100);
}

interface SettleOptions {
  /** Undefined: never settles. */
  bytesMax?: number | undefined;
  /** Batches between two settlements, and whether they come last first. */
  pieces?: number;
  isReversed?: boolean;
  /** Whether the slot is saved and restored before and after it settles. */
  isRestored?: boolean;
  /** What to learn, by order of end: the crowded trace unless told. */
  flows?: readonly TraceFlow[];
  /** Looks at the slot before it settles. */
  each?: (slot: SlotDetector) => void;
}

interface Settled {
  slot: SlotDetector;
  log: { bytes: number; entities: number; evicted: Evicted }[];
}

/** A slot settles every five minutes. */
const settleEveryMs = 180_000;

/** A slot that learns a trace and settles now and then. */
function settled(detector: Detector, options: SettleOptions = {}): Settled {
  const { pieces = 1, isReversed = false, isRestored = false, flows: all = crowdedTrace, each } = options;
  const bytesMax = "bytesMax" in options ? options.bytesMax : Infinity;
  const spans = Map.groupBy(all, (flow) => Math.floor(endOf(flow) / settleEveryMs));
  let slot = detector.create(detector.defaults);
  const log: Settled["log"] = [];
  for (const flows of spans.values()) {
    const batches = Array.from({ length: pieces }, (_, piece) =>
      flows.filter((flow) => flows.indexOf(flow) % pieces === piece),
    );
    for (const batch of isReversed ? batches.reverse() : batches) {
      learn(slot, batch);
      slot.findings(0);
      if (isRestored) slot = restored(detector, slot);
    }
    each?.(slot);
    if (bytesMax === undefined) continue;
    const evicted = slot.settle(bytesMax, Infinity);
    log.push({ bytes: slot.bytes, entities: slot.entities, evicted });
    if (isRestored) slot = restored(detector, slot);
  }
  return { slot, log };
}

function learn(slot: SlotDetector, flows: readonly TraceFlow[]): void {
  const contacts = contactsOf(flows);
  const pairs = Uint32Array.from({ length: contacts.pairs.length }, (_, i) => i);
  slot.learn({ contacts, pairs, targets: Uint32Array.from({ length: contacts.targets.length }, (_, i) => i) });
}

function restored(detector: Detector, slot: SlotDetector): SlotDetector {
  const writer = new StateWriter();
  slot.save(writer);
  return detector.create(detector.defaults, new StateReader(writer.bytes()));
}

/** Ends the slot. */
function finalOf(slot: SlotDetector): string[] {
  return slot
    .findings(Infinity)
    .filter(({ final }) => final)
    .map(({ finding }) => JSON.stringify(finding))
    .sort();
}

function alarmsOf(slot: SlotDetector): Finding[] {
  const findings = finalOf(slot).map((text) => JSON.parse(text) as Finding);
  return findings.filter(({ severity }) => severities.indexOf(severity) >= severities.indexOf("medium"));
}

function nameOf({ entity, window }: Finding): string {
  return JSON.stringify({ entity, windowStartMs: window.startMs, windowEndMs: window.endMs });
}

/** The same host in documentation space: inside stays inside. */
function asV6(address: string): string {
  if (address.includes(":")) return address;
  const [a, b, c, d] = address.split(".").map((octet) => Number(octet).toString(16));
  return a === "a" ? `2001:db8:1:${b}:${c}::${d}` : `2001:db8:2:${a}:${b}:${c}::${d}`;
}

for (const detector of detectors) {
  detectorContract(detector);
  memoryContract(detector);
}

it("lists every detector of the folder", () => {
  const files = Object.keys(import.meta.glob("../../src/core/detectors/*.ts", { eager: true })).map((path) =>
    path.split("/").at(-1),
  );
  const shared = ["detector.ts", "forgetting.ts", "index.ts", "regularity.ts", "scoring.ts"];
  const named = detectors.map(({ id }) => `${id.replaceAll("_", "-")}.ts`);
  expect(files.sort()).toEqual([...named, ...shared].sort());
});
