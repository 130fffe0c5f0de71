import { Outcome, Protocol } from "../../src/core/flow/flow-batch.ts";
import { Random } from "../support/random.ts";
import { traceStartMs, type TraceFlow } from "../support/trace.ts";

const minuteMs = 60_000;
const lost = { outcome: Outcome.Unanswered, targetPackets: 0, targetBytes: 0 };
const replyOnly = { sourcePackets: 0, sourceBytes: 0, outcome: Outcome.Unknown };

/**
 * A flood of twenty long flows (and one over IPv6), a reflection onto IPv6, a prefix of IPv4 and one of IPv6 that are
 * hit as a whole, and one of our own that floods a host outside. Beside them a flash crowd, a dead server and its
 * clients, a backup, a speed test and a meeting. Habits take hours, and what adds up takes thousands: unit tests.
 */
export function trace(seed: number): TraceFlow[] {
  const random = new Random(seed).fork("ddos");
  return [
    ...longFlows("198.51.100.20", "10.0.4.10", 4, 20),
    ...longFlows("2001:db8:bad::20", "2001:db8:1:4::10", 6, 1),
    ...caches(random, "2001:db8:1:4::20", 10),
    ...overPrefix(
      (i) => `198.18.77.${1 + (i % 30)}`,
      (i) => `10.7.7.${1 + i}`,
      13,
    ),
    ...longFlows("10.0.4.66", "203.0.113.99", 16, 20),
    ...flashCrowd(random, "10.0.4.30", 18),
    ...deadServer(random, "10.0.4.40", 22),
    ...largeButWanted(26),
    ...overPrefix(
      (i) => `2001:db8:bad::${1 + (i % 30)}`,
      (i) => `2001:db8:1:7::${(1 + i).toString(16)}`,
      70,
    ),
  ];
}

/** Asks for nothing and gets an answer; and is asked by somebody, but does not answer. */
export function invented(source: string, startMs: number): TraceFlow[] {
  const isV6 = source.includes(":");
  const server = isV6 ? "2001:db8:2::7" : "203.0.113.7";
  const stranger = isV6 ? "2001:db8:2::8" : "203.0.113.8";
  return [
    { source, target: server, targetPort: 53, protocol: Protocol.Udp, startMs, ...replyOnly },
    { source: stranger, target: source, targetPort: 23, startMs, sourcePackets: 1, ...lost },
  ];
}

function at(minute: number): number {
  return Math.floor(traceStartMs + minute * minuteMs);
}

/** 50,000 packets a second for two minutes, logged every minute. */
function longFlows(source: string, target: string, minute: number, flows: number): TraceFlow[] {
  const packets = (50_000 * 60) / flows;
  return Array.from({ length: 2 * flows }, (_, i) => ({
    source,
    sourcePort: 30_000 + (i % flows),
    target,
    targetPort: 80,
    protocol: Protocol.Udp,
    startMs: at(minute + Math.floor(i / flows)),
    durationMs: 59_900,
    ...lost,
    sourcePackets: packets,
    sourceBytes: packets * 900,
  }));
}

/** Two gigabits a second from as many open caches. */
function caches(random: Random, victim: string, minute: number): TraceFlow[] {
  return Array.from({ length: 400 }, () => ({
    source: victim,
    target: `2001:db8:2:11::${random.int(1, 300).toString(16)}`,
    targetPort: 11_211,
    protocol: Protocol.Udp,
    startMs: at(minute + 0.9 * random.next()),
    ...replyOnly,
    targetPackets: 27_000,
    targetBytes: 37_800_000,
  }));
}

/** 30,000 packets a second, of which each of 200 hosts has its share. */
function overPrefix(sourceOf: (i: number) => string, targetOf: (i: number) => string, minute: number): TraceFlow[] {
  return Array.from({ length: 200 }, (_, i) => ({
    source: sourceOf(i),
    target: targetOf(i),
    targetPort: 80,
    protocol: Protocol.Udp,
    startMs: at(minute),
    durationMs: 59_000,
    ...lost,
    sourcePackets: 9000,
    sourceBytes: 10_800_000,
  }));
}

/** Nearly all are served. */
function flashCrowd(random: Random, server: string, minute: number): TraceFlow[] {
  return Array.from({ length: 500 }, (_, i) => ({
    source: `198.18.${80 + (i % 20)}.${random.int(1, 250)}`,
    target: server,
    targetPort: 443,
    startMs: at(minute + 0.9 * random.next()),
    durationMs: 200,
    ...(i % 8 === 0 ? { ...lost, sourcePackets: 2, sourceBytes: 80 } : {}),
  }));
}

/** Its clients are all our own. */
function deadServer(random: Random, server: string, minute: number): TraceFlow[] {
  return Array.from({ length: 700 }, (_, i) => ({
    source: `10.0.5.${1 + (i % 50)}`,
    target: server,
    targetPort: 8443,
    startMs: at(minute + 0.9 * random.next()),
    durationMs: 0,
    ...lost,
    sourcePackets: 1,
    sourceBytes: 40,
  }));
}

/** A backup, both halves of a speed test, a meeting: more than a flood, but answered. */
function largeButWanted(minute: number): TraceFlow[] {
  const startMs = at(minute);
  const long = { startMs, durationMs: 59_000 };
  const up = { sourcePackets: 3_000_000, sourceBytes: 4.3e9, targetPackets: 1_500_000, targetBytes: 60e6 };
  const down = { sourcePackets: 1_500_000, sourceBytes: 60e6, targetPackets: 3_000_000, targetBytes: 4.3e9 };
  const meeting = { sourcePackets: 90_000, sourceBytes: 30e6, targetPackets: 300_000, targetBytes: 200e6 };
  return [
    { source: "10.0.6.1", target: "10.0.6.2", targetPort: 873, ...long, ...up },
    { source: "10.0.6.3", target: "203.0.113.70", targetPort: 8080, ...long, ...up },
    { source: "10.0.6.3", target: "203.0.113.71", targetPort: 8080, ...long, ...down },
    ...Array.from({ length: 12 }, (_, i) => ({
      source: `10.0.6.${20 + i}`,
      target: "203.0.113.72",
      targetPort: 3478,
      protocol: Protocol.Udp,
      ...long,
      ...meeting,
    })),
  ];
}
