import { Outcome, Protocol } from "../../src/core/flow/flow-batch.ts";
import { Random } from "../support/random.ts";
import { traceStartMs, type TraceFlow } from "../support/trace.ts";

/** Services that cross the border, answered; beside them the same inside, blocked, once, and others. */
export function trace(seed: number): TraceFlow[] {
  const random = new Random(seed);
  const at = () => traceStartMs + random.int(0, 80 * 60_000);
  const calls = (count: number, flow: (i: number) => Omit<TraceFlow, "startMs">): TraceFlow[] =>
    Array.from({ length: count }, (_, i) => ({ startMs: at(), ...flow(i) }));
  return [
    // A remote desktop and, over IPv6, a file share that outsiders reach; a file share and a telnet session outside.
    calls(30, (i) => ({ source: `198.51.100.${30 + i}`, target: "10.0.4.10", targetPort: 3389 })),
    calls(9, (i) => ({ source: `2001:db8:2:4::${i + 1}`, target: "2001:db8:1:4::10", targetPort: 445 })),
    calls(6, () => ({ source: "10.0.4.11", target: "203.0.113.45", targetPort: 445 })),
    calls(4, () => ({ source: "10.0.4.11", target: "203.0.113.46", targetPort: 23 })),
    // What clients have reasons for.
    calls(12, (i) => ({ source: "10.0.4.12", target: `203.0.113.${50 + i}`, targetPort: 21 })),
    // Inside it belongs.
    calls(40, (i) => ({ source: `10.0.4.${100 + i}`, target: "10.0.4.13", targetPort: 445 })),
    calls(40, (i) => ({
      source: "10.0.4.14",
      target: `10.0.4.${100 + i}`,
      targetPort: 161,
      protocol: Protocol.Udp,
    })),
    // Outsiders who try in vain, and one who got through once.
    calls(40, (i) => ({
      source: `198.51.100.${100 + i}`,
      target: "10.0.4.15",
      targetPort: 3389,
      outcome: i % 2 === 0 ? Outcome.Unanswered : Outcome.Blocked,
    })),
    calls(1, () => ({ source: "198.51.100.9", target: "10.0.4.16", targetPort: 23 })),
    // Syslog shares its port with rsh, and what is served to outsiders is none of these.
    calls(20, () => ({ source: "10.0.4.17", target: "203.0.113.70", targetPort: 514, protocol: Protocol.Udp })),
    calls(60, (i) => ({ source: `198.51.100.${100 + i}`, target: "10.0.4.18", targetPort: 443 })),
  ].flat();
}

export function invented(source: string, startMs: number): TraceFlow[] {
  return [{ source, target: source.includes(":") ? "2001:db8:2::7" : "203.0.113.7", targetPort: 445, startMs }];
}
