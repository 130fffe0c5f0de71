import { describe, expect, it } from "vitest";
import { explained } from "../../../src/core/detectors/explain.ts";
import { isAlarm } from "../../../src/core/detectors/forgetting.ts";
import { icmpTunnel, type IcmpTunnelSettings } from "../../../src/core/detectors/icmp-tunnel.ts";
import { settingsOf } from "../../../src/core/detectors/thresholds.ts";
import { Outcome, Protocol } from "../../../src/core/flow/flow-batch.ts";
import { contactsOf, endOf, traceStartMs, wholeSlot, type TraceFlow } from "../../support/trace.ts";

const balanced = settingsOf<IcmpTunnelSettings>(icmpTunnel.thresholds);

function opinionsOn(flows: readonly TraceFlow[], settings: Partial<IcmpTunnelSettings> = {}) {
  const slot = icmpTunnel.create({ ...balanced, ...settings });
  slot.learn(wholeSlot(contactsOf(flows.toSorted((a, b) => endOf(a) - endOf(b)))));
  return slot.findings(Infinity).filter(({ final }) => final);
}

const findingsOn = (flows: readonly TraceFlow[], settings: Partial<IcmpTunnelSettings> = {}) =>
  opinionsOn(flows, settings).map(({ finding }) => finding);

const minuteMs = 60_000;

/** A record a minute for 40 minutes: 2 MB, of which 1.8 MB are replies. */
function tunnel(change: Partial<TraceFlow> = {}): TraceFlow[] {
  return Array.from({ length: 40 }, (_, i) => ({
    source: "10.0.0.1",
    target: "203.0.113.1",
    sourcePort: 0,
    targetPort: 8 << 8,
    protocol: Protocol.Icmp,
    startMs: traceStartMs + i * minuteMs,
    sourcePackets: 45,
    targetPackets: 45,
    sourceBytes: 45 * 110,
    targetBytes: 45 * 1000,
    ...change,
  }));
}

describe("icmp_tunnel", () => {
  it("finds a tunnel and tells its sizes", () => {
    const [finding, ...others] = findingsOn(tunnel());
    expect(others).toEqual([]);
    expect(finding).toMatchObject({
      entity: "10.0.0.1",
      severity: "medium",
      techniques: ["T1095"],
      peers: [{ address: "203.0.113.1", port: 0, protocol: "icmp" }],
      evidence: { direction: "outbound", bytes_per_request: 110, bytes_per_reply: 1000, ten_minute_spans: 4 },
    });
  });

  it("finds one that an outsider keeps up, and one of ICMPv6 whose log names replies", () => {
    const inbound = tunnel({ source: "203.0.113.1", target: "10.0.0.1" });
    expect(findingsOn(inbound)[0].evidence).toMatchObject({ direction: "inbound" });
    const v6 = { source: "2001:db8:1::1", target: "2001:db8:2::1", protocol: Protocol.Icmp6 };
    for (const type of [128, 129]) expect(findingsOn(tunnel({ ...v6, targetPort: type << 8 }))).toHaveLength(1);
  });

  it("grows more severe with each decade of bytes", () => {
    const much = { sourcePackets: 4500, targetPackets: 4500, sourceBytes: 4500 * 110, targetBytes: 4500 * 1000 };
    expect(findingsOn(tunnel(much))[0].severity).toBe("critical");
  });

  it.each<[string, TraceFlow[]]>([
    [
      "pings, however many",
      tunnel({ sourcePackets: 9000, targetPackets: 9000, sourceBytes: 756_000, targetBytes: 756_000 }),
    ],
    ["large pings, which come back as large", tunnel({ sourceBytes: 45 * 1428, targetBytes: 45 * 1428 })],
    [
      "a flood that is not answered",
      tunnel({ targetPackets: 0, targetBytes: 0, sourceBytes: 90_000, outcome: Outcome.Unanswered }),
    ],
    [
      "a flood that is hardly answered",
      tunnel({ sourcePackets: 200, sourceBytes: 200_000, targetPackets: 20, targetBytes: 1680 }),
    ],
    ["a few minutes of it", tunnel().map((flow, i) => ({ ...flow, startMs: traceStartMs + i * 5000 }))],
    ["little of it", tunnel({ sourcePackets: 5, targetPackets: 5, sourceBytes: 550, targetBytes: 5000 })],
    ["a pair inside", tunnel({ target: "10.0.0.2" })],
    ["a pair outside", tunnel({ source: "198.51.100.1" })],
    ["a group", tunnel({ target: "224.0.0.1" })],
    ["other types of ICMP", tunnel({ targetPort: 13 << 8 })],
    ["other protocols", tunnel({ protocol: Protocol.Udp })],
  ])("is silent on %s", (_, flows) => expect(findingsOn(flows)).toEqual([]));

  it("counts the life of long records as time", () => {
    const long = { startMs: traceStartMs, durationMs: 40 * minuteMs, sourceBytes: 200_000, targetBytes: 2_000_000 };
    const [flow] = tunnel({ ...long, sourcePackets: 2000, targetPackets: 2000 });
    expect(findingsOn([flow, flow])[0].evidence).toMatchObject({ ten_minute_spans: 8 });
  });

  it("takes each pair by itself, the largest for the finding", () => {
    const pairs = [1, 2, 3].flatMap((i) => tunnel({ target: `203.0.113.${i}`, targetBytes: 45 * 1000 + i }));
    const pings = Array.from({ length: 8 }, (_, i) =>
      tunnel({ target: `203.0.113.${100 + i}`, targetBytes: 45 * 110 }),
    );
    const [finding] = findingsOn([...pairs, ...pings.flat()]);
    expect(finding.peers.map(({ address }) => address)).toEqual(["203.0.113.3", "203.0.113.2", "203.0.113.1"]);
    expect(finding.evidence).toMatchObject({ echo_peers: 11, bytes_received: 40 * 45_003 });
  });

  it("says how sure a sample makes it", () => {
    const [sampled] = findingsOn(tunnel({ samplingRate: 10 }));
    const [whole] = findingsOn(tunnel());
    expect(sampled.evidence).toMatchObject({ sampling_rate: 10, bytes_error_percent: 3.267 });
    expect(sampled.confidence).toBeLessThan(whole.confidence);
  });

  it("is quiet where its evidence says so", () => {
    const [{ finding, judge }] = opinionsOn(tunnel());
    const { evidence } = explained(finding, balanced, icmpTunnel.thresholds, judge);
    const held = evidence["thresholds"] as { threshold: string; observed: number; quiet_at: number }[];
    expect(held.map(({ threshold, observed, quiet_at }) => [threshold, observed, quiet_at])).toEqual([
      ["bytes_min", 1_998_000, 1_998_001],
      ["mean_bytes_min", 1000, 1010],
      ["spans_min", 4, 5],
      ["asymmetry_min", 0.89, 0.891],
    ]);
    const names = ["bytesMin", "meanBytesMin", "spansMin", "asymmetryMin"];
    held.forEach(({ quiet_at }, i) => {
      expect(findingsOn(tunnel(), { [names[i]]: quiet_at }).filter(isAlarm)).toEqual([]);
    });
  });
});
