import { describe, expect, it } from "vitest";
import { anomalyJson } from "../../../src/api/anomaly-json.ts";
import type { StoredAnomaly } from "../../../src/storage/anomalies.ts";
import { digestedOf, digestOf } from "../../../src/tiers/digest.ts";

const hourMs = Date.UTC(2026, 0, 5, 8);

function anomaly(changes: Partial<StoredAnomaly> = {}): StoredAnomaly {
  return {
    id: "0123456789abcdef0123456789abcdef",
    tenant: "acme",
    threat: "port_scan",
    detectorVersion: 3,
    configVersion: "0011223344556677",
    entity: "198.51.100.7",
    window: { startMs: hourMs, endMs: hourMs + 3_600_000 },
    score: 0.912_34,
    confidence: 0.9,
    severity: "high",
    techniques: ["T1046"],
    summary: "300 ports tried",
    peers: [{ address: "10.0.0.5", port: 0, protocol: "tcp" }],
    peerCount: 1,
    evidence: { attempts: 300, rate: 1 / 3, mode: "vertical", isSlow: false, targets: [{ ports: 7 }, { ports: 2 }] },
    state: "final",
    revision: 4,
    completeness: { late_records: 0, evicted_entities: 0, folded_contacts: 0, warming_up: false },
    receivedAtMs: hourMs,
    decidedAtMs: hourMs,
    tiers: [{ tier: 1, ran: true, reason: null }],
    models: [],
    storedRevision: 9,
    storedAtMs: hourMs,
    ...changes,
  };
}

const one = anomaly();
const other = anomaly({ id: "ffffffffffffffffffffffffffffffff", threat: "ddos" });
const digest = digestOf([one]);

describe("digestOf", () => {
  it("is SHA-256 over lines, and stays what it is", () => {
    expect(digestOf([])).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(digest).toBe("3221bfad0823f5057a517e900366ae8f826efebbb7178db31c98f77813b1d9ea");
  });

  it("does not depend on the order of the anomalies", () => {
    expect(digestOf([other, one])).toBe(digestOf([one, other]));
    expect(digestOf([other, one])).not.toBe(digest);
  });

  it.each(["provisional", "withdrawn"] as const)("passes over what is %s", (state) => {
    expect(digestOf([one, { ...other, state }])).toBe(digest);
  });

  it.each<[string, Partial<StoredAnomaly>]>([
    ["tenant", { tenant: "lab" }],
    ["threat", { threat: "ddos" }],
    ["entity", { entity: "198.51.100.8" }],
    ["begin of the window", { window: { startMs: hourMs - 1, endMs: hourMs + 3_600_000 } }],
    ["end of the window", { window: { startMs: hourMs, endMs: hourMs + 3_600_001 } }],
    ["score", { score: 0.9124 }],
    ["severity", { severity: "critical" }],
    ["count in the evidence", { evidence: { ...one.evidence, attempts: 301 } }],
    ["share in the evidence", { evidence: { ...one.evidence, rate: 0.333 } }],
    ["number deep in the evidence", { evidence: { ...one.evidence, targets: [{ ports: 2 }, { ports: 7 }] } }],
    ["name of a number", { evidence: { attempted: 300, rate: 1 / 3, targets: [{ ports: 7 }, { ports: 2 }] } }],
  ])("changes with the %s", (_, changes) => {
    expect(digestOf([anomaly(changes)])).not.toBe(digest);
  });

  it.each<[string, Partial<StoredAnomaly>]>([
    ["times of receipt, decision and storage", { receivedAtMs: 1, decidedAtMs: 2, storedAtMs: 3 }],
    ["revisions", { revision: 7, storedRevision: 1 }],
    ["tiers", { tiers: [] }],
    ["less than 1/10,000 of the score", { score: 0.912_31 }],
    ["the last bits of a fraction", { evidence: { ...one.evidence, rate: 1 / 3 + 1e-12 } }],
    ["the order of keys", { evidence: Object.fromEntries(Object.entries(one.evidence).toReversed()) }],
    ["words", { summary: "many ports tried", evidence: { ...one.evidence, mode: "up" } }],
  ])("does not change with %s", (_, changes) => {
    expect(digestOf([anomaly(changes)])).toBe(digest);
  });

  it("is the same over what the API answers", () => {
    const answered = JSON.parse(JSON.stringify([other, one].map(anomalyJson))) as ReturnType<typeof anomalyJson>[];
    expect(digestOf(answered.map(digestedOf))).toBe(digestOf([one, other]));
  });
});
