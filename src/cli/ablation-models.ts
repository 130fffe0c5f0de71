import { openSession } from "../../wasm/onnx-runtime-node.ts";
import type { Candidate } from "../core/features/candidate.ts";
import { levelMax } from "../core/features/features.ts";
import type { ModelOpinion } from "../core/verdict.ts";
import { scoreRows } from "../inference/rows.ts";
import type { Model, Models } from "../../test/sweep/ablation.ts";
import { builtInModels } from "./built-in-models.ts";

/** Those that ship with Weir, in this process. */
export async function realModels(): Promise<Models> {
  const models = new Map<string, Model>();
  for (const [name, pkg] of builtInModels()) {
    const session = await openSession(pkg.onnx);
    models.set(name, (candidates) => scoreRows(pkg, candidates, session.run));
  }
  return models;
}

/** Earlier windows from which on it says anything. */
const windowsMin = 6;
/** Of a level, so that a feature that never changed has a deviation. */
const deviationMin = 8;

/**
 * No model: how far the window lies from the host's own earlier ones, in the feature that lies furthest, by its
 * deviation. What a model must be better than. Its p-value is a guess, e^(−deviations).
 */
export const deviationModel: Models = new Map([
  ["deviation", (candidates: readonly Candidate[]) => Promise.resolve(candidates.map(deviationOf))],
]);

function deviationOf({ vectors }: Candidate): ModelOpinion {
  const [last, past] = [vectors.at(-1)!, vectors.slice(0, -1)];
  const deviations = [...last].map((level, i) => {
    const mean = past.reduce((sum, one) => sum + one[i], 0) / past.length;
    const variance = past.reduce((sum, one) => sum + (one[i] - mean) ** 2, 0) / past.length;
    return Math.abs(level - mean) / Math.max(deviationMin, Math.sqrt(variance));
  });
  const score = past.length < windowsMin ? 0 : Math.max(...deviations);
  return { model: "deviation", version: String(levelMax), score, p_value: Math.exp(-score), contributions: [] };
}
