import { rowsMax } from "../../wasm/onnx-session.ts";
import type { Candidate } from "../core/features/candidate.ts";
import { featureCount, features, levelMax, valueOf } from "../core/features/features.ts";
import { creditPaths, forestOf, type Forest } from "./forest-paths.ts";
import { ModelInferenceError, type ModelOpinion, type ModelPackage, type Tensors } from "./model.ts";
import { inputTensors, outputFault, shapeOf, type ModelShape } from "./model-shape.ts";
import { OnnxFileError, readOnnx } from "./onnx-file.ts";
import { pValueOf } from "./p-value.ts";

export type Run = (inputs: Tensors) => Promise<Tensors>;

type Row = Pick<Candidate, "vectors">;

/** Opinions at and below this p-value say which features contributed: to walk a forest costs some three times what scoring it does. */
export const explainedMax = 0.05;
/** Features that an opinion names at most. */
const contributionsMax = 5;

/**
 * Opinions in the order of the candidates; the model runs on at most `rowsMax` of them at a time. Throws
 * ModelInferenceError: what `run` throws, and where what goes in or comes out is not as the package says.
 */
export async function scoreRows(pkg: ModelPackage, candidates: readonly Row[], run: Run): Promise<ModelOpinion[]> {
  const scorer = scorerOf(pkg);
  const opinions: ModelOpinion[] = [];
  for (let from = 0; from < candidates.length; from += rowsMax) {
    const rows = candidates.slice(from, from + rowsMax);
    const input = inputOf(scorer.shape, rows);
    const outputs = await run(inputTensors(scorer.shape, rows.length, input));
    const fault = outputFault(scorer.shape, rows.length, outputs);
    if (fault) throw new ModelInferenceError(`${pkg.name}: ${fault.detail}`);
    for (const [i, row] of rows.entries()) opinions.push(opinionOf(scorer, row, i, input.values, outputs));
  }
  return opinions;
}

/** A package, and what follows from it. */
interface Scorer {
  pkg: ModelPackage;
  shape: ModelShape;
  /** Undefined for a sequence. */
  forest: Forest | undefined;
}

/** As long as the package is in memory. */
const scorers = new WeakMap<ModelPackage, Scorer>();

function scorerOf(pkg: ModelPackage): Scorer {
  let scorer = scorers.get(pkg);
  if (!scorer) {
    const shape = shapeOf(pkg);
    scorer = { pkg, shape, forest: shape.isSequence ? undefined : readForest(pkg) };
    scorers.set(pkg, scorer);
  }
  return scorer;
}

function readForest({ onnx }: ModelPackage): Forest {
  try {
    return forestOf(readOnnx(onnx));
  } catch (error) {
    if (error instanceof OnnxFileError) throw new ModelInferenceError(error.message, { cause: error });
    throw error;
  }
}

/** Levels / 255. A sequence is aligned to the right: what there was not yet is 0, and 0 in the mask. */
function inputOf({ windows, places }: ModelShape, rows: readonly Row[]): { values: Float32Array; mask: Float32Array } {
  const values = new Float32Array(rows.length * windows * places.length);
  const mask = new Float32Array(rows.length * windows);
  for (const [i, { vectors }] of rows.entries()) {
    if (vectors.length === 0) throw new ModelInferenceError("a candidate has no window");
    const kept = vectors.slice(-windows);
    for (const [j, vector] of kept.entries()) {
      if (vector.length !== featureCount) throw new ModelInferenceError(`a window has ${vector.length} features`);
      const window = (i + 1) * windows - kept.length + j;
      mask[window] = 1;
      for (let k = 0; k < places.length; k++) values[window * places.length + k] = vector[places[k]] / levelMax;
    }
  }
  return { values, mask };
}

function opinionOf(scorer: Scorer, row: Row, i: number, values: Float32Array, outputs: Tensors): ModelOpinion {
  const { pkg, shape } = scorer;
  const score = outputs["score"].data[i];
  const p_value = pValueOf(pkg.calibration, score);
  const contributions = p_value > explainedMax ? [] : topOf(shape, row, amountsOf(scorer, i, values, outputs));
  return { model: pkg.name, version: pkg.sha256.slice(0, 12), score, p_value, contributions };
}

/** By feature: for a sequence the error, for the forest how much shorter it made the path. */
function amountsOf({ shape, forest }: Scorer, i: number, values: Float32Array, outputs: Tensors): ArrayLike<number> {
  const count = shape.places.length;
  if (!forest) return outputs["errors"].data.subarray(i * count, (i + 1) * count);
  const credits = new Float64Array(count);
  creditPaths(forest, values, i * count, credits);
  return credits;
}

/** Those above 0, and their shares of all that are above 0. */
function topOf({ places }: ModelShape, { vectors }: Row, amounts: ArrayLike<number>): ModelOpinion["contributions"] {
  const vector = vectors[vectors.length - 1];
  const strange = places.map((place, k) => ({ place, amount: amounts[k] })).filter(({ amount }) => amount > 0);
  const total = strange.reduce((sum, { amount }) => sum + amount, 0);
  return strange
    .toSorted((a, b) => b.amount - a.amount || a.place - b.place)
    .slice(0, contributionsMax)
    .map(({ place, amount }) => {
      const feature = features[place];
      return { feature: feature.name, value: valueOf(feature, vector[place]), share: amount / total };
    });
}
