import { Outcome } from "../../src/core/flow/flow-batch.ts";
import { Random } from "../support/random.ts";
import { traceStartMs, type TraceFlow } from "../support/trace.ts";

const dayMs = 86_400_000;

/** Servers that do on the fourth day what they never did; beside them those that did, and those nobody knows. */
export function trace(seed: number): TraceFlow[] {
  const random = new Random(seed);
  const at = (day: number) => traceStartMs + day * dayMs + random.int(0, 80 * 60_000);
  const serve = (target: string, targetPort: number, count: number, days: number[], from: (i: number) => string) =>
    days.flatMap((day) =>
      Array.from({ length: count }, (_, i) => ({ source: from(i), target, targetPort, startMs: at(day) })),
    );
  const own = (i: number) => `10.0.5.${100 + i}`;
  const outsider = (i: number) => `198.51.100.${1 + i}`;
  const outsider6 = (i: number) => `2001:db8:2:5::${i + 1}`;
  const [known, all] = [
    [0, 1, 2],
    [0, 1, 2, 3],
  ];
  return [
    // Two that answer outsiders on a new port, and one that answers its own.
    serve("10.0.5.10", 443, 15, all, outsider),
    serve("10.0.5.10", 22, 4, all, own),
    serve("10.0.5.10", 4444, 12, [3], outsider),
    serve("2001:db8:1:5::10", 443, 15, all, outsider6),
    serve("2001:db8:1:5::10", 1337, 7, [3], outsider6),
    serve("10.0.5.11", 445, 9, all, own),
    serve("10.0.5.11", 5985, 8, [3], own),
    // A service that is as old as the rest, one that was there on a day before, one that is nearly new.
    serve("10.0.5.12", 8443, 12, all, outsider),
    serve("10.0.5.13", 443, 9, known, outsider),
    serve("10.0.5.13", 9000, 9, [1, 3], outsider),
    serve("10.0.5.14", 443, 9, all, outsider),
    serve("10.0.5.14", 9001, 2, [3], outsider),
    // Hosts that nobody knows, from today and from yesterday on.
    serve("10.0.5.20", 8080, 20, [3], outsider),
    serve("10.0.5.21", 8080, 20, [2, 3], outsider),
    serve("10.0.5.21", 8081, 20, [3], outsider),
    // The end of a transfer, and knocks that nobody opened to.
    serve("10.0.5.15", 21, 9, all, own),
    serve("10.0.5.15", 49_999, 9, [3], own),
    serve("10.0.5.16", 443, 9, all, outsider),
    serve("10.0.5.16", 9002, 9, [3], outsider).map((flow) => ({ ...flow, outcome: Outcome.Refused })),
  ].flat();
}

export function invented(target: string, startMs: number): TraceFlow[] {
  return [{ source: target.includes(":") ? "2001:db8:2::7" : "203.0.113.7", target, targetPort: 8080, startMs }];
}
