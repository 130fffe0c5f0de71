import { rounded } from "./scoring.ts";

/** Relative error of what follows from so many sampled packets, in percent, 95 % of the time; 0 without sampling. */
export function samplingErrorPercent(seen: number, samplingRate: number): number {
  return samplingRate > 1 ? rounded(196 / Math.sqrt(Math.max(1, seen))) : 0;
}

/** Of a sample even much shows no more than most of what happened; the less was seen, the less it proves. */
const sampledShare = 0.9;
const leastShare = 0.2;

export function sampledConfidence(confidence: number, seen: number, samplingRate: number): number {
  if (samplingRate <= 1) return rounded(confidence);
  const error = samplingErrorPercent(seen, samplingRate) / 100;
  return rounded(confidence * Math.max(leastShare, sampledShare * (1 - error)));
}
