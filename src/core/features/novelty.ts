import { anomaly, type AnomalySettings } from "../detectors/anomaly.ts";
import { rounded, scoreOf } from "../detectors/scoring.ts";
import type { Finding, ModelOpinion } from "../verdict.ts";
import type { Shown } from "./candidate.ts";
import { features } from "./features.ts";

const dayMs = 86_400_000;
/** Of p-values that are shown: no table of benign windows tells more. */
const digits = 6;

/**
 * The p-value of several models together: each had its chance to err, so the least one counts as often as there are
 * models. Bonferroni; valid however they depend on each other. 1 where there are none.
 */
export function combinedPValue(opinions: readonly ModelOpinion[]): number {
  const least = opinions.reduce((min, { p_value }) => Math.min(min, p_value), 1);
  return Math.min(1, Math.max(1, opinions.length) * least);
}

/**
 * What the models' opinions on a host's closed window come to: a finding if hardly any benign window looks so strange.
 * `medium`, and no more, if it is also unlike the host's own earlier windows: models know what other networks do, and a
 * network may be strange all day. Models say that something is new, not what it is.
 */
export function noveltyOf(
  shown: Shown,
  opinions: readonly ModelOpinion[],
  { pValueMax }: Readonly<AnomalySettings>,
): Finding | undefined {
  const pValue = combinedPValue(opinions);
  if (opinions.length === 0 || pValue > pValueMax || !shown.isClosed) return undefined;
  const { entity, window, reason, peers, vectors } = shown;
  const [strangest] = opinions.toSorted((a, b) => a.p_value - b.p_value || (a.model < b.model ? -1 : 1));
  const startMs = Math.floor(window.startMs / dayMs) * dayMs;
  return {
    threat: "anomaly",
    detectorVersion: anomaly.version,
    entity,
    window: { startMs, endMs: startMs + dayMs },
    score: rounded(scoreOf(1 / pValue, 1 / pValueMax)),
    // Of a host without a past nobody knows what is usual: half as sure with one window as with ever so many.
    confidence: rounded(vectors.length / (vectors.length + 1)),
    severity: reason === "unlike_itself" ? "medium" : "low",
    techniques: [],
    summary: summaryOf(strangest, pValue),
    peers,
    peerCount: peers.length,
    evidence: {
      p_value: Number(pValue.toFixed(digits)),
      p_value_max: pValueMax,
      hour: new Date(window.startMs).toISOString(),
      hours_known: vectors.length,
      looked_at_for: reason,
      contributions: strangest.contributions,
    },
  };
}

const featureOf = new Map(features.map((feature) => [feature.name, feature]));

function summaryOf({ contributions }: ModelOpinion, pValue: number): string {
  const named = contributions.slice(0, 3).map(({ feature, value }) => {
    const { meaning = feature } = featureOf.get(feature) ?? {};
    return `${meaning} (${Number(value.toPrecision(3))})`;
  });
  const strange = named.length === 0 ? "" : `; strange most of all: ${named.join(", ")}`;
  return `behaved in an hour as ${(100 * pValue).toPrecision(2)} % of benign hours or fewer do${strange}`;
}
