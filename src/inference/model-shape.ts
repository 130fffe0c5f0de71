import { featureCount, features, windowsKept } from "../core/features/features.ts";
import { areFinite } from "./finite.ts";
import { ModelInferenceError, type ModelPackage, type Tensors } from "./model.ts";

/** What a model takes and gives, in numbers. */
export interface ModelShape {
  /** Takes windows one after the other, with a mask, and tells errors by feature. */
  isSequence: boolean;
  /** Of a row. */
  windows: number;
  /** Where in a vector each of the model's features stands. */
  places: readonly number[];
}

/** Throws ModelInferenceError where the package names features, or as many windows, as there are not. */
export function shapeOf({ name, features: list }: Pick<ModelPackage, "name" | "features">): ModelShape {
  const isSequence = name === "lstm_autoencoder";
  const { windows } = list;
  if (windows !== (isSequence ? windowsKept : 1))
    throw new ModelInferenceError(`${name} takes ${windows} windows a row`);
  const places = list.features.map((wanted) => features.findIndex((feature) => feature.name === wanted.name));
  const missing = places.indexOf(-1);
  if (missing >= 0) throw new ModelInferenceError(`there is no feature ${list.features[missing].name}`);
  if (places.length === 0 || new Set(places).size !== places.length || places.length > featureCount)
    throw new ModelInferenceError(`${name} takes no feature, or one of them twice`);
  return { isSequence, windows, places };
}

/** `values`: rows × windows × features; `mask`: rows × windows, for a sequence. */
export function inputTensors(
  { isSequence, windows, places }: ModelShape,
  rows: number,
  { values, mask }: { values: Float32Array; mask: Float32Array },
): Tensors {
  if (!isSequence) return { features: { dims: [rows, places.length], data: values } };
  return {
    sequence: { dims: [rows, windows, places.length], data: values },
    mask: { dims: [rows, windows], data: mask },
  };
}

/** What is wrong with what a model gave. */
export interface OutputFault {
  kind: "shape" | "not_finite" | "range";
  detail: string;
}

/** `score`: rows × 1, a forest's in 0..1; `errors`: rows × features, of a sequence. None is below 0. */
export function outputFault(shape: ModelShape, rows: number, outputs: Tensors): OutputFault | undefined {
  const score = { name: "score", width: 1, max: shape.isSequence ? Infinity : 1 };
  const errors = { name: "errors", width: shape.places.length, max: Infinity };
  for (const { name, width, max } of shape.isSequence ? [score, errors] : [score]) {
    const output = outputs[name];
    if (!output) return { kind: "shape", detail: `there is no output ${name}` };
    const { dims, data } = output;
    if (dims.length !== 2 || dims[0] !== rows || dims[1] !== width || data.length !== rows * width)
      return { kind: "shape", detail: `${name} is ${dims.join(" × ")}, and ${rows} × ${width} is wanted` };
    if (!areFinite(data)) return { kind: "not_finite", detail: `${name} holds a number that is not finite` };
    if (!data.every((value) => value >= 0 && value <= max))
      return { kind: "range", detail: `${name} holds a number outside 0 to ${max}` };
  }
  return undefined;
}
