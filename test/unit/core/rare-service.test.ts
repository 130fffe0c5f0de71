import { describe, expect, it } from "vitest";
import { explained } from "../../../src/core/detectors/explain.ts";
import { isAlarm } from "../../../src/core/detectors/forgetting.ts";
import { rareService, type RareServiceSettings } from "../../../src/core/detectors/rare-service.ts";
import { settingsOf } from "../../../src/core/detectors/thresholds.ts";
import { Outcome, Protocol } from "../../../src/core/flow/flow-batch.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";
import { contactsOf, endOf, traceStartMs, wholeSlot, type TraceFlow } from "../../support/trace.ts";

const balanced = settingsOf<RareServiceSettings>(rareService.thresholds);
const dayMs = 86_400_000;

function slotOn(flows: readonly TraceFlow[], settings: Partial<RareServiceSettings> = {}) {
  const slot = rareService.create({ ...balanced, ...settings });
  slot.learn(wholeSlot(contactsOf(flows.toSorted((a, b) => endOf(a) - endOf(b)))));
  return slot;
}

function opinionsOn(flows: readonly TraceFlow[], settings: Partial<RareServiceSettings> = {}) {
  return slotOn(flows, settings)
    .findings(Infinity)
    .filter(({ final }) => final);
}

const findingsOn = (flows: readonly TraceFlow[], settings: Partial<RareServiceSettings> = {}) =>
  opinionsOn(flows, settings).map(({ finding }) => finding);

/** So many exchanges on each of these days. */
function serves(targetPort: number, days: readonly number[], change: Partial<TraceFlow> = {}, count = 10): TraceFlow[] {
  return days.flatMap((day) =>
    Array.from({ length: count }, (_, i) => ({
      source: `198.51.100.${i}`,
      target: "10.0.0.1",
      targetPort,
      startMs: traceStartMs + day * dayMs + i * 30_000,
      ...change,
    })),
  );
}

const inside = { source: "10.0.0.9" };
const baseline = serves(443, [0, 1, 2]);

describe("rare_service", () => {
  it("finds a service that a host never had, and tells who used it", () => {
    const [finding, ...others] = findingsOn([...baseline, ...serves(4444, [2])]);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({
      entity: "10.0.0.1",
      severity: "medium",
      peers: [{ port: 4444, protocol: "tcp" }],
      evidence: { service: "4444/tcp", exchanges_answered: 10, exchanges_from_outside: 10, baseline_days: 2 },
    });
  });

  it("makes less of what only our own use", () => {
    expect(findingsOn([...baseline, ...serves(4444, [2], inside)]).map(({ severity }) => severity)).toEqual(["low"]);
  });

  it("tells of it once: from the next day on it is known", () => {
    const findings = findingsOn([...serves(443, [0, 1, 2, 3, 4]), ...serves(4444, [2, 3, 4])]);
    expect(findings.map(({ window }) => (window.startMs - findings[0].window.startMs) / dayMs)).toEqual([0]);
  });

  it.each<[string, TraceFlow[]]>([
    ["a host of one day before", [...serves(443, [1, 2]), ...serves(4444, [2])]],
    ["a host of no day before", serves(4444, [2])],
    ["what is there every day", [...baseline, ...serves(22, [0, 1, 2])]],
    ["what was there once", [...baseline, ...serves(4444, [0, 2])]],
    ["what hardly answers", [...baseline, ...serves(4444, [2], {}, 4)]],
    ["what refuses", [...baseline, ...serves(4444, [2], { outcome: Outcome.Refused })]],
    ["what does not answer", [...baseline, ...serves(4444, [2], { outcome: Outcome.Unanswered })]],
    ["ports of clients", [...baseline, ...serves(50_000, [2])]],
    ["pings", [...baseline, ...serves(8 << 8, [2], { protocol: Protocol.Icmp })]],
    ["hosts of others", [...baseline, ...serves(4444, [2])].map((flow) => ({ ...flow, target: "203.0.113.9" }))],
  ])("is silent on %s", (_, flows) => expect(findingsOn(flows)).toEqual([]));

  it("tells one protocol from the other", () => {
    const [finding] = findingsOn([...baseline, ...serves(443, [2], { protocol: Protocol.Udp })]);
    expect(finding.evidence["service"]).toBe("443/udp");
  });

  it("says nothing of a host that answers anywhere, that day or later", () => {
    const anywhere = Array.from({ length: 60 }, (_, i) => serves(1000 + i, [1], {}, 2)).flat();
    const flows = [...serves(443, [0, 1, 2, 3]), ...anywhere, ...serves(4444, [3])];
    expect(findingsOn(flows)).toEqual([]);
  });

  it("remembers the services that were served last, and no more than 64", () => {
    const many = Array.from({ length: 5 }, (_, day) =>
      Array.from({ length: 20 }, (_x, i) => serves(1000 + 100 * day + i, [day], {}, 2)).flat(),
    ).flat();
    expect(
      findingsOn([...many, ...serves(1400, [5]), ...serves(1005, [5])]).map(({ evidence }) => evidence["service"]),
    ).toEqual(["1005/tcp"]);
  });

  it("is surer after more days, and less of a sample", () => {
    const confidence = (days: number, change: Partial<TraceFlow> = {}) => {
      const known = Array.from({ length: days }, (_, day) => day);
      return findingsOn([...serves(443, known), ...serves(443, [days]), ...serves(4444, [days], change)])[0].confidence;
    };
    expect([confidence(2), confidence(6)]).toEqual([0.5, 0.75]);
    expect(confidence(6, { samplingRate: 10 })).toBeLessThan(0.75);
  });

  it("knows after an eviction what it knew before", () => {
    const slot = slotOn(baseline);
    slot.findings(traceStartMs + 2 * dayMs);
    const writer = new StateWriter();
    slot.save(writer);
    const again = rareService.create(balanced, new StateReader(writer.bytes()));
    expect([again.bytes, again.entities]).toEqual([slot.bytes, slot.entities]);
    again.learn(wholeSlot(contactsOf(serves(4444, [2]))));
    expect(again.findings(Infinity).filter(({ final }) => final)).toHaveLength(1);
  });

  it("is quiet where its evidence says so", () => {
    const flows = [...baseline, ...serves(4444, [2])];
    const [{ finding, judge }] = opinionsOn(flows);
    const { evidence } = explained(finding, balanced, rareService.thresholds, judge);
    const held = evidence["thresholds"] as { observed: number; quiet_at: number }[];
    expect(held.map(({ observed, quiet_at }) => [observed, quiet_at])).toEqual([
      [10, 11],
      [2, 3],
    ]);
    expect(findingsOn(flows, { exchangesMin: 11 }).filter(isAlarm)).toEqual([]);
    expect(findingsOn(flows, { baselineDaysMin: 3 }).filter(isAlarm)).toEqual([]);
  });
});
