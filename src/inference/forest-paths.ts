import { OnnxFileError, type OnnxFile } from "./onnx-file.ts";

/**
 * A forest's trees, for the question which features made a row's paths short.
 *
 * Method: path attribution after Saabas. Every node has an expected path length: the mean of its leaves', each weighted
 * by the training samples that ended there. A split is credited with what it takes off that expectation for the row;
 * along a path the credits telescope, so that those of all features sum to the forest's expectation less the row's path
 * length, exactly. A feature that isolates the row early takes off much; one that sends it where most samples go takes
 * off less than nothing. Costs one walk per tree, where Shapley values would cost the square of the depth; unlike them
 * it prefers splits near the leaves a little.
 * Sources: Saabas 2014, Interpreting random forests; Carletti, Terzi and Susto 2023, Interpretable anomaly detection with
 * DIFFI, which credits depth in the same spirit; Liu, Ting and Zhou 2008, Isolation forest, for c(n).
 */
export interface Forest {
  /** Nodes by index: the arrays below have one entry for each. */
  roots: Int32Array;
  /** Index of the feature in a row. */
  features: Int32Array;
  /** `row[feature] <= threshold`, both float32, goes to `yes`, else to `no`. */
  thresholds: Float32Array;
  /** Index of the node; -1 at leaves. */
  yes: Int32Array;
  no: Int32Array;
  /** Of the leaves below, in splits; at a leaf its own value. */
  expected: Float64Array;
}

const regressor = "ai.onnx.ml.TreeEnsembleRegressor";

/** The file's only tree ensemble. Throws OnnxFileError where it is not a forest whose paths can be walked. */
export function forestOf({ nodes }: OnnxFile): Forest {
  const ensembles = nodes.filter(({ operator }) => operator === regressor);
  if (ensembles.length !== 1) throw new OnnxFileError(`${ensembles.length} tree ensembles, and one is wanted`);
  const { attributes } = ensembles[0];
  const numbers = (name: string) => attributes.get(name)?.numbers ?? [];
  const modes = attributes.get("nodes_modes")?.strings ?? [];
  const stranger = modes.find((mode) => mode !== "BRANCH_LEQ" && mode !== "LEAF");
  if (stranger !== undefined) throw new OnnxFileError(`nodes of mode ${stranger}: only BRANCH_LEQ and LEAF are known`);
  const aggregate = attributes.get("aggregate_function")?.strings[0] ?? "SUM";
  if (aggregate !== "SUM") throw new OnnxFileError(`trees are joined by ${aggregate}, and SUM is wanted`);
  const forest = linked(numbers, modes);
  fillExpected(forest, leafValues(numbers, modes));
  return forest;
}

type Numbers = (attribute: string) => readonly number[];

/** Node ids of a tree may be any numbers below this. */
const idsMax = 2 ** 24;

function keysOf(trees: readonly number[], nodes: readonly number[], count: number): number[] {
  if (trees.length !== count || nodes.length !== count) throw new OnnxFileError("arrays of the trees differ in length");
  return trees.map((tree, i) => tree * idsMax + nodes[i]);
}

function linked(numbers: Numbers, modes: readonly string[]): Forest {
  const count = modes.length;
  const trees = numbers("nodes_treeids");
  const indexes = new Map(keysOf(trees, numbers("nodes_nodeids"), count).map((key, i) => [key, i]));
  if (indexes.size !== count) throw new OnnxFileError("two nodes of a tree have the same id");
  const childrenOf = (attribute: string) => {
    const keys = keysOf(trees, numbers(attribute), count);
    return Int32Array.from(modes, (mode, i) => (mode === "LEAF" ? -1 : (indexes.get(keys[i]) ?? count)));
  };
  const features = Int32Array.from(numbers("nodes_featureids"));
  const thresholds = Float32Array.from(numbers("nodes_values"));
  if (features.length !== count || thresholds.length !== count)
    throw new OnnxFileError("arrays of the trees differ in length");
  const yes = childrenOf("nodes_truenodeids");
  const no = childrenOf("nodes_falsenodeids");
  const parents = new Uint8Array(count + 1);
  for (let i = 0; i < count; i++) {
    if (yes[i] < 0) continue;
    if (parents[yes[i]]++ + parents[no[i]]++ > 0 || yes[i] === no[i])
      throw new OnnxFileError("a node of a tree has two parents");
  }
  if (parents[count] > 0) throw new OnnxFileError("a node of a tree has a child that does not exist");
  const roots = Int32Array.from([...parents.subarray(0, count).keys()].filter((i) => parents[i] === 0));
  if (roots.length !== new Set(trees).size) throw new OnnxFileError("a tree has not one root");
  return { roots, features, thresholds, yes, no, expected: new Float64Array(count) };
}

/** By index of the node. */
function leafValues(numbers: Numbers, modes: readonly string[]): Map<number, number> {
  const weights = numbers("target_weights");
  const byKey = new Map(
    keysOf(numbers("target_treeids"), numbers("target_nodeids"), weights.length).map((key, i) => [key, weights[i]]),
  );
  const keys = keysOf(numbers("nodes_treeids"), numbers("nodes_nodeids"), modes.length);
  const values = new Map<number, number>();
  for (const [i, mode] of modes.entries()) {
    if (mode !== "LEAF") continue;
    const value = byKey.get(keys[i]);
    if (value === undefined || !Number.isFinite(value)) throw new OnnxFileError("a leaf of a tree has no value");
    values.set(i, value);
  }
  if (values.size !== weights.length) throw new OnnxFileError("a tree has values at other nodes than its leaves");
  return values;
}

function fillExpected(forest: Forest, values: ReadonlyMap<number, number>): void {
  const { yes, no, expected } = forest;
  const { order, depths } = downwards(forest);
  const samples = leafSamples(values, depths);
  // Children before their parents.
  for (const i of order.toReversed()) {
    if (yes[i] < 0) expected[i] = values.get(i)!;
    else {
      samples[i] = samples[yes[i]] + samples[no[i]];
      expected[i] = (samples[yes[i]] * expected[yes[i]] + samples[no[i]] * expected[no[i]]) / samples[i];
    }
  }
}

/** All nodes, parents before their children, and how many splits lie above each. Nodes in a circle belong to no root. */
function downwards({ roots, yes, no }: Forest): { order: number[]; depths: Uint32Array } {
  const order = [...roots];
  const depths = new Uint32Array(yes.length);
  for (let next = 0; next < order.length; next++) {
    const i = order[next];
    if (yes[i] < 0) continue;
    depths[yes[i]] = depths[no[i]] = depths[i] + 1;
    order.push(yes[i], no[i]);
  }
  if (order.length !== yes.length) throw new OnnxFileError("nodes of a tree lie in a circle");
  return { order, depths };
}

/** Of a leaf: the subsample has 256 as a rule. */
const samplesMax = 4096;
/** A leaf's value is a float32 of some dozen at most. */
const valueTolerance = 1e-4;

/**
 * An isolation tree's leaf of n training samples at depth d has the value d + c(n), so the value tells n. Leaves that do
 * not fit count as one each, and so do all others then.
 */
function leafSamples(values: ReadonlyMap<number, number>, depths: Uint32Array): Float64Array {
  const samples = new Float64Array(depths.length);
  for (const [i, value] of values) {
    const n = samplesOf(value - depths[i]);
    if (n === undefined) return samples.fill(1);
    samples[i] = n;
  }
  return samples;
}

/** The whole number n whose c(n) this is. */
function samplesOf(excess: number): number | undefined {
  let low = 1;
  let high = samplesMax;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (averagePath(middle) < excess - valueTolerance) low = middle + 1;
    else high = middle;
  }
  return Math.abs(averagePath(low) - excess) <= valueTolerance ? low : undefined;
}

/** c(n): mean path length of an unsuccessful search among n, in splits. */
export function averagePath(n: number): number {
  if (n <= 2) return n - 1;
  const eulerGamma = 0.5772156649015329;
  return 2 * (Math.log(n - 1) + eulerGamma) - (2 * (n - 1)) / n;
}

/**
 * Adds to `credits`, by feature, how many splits it took off the expected path of the row, summed over the trees. `row`
 * begins at `offset`.
 */
export function creditPaths(forest: Forest, rows: Float32Array, offset: number, credits: Float64Array): void {
  const { roots, features, thresholds, yes, no, expected } = forest;
  for (let tree = 0; tree < roots.length; tree++) {
    let node = roots[tree];
    while (yes[node] >= 0) {
      const feature = features[node];
      const child = rows[offset + feature] <= thresholds[node] ? yes[node] : no[node];
      credits[feature] += expected[node] - expected[child];
      node = child;
    }
  }
}
