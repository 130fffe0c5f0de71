import { describe, expect, it } from "vitest";
import type { Detector } from "../../src/core/detectors/detector.ts";
import { detectors } from "../../src/core/detectors/index.ts";
import { peersMax } from "../../src/core/verdict.ts";
import { contactsOf, finalVerdicts, sampleTrace, verdictsOf } from "../support/trace.ts";

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
      const severities = (texts: string[]) =>
        texts.map((text) => (JSON.parse(text) as { severity: string }).severity).sort();
      expect(severities(finalVerdicts(mapped, options))).toEqual(severities(finalVerdicts(trace, alone)));
    });
  });
}

/** The same host in documentation space: inside stays inside. */
function asV6(address: string): string {
  if (address.includes(":")) return address;
  const [a, b, c, d] = address.split(".").map((octet) => Number(octet).toString(16));
  return a === "a" ? `2001:db8:1:${b}:${c}::${d}` : `2001:db8:2:${a}:${b}:${c}::${d}`;
}

for (const detector of detectors) detectorContract(detector);

it("lists every detector of the folder", () => {
  const files = Object.keys(import.meta.glob("../../src/core/detectors/*.ts", { eager: true })).map((path) =>
    path.split("/").at(-1),
  );
  const shared = ["detector.ts", "index.ts", "regularity.ts", "scoring.ts"];
  const named = detectors.map(({ id }) => `${id.replaceAll("_", "-")}.ts`);
  expect(files.sort()).toEqual([...named, ...shared].sort());
});
