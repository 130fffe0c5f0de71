/** One value of a series, at whole steps of time. */
export interface Point<T> {
  at: number;
  value: number;
  of: T;
}

/** How far a series rose. */
export interface Rise<T> {
  sum: number;
  /** Where it was greatest, and over how many steps it had risen by then. */
  of: T;
  length: number;
}

/**
 * The greatest cumulative sum of a series, less `drift` for each step, never below 0; steps without a point count as 0.
 * It finds what stays a little above the usual for long. Of equal ones the first; undefined where nothing exceeds the
 * drift. Points may come in any order.
 *
 * Source: Page, Continuous Inspection Schemes, Biometrika 41, 1954.
 */
export function cusum<T>(points: readonly Point<T>[], drift: number): Rise<T> | undefined {
  const sorted = points.toSorted((a, b) => a.at - b.at);
  let best: Rise<T> | undefined;
  let [sum, since, last] = [0, 0, sorted.length > 0 ? sorted[0].at - 1 : 0];
  for (const { at, value, of } of sorted) {
    const before = Math.max(0, sum - drift * (at - last - 1));
    if (before === 0) since = at;
    sum = Math.max(0, before + value - drift);
    last = at;
    if (sum > (best?.sum ?? 0)) best = { sum, of, length: at - since + 1 };
  }
  return best;
}
