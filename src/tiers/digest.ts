import { createHash } from "node:crypto";
import type { VerdictState } from "../core/verdict.ts";

/** What the digest of a run looks at: an `Anomaly` is one, `digestedOf` makes one of what the API answers. */
export interface DigestedAnomaly {
  id: string;
  tenant: string;
  threat: string;
  entity: string;
  window: { startMs: number; endMs: number };
  state: VerdictState;
  score: number;
  severity: string;
  evidence: object;
}

/**
 * The digest of a run (promise 3): SHA-256 in hex over its final verdicts but those of models, sorted by id, a line of JSON each. Two runs
 * with the same digest came to the same conclusions, whatever they said on the way there.
 *
 *     [id, tenant, threat, entity, window start, window end, state, score in 1/10,000, severity, [[path, number], …]]
 */
export function digestOf(anomalies: Iterable<DigestedAnomaly>): string {
  const hash = createHash("sha256");
  for (const line of digestLines(anomalies)) hash.update(`${line}\n`);
  return hash.digest("hex");
}

/** What the digest hashes: where two runs differ, these lines say in what. */
export function digestLines(anomalies: Iterable<DigestedAnomaly>): string[] {
  const final = [...anomalies].filter(({ state, threat }) => state === "final" && threat !== "anomaly");
  return final.sort((a, b) => (a.id < b.id ? -1 : 1)).map(lineOf);
}

function lineOf({ id, tenant, threat, entity, window, state, score, severity, evidence }: DigestedAnomaly): string {
  const { startMs, endMs } = window;
  const counts = [...countsOf("", evidence)];
  return JSON.stringify([
    id,
    tenant,
    threat,
    entity,
    startMs,
    endMs,
    state,
    Math.round(score * 10_000),
    severity,
    counts,
  ]);
}

/** Every number in the evidence by its path, keys in order; what JSON cannot say, the API does not say either. */
function* countsOf(path: string, value: unknown): Generator<[path: string, number: string]> {
  if (typeof value === "number" && Number.isFinite(value)) yield [path, numberText(value)];
  if (typeof value !== "object" || value === null) return;
  // Of an array, the indexes in order of counting.
  const keys = Array.isArray(value) ? Object.keys(value) : Object.keys(value).sort();
  for (const key of keys) yield* countsOf(`${path}/${key}`, (value as { [key: string]: unknown })[key]);
}

/** Whole numbers in full; of others six digits, since the last bits of a logarithm differ between machines. */
function numberText(value: number): string {
  return Number.isInteger(value) ? value.toFixed(0) : value.toExponential(5);
}

/** An anomaly as the HTTP API answers it, as far as the digest looks at it. */
interface AnomalyJson extends Omit<DigestedAnomaly, "window"> {
  window: { start: string; end: string };
}

export function digestedOf({ window, ...rest }: AnomalyJson): DigestedAnomaly {
  return { ...rest, window: { startMs: Date.parse(window.start), endMs: Date.parse(window.end) } };
}
