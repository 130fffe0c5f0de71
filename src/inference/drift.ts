import type { Histogram } from "./model.ts";

/**
 * Population stability index, Σ (seen − expected) · ln(seen / expected) over the parts of a range: 0 where what is seen
 * lies as it did among the windows of the calibration. The thresholds are those in use since N. Siddiqi, Credit Risk
 * Scorecards, Wiley 2006: below 0.1 no change worth a name, from 0.25 on a shift that asks for another calibration.
 */
const driftMin = { moderate: 0.1, shifted: 0.25 } as const;
export type DriftLevel = "stable" | "moderate" | "shifted";

/** Rows below which chance alone moves the index: with ten parts, by 9 / rows on average. */
export const driftRowsMin = 200;
/** A part that was never seen counts as this share: else it would alone make the index infinite. */
const shareMin = 1e-4;

/** How often each part of each range was seen on a day. */
export interface DriftCounts {
  rows: number;
  score: readonly number[];
  features: Readonly<Record<string, readonly number[]>>;
}

/** What became of rows that two versions scored; `p` is each one's p-value. */
export interface AgreementCounts {
  rows: number;
  /** Both p ≤ `agreementPMax`, neither, only that of the one in force, only the shadow's. */
  both: number;
  neither: number;
  only_current: number;
  only_shadow: number;
  /** Sum of |p − p of the shadow|. */
  p_difference: number;
}

/** The p-value up to which a row is called strange: what tier 2 judges by. */
export const agreementPMax = 0.01;

/** The part of the range that a value lies in: of those with an upper edge the first that it lies below, else the last. */
export function partOf({ edges }: Pick<Histogram, "edges">, value: number): number {
  let part = 0;
  while (part < edges.length && value >= edges[part]) part++;
  return part;
}

/** @param expected shares @param seen counts, of the same parts */
export function stabilityIndex(expected: readonly number[], seen: readonly number[]): number {
  const rows = seen.reduce((sum, count) => sum + count, 0);
  if (rows === 0) return 0;
  return expected.reduce((sum, share, part) => {
    const [before, now] = [Math.max(shareMin, share), Math.max(shareMin, seen[part] / rows)];
    return sum + (now - before) * Math.log(now / before);
  }, 0);
}

export function levelOf(index: number): DriftLevel {
  if (index >= driftMin.shifted) return "shifted";
  return index >= driftMin.moderate ? "moderate" : "stable";
}

export interface Drift {
  rows: number;
  /** Null where there are too few rows. */
  level: DriftLevel | null;
  score: number | null;
  features: Record<string, number> | null;
}

/** What counts say against the calibration of the version that scored. Its worst index makes the level. */
export function driftOf(
  { score, features }: { score: Histogram; features: Readonly<Record<string, Histogram>> },
  counts: DriftCounts,
): Drift {
  if (counts.rows < driftRowsMin || counts.score.length !== score.shares.length)
    return { rows: counts.rows, level: null, score: null, features: null };
  const known = Object.entries(features).filter(
    ([name, { shares }]) => counts.features[name]?.length === shares.length,
  );
  const indices = known.map(([name, { shares }]) => [name, stabilityIndex(shares, counts.features[name])] as const);
  const scoreIndex = stabilityIndex(score.shares, counts.score);
  const worst = Math.max(scoreIndex, ...indices.map(([, index]) => index));
  return { rows: counts.rows, level: levelOf(worst), score: scoreIndex, features: Object.fromEntries(indices) };
}

/** Both together. Where the parts differ, the calibration is another one, and what was counted before says nothing. */
export function addedDrift(before: DriftCounts | undefined, more: DriftCounts): DriftCounts {
  if (!before || before.score.length !== more.score.length) return more;
  const names = Object.keys(more.features);
  if (names.some((name) => before.features[name]?.length !== more.features[name].length)) return more;
  return {
    rows: before.rows + more.rows,
    score: added(before.score, more.score),
    features: Object.fromEntries(names.map((name) => [name, added(before.features[name], more.features[name])])),
  };
}

function added(a: readonly number[], b: readonly number[]): number[] {
  return a.map((count, i) => count + b[i]);
}

export function addedAgreement(before: AgreementCounts | undefined, more: AgreementCounts): AgreementCounts {
  if (!before) return more;
  return {
    rows: before.rows + more.rows,
    both: before.both + more.both,
    neither: before.neither + more.neither,
    only_current: before.only_current + more.only_current,
    only_shadow: before.only_shadow + more.only_shadow,
    p_difference: before.p_difference + more.p_difference,
  };
}
