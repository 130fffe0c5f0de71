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
  const sorted = sortedOf(values);
  const median = quantile(sorted, 0.5);
  const mad = quantile(deviationsOf(sorted, median), 0.5);
  const low = quantile(sorted, 0.25);
  const high = quantile(sorted, 0.75);
  const undecided = high - low < quartileRangeMin || median === low || median === high;
  const skew = undecided ? 0 : (high + low - 2 * median) / (high - low);
  const madScore = median < 1 ? scoreIfZero : Math.max(0, (median - mad) / median);
  const skewBeyondChance = Math.max(0, Math.abs(skew) - 2 / Math.sqrt(sorted.length));
  return { count: sorted.length, median, mad, skew, score: (1 - skewBeyondChance + madScore) / 2 };
}

/** Up to so many, sorting by insertion is faster than asking for it. */
const fewValues = 24;

/** Room to sort in, and for deviations: made for each series, they cost more than the sorting. */
let roomToSort = new Float64Array(64);
let roomForDeviations = new Float64Array(64);

/** Most of the cost of judging a pair. Typed arrays sort numbers without calling back. Stands until the next call. */
function sortedOf(values: readonly number[]): Float64Array {
  const { length } = values;
  if (length > roomToSort.length) roomToSort = new Float64Array(2 * length);
  const sorted = roomToSort.subarray(0, length);
  if (length > fewValues) {
    for (let i = 0; i < length; i++) sorted[i] = values[i];
    return sorted.sort();
  }
  for (let i = 0; i < length; i++) {
    const value = values[i];
    let at = i;
    for (; at > 0 && sorted[at - 1] > value; at--) sorted[at] = sorted[at - 1];
    sorted[at] = value;
  }
  return sorted;
}

/** From the median, ascending: those above it and those below it are in order already. Stands until the next call. */
function deviationsOf(sorted: Float64Array, median: number): Float64Array {
  if (sorted.length > roomForDeviations.length) roomForDeviations = new Float64Array(2 * sorted.length);
  const deviations = roomForDeviations.subarray(0, sorted.length);
  let above = 0;
  while (above < sorted.length && sorted[above] < median) above++;
  let below = above - 1;
  for (let i = 0; i < deviations.length; i++) {
    const isBelow = above === sorted.length || (below >= 0 && median - sorted[below] < sorted[above] - median);
    deviations[i] = isBelow ? median - sorted[below--] : sorted[above++] - median;
  }
  return deviations;
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
  const gaps: number[] = [];
  for (let i = 1; i < ascending.length; i++) gaps.push(ascending[i] - ascending[i - 1]);
  return gaps;
}

/** How gaps follow one beat, some of them several beats long. */
export interface Beat {
  periodMs: number;
  /** Of the gaps, each divided by the beats that it spans; those that fit no beat stand as they are. */
  folded: Spread;
  /** Share of the beats that were skipped. */
  missedShare: number;
  /** Share of the gaps that fit a beat as jitter of 50 % does. */
  fitShare: number;
  /** Chance that contacts at random would keep to one beat as well, as a power of ten: −4 is one in 10,000. */
  chancePower: number;
}

export const noBeat: Beat = {
  periodMs: 0,
  folded: { count: 0, median: 0, mad: 0, skew: 0, score: 0 },
  missedShare: 0,
  fitShare: 0,
  chancePower: 0,
};

/** Beats that one gap may span: more in a row are a pause, not missed beats. */
const beatsMax = 4;
/** A median that skipped beats have raised comes down by one folding; the next one sets it right. */
const foldingRounds = 2;
/** How far a gap may be off the beat, as a share of it, when it is tried how well they fit. 50 % of jitter is ±0.33. */
const tolerances = [0.02, 0.05, 0.1, 0.2, 0.35];
const widest = tolerances.length - 1;

/**
 * The beat of gaps that may skip some. Small multiples of the period count as missed beats; shorter ones and pauses do not
 * fit. The chance that it is none is that of contacts at random (exponential gaps) to fit as well: by Chernoff's bound of
 * the binomial tail, one gap being spent on the period. `whole` is the spread of the gaps as they are.
 */
export function beatOf(gaps: readonly number[], whole: Spread): Beat {
  let folded = whole;
  for (let round = 0; round < foldingRounds; round++) {
    const values = foldedBy(gaps, folded.median);
    if (values === undefined) break;
    folded = spreadOf(values, 1);
  }
  const { hits, most, beats } = fitsOf(gaps, folded.median);
  const chances = tolerances.map((_, i) => chanceOf(gaps.length, hits[i], fitOf(tolerances[i], most[i])));
  return {
    periodMs: folded.median,
    folded,
    missedShare: 1 - gaps.length / beats,
    fitShare: hits[widest] / gaps.length,
    chancePower: Math.min(0, ...chances),
  };
}

/** Each gap divided by the beats that it spans; undefined where none spans several. */
function foldedBy(gaps: readonly number[], period: number): number[] | undefined {
  let isFolded = false;
  const folded = gaps.map((gap) => {
    const beats = beatsIn(gap, period);
    if (beats < 2) return gap;
    isFolded = true;
    return gap / beats;
  });
  return isFolded ? folded : undefined;
}

/** 0 where it spans none, or too many. */
function beatsIn(gap: number, period: number): number {
  const beats = Math.round(gap / period);
  return beats <= beatsMax ? beats : 0;
}

/** By tolerance: how many gaps fit the beat, and the most beats that one of them spans. And all beats that went by. */
function fitsOf(gaps: readonly number[], period: number) {
  const hits = tolerances.map(() => 0);
  const most = tolerances.map(() => 1);
  let all = 0;
  for (const gap of gaps) {
    const beats = beatsIn(gap, period);
    all += Math.max(1, beats);
    if (beats === 0) continue;
    const off = Math.abs(gap / period - beats);
    for (let i = widest; i >= 0 && off <= slackOf(beats, tolerances[i]); i--) {
      hits[i]++;
      if (beats > most[i]) most[i] = beats;
    }
  }
  return { hits, most, beats: all };
}

function chanceOf(gaps: number, hits: number, expected: number): number {
  const tries = gaps - 1;
  const share = (hits - 1) / tries;
  if (tries < 1 || share <= expected) return 0;
  const misses = share === 1 ? 0 : (1 - share) * Math.log10((1 - share) / (1 - expected));
  return -tries * (share * Math.log10(share / expected) + misses);
}

/** What several beats are off adds up; beyond half a beat they are another number of beats. */
function slackOf(beats: number, tolerance: number): number {
  return Math.min(0.5, beats * tolerance);
}

/** Share of exponential gaps that fit: their median is the period, or they would not have it. */
function fitOf(tolerance: number, most: number): number {
  let share = 0;
  for (let beats = 1; beats <= most; beats++) {
    const slack = slackOf(beats, tolerance);
    share += 2 ** -(beats - slack) - 2 ** -(beats + slack);
  }
  return share;
}

/** Bins over the span of a series; lags from which on a rhythm shows, and up to which four periods fit into it. */
const rhythmBins = 256;
const lagMin = 6;
const lagMax = rhythmBins / 4;
/** Starts closer together are one: what comes in bursts correlates for that alone. */
const burstBins = 3;
/** Starts, bursts counted once, from which chance makes no peak as high, nor two of the lower ones, with an echo. */
export const rhythmStartsMin = 30;
const peakMin = 0.5;
const halfPeakMin = 0.38;
/** What is left of a peak at twice its lag: of jitter, more is lost; of chance, nothing is there. */
const echoMin = 0.6;

/**
 * Rhythm of contacts that do not keep to one beat because two of them mix: the autocorrelation of the binned starts. 1 for
 * a clockwork, 0 for none.
 *
 * Source: Hu et al., BAYWATCH, DSN 2016 (a period must show on a hill of the autocorrelation function).
 */
export function rhythmOf(atMs: readonly number[]): { strength: number; periodMs: number } {
  const none = { strength: 0, periodMs: 0 };
  if (atMs.length < rhythmStartsMin) return none;
  const binMs = (atMs[atMs.length - 1] - atMs[0]) / (rhythmBins - 1);
  const bins = binMs > 0 ? burstsOf(atMs.map((ms) => Math.floor((ms - atMs[0]) / binMs))) : [];
  if (bins.length < rhythmStartsMin) return none;
  const correlation = autocorrelation(bins);
  // What falls between two bins shows at both.
  const smooth = correlation.map((r, lag) => r + (correlation[lag - 1] ?? 0) + (correlation[lag + 1] ?? 0));
  const best = peakOf(smooth, () => true);
  const echo = Math.max(...smooth.subarray(2 * best - 2, 2 * best + 3));
  if (smooth[best >> 1] > smooth[best] / 2 || echo < echoMin * smooth[best]) return none;
  const other = peakOf(smooth, (lag) => !isMultiple(lag, best) && !isMultiple(best, lag));
  const isMix = smooth[best] >= halfPeakMin && smooth[other] >= halfPeakMin;
  const strength = smooth[best] >= peakMin || !isMix ? smooth[best] : smooth[best] + smooth[other];
  return { strength: Math.min(1, Math.max(0, strength)), periodMs: best * binMs };
}

/** The first bin of each burst. */
function burstsOf(bins: readonly number[]): number[] {
  return bins.filter((bin, i) => i === 0 || bin - bins[i - 1] >= burstBins);
}

/**
 * By lag, of the number of starts per bin: counted over pairs of starts, since most bins have none; from each lag goes what
 * even ones would give.
 */
function autocorrelation(bins: readonly number[]): Float64Array {
  const correlation = new Float64Array(2 * lagMax + 3);
  for (let i = 0; i < bins.length; i++) {
    for (let j = i; j < bins.length && bins[j] - bins[i] < correlation.length; j++) correlation[bins[j] - bins[i]]++;
  }
  const mean = bins.length / rhythmBins;
  // Pairs within a bin were counted once, where a square has them twice.
  const power = 2 * correlation[0] - bins.length - rhythmBins * mean * mean;
  for (let lag = 1; lag < correlation.length; lag++) {
    const counted = rhythmBins - lag;
    correlation[lag] = ((correlation[lag] - counted * mean * mean) / power) * (rhythmBins / counted);
  }
  return correlation;
}

function peakOf(smooth: Float64Array, may: (lag: number) => boolean): number {
  let best = lagMin;
  for (let lag = lagMin; lag < lagMax; lag++) {
    if (may(lag) && (smooth[lag] > smooth[best] || !may(best))) best = lag;
  }
  return best;
}

/** Within the two bins that both may be off. */
function isMultiple(lag: number, of: number): boolean {
  const times = Math.max(1, Math.round(lag / of));
  return Math.abs(lag - times * of) <= 2 * times;
}

/** How evenly a day was filled: 1 − coefficient of variation of what each hour between first and last had. */
export function evennessOf(bins: readonly number[], binsPerHour: number): number {
  if (bins.length === 0) return 0;
  const hourOf = (bin: number) => Math.floor(bin / binsPerHour);
  const [first, last] = [hourOf(bins[0]), hourOf(bins.at(-1)!)];
  const counts = new Float64Array(last - first + 1);
  for (const bin of bins) counts[hourOf(bin) - first]++;
  const mean = bins.length / counts.length;
  const variance = counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / counts.length;
  return Math.max(0, 1 - Math.sqrt(variance) / mean);
}

/** The longest row of consecutive numbers. */
export function longestRunOf(ascending: readonly number[]): number {
  let longest = 0;
  let run = 0;
  ascending.forEach((value, i) => {
    run = i > 0 && value === ascending[i - 1] + 1 ? run + 1 : 1;
    longest = Math.max(longest, run);
  });
  return longest;
}
