import { describe, expect, it } from "vitest";
import { explained } from "../../../src/core/detectors/explain.ts";
import { longConnection } from "../../../src/core/detectors/long-connection.ts";
import { settingsOf } from "../../../src/core/detectors/thresholds.ts";
import { Outcome, Protocol } from "../../../src/core/flow/flow-batch.ts";
import { NetworkFacts } from "../../../src/core/slots/network-facts.ts";
import type { Finding } from "../../../src/core/verdict.ts";
import {
  contactsOf,
  finalVerdicts,
  slotOfDetector,
  traceStartMs,
  wholeSlot,
  type TraceFlow,
} from "../../support/trace.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const firstDayMs = traceStartMs - 8 * hourMs;
const host = "10.0.0.30";
const peer = "203.0.113.200";

interface Held {
  source?: string;
  target?: string;
  port?: number;
  sourcePort?: number;
  protocol?: number;
  day?: number;
  hour?: number;
  hours: number;
  /** 0 for one record. */
  sliceMinutes?: number;
  /** Per hour, each way. */
  bytes?: number;
  sent?: number;
}

function held({ source = host, target = peer, port = 443, hours, day = 0, hour = 1, ...rest }: Held): TraceFlow[] {
  const { sourcePort = 50_000, protocol = Protocol.Tcp, sliceMinutes = 10, bytes = 1_000_000, sent = bytes } = rest;
  const sliceMs = sliceMinutes === 0 ? hours * hourMs : sliceMinutes * minuteMs;
  return Array.from({ length: Math.round((hours * hourMs) / sliceMs) }, (_, i): TraceFlow => ({
    source,
    target,
    targetPort: port,
    sourcePort,
    protocol,
    startMs: firstDayMs + day * dayMs + hour * hourMs + i * sliceMs,
    durationMs: sliceMs,
    outcome: Outcome.Answered,
    sourceBytes: Math.round((sent * sliceMs) / hourMs),
    targetBytes: Math.round((bytes * sliceMs) / hourMs),
  }));
}

/** What is said of the last day, learnt and closed day by day. */
function lastDay(flows: readonly TraceFlow[], facts?: NetworkFacts): Finding[] {
  const days = Map.groupBy(flows, ({ startMs, durationMs = 0 }) => Math.floor((startMs + durationMs) / dayMs));
  const slot = slotOfDetector(longConnection);
  const settings = settingsOf(longConnection.thresholds);
  let said: Finding[] = [];
  for (const [day, ofDay] of [...days].sort(([x], [y]) => x - y)) {
    slot.learn(wholeSlot(contactsOf(ofDay)));
    said = slot
      .findings((day + 1) * dayMs, facts)
      .filter(({ final }) => final)
      .map(({ finding, judge }) => explained(finding, settings, longConnection.thresholds, judge as never));
  }
  return said;
}

const severityOf = (flows: readonly TraceFlow[], facts?: NetworkFacts) => lastDay(flows, facts)[0]?.severity;

/** Facts that so many of so many hosts call an address. */
function called(address: string, sources: number, hosts = 100): NetworkFacts {
  const contacts = contactsOf([{ source: host, target: address, targetPort: 443, startMs: traceStartMs }]);
  const facts = new NetworkFacts();
  facts.ofSlot(0).addHosts(hosts, traceStartMs);
  facts.ofSlot(0).addSources(contacts.addressHash[contacts.pairs.target[0]], sources, traceStartMs);
  return facts;
}

describe("long_connection", () => {
  it("rises with the hours: nothing, info, low", () => {
    expect([0.9, 1, 3, 4, 14].map((hours) => severityOf(held({ hours, sliceMinutes: 0 })))).toEqual([
      undefined,
      "info",
      "info",
      "low",
      "low",
    ]);
  });

  it.each<[string, number]>([
    ["whole", 0],
    ["in slices of a minute", 1],
    ["in slices of ten minutes", 10],
    ["in slices of half an hour", 30],
  ])("sees one connection %s", (_, sliceMinutes) => {
    const [finding] = lastDay(held({ hours: 6, port: 4444, bytes: 1000, sliceMinutes }));
    expect(finding.severity).toBe("medium");
    expect(finding.evidence).toMatchObject({ length_hours: 6, covered_share: 1 });
    expect(finding.peers).toEqual([{ address: peer, port: 4444, protocol: "tcp" }]);
  });

  it.each<[string, Held, string | undefined]>([
    ["telnet for two hours", { hours: 2, port: 23 }, "medium"],
    ["telnet for an hour", { hours: 1, port: 23 }, "info"],
    ["telnet over IPv6", { hours: 2, port: 23, source: "2001:db8:1::9", target: "2001:db8:5::9" }, "medium"],
    ["an uncommon service that hardly carries anything", { hours: 5, port: 9001, bytes: 2000 }, "medium"],
    ["an uncommon service that carries out", { hours: 5, port: 9001, bytes: 100_000, sent: 9_000_000 }, "medium"],
    ["an uncommon service, four hours short of half a day", { hours: 8, port: 9001 }, "low"],
    ["an uncommon service for half a day", { hours: 12, port: 9001 }, "medium"],
    ["a VPN", { hours: 20, port: 51_820, protocol: Protocol.Udp }, "low"],
    ["a chat", { hours: 20, bytes: 5000 }, "low"],
    ["a database inside", { hours: 20, target: "10.0.0.5", port: 5432 }, undefined],
    ["a visitor from outside", { hours: 20, source: peer, target: host }, undefined],
    ["a stream to a group", { hours: 20, target: "239.1.2.3", port: 5004, protocol: Protocol.Udp }, undefined],
    ["a tunnel without ports", { hours: 20, port: 0, protocol: 47 }, undefined],
  ])("judges %s", (_, connection, severity) => {
    expect(severityOf(held(connection))).toBe(severity);
  });

  it("looks at who else calls the peer", () => {
    const flows = held({ hours: 13 });
    expect(severityOf(flows, called(peer, 1))).toBe("medium");
    expect(severityOf(flows, called(peer, 40))).toBe("low");
    expect(severityOf(flows, called(peer, 1, 3))).toBe("low");
    expect(severityOf(held({ hours: 13, port: 4444, bytes: 1000 }), called(peer, 40))).toBe("low");
  });

  it("takes a service that hosts hold at other hours than one another for common", () => {
    const devices = Array.from({ length: 6 }, (_, i) => `10.0.0.${40 + i}`);
    // Each device's connection is written once, when it ends: no two within an hour.
    const flows = devices.flatMap((source, i) => held({ source, hour: i, hours: 13, port: 1883, sliceMinutes: 0 }));
    const severities = (some: readonly TraceFlow[]) => {
      const slot = slotOfDetector(longConnection);
      const facts = called("198.51.100.9", 9);
      for (const flow of some) {
        slot.learn(wholeSlot(contactsOf([flow])));
        slot.findings(0, facts);
        slot.tell!(facts.ofSlot(0), false);
      }
      return slot.findings(firstDayMs + dayMs, facts).map(({ finding }) => finding.severity);
    };
    expect(severities(flows)).toEqual(devices.map(() => "low"));
    expect(severities(flows.slice(0, 2))).toEqual(["medium", "medium"]);
  });

  it("knows the peers of days before, and when it knows none", () => {
    const vpn = [0, 1, 2].flatMap((day) => held({ day, hours: 14, port: 1194, target: "198.51.100.1" }));
    const other = held({ day: 3, hours: 14, port: 1194 });
    expect(severityOf([...vpn, ...other])).toBe("medium");
    expect(severityOf([...vpn, ...held({ day: 3, hours: 14, port: 1194, target: "198.51.100.2" })])).toBe("low");
    expect(severityOf([...vpn, ...other], called(peer, 40))).toBe("low");
    expect(severityOf([...vpn.slice(0, vpn.length / 3), ...held({ day: 1, hours: 14, port: 1194 })])).toBe("low");
  });

  it("does not let a connection make its own peer known, but for a week of it", () => {
    const open = (hours: number) => severityOf(held({ hour: 13, hours, sliceMinutes: 60 }), called(peer, 1));
    expect([12, 14, 40, 100].map(open)).toEqual(["medium", "medium", "medium", "medium"]);
    expect([6, 8].map((days) => open(24 * days))).toEqual(["high", "low"]);
    const again = [...held({ hours: 14 }), ...held({ day: 1, hours: 14 })];
    expect(severityOf(again.slice(0, again.length / 2), called(peer, 1))).toBe("medium");
    const quiet = [...held({ hours: 3 }), ...held({ day: 1, hours: 14 })];
    expect(severityOf(quiet, called(peer, 1))).toBe("low");
  });

  it("takes a crowd of them for a peer-to-peer client", () => {
    const crowd = (count: number) =>
      Array.from({ length: count }, (_, i) =>
        held({ hours: 6, target: `198.51.100.${i}`, port: 9000 + i, bytes: 1000, sliceMinutes: 0 }),
      ).flat();
    expect([4, 5].map((count) => severityOf(crowd(count)))).toEqual(["medium", "low"]);
  });

  it("does not join two visits from one port", () => {
    const visits = [...held({ hours: 0.5, port: 4444 }), ...held({ hour: 12, hours: 0.5, port: 4444 })];
    expect(lastDay(visits)).toEqual([]);
  });

  it("goes on over midnight, and over days", () => {
    const sliced = (hours: number) => held({ hour: 20, hours, port: 4444, bytes: 1000 });
    const [next] = lastDay(sliced(8));
    expect(next.evidence).toMatchObject({ length_hours: 8 });
    expect(next.severity).toBe("medium");
    expect(lastDay(sliced(60))[0].evidence).toMatchObject({ length_hours: 60 });
    const apart = [...held({ hour: 20, hours: 3, port: 4444 }), ...held({ day: 1, hour: 2, hours: 3, port: 4444 })];
    expect(lastDay(apart)[0].evidence).toMatchObject({ length_hours: 3 });
    // Open at midnight, or nearly so, and heard of again much later.
    const evening = held({ hour: 20, hours: 3.9, port: 4444, sliceMinutes: 1 });
    const later = [1, 2].map((day) => held({ day, hour: 9, hours: 3, port: 4444 }));
    for (const visit of later) expect(lastDay([...evening, ...visit])[0].evidence).toMatchObject({ length_hours: 3 });
  });

  it("tells of thresholds with which it would be quiet", () => {
    const quietAt = (connection: Held) =>
      (lastDay(held(connection))[0].evidence["thresholds"] as { threshold: string; quiet_at: number | null }[]).map(
        ({ threshold, quiet_at }) => [threshold, quiet_at],
      );
    expect(quietAt({ hours: 2, port: 23 })).toEqual([["clear_text_hours_min", 2.01]]);
    expect(quietAt({ hours: 6, port: 4444, bytes: 1000 })).toEqual([["uncommon_hours_min", 6.01]]);
    expect(quietAt({ hours: 13, port: 4444 })).toEqual([["long_hours_min", 13.1]]);
  });

  it("keeps the long one among many short ones, at any cut and over evictions", () => {
    const short = Array.from({ length: 600 }, (_, i): TraceFlow => ({
      source: host,
      target: `198.18.${i >> 8}.${i & 255}`,
      targetPort: 443,
      sourcePort: 40_000 + i,
      startMs: firstDayMs + 2 * hourMs + i * minuteMs,
      durationMs: 70_000,
    }));
    const flows = [...held({ hours: 30, port: 4444, bytes: 1000 }), ...short].sort((x, y) => x.startMs - y.startMs);
    const whole = finalVerdicts(flows, { detectors: [longConnection], cut: 5000 });
    const hours = whole.map((text) => (JSON.parse(text) as Finding).evidence["length_hours"]);
    // The record that ends at midnight belongs to the day that begins there.
    expect(hours.sort()).toEqual([22.833, 30]);
    expect(finalVerdicts(flows, { detectors: [longConnection], cut: 50, evict: true })).toEqual(whole);
  });
});
