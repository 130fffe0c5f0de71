/** How alike the members of a series are: robust statistics that one outlier does not move. */
export interface Spread {
  count: number;
  median: number;
  /** Median absolute deviation from the median. */
  mad: number;
  /** Bowley's skew, −1 to 1: 0 where the quartiles lie evenly about the median. */
  skew: number;
  /** 0 to 1: mean of 1 − |skew| beyond chance and max(0, (median − MAD) / median). */
  score: number;
}

/** Quartiles closer together than this, in units of the series, say nothing about skew. */
const quartileRangeMin = 10;

/**
 * Regularity of gaps or sizes. Uniform jitter of 50 % still scores 0.9, page loads and people near 0.6 and below.
 *
 * Source: RITA v5's time and size scores (activecm/rita, analysis/beacon.go), but for the skew: on n values of a
 * symmetric distribution its standard error is about 2/√n, so only what exceeds that counts.
 */
export function spreadOf(values: readonly number[], scoreIfZero: number): Spread {
  // Typed arrays sort numbers without calling back: this is most of the cost of judging a pair.
  const sorted = Float64Array.from(values).sort();
  const median = quantile(sorted, 0.5);
  const deviations = sorted.map((value) => Math.abs(value - median)).sort();
  const mad = quantile(deviations, 0.5);
  const [low, high] = [quantile(sorted, 0.25), quantile(sorted, 0.75)];
  const undecided = high - low < quartileRangeMin || median === low || median === high;
  const skew = undecided ? 0 : (high + low - 2 * median) / (high - low);
  const madScore = median < 1 ? scoreIfZero : Math.max(0, (median - mad) / median);
  const skewBeyondChance = Math.max(0, Math.abs(skew) - 2 / Math.sqrt(sorted.length));
  return { count: sorted.length, median, mad, skew, score: (1 - skewBeyondChance + madScore) / 2 };
}

/** Of a sorted series, by linear interpolation between neighbours; 0 of an empty one. */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) return 0;
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

/** Differences of neighbours. */
export function gapsOf(ascending: readonly number[]): number[] {
  return ascending.slice(1).map((value, i) => value - ascending[i]);
}
