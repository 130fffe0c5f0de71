import type { Calibration } from "./model.ts";

/**
 * Conformal p-value: the share of benign windows that look at least so strange, the one at hand among them:
 * (1 + count) / (1 + windows). Of windows exchangeable with the calibration's, at most a share p has a p-value of p or
 * less. Between two scores of the table the greater share holds, so that the table's coarseness costs recall and never
 * false alerts.
 * Source: Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a Random World; Bates et al. 2023, Testing for
 * outliers with conformal p-values.
 */
export function pValueOf({ windows, scores, at_least }: Calibration, score: number): number {
  const below = scoresUpTo(scores, score);
  const share = below === 0 ? 1 : at_least[below - 1];
  return (1 + Math.round(share * windows)) / (1 + windows);
}

/** How many of the ascending scores are at most this one. */
function scoresUpTo(scores: readonly number[], score: number): number {
  let low = 0;
  let high = scores.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (scores[middle] <= score) low = middle + 1;
    else high = middle;
  }
  return low;
}
