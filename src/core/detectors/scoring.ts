import type { Severity } from "../verdict.ts";
import { severities } from "../verdict.ts";

/** 0.5 at the threshold, 1 at a hundred times it, on a logarithmic scale. */
export function scoreOf(value: number, threshold: number): number {
  if (value <= 0) return 0;
  return Math.min(1, Math.max(0, 0.5 + 0.25 * Math.log10(value / threshold)));
}

/** Medium at the threshold, one level more per decade above it; and `raise` levels more for what makes it worse. */
export function severityOf(value: number, threshold: number, raise = 0): Severity {
  const decades = Math.floor(Math.log10(value / threshold) + 1e-9);
  const level = severities.indexOf("medium") + decades + raise;
  return severities[Math.min(severities.length - 1, Math.max(0, level))];
}

/** To three decimals: enough to read, and the same on every machine. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
