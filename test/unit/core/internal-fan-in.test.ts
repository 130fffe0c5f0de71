import { describe, expect, it } from "vitest";
import { explained } from "../../../src/core/detectors/explain.ts";
import { isAlarm } from "../../../src/core/detectors/forgetting.ts";
import { internalFanIn, type InternalFanInSettings } from "../../../src/core/detectors/internal-fan-in.ts";
import { settingsOf } from "../../../src/core/detectors/thresholds.ts";
import { contactsOf, endOf, traceStartMs, wholeSlot, type TraceFlow } from "../../support/trace.ts";

const balanced = settingsOf<InternalFanInSettings>(internalFanIn.thresholds);
const dayMs = 86_400_000;
const gigabyte = 1e9;

function opinionsOn(flows: readonly TraceFlow[], settings: Partial<InternalFanInSettings> = {}) {
  const slot = internalFanIn.create({ ...balanced, ...settings });
  slot.learn(wholeSlot(contactsOf(flows.toSorted((a, b) => endOf(a) - endOf(b)))));
  return slot.findings(Infinity).filter(({ final }) => final);
}

const findingsOn = (flows: readonly TraceFlow[], settings: Partial<InternalFanInSettings> = {}) =>
  opinionsOn(flows, settings).map(({ finding }) => finding);

/** On each of these days, so many hosts send so much together. */
function sent(days: readonly number[], hosts: number, bytes: number, change: Partial<TraceFlow> = {}): TraceFlow[] {
  return days.flatMap((day) =>
    Array.from({ length: hosts }, (_, i) => ({
      source: `10.0.1.${i}`,
      target: "10.0.0.1",
      targetPort: 445,
      startMs: traceStartMs + day * dayMs + i * 30_000,
      sourceBytes: bytes / hosts,
      sourcePackets: bytes / hosts / 1000,
      ...change,
    })),
  );
}

const baseline = sent([0, 1], 2, 1e7);

describe("internal_fan_in", () => {
  it("finds a host to which many suddenly send much", () => {
    const [finding, ...others] = findingsOn([...baseline, ...sent([2], 8, 2 * gigabyte)]);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({
      entity: "10.0.0.1",
      severity: "medium",
      techniques: ["T1074.002", "T1074"],
      peerCount: 8,
      evidence: { bytes_received: 2e9, sources: 8, service: "445/tcp", baseline_days: 2, times_greatest_day: 200 },
    });
    expect(finding.peers.map(({ address }) => address).sort()).toEqual(sent([2], 8, 8).map(({ source }) => source));
  });

  it("grows more severe with each decade", () => {
    expect(findingsOn([...baseline, ...sent([2], 8, 20 * gigabyte)])[0].severity).toBe("high");
  });

  it("adds up what came by several services, and names the largest", () => {
    const parts = [443, 22, 445].map((targetPort, i) => sent([2], 8, (0.3 + i / 10) * gigabyte, { targetPort }));
    expect(findingsOn([...baseline, ...parts.flat()])[0].evidence).toMatchObject({ service: "445/tcp", services: 3 });
  });

  it.each<[string, TraceFlow[]]>([
    ["a file server", sent([0, 1, 2], 20, 2 * gigabyte).filter(({ startMs }) => startMs > traceStartMs + dayMs / 2)],
    ["few that send much", [...baseline, ...sent([2], 4, 20 * gigabyte)]],
    ["many that send little", [...baseline, ...sent([2], 60, gigabyte / 2)]],
    [
      "outsiders",
      [...baseline, ...sent([2], 8, 2 * gigabyte).map((flow, i) => ({ ...flow, source: `198.51.100.${i}` }))],
    ],
    [
      "hosts of others",
      [...baseline, ...sent([2], 8, 2 * gigabyte)].map((flow) => ({ ...flow, target: "203.0.113.1" })),
    ],
    ["what the host fetches", [...baseline, ...sent([2], 8, 8000, { targetBytes: gigabyte })]],
  ])("wakes nobody over %s", (_, flows) => expect(findingsOn(flows).filter(isAlarm)).toEqual([]));

  it("holds a day against the greatest before, not the last", () => {
    const flows = [...sent([0], 8, gigabyte), ...sent([1], 8, 1e6), ...sent([2], 8, 2 * gigabyte)];
    expect(findingsOn(flows).filter(({ window }) => window.startMs > traceStartMs)).toEqual([]);
  });

  it("is low and unsure without a baseline, and says so", () => {
    for (const [known, days] of [
      [[], 0],
      [[1], 1],
    ] as const) {
      const [finding] = findingsOn([...sent(known, 2, 1e7), ...sent([2], 8, 20 * gigabyte)]);
      expect(finding).toMatchObject({ severity: "low", confidence: 0.3, evidence: { baseline_days: days } });
    }
  });

  it("tells of a new file server once", () => {
    const findings = findingsOn([...baseline, ...sent([2, 3, 4], 8, 2 * gigabyte)]);
    expect(findings).toHaveLength(1);
  });

  it("has no baseline of days on which one host sent something once", () => {
    const once = sent([0, 1], 1, 1000);
    expect(findingsOn([...once, ...sent([2], 8, 2 * gigabyte)])[0].evidence).toMatchObject({ baseline_days: 0 });
  });

  it("says about how many sources there were beyond 32", () => {
    const [finding] = findingsOn([...baseline, ...sent([2], 200, 2 * gigabyte)]);
    expect(finding.evidence["sources_error_percent"]).toBe(18);
    expect(Math.abs(finding.peerCount - 200)).toBeLessThan(110);
    expect(finding.peers).toHaveLength(16);
  });

  it("says how sure a sample makes it", () => {
    const [sampled] = findingsOn([...baseline, ...sent([2], 8, 2 * gigabyte, { samplingRate: 100 })]);
    expect(sampled.evidence).toMatchObject({ sampling_rate: 100, bytes_error_percent: 0.139 });
    expect(sampled.confidence).toBeLessThan(0.6);
  });

  it("is quiet where its evidence says so", () => {
    const flows = [...baseline, ...sent([2], 8, 2 * gigabyte)];
    const [{ finding, judge }] = opinionsOn(flows);
    const { evidence } = explained(finding, balanced, internalFanIn.thresholds, judge);
    const held = evidence["thresholds"] as { observed: number; quiet_at: number }[];
    expect(held.map(({ observed, quiet_at }) => [observed, quiet_at])).toEqual([
      [2e9, 2e9 + 1],
      [8, 9],
      [200, 201],
      [2, 3],
    ]);
    const names = ["bytesMin", "sourcesMin", "baselineFactorMin", "baselineDaysMin"];
    held.forEach(({ quiet_at }, i) => {
      expect(findingsOn(flows, { [names[i]]: quiet_at }).filter(isAlarm)).toEqual([]);
    });
  });
});
