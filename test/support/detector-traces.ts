import type { Threat } from "../../src/core/verdict.ts";
import { endOf, sampleTrace, traceStartMs, type TraceFlow } from "./trace.ts";

/** What `test/golden/<id>.trace.ts` exports. */
interface DetectorTrace {
  /** What the detector finds, from `traceStartMs` on, in any order; by seed, and of a few thousand flows at most. */
  trace(seed: number): TraceFlow[];
  /** What one of thousands of invented sources would do to fill the detector's memory; one request unless told. */
  invented?(source: string, startMs: number): TraceFlow[];
}

const files = import.meta.glob("../golden/*.trace.ts", { eager: true });

function fileOf(id: Threat): DetectorTrace | undefined {
  return files[`../golden/${id}.trace.ts`] as unknown as DetectorTrace | undefined;
}

/** The sample, and what the detector is to find beside it, by order of end. */
export function traceOf(id: Threat, seed: number): TraceFlow[] {
  return [...sampleTrace(seed), ...(fileOf(id)?.trace(seed) ?? [])].sort((a, b) => endOf(a) - endOf(b));
}

export function inventedBy(id: Threat, source: string, minute: number): TraceFlow[] {
  const startMs = Math.floor(traceStartMs + minute * 60_000);
  return fileOf(id)?.invented?.(source, startMs) ?? [oneFlow(source, startMs)];
}

function oneFlow(source: string, startMs: number): TraceFlow {
  return { source, target: source.includes(":") ? "2001:db8:2::7" : "203.0.113.7", targetPort: 443, startMs };
}
