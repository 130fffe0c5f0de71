import { Outcome } from "../../src/core/flow/flow-batch.ts";
import { traceStartMs, type TraceFlow } from "../support/trace.ts";
import { Random } from "../support/random.ts";

const minuteMs = 60_000;

function login(random: Random, source: string, target: string, targetPort: number, minute: number): TraceFlow {
  return {
    source,
    target,
    targetPort,
    startMs: Math.round(traceStartMs + (minute + 0.3 * random.next()) * minuteMs),
    durationMs: random.int(2000, 15_000),
    sourceBytes: random.int(5000, 60_000),
    targetBytes: random.int(4000, 40_000),
    sourcePackets: 60,
    targetPackets: 70,
  };
}

/** Hosts of which nobody knows a past: what spreads, and what looks like it. The past takes days: unit tests. */
export function trace(seed: number): TraceFlow[] {
  const random = new Random(seed).fork("lateral movement");
  const fan = (source: string, prefix: string, port: number, count: number, minute: number) =>
    Array.from({ length: count }, (_, i) => login(random, source, `${prefix}${i + 1}`, port, minute + i * 1.5));
  const failed = fan("10.0.0.57", "10.0.7.", 445, 30, 20).map((flow) => ({
    ...flow,
    outcome: Outcome.Unanswered,
    targetBytes: 0,
    targetPackets: 0,
  }));
  return [
    // Reached, then they spread: over SMB, and over SSH by IPv6.
    login(random, "10.0.0.51", "10.0.0.52", 445, 5),
    ...fan("10.0.0.52", "10.0.5.", 445, 30, 15),
    login(random, "2001:db8:1::51", "2001:db8:1::52", 22, 5),
    ...fan("2001:db8:1::52", "2001:db8:1:5::", 22, 24, 10),
    // Low: an administrator on the first day; one who was reached over another port.
    ...fan("10.0.0.53", "10.0.6.", 22, 12, 10),
    login(random, "10.0.0.53", "10.0.0.54", 3389, 5),
    ...fan("10.0.0.54", "10.0.8.", 22, 24, 10),
    // Silent: reached after, a single step, a scan, a file server that all come to.
    ...fan("10.0.0.55", "10.0.9.", 445, 4, 10),
    login(random, "10.0.0.51", "10.0.0.55", 445, 60),
    login(random, "10.0.0.51", "10.0.0.56", 22, 10),
    login(random, "10.0.0.56", "10.0.6.1", 22, 30),
    login(random, "10.0.0.51", "10.0.0.57", 445, 10),
    ...failed,
    ...Array.from({ length: 40 }, (_, i) => login(random, `10.0.4.${i + 1}`, "10.0.1.4", 445, 10 + i)),
  ];
}

export function invented(source: string, startMs: number): TraceFlow[] {
  return [{ source, target: source.includes(":") ? "2001:db8:1::99" : "10.0.1.99", targetPort: 445, startMs }];
}
