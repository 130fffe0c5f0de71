import { rowsMax, type OnnxSession, type OpenSession } from "../../wasm/onnx-session.ts";
import { features, windowMs } from "../core/features/features.ts";
import { forestOf } from "./forest-paths.ts";
import type { Calibration, FeatureList, Golden, Histogram, ModelName, ModelPackage, Tensors } from "./model.ts";
import { inputTensors, outputFault, shapeOf, type ModelShape } from "./model-shape.ts";
import { modelBytesMax, readOnnx, type OnnxFile, type OnnxValue } from "./onnx-file.ts";

/** Why a version is not taken. */
export type RefusalReason =
  | "not_onnx"
  | "opset"
  | "operators"
  | "inputs"
  | "outputs"
  | "features"
  | "calibration"
  | "too_large"
  | "hash_mismatch"
  | "golden_mismatch"
  | "not_finite";

export class ModelRefused extends Error {
  override readonly name = "ModelRefused";
  readonly reason: RefusalReason;
  readonly detail: string;

  constructor(reason: RefusalReason, detail: string) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
    this.detail = detail;
  }
}

/**
 * Looks at a version from all sides before it is taken, and runs its golden rows. Throws ModelRefused, and
 * ModelInferenceError where the runtime itself does not work, which says nothing about the version.
 */
export async function tryPackage(pkg: ModelPackage, open: OpenSession): Promise<void> {
  const { name, sha256, onnx } = pkg;
  if (onnx.length > modelBytesMax)
    throw new ModelRefused("too_large", `the model has ${onnx.length} bytes, and ${modelBytesMax} are allowed`);
  const actual = await sha256Of(onnx);
  if (actual !== sha256) throw new ModelRefused("hash_mismatch", `the model's SHA-256 is ${actual}, not ${sha256}`);
  const file = refusing("not_onnx", () => readOnnx(onnx));
  checkOpsets(file);
  checkOperators(name, file);
  checkFeatures(pkg.features);
  const shape = refusing("features", () => shapeOf(pkg));
  checkValues(shape, file);
  if (!shape.isSequence) checkForest(shape, file);
  checkCalibration(pkg);
  checkGolden(shape, pkg.golden);
  await runGolden(pkg, shape, open);
}

async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function refusing<T>(reason: RefusalReason, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new ModelRefused(reason, messageOf(error));
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** The newest that the runtime, onnxruntime-web 1.30, was tried with. */
const opsetsMax = new Map([
  ["ai.onnx", 21],
  ["ai.onnx.ml", 4],
]);

function checkOpsets({ opsets, operators }: OnnxFile): void {
  for (const [domain, version] of opsets) {
    const max = opsetsMax.get(domain);
    if (max === undefined) throw new ModelRefused("opset", `operators of ${domain} are not taken`);
    if (!(version >= 1 && version <= max))
      throw new ModelRefused("opset", `${domain} ${version} is not taken: at most ${max}`);
  }
  for (const operator of operators) {
    const domain = operator.slice(0, operator.lastIndexOf("."));
    if (!opsets.has(domain)) throw new ModelRefused("opset", `the file tells no version of ${domain}`);
  }
}

const words = (text: string) => text.trim().split(/\s+/);

/** None of them loops, draws lots, or makes more of its input than its shape says. */
const operatorsAllowed: { readonly [name in ModelName]: ReadonlySet<string> } = {
  isolation_forest: new Set([
    "ai.onnx.ml.TreeEnsembleRegressor",
    ...words("Mul Pow Div Sub Add Neg Cast Reshape Constant Identity").map((type) => `ai.onnx.${type}`),
  ]),
  lstm_autoencoder: new Set(
    words(`Abs Add Cast Clip Concat Constant Div Exp Gather Gemm GRU Identity Log LSTM MatMul Max Min Mul Neg Pow ReduceMax
      ReduceMean ReduceSum Relu Reshape Sigmoid Slice Softplus Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze Where`).map(
      (type) => `ai.onnx.${type}`,
    ),
  ),
};

function checkOperators(name: ModelName, { operators }: OnnxFile): void {
  const strangers = [...operators].filter((operator) => !operatorsAllowed[name].has(operator));
  if (strangers.length > 0) throw new ModelRefused("operators", `not taken in ${name}: ${strangers.join(", ")}`);
}

/** Of a bound of a feature: written in decimals, and read again. */
const boundTolerance = 1e-9;

/** A model that was trained on other windows or ranges would take our levels for something else. */
function checkFeatures(list: FeatureList): void {
  if (list.window_s * 1000 !== windowMs)
    throw new ModelRefused("features", `windows of ${list.window_s} s, and Weir's have ${windowMs / 1000} s`);
  for (const wanted of list.features) {
    const ours = features.find(({ name }) => name === wanted.name);
    if (!ours) throw new ModelRefused("features", `there is no feature ${wanted.name}`);
    const isSame = (a: number, b: number) => Math.abs(a - b) <= boundTolerance;
    if (wanted.unit !== ours.unit || !isSame(wanted.min, ours.min) || !isSame(wanted.max, ours.max))
      throw new ModelRefused(
        "features",
        `${wanted.name} has another unit or range: ${ours.unit}, ${ours.min} to ${ours.max}`,
      );
  }
}

const float32 = 1;

function checkValues({ isSequence, windows, places }: ModelShape, { inputs, outputs }: OnnxFile): void {
  const count = places.length;
  const wanted = isSequence
    ? { inputs: { sequence: [windows, count], mask: [windows] }, outputs: { score: [1], errors: [count] } }
    : { inputs: { features: [count] }, outputs: { score: [1] } };
  checkNamed("inputs", inputs, wanted.inputs);
  checkNamed("outputs", outputs, wanted.outputs);
}

/** `wanted` are the dimensions after that of the rows, which is dynamic. An output may leave them open. */
function checkNamed(
  reason: "inputs" | "outputs",
  values: readonly OnnxValue[],
  wanted: { readonly [name: string]: readonly number[] },
): void {
  const names = values.map(({ name }) => name);
  if (names.toSorted().join() !== Object.keys(wanted).toSorted().join())
    throw new ModelRefused(reason, `${names.join(", ")}, and ${Object.keys(wanted).join(", ")} are wanted`);
  for (const { name, elementType, dims } of values) {
    if (elementType !== float32) throw new ModelRefused(reason, `${name} is of type ${elementType}, not float32`);
    const fits = (dim: number | string, i: number) =>
      dim === wanted[name][i] || (reason === "outputs" && typeof dim === "string");
    const [rows, ...others] = dims ?? [];
    if (typeof rows !== "string" || others.length !== wanted[name].length || !others.every(fits))
      throw new ModelRefused(reason, `${name} is ${dims?.join(" × ")}, and N × ${wanted[name].join(" × ")} is wanted`);
  }
}

/** What attribution needs, beyond what the runtime does. */
function checkForest({ places }: ModelShape, file: OnnxFile): void {
  const forest = refusing("operators", () => forestOf(file));
  if (!forest.features.every((feature) => feature >= 0 && feature < places.length))
    throw new ModelRefused("inputs", `a tree asks for a feature beyond the ${places.length} that there are`);
}

/** So that a p-value of 0.01 can be told. */
const calibrationWindowsMin = 99;

function checkCalibration({ calibration, features: list }: ModelPackage): void {
  const refuse = (detail: string) => {
    throw new ModelRefused("calibration", detail);
  };
  const { windows, scores, at_least, drift }: Calibration = calibration;
  if (!(Number.isInteger(windows) && windows >= calibrationWindowsMin))
    refuse(`${windows} windows, and at least ${calibrationWindowsMin} are wanted`);
  if (scores.length === 0 || scores.length !== at_least.length)
    refuse("as many scores as shares are wanted, and one at least");
  if (!isAscending(scores)) refuse("the scores do not ascend");
  if (!isAscending(at_least.toReversed()) || !at_least.every((share) => share >= 0 && share <= 1))
    refuse("the shares do not descend from 1 to 0");
  const missing = list.features.find(({ name }) => !Object.hasOwn(drift.features, name));
  if (missing) refuse(`there is no histogram of ${missing.name}`);
  for (const [name, histogram] of Object.entries({ ...drift.features, score: drift.score }))
    if (!isHistogram(histogram)) refuse(`the histogram of ${name} is none`);
}

/** Of the sum of a histogram's shares: they are rounded. */
const sharesTolerance = 1e-3;

function isHistogram({ edges, shares }: Histogram): boolean {
  const sum = shares.reduce((total, share) => total + share, 0);
  return (
    shares.length === edges.length + 1 &&
    isAscending(edges) &&
    shares.every((share) => share >= 0) &&
    Math.abs(sum - 1) <= sharesTolerance
  );
}

function isAscending(values: readonly number[]): boolean {
  return values.every((value, i) => Number.isFinite(value) && (i === 0 || value >= values[i - 1]));
}

/** Rows that a version brings to be tried with. */
const goldenRowsMin = 16;
const goldenRowsMax = 1024;

function checkGolden({ isSequence, windows, places }: ModelShape, { rows, masks, scores, errors }: Golden): void {
  const refuse = (detail: string) => {
    throw new ModelRefused("golden_mismatch", detail);
  };
  if (rows.length < goldenRowsMin || rows.length > goldenRowsMax)
    refuse(`${rows.length} golden rows, and ${goldenRowsMin} to ${goldenRowsMax} are wanted`);
  const isOf = (numbers: readonly number[] | undefined, count: number, max: number) =>
    numbers?.length === count && numbers.every((value) => value >= 0 && value <= max);
  const areOf = (table: Golden["rows"] | undefined, count: number, max: number) =>
    table?.length === rows.length && table.every((row) => isOf(row, count, max));
  if (!areOf(rows, windows * places.length, 1)) refuse(`a row is not ${windows * places.length} numbers from 0 to 1`);
  if (!isOf(scores, rows.length, Infinity)) refuse("there is not one score, 0 or above, for each row");
  if (isSequence && !areOf(masks, windows, 1)) refuse(`a mask is not ${windows} numbers from 0 to 1`);
  if (isSequence && !areOf(errors, places.length, Infinity)) refuse("errors do not fit the rows and features");
}

/** Of a score or an error, between two runtimes. */
const goldenTolerance = 1e-5;

async function runGolden(pkg: ModelPackage, shape: ModelShape, open: OpenSession): Promise<void> {
  const { golden } = pkg;
  const session = await orRefused("not_onnx", open(pkg.onnx));
  try {
    for (let from = 0; from < golden.rows.length; from += rowsMax) {
      const rows = golden.rows.slice(from, from + rowsMax);
      const values = Float32Array.from(rows.flat());
      const mask = Float32Array.from((golden.masks ?? []).slice(from, from + rowsMax).flat());
      const outputs = await runOnce(session, inputTensors(shape, rows.length, { values, mask }));
      const fault = outputFault(shape, rows.length, outputs);
      if (fault) throw new ModelRefused(fault.kind === "not_finite" ? "not_finite" : "outputs", fault.detail);
      compare("score", outputs["score"].data, golden.scores.slice(from, from + rowsMax));
      if (shape.isSequence)
        compare("errors", outputs["errors"].data, golden.errors!.slice(from, from + rowsMax).flat());
    }
  } finally {
    await session.release();
  }
}

function runOnce(session: OnnxSession, inputs: Tensors): Promise<Tensors> {
  return orRefused("inputs", session.run(inputs));
}

/** Where the runtime has an opinion on the model, its errors say so. */
async function orRefused<T>(reason: RefusalReason, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!messageOf(error).includes("ERROR_CODE")) throw error;
    throw new ModelRefused(reason, messageOf(error));
  }
}

function compare(name: string, actual: Float32Array, wanted: readonly number[]): void {
  const off = Math.max(...wanted.map((value, i) => Math.abs(actual[i] - value)));
  if (!(off <= goldenTolerance))
    throw new ModelRefused("golden_mismatch", `${name} is off by up to ${off}, and ${goldenTolerance} is allowed`);
}
