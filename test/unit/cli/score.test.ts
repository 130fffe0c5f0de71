import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { canonical, score } from "../../../src/cli/score.ts";
import type { Finding, Findings, Truth } from "../../../src/cli/truth.ts";

const truth: Truth = {
  mixed: {
    events: [
      { threat: "port_scan", entity: ["10.0.0.1"] },
      { threat: "ddos", entity: ["10.0.0.2", "10.0.0.3"], peer: "10.0.0.4" },
      { threat: "c2_beacon", entity: ["2001:db8::1"], hard: true },
      { threat: "brute_force", entity: ["10.0.0.8"] },
      { threat: "exfiltration", entity: ["10.0.0.10"], peer: "10.0.0.11" },
    ],
    not_scored: ["10.0.0.5"],
    benign: ["10.0.0.6"],
  },
  calm: { events: [], benign: "*" },
  speed: { events: [], unlabelled: true },
  silent: { events: [{ threat: "port_scan", entity: "10.0.0.9" }] },
};

function found(threat: string, entity: string, severity = "medium"): Finding {
  return { threat, entity, severity };
}

const findings: Findings = {
  mixed: [
    found("port_scan", "10.0.0.1"),
    found("port_scan", "10.0.0.1", "high"),
    found("ddos", "10.0.0.2", "critical"),
    found("ddos", "::ffff:10.0.0.3"),
    found("c2_beacon", "2001:0db8:0::1"),
    found("brute_force", "10.0.0.8", "low"),
    found("port_scan", "10.0.0.2"),
    found("port_scan", "10.0.0.4"),
    found("exfiltration", "10.0.0.5"),
    found("ddos", "10.0.0.4"),
    { ...found("exfiltration", "10.0.0.10"), peers: ["10.0.0.12"] },
    found("port_scan", "10.0.0.6"),
    found("port_scan", "10.0.0.7"),
  ],
  calm: [found("c2_beacon", "10.0.0.1")],
  speed: [found("c2_beacon", "10.0.0.1")],
};
const sizes = { mixed: { entities: 500, days: 2 }, calm: { entities: 1000, days: 1 } };

describe("score", () => {
  const { captures, threats, total, absent } = score(truth, findings, sizes);

  it("counts events, alerts and their ratios as the rule says", () => {
    expect(captures["mixed"]).toMatchObject({
      events: 4,
      detected: 2,
      events_with_hard: 5,
      detected_with_hard: 3,
      true_alerts: 4,
      not_scored_alerts: 4,
      false_alerts: 3,
      precision: 4 / 7,
      false_per_1000_entity_days: 3,
    });
    expect(captures["mixed"].missed.map((event) => event.threat)).toEqual(["brute_force", "exfiltration"]);
    expect(captures["calm"]).toMatchObject({ false_alerts: 1, recall: null, precision: 0 });
    expect(captures["speed"]).toMatchObject({ false_alerts: 0, precision: null });
    expect(total).toMatchObject({ recall: 0.4, recall_with_hard: 0.5, precision: 0.5, false_per_1000_entity_days: 2 });
    expect(threats["ddos"]).toMatchObject({ true_alerts: 2, events: 1, false_alerts: 0 });
    expect(absent).toEqual(["silent"]);
  });

  it("refuses findings about unknown captures, of unknown severity, and without an entity", () => {
    const bad: Findings[] = [
      { elsewhere: [] },
      { calm: [found("ddos", "10.0.0.1", "severe")] },
      { calm: [{ threat: "ddos" } as Finding] },
    ];
    for (const one of bad) expect(() => score(truth, one)).toThrow();
  });

  it("leaves out other threats, whose entities stay not scored", () => {
    const only = score(truth, findings, sizes, ["port_scan"]);
    expect(Object.keys(only.threats)).toEqual(["port_scan"]);
    expect(only.threats["port_scan"]).toEqual(threats["port_scan"]);
    expect(only.total).toMatchObject({ events: 2, detected: 1, true_alerts: 1, false_alerts: 2, not_scored_alerts: 2 });
  });

  it("spells an address one way", () => {
    const spellings = ["::ffff:10.0.0.3", "2001:0DB8:0::1", "::ffff:a00:3", "fe80::1%eth0", "010.0.0.1", "host"];
    expect(spellings.map(canonical)).toEqual([
      "10.0.0.3",
      "2001:db8::1",
      "10.0.0.3",
      "fe80::1%eth0",
      "010.0.0.1",
      "host",
    ]);
  });
});

const scorer = resolve(import.meta.dirname, "../../../../shared/tools/score.py");

describe.skipIf(!existsSync(scorer) || !hasPython())("score.py (skipped without python3 or ../shared)", () => {
  it("says the same", () => {
    const folder = mkdtempSync(join(tmpdir(), "weir-score-"));
    try {
      const file = (name: string, content: object) => {
        writeFileSync(join(folder, name), JSON.stringify(content));
        return join(folder, name);
      };
      const args = [file("truth.json", truth), file("findings.json", findings), "--json"];
      const theirs = execFileSync("python3", [scorer, ...args, "--sizes", file("sizes.json", sizes)]).toString();
      expect(JSON.parse(JSON.stringify(score(truth, findings, sizes)))).toEqual(JSON.parse(theirs));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

function hasPython(): boolean {
  try {
    execFileSync("python3", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
