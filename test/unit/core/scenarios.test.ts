import { describe, expect, it } from "vitest";
import { Initiator, Outcome, Protocol, Tcp } from "../../../src/core/flow/flow-batch.ts";
import { severities, type Verdict } from "../../../src/core/verdict.ts";
import { Random } from "../../support/random.ts";
import { traceStartMs, verdictsOf, type TraceFlow } from "../../support/trace.ts";

/** What an analyst would want to hear of, and what not. One scene each, named by what happens in it. */
const random = new Random(7);
const minute = 60_000;
const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const at = (ms: number) => traceStartMs + Math.floor(ms);
const silent = { outcome: Outcome.Unanswered, sourcePackets: 1, sourceBytes: 40 };
const refused = { outcome: Outcome.Refused, sourcePackets: 1, targetPackets: 1, sourceBytes: 40, targetBytes: 40 };
const unknown = { outcome: Outcome.Unknown, initiator: Initiator.Unknown, targetPackets: 0, targetBytes: 0 };
const inside = "10.0.0.9";
const outside = "203.0.113.9";

function alerts(flows: TraceFlow[]): string[] {
  const sorted = flows.toSorted((a, b) => a.startMs + (a.durationMs ?? 100) - b.startMs - (b.durationMs ?? 100));
  const isAlert = ({ state, severity }: Verdict) => state === "final" && severities.indexOf(severity) >= 2;
  const heard = verdictsOf(sorted, { cut: 500 }).filter(isAlert);
  return [...new Set(heard.map(({ threat, entity }) => `${threat} ${entity}`))].sort();
}

describe("raises an alert about", () => {
  it.each<[string, TraceFlow[], string[]]>([
    [
      "20 ports of one host within a minute, all refused",
      times(20, (i) => ({ source: outside, target: inside, targetPort: 1000 + i, startMs: at(i * 3000), ...refused })),
      [`port_scan ${outside}`],
    ],
    [
      "12 ports in 12 hours",
      times(12, (i) => ({
        source: outside,
        target: inside,
        targetPort: 1000 + i,
        startMs: at(i * 60 * minute),
        ...silent,
      })),
      [`port_scan ${outside}`],
    ],
    [
      "SMB tried on 60 hosts by one of ours",
      times(60, (i) => ({ source: inside, target: `10.0.1.${i}`, targetPort: 445, startMs: at(i * 2000), ...silent })),
      [`port_scan ${inside}`],
    ],
    [
      "SSH tried on 5,000 hosts in half an hour",
      times(5000, (i) => ({
        source: outside,
        target: `10.1.${i >> 8}.${i & 255}`,
        targetPort: 22,
        startMs: at(i * 360),
        ...silent,
      })),
      [`port_scan ${outside}`],
    ],
    [
      "SMB tried on 400 hosts by one of ours that also talks to 1,500 others",
      times(1900, (i) => ({
        source: inside,
        target: i < 400 ? `10.1.${i >> 8}.${i & 255}` : `203.0.${i >> 8}.${i & 255}`,
        targetPort: i < 400 ? 445 : 443,
        startMs: at(i * 600),
        ...(i < 400 ? silent : {}),
      })),
      [`port_scan ${inside}`],
    ],
    [
      "a SYN flood through which a third as many clients are served",
      times(8000, (i) => ({
        source: `198.18.${i >> 8}.${i & 255}`,
        target: inside,
        targetPort: 443,
        startMs: at(i * 7),
        durationMs: 0,
        ...(i % 4 === 0 ? {} : silent),
      })),
      [`ddos ${inside}`],
    ],
    [
      "a UDP flood by one of ours on random ports of one host",
      times(6000, (i) => ({
        source: inside,
        target: outside,
        targetPort: (i * 7919) % 65_536,
        protocol: Protocol.Udp,
        startMs: at(i * 10),
        ...silent,
        sourceBytes: 1400,
      })),
      [`ddos ${outside}`],
    ],
    [
      "an ICMP sweep of 100 hosts, of which ten answer",
      times(100, (i) => ({
        source: inside,
        target: `10.0.1.${i}`,
        targetPort: 8 << 8,
        sourcePort: 0,
        protocol: Protocol.Icmp,
        startMs: at(i * 500),
        outcome: i % 10 === 0 ? Outcome.Answered : Outcome.Unanswered,
        sourcePackets: 1,
      })),
      [`port_scan ${inside}`],
    ],
    [
      "2,000 lone SYNs from as many sources, in a one-way log",
      times(2000, (i) => ({
        source: `198.18.${i >> 8}.${i & 255}`,
        target: inside,
        targetPort: 443,
        startMs: at(i * 10),
        durationMs: 0,
        ...unknown,
        tcpFlags: Tcp.Syn,
        sourcePackets: 1,
        sourceBytes: 40,
      })),
      [`ddos ${inside}`],
    ],
    [
      "memcached answers that nobody asked for, to a low port",
      times(2000, (i) => ({
        source: `198.18.${i >> 8}.${i & 255}`,
        target: inside,
        targetPort: 80,
        sourcePort: 11_211,
        protocol: Protocol.Udp,
        startMs: at(i * 10),
        ...unknown,
        sourcePackets: 9,
        sourceBytes: 12_600,
      })),
      [`ddos ${inside}`],
    ],
    [
      "a flood by one of ours",
      times(4000, (i) => ({
        source: inside,
        target: outside,
        targetPort: 80,
        startMs: at(i * 10),
        durationMs: 0,
        ...silent,
      })),
      [`ddos ${outside}`],
    ],
    [
      "a beacon on port 443 every minute, 30 % jitter",
      times(120, (i) => ({
        source: inside,
        target: outside,
        targetPort: 443,
        startMs: at((i + 0.3 * random.next()) * minute),
        sourceBytes: 512,
        targetBytes: 700,
        sourcePort: 40_000 + i,
      })),
      [`c2_beacon ${inside}`],
    ],
    [
      "calls to a host that stopped to answer",
      times(100, (i) => ({ source: inside, target: outside, targetPort: 6667, startMs: at(i * i * 600), ...silent })),
      [`c2_beacon ${inside}`],
    ],
  ])("%s", (_, flows, expected) => expect(alerts(flows)).toEqual(expected));
});

describe("is silent about", () => {
  it.each<[string, TraceFlow[]]>([
    [
      "a busy server that answers",
      times(6000, (i) => ({
        source: `198.18.${i % 200}.${i % 250}`,
        target: inside,
        targetPort: 443,
        startMs: at(i * 20),
      })),
    ],
    [
      "a busy server in a log that shows only what comes in",
      times(6000, (i) => ({
        source: `198.18.${i % 200}.${i % 250}`,
        target: inside,
        targetPort: 443,
        startMs: at(i * 10),
        ...unknown,
        sourcePackets: 12,
        sourceBytes: 4000,
      })),
    ],
    [
      "servers whose NetFlow shows both halves with the flags of all packets",
      times(1400, (i) => ({
        source: i % 2 ? inside : outside,
        sourcePort: i % 2 ? 443 : 40_000 + i,
        target: i % 2 ? outside : inside,
        targetPort: i % 2 ? 40_000 + i - 1 : 443,
        startMs: at(i * 500),
        ...unknown,
        tcpFlags: Tcp.Syn | Tcp.Ack | Tcp.Psh | Tcp.Fin,
        sourcePackets: 9,
      })),
    ],
    [
      "a client of 400 web sites in a log that shows only what goes out",
      times(800, (i) => ({
        source: inside,
        target: `203.0.${(i % 400) >> 8}.${i % 256}`,
        targetPort: 443,
        startMs: at(i * 2000),
        ...unknown,
        sourcePackets: 12,
        sourceBytes: 3000,
      })),
    ],
    [
      "a name server in a log that shows only what comes in",
      times(4000, (i) => ({
        source: `198.18.${i % 12}.${i % 250}`,
        target: inside,
        targetPort: 53,
        protocol: Protocol.Udp,
        startMs: at(i * 15),
        ...unknown,
        sourcePackets: 1,
        sourceBytes: 70,
      })),
    ],
    [
      "a dead server that 200 clients of ours retry every five seconds",
      times(24_000, (i) => ({
        source: `10.0.2.${i % 200}`,
        target: inside,
        targetPort: 3306,
        startMs: at(i * 25),
        ...silent,
      })),
    ],
    [
      "a monitor that polls 200 hosts, ten of them down",
      times(2000, (i) => ({
        source: inside,
        target: `10.0.1.${i % 200}`,
        targetPort: 9100,
        startMs: at((i / 200) * minute),
        ...(i % 200 < 10 ? silent : {}),
      })),
    ],
    [
      "a page with 80 connections to one host",
      times(400, (i) => ({
        source: inside,
        target: outside,
        targetPort: 443,
        startMs: at(Math.floor(i / 80) * 5 * minute + (i % 80) * 40),
      })),
    ],
    [
      "an update check every quarter of an hour",
      times(60, (i) => ({
        source: inside,
        target: outside,
        targetPort: 443,
        startMs: at(i * 15 * minute),
        sourceBytes: 1300,
      })),
    ],
    [
      "NTP and DNS by the clock",
      times(200, (i) => ({
        source: inside,
        target: i % 2 ? outside : "203.0.113.53",
        targetPort: i % 2 ? 123 : 53,
        protocol: Protocol.Udp,
        startMs: at(i * 32_000),
        sourceBytes: 76,
        targetBytes: 76,
        sourcePackets: 1,
        targetPackets: 1,
      })),
    ],
    [
      "one connection whose records come every minute",
      times(90, (i) => ({
        source: inside,
        target: outside,
        targetPort: 7777,
        sourcePort: 50_123,
        startMs: at(i * minute),
      })),
    ],
    [
      "a peer-to-peer client with twenty regular peers",
      times(800, (i) => ({
        source: inside,
        target: `203.0.113.${i % 20}`,
        targetPort: 51_413,
        startMs: at(Math.floor(i / 20) * minute + i),
      })),
    ],
    [
      "a host that 200 clients cannot reach",
      times(600, (i) => ({
        source: `10.0.2.${i % 200}`,
        target: inside,
        targetPort: 3306,
        startMs: at(i * 600),
        ...silent,
      })),
    ],
    [
      "strangers who knock once each",
      times(800, (i) => ({
        source: `198.18.${i >> 8}.${i & 255}`,
        target: inside,
        targetPort: 23,
        startMs: at(i * 5000),
        ...silent,
      })),
    ],
    [
      "discovery by multicast",
      times(300, (i) => ({
        source: inside,
        target: "239.255.255.250",
        targetPort: 1900,
        protocol: Protocol.Udp,
        startMs: at(i * 30_000),
        ...silent,
      })),
    ],
    [
      "a resolver's late answers to many ports",
      times(60, (i) => ({
        source: "203.0.113.53",
        sourcePort: 53,
        target: inside,
        targetPort: 50_000 + i,
        protocol: Protocol.Udp,
        startMs: at(i * 1000),
        ...unknown,
        sourcePackets: 1,
        sourceBytes: 90,
      })),
    ],
    [
      "resets that answer somebody's scan",
      times(300, (i) => ({
        source: inside,
        sourcePort: 1 + i,
        target: outside,
        targetPort: 61_000,
        startMs: at(i * 100),
        ...unknown,
        tcpFlags: 0,
        sourcePackets: 1,
        sourceBytes: 40,
      })),
    ],
  ])("%s", (_, flows) => expect(alerts(flows)).toEqual([]));
});
