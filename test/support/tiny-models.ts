import { createHash } from "node:crypto";
import { features, windowMs, windowsKept } from "../../src/core/features/features.ts";
import { averagePath } from "../../src/inference/forest-paths.ts";
import type { Calibration, Golden, Histogram, ModelPackage, Tensors } from "../../src/inference/model.ts";
import { writeOnnx, type OnnxModel } from "./onnx-writer.ts";
import { Random } from "./random.ts";

/** Whole packages of models so small that a test can do their sums itself. */

const goldenRows = 16;

/** A package of these bytes; what is not given fits the model. */
function packageOf(model: OnnxModel, rest: Omit<ModelPackage, "sha256" | "onnx" | "card">): ModelPackage {
  return withBytes({ ...rest, sha256: "", onnx: new Uint8Array(), card: "" }, writeOnnx(model));
}

export function withBytes(pkg: ModelPackage, onnx: Uint8Array<ArrayBuffer>): ModelPackage {
  return { ...pkg, onnx, sha256: createHash("sha256").update(onnx).digest("hex") };
}

const windows = 999;

/** 999 benign windows: the one of rank i, from 1, scored i thousandths. */
function calibrationOf(names: readonly string[]): Calibration {
  const ranks = Array.from({ length: windows }, (_, i) => i + 1);
  const half: Histogram = { edges: [0.5], shares: [0.5, 0.5] };
  return {
    windows,
    scores: ranks.map((rank) => rank / (windows + 1)),
    at_least: ranks.map((rank) => (windows + 1 - rank) / windows),
    drift: { score: half, features: Object.fromEntries(names.map((name) => [name, half])) },
  };
}

function listOf(names: readonly string[], rowWindows: number): ModelPackage["features"] {
  const list = names.map((name) => {
    const { unit, min, max } = features.find((feature) => feature.name === name)!;
    return { name, unit, min, max };
  });
  return { window_s: windowMs / 1000, windows: rowWindows, features: list };
}

/** Numbers of 255ths, as rows of levels are. */
function levels(random: Random, count: number): number[] {
  return Array.from({ length: count }, () => random.int(0, 255) / 255);
}

// The forest

export interface TinyTree {
  /** A split, or a leaf of so many samples. */
  split?: { feature: number; threshold: number; yes: TinyTree; no: TinyTree };
  samples: number;
}

export const forestFeatures = ["requests", "failed_share", "rare_requests"];
const samplesPerTree = 32;
const depthMax = 5;

export const tinyTrees: readonly TinyTree[] = (() => {
  const random = new Random(7);
  return Array.from({ length: 8 }, () => {
    const rows = Array.from({ length: samplesPerTree }, () => levels(random, forestFeatures.length));
    return grow(random, rows, 0);
  });
})();

function grow(random: Random, rows: readonly number[][], depth: number): TinyTree {
  if (rows.length < 2 || depth === depthMax) return { samples: rows.length };
  const feature = random.int(0, forestFeatures.length - 1);
  const values = rows.map((row) => row[feature]);
  const [min, max] = [Math.min(...values), Math.max(...values)];
  const threshold = Math.fround(min + (max - min) * random.next());
  const parts = [rows.filter((row) => row[feature] <= threshold), rows.filter((row) => row[feature] > threshold)];
  if (parts.some((part) => part.length === 0)) return { samples: rows.length };
  const [yes, no] = parts.map((part) => grow(random, part, depth + 1));
  return { split: { feature, threshold, yes, no }, samples: rows.length };
}

/** Path length in one tree, with c(n) of the leaf. */
export function pathOf(tree: TinyTree, row: ArrayLike<number>): number {
  const { split, samples } = tree;
  if (!split) return averagePath(samples);
  return 1 + pathOf(Math.fround(row[split.feature]) <= split.threshold ? split.yes : split.no, row);
}

export function tinyScore(row: ArrayLike<number>): number {
  const mean = tinyTrees.reduce((sum, tree) => sum + pathOf(tree, row), 0) / tinyTrees.length;
  return 2 ** (-mean / averagePath(samplesPerTree));
}

/** The trees as the attributes of a TreeEnsembleRegressor. */
export function ensembleOf(trees: readonly TinyTree[]) {
  const nodes: { tree: number; id: number; feature: number; mode: string; value: number; yes: number; no: number }[] =
    [];
  const leaves: { tree: number; id: number; weight: number }[] = [];
  for (const [tree, root] of trees.entries()) {
    let ids = 0;
    const add = ({ split, samples }: TinyTree, depth: number): number => {
      const id = ids++;
      const node = { tree, id, feature: 0, mode: "LEAF", value: 0, yes: 0, no: 0 };
      nodes.push(node);
      if (split) {
        const { feature, threshold: value } = split;
        const yes = add(split.yes, depth + 1);
        Object.assign(node, { feature, mode: "BRANCH_LEQ", value, yes, no: add(split.no, depth + 1) });
      } else leaves.push({ tree, id, weight: depth + averagePath(samples) });
      return id;
    };
    add(root, 0);
  }
  return {
    n_targets: { i: 1 },
    aggregate_function: { s: "SUM" },
    nodes_treeids: { ints: nodes.map(({ tree }) => tree) },
    nodes_nodeids: { ints: nodes.map(({ id }) => id) },
    nodes_featureids: { ints: nodes.map(({ feature }) => feature) },
    nodes_modes: { strings: nodes.map(({ mode }) => mode) },
    nodes_values: { floats: nodes.map(({ value }) => value) },
    nodes_truenodeids: { ints: nodes.map(({ yes }) => yes) },
    nodes_falsenodeids: { ints: nodes.map(({ no }) => no) },
    target_treeids: { ints: leaves.map(({ tree }) => tree) },
    target_nodeids: { ints: leaves.map(({ id }) => id) },
    target_ids: { ints: leaves.map(() => 0) },
    target_weights: { floats: leaves.map(({ weight }) => weight) },
  };
}

export function forestModel(attributes: Partial<ReturnType<typeof ensembleOf>> = {}): OnnxModel {
  return {
    nodes: [
      {
        type: "TreeEnsembleRegressor",
        domain: "ai.onnx.ml",
        inputs: ["features"],
        outputs: ["depth"],
        attributes: { ...ensembleOf(tinyTrees), ...attributes },
      },
      { type: "Mul", inputs: ["depth", "scale"], outputs: ["exponent"] },
      { type: "Pow", inputs: ["two", "exponent"], outputs: ["score"] },
    ],
    inputs: [{ name: "features", dims: ["N", forestFeatures.length] }],
    outputs: [{ name: "score", dims: ["N", 1] }],
    constants: [
      { name: "scale", dims: [1], floats: [-1 / (tinyTrees.length * averagePath(samplesPerTree))] },
      { name: "two", dims: [1], floats: [2] },
    ],
  };
}

export function tinyForest(model = forestModel()): ModelPackage {
  const random = new Random(8);
  const rows = Array.from({ length: goldenRows }, () => levels(random, forestFeatures.length));
  const golden: Golden = { rows, scores: rows.map(tinyScore) };
  const calibration = calibrationOf(forestFeatures);
  return packageOf(model, { name: "isolation_forest", features: listOf(forestFeatures, 1), calibration, golden });
}

/** What the runtime would answer. */
export async function runTinyForest({ features: input }: Tensors): Promise<Tensors> {
  const [rows, width] = input.dims;
  const data = Float32Array.from({ length: rows }, (_, i) =>
    tinyScore(input.data.subarray(i * width, (i + 1) * width)),
  );
  return { score: { dims: [rows, 1], data } };
}

// The sequence

export const sequenceFeatures = ["sent_bytes", "failed_share"];

/** Errors are the mean levels over all 32 windows, the score is their mean. */
export function sequenceModel(): OnnxModel {
  return {
    opsets: { "": 17 },
    nodes: [
      { type: "Unsqueeze", inputs: ["mask", "axis2"], outputs: ["there"] },
      { type: "Mul", inputs: ["sequence", "there"], outputs: ["masked"] },
      {
        type: "ReduceMean",
        inputs: ["masked"],
        outputs: ["errors"],
        attributes: { axes: { ints: [1] }, keepdims: { i: 0 } },
      },
      {
        type: "ReduceMean",
        inputs: ["errors"],
        outputs: ["score"],
        attributes: { axes: { ints: [1] }, keepdims: { i: 1 } },
      },
    ],
    inputs: [
      { name: "sequence", dims: ["N", windowsKept, sequenceFeatures.length] },
      { name: "mask", dims: ["N", windowsKept] },
    ],
    outputs: [
      { name: "score", dims: ["N", 1] },
      { name: "errors", dims: ["N", sequenceFeatures.length] },
    ],
    constants: [{ name: "axis2", dims: [1], ints: [2] }],
  };
}

export function tinySequence(model = sequenceModel()): ModelPackage {
  const random = new Random(9);
  const width = sequenceFeatures.length;
  const masks = Array.from({ length: goldenRows }, (_, i) =>
    Array.from({ length: windowsKept }, (_unused, window) => (windowsKept - window <= 2 * i + 1 ? 1 : 0)),
  );
  const rows = masks.map((mask) =>
    levels(random, windowsKept * width).map((level, i) => level * mask[Math.floor(i / width)]),
  );
  const errors = rows.map((row) =>
    sequenceFeatures.map((_, k) => row.reduce((sum, level, i) => sum + (i % width === k ? level : 0), 0) / windowsKept),
  );
  const scores = errors.map((one) => one.reduce((sum, error) => sum + error, 0) / width);
  return packageOf(model, {
    name: "lstm_autoencoder",
    features: listOf(sequenceFeatures, windowsKept),
    calibration: calibrationOf(sequenceFeatures),
    golden: { rows, masks, scores, errors },
  });
}

/** What the runtime would answer. */
export async function runTinySequence({ sequence, mask }: Tensors): Promise<Tensors> {
  const [rows, length, width] = sequence.dims;
  const errors = new Float32Array(rows * width);
  for (let i = 0; i < sequence.data.length; i++)
    errors[Math.floor(i / (length * width)) * width + (i % width)] +=
      (sequence.data[i] * mask.data[Math.floor(i / width)]) / length;
  const data = Float32Array.from({ length: rows }, (_, row) =>
    errors.subarray(row * width, (row + 1) * width).reduce((sum, error) => sum + error / width, 0),
  );
  return { score: { dims: [rows, 1], data }, errors: { dims: [rows, width], data: errors } };
}
