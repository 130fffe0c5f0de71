import { describe, expect, it } from "vitest";
import { explained } from "../../../src/core/detectors/explain.ts";
import { policy, type PolicySettings } from "../../../src/core/detectors/policy.ts";
import { settingsOf } from "../../../src/core/detectors/thresholds.ts";
import { Outcome, Protocol } from "../../../src/core/flow/flow-batch.ts";
import { contactsOf, endOf, traceStartMs, wholeSlot, type TraceFlow } from "../../support/trace.ts";

const balanced = settingsOf<PolicySettings>(policy.thresholds);

function opinionsOn(flows: readonly TraceFlow[], settings: Partial<PolicySettings> = {}) {
  const slot = policy.create({ ...balanced, ...settings });
  slot.learn(wholeSlot(contactsOf(flows.toSorted((a, b) => endOf(a) - endOf(b)))));
  return slot.findings(Infinity).filter(({ final }) => final);
}

const findingsOn = (flows: readonly TraceFlow[], settings: Partial<PolicySettings> = {}) =>
  opinionsOn(flows, settings).map(({ finding }) => finding);

function calls(count: number, change: Partial<TraceFlow>): TraceFlow[] {
  const flow = { source: "198.51.100.1", target: "10.0.0.1", targetPort: 3389 };
  return Array.from({ length: count }, (_, i) => ({ ...flow, startMs: traceStartMs + i * 30_000, ...change }));
}

const [inward, outward] = [
  { source: "198.51.100.1", target: "10.0.0.1" },
  { source: "10.0.0.1", target: "198.51.100.1" },
];

describe("policy", () => {
  it.each([
    [21, Protocol.Tcp, "medium", "low"],
    [23, Protocol.Tcp, "medium", "medium"],
    [69, Protocol.Udp, "medium", "medium"],
    [135, Protocol.Tcp, "medium", "medium"],
    [139, Protocol.Tcp, "medium", "medium"],
    [161, Protocol.Udp, "medium", "low"],
    [445, Protocol.Tcp, "medium", "medium"],
    [512, Protocol.Tcp, "medium", "medium"],
    [513, Protocol.Tcp, "medium", "medium"],
    [514, Protocol.Tcp, "medium", "medium"],
    [2049, Protocol.Tcp, "medium", "medium"],
    [3389, Protocol.Tcp, "medium", "low"],
    [3389, Protocol.Udp, "medium", "low"],
    [5900, Protocol.Tcp, "medium", "low"],
  ])("takes port %i of protocol %i for %s when reached, for %s when used", (targetPort, protocol, reached, used) => {
    const service = { targetPort, protocol };
    const [inbound] = findingsOn(calls(5, { ...inward, ...service }));
    expect(inbound).toMatchObject({ entity: "10.0.0.1", severity: reached, evidence: { direction: "inbound" } });
    expect(inbound.techniques).toContain("T1133");
    const [outbound] = findingsOn(calls(5, { ...outward, ...service }));
    expect(outbound).toMatchObject({ entity: "10.0.0.1", severity: used, evidence: { direction: "outbound" } });
    expect(outbound.techniques).not.toContain("T1133");
    for (const { peers } of [inbound, outbound])
      expect(peers[0]).toMatchObject({ address: "198.51.100.1", port: targetPort });
  });

  it.each<[string, TraceFlow[]]>([
    ["the same inside", calls(50, { source: "10.0.0.2" })],
    ["outsiders among themselves", calls(50, { target: "203.0.113.1" })],
    ["what is not answered", calls(50, { outcome: Outcome.Unanswered })],
    ["what is refused", calls(50, { outcome: Outcome.Refused })],
    ["one or two exchanges", calls(2, {})],
    ["services that may cross", calls(50, { targetPort: 443 })],
    ["syslog, which has the port of rsh", calls(50, { ...outward, targetPort: 514, protocol: Protocol.Udp })],
    [
      "replies that nobody is known to have asked for",
      calls(50, {
        targetPort: 161,
        protocol: Protocol.Udp,
        sourcePackets: 0,
        sourceBytes: 0,
        outcome: Outcome.Unknown,
      }),
    ],
  ])("is silent on %s", (_, flows) => expect(findingsOn(flows)).toEqual([]));

  it("counts by service and direction, and speaks of the gravest", () => {
    const [finding, ...others] = findingsOn([
      ...calls(40, { ...outward, targetPort: 21 }),
      ...calls(2, { ...outward, targetPort: 23 }),
      ...calls(4, { ...inward, targetPort: 445 }),
      ...calls(6, { ...outward, targetPort: 445 }),
    ]);
    expect(others).toEqual([]);
    expect(finding.evidence["services"]).toEqual([
      { service: "445/tcp", direction: "outbound", exchanges_answered: 6 },
      { service: "445/tcp", direction: "inbound", exchanges_answered: 4 },
      { service: "21/tcp", direction: "outbound", exchanges_answered: 40 },
    ]);
  });

  it("tells outsiders from our own where both use a service", () => {
    const own = Array.from({ length: 40 }, (_, i) => calls(1, { source: `10.0.9.${i}`, targetPort: 445 })).flat();
    const [finding] = findingsOn([...own, ...calls(3, { targetPort: 445 })]);
    expect(finding.peers.map(({ address }) => address)).toEqual(["198.51.100.1"]);
    expect(finding.evidence).toMatchObject({ exchanges_answered: 3, outsiders: 1, outsiders_error_percent: 0 });
  });

  it("gives a rough number of outsiders beyond eight", () => {
    const many = Array.from({ length: 60 }, (_, i) => calls(1, { source: `198.51.100.${i}` })).flat();
    const [finding] = findingsOn(many);
    expect(finding.peers).toHaveLength(8);
    expect(finding.evidence["outsiders_error_percent"]).toBe(41);
    expect(Math.abs(finding.peerCount - 60)).toBeLessThan(50);
    expect(finding.summary).toContain(`about ${finding.peerCount} outsiders`);
  });

  it("is surer of connections than of datagrams, and least of a sample", () => {
    const confidence = (change: Partial<TraceFlow>) => findingsOn(calls(9, change))[0].confidence;
    const [tcp, udp, sampled] = [
      confidence({}),
      confidence({ protocol: Protocol.Udp }),
      confidence({ samplingRate: 50 }),
    ];
    expect(tcp).toBeGreaterThan(udp);
    expect(udp).toBeGreaterThan(sampled);
  });

  it("is quiet where its evidence says so, though a lesser service goes on", () => {
    const flows = [...calls(7, { ...outward, targetPort: 23 }), ...calls(30, { ...outward, targetPort: 21 })];
    const [{ finding, judge }] = opinionsOn(flows);
    const { evidence } = explained(finding, balanced, policy.thresholds, judge);
    expect(evidence["thresholds"]).toEqual([
      { threshold: "exchanges_min", unit: "exchanges a day", in_force: 3, observed: 7, quiet_at: 8 },
    ]);
    expect(findingsOn(flows, { exchangesMin: 8 }).map(({ severity }) => severity)).toEqual(["low"]);
  });
});
