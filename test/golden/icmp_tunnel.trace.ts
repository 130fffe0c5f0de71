import { Outcome, Protocol } from "../../src/core/flow/flow-batch.ts";
import { Random } from "../support/random.ts";
import { traceStartMs, type TraceFlow } from "../support/trace.ts";

const echo = { sourcePort: 0, targetPort: 8 << 8, protocol: Protocol.Icmp };
const echo6 = { sourcePort: 0, targetPort: 128 << 8, protocol: Protocol.Icmp6 };

/** How one pair pings: packets and their sizes, in a record, every so often. */
interface Pings {
  source: string;
  target: string;
  fromMinute: number;
  minutes: number;
  everyS: number;
  packets: number;
  request: [least: number, most: number];
  reply: [least: number, most: number];
}

/** Tunnels out, out over IPv6, and in; beside them pings as large, as many, as short, and inside. */
export function trace(seed: number): TraceFlow[] {
  const random = new Random(seed);
  const steady = { fromMinute: 10, minutes: 40, everyS: 30, packets: 20 };
  return [
    // Tunnels: more comes than goes, or goes than comes.
    pings({ source: "10.0.3.20", target: "203.0.113.77", ...steady, request: [60, 200], reply: [700, 1400] }),
    pings({ source: "2001:db8:1:3::20", target: "2001:db8:2::77", ...steady, request: [900, 1400], reply: [70, 90] }),
    pings({ source: "198.51.100.77", target: "10.0.3.30", ...steady, request: [80, 120], reply: [500, 1300] }),
    // A monitor of packets as large as the path takes; one of ordinary ones.
    pings({ source: "10.0.3.21", target: "203.0.113.78", ...steady, request: [1428, 1428], reply: [1428, 1428] }),
    pings({ source: "10.0.3.22", target: "203.0.113.79", ...steady, packets: 400, request: [84, 84], reply: [84, 84] }),
    // A flood of large ones, nearly none of which comes back.
    flood("10.0.3.23", "203.0.113.80"),
    // Somebody trying out sizes for some minutes.
    pings({
      source: "10.0.3.24",
      target: "203.0.113.81",
      fromMinute: 11,
      minutes: 8,
      everyS: 5,
      packets: 20,
      request: [60, 200],
      reply: [700, 1400],
    }),
    pings({ source: "10.0.3.25", target: "10.0.3.26", ...steady, request: [60, 200], reply: [700, 1400] }),
  ].flat();

  function pings({ source, target, fromMinute, minutes, everyS, packets, request, reply }: Pings): TraceFlow[] {
    return Array.from({ length: (60 * minutes) / everyS }, (_, i) => ({
      ...(source.includes(":") ? echo6 : echo),
      source,
      target,
      startMs: traceStartMs + fromMinute * 60_000 + i * everyS * 1000 + random.int(0, 500),
      durationMs: 4000,
      sourcePackets: packets,
      targetPackets: packets,
      sourceBytes: packets * random.int(...request),
      targetBytes: packets * random.int(...reply),
    }));
  }
}

function flood(source: string, target: string): TraceFlow[] {
  return Array.from({ length: 60 }, (_, i) => {
    const [sourcePackets, targetPackets] = [500, i % 2 === 0 ? 0 : 40];
    const counts = { sourcePackets, sourceBytes: 1028 * sourcePackets, targetPackets, targetBytes: 84 * targetPackets };
    const outcome = targetPackets > 0 ? Outcome.Answered : Outcome.Unanswered;
    return { ...echo, source, target, startMs: traceStartMs + i * 60_000, outcome, ...counts };
  });
}

export function invented(source: string, startMs: number): TraceFlow[] {
  const isV6 = source.includes(":");
  const target = isV6 ? "2001:db8:2::7" : "203.0.113.7";
  return [{ ...(isV6 ? echo6 : echo), source, target, startMs, sourceBytes: 252, targetBytes: 252, targetPackets: 3 }];
}
