import { median } from "../../src/cli/statistics.ts";

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export function spread(values: readonly number[]): Spread {
  return { median: median([...values]) ?? 0, min: Math.min(...values), max: Math.max(...values) };
}
