import { describe, expect, it } from "vitest";
import { explained } from "../../../src/core/detectors/explain.ts";
import type { Threshold, Thresholds } from "../../../src/core/detectors/thresholds.ts";
import type { Finding, Severity } from "../../../src/core/verdict.ts";

interface Settings {
  portsMin: number;
  scoreMin: number;
  sleepMaxMs: number;
}

const threshold: Threshold = { unit: "ports", default: 15, min: 5, max: 100, raising: "quieter", cost: "Some pass." };
const thresholds: Thresholds<Settings> = {
  portsMin: { ...threshold, isWhole: true },
  scoreMin: { ...threshold, unit: "score", default: 0.8, min: 0, max: 1 },
  sleepMaxMs: {
    ...threshold,
    unit: "ms",
    default: 120_000,
    min: 1000,
    max: 86_400_000,
    isWhole: true,
    raising: "louder",
  },
};
const settings: Settings = { portsMin: 15, scoreMin: 0.8, sleepMaxMs: 120_000 };

function findingOf(severity: Severity, observed?: Finding["observed"]): Finding {
  return {
    threat: "port_scan",
    detectorVersion: 1,
    entity: "10.0.0.1",
    window: { startMs: 0, endMs: 3_600_000 },
    score: 0.5,
    confidence: 1,
    severity,
    techniques: ["T1046"],
    summary: "one that is tried out",
    peers: [{ address: "10.0.0.2", port: 0, protocol: "tcp" }],
    peerCount: 1,
    evidence: { flows: 3 },
    ...(observed && { observed }),
  };
}

/** What the counterfactual of one observed value is, if nothing else holds the finding up. */
function quietAt(name: keyof Settings, value: number, severity: Severity = "medium"): number | null {
  const judge = (other: Settings) => {
    const reaches = thresholds[name].raising === "quieter" ? value >= other[name] : value <= other[name];
    return reaches ? findingOf(severity) : undefined;
  };
  const { evidence } = explained(findingOf(severity, [{ threshold: name, value }]), settings, thresholds, judge);
  return (evidence["thresholds"] as { quiet_at: number | null }[])[0].quiet_at;
}

describe("an explanation", () => {
  it("leaves a finding that observed nothing as it is", () => {
    const finding = findingOf("high");
    expect(explained(finding, settings, thresholds, () => undefined)).toBe(finding);
  });

  it("tells each threshold by its name in the API, beside the evidence that was there", () => {
    const observed = [
      { threshold: "portsMin", value: 20 },
      { threshold: "sleepMaxMs", value: 60_000 },
    ];
    const { evidence, ...rest } = explained(findingOf("high", observed), settings, thresholds, () => undefined);
    expect(rest).not.toHaveProperty("observed");
    expect(evidence).toEqual({
      flows: 3,
      thresholds: [
        { threshold: "ports_min", unit: "ports", in_force: 15, observed: 20, quiet_at: 21 },
        { threshold: "sleep_max_ms", unit: "ms", in_force: 120_000, observed: 60_000, quiet_at: 59_999 },
      ],
    });
  });

  it.each<[keyof Settings, number, number]>([
    ["portsMin", 15, 16],
    ["portsMin", 15.7, 16],
    ["portsMin", 99, 100],
    ["scoreMin", 0.8, 0.801],
    ["scoreMin", 0.812_34, 0.813],
    ["scoreMin", 0.999_9, 1],
    ["sleepMaxMs", 60_000.5, 60_000],
    ["sleepMaxMs", 1001, 1000],
  ])("says that %s of %d is quiet at %d", (name, value, expected) => {
    expect(quietAt(name, value)).toBe(expected);
  });

  it.each<[keyof Settings, number]>([
    ["portsMin", 100],
    ["scoreMin", 1],
    ["sleepMaxMs", 1000],
  ])("knows no quiet value of %s beyond its range, from %d on", (name, value) => {
    expect(quietAt(name, value)).toBeNull();
  });

  it("knows none of a finding that wakes nobody", () => {
    expect(quietAt("portsMin", 20, "low")).toBeNull();
  });

  it("knows none where another rule holds the finding up, or nobody can judge", () => {
    const finding = findingOf("high", [{ threshold: "portsMin", value: 20 }]);
    for (const judge of [() => findingOf("medium"), undefined]) {
      const { evidence } = explained(finding, settings, thresholds, judge);
      expect(evidence["thresholds"]).toMatchObject([{ threshold: "ports_min", observed: 20, quiet_at: null }]);
    }
  });

  it("calls it quiet where a lesser finding is left", () => {
    const finding = findingOf("high", [{ threshold: "portsMin", value: 20 }]);
    const { evidence } = explained(finding, settings, thresholds, () => findingOf("low"));
    expect(evidence["thresholds"]).toMatchObject([{ quiet_at: 21 }]);
  });

  it("tries one threshold at a time, the others as they are", () => {
    const observed = [
      { threshold: "portsMin", value: 20 },
      { threshold: "scoreMin", value: 0.9 },
    ];
    const tried: Settings[] = [];
    explained(findingOf("high", observed), settings, thresholds, (other) => {
      tried.push(other);
      return undefined;
    });
    expect(tried).toEqual([
      { ...settings, portsMin: 21 },
      { ...settings, scoreMin: 0.901 },
    ]);
  });
});
