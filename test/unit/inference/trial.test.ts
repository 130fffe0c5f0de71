import { describe, expect, it } from "vitest";
import type { ModelPackage, Tensors } from "../../../src/inference/model.ts";
import { modelBytesMax } from "../../../src/inference/onnx-file.ts";
import type { Run } from "../../../src/inference/rows.ts";
import { ModelRefused, tryPackage } from "../../../src/inference/trial.ts";
import type { OpenSession } from "../../../wasm/onnx-session.ts";
import { writeOnnx, type OnnxModel } from "../../support/onnx-writer.ts";
import {
  forestModel,
  runTinyForest,
  runTinySequence,
  sequenceModel,
  tinyForest,
  tinySequence,
  withBytes,
} from "../../support/tiny-models.ts";

/** A runtime that answers so, and counts what is open. */
function runtime(run: Run): { open: OpenSession; count: { opened: number; released: number } } {
  const count = { opened: 0, released: 0 };
  const release = async () => void count.released++;
  const open: OpenSession = async () => {
    count.opened++;
    return { run, release };
  };
  return { open, count };
}

async function refusal(pkg: ModelPackage, run: Run = runTinyForest): Promise<{ reason: string; detail: string }> {
  const { open, count } = runtime(run);
  try {
    await tryPackage(pkg, open);
  } catch (error) {
    if (!(error instanceof ModelRefused)) throw error;
    if (count.released !== count.opened) throw new Error("the session was not released", { cause: error });
    return error;
  }
  throw new Error("the version was taken");
}

const forest = tinyForest();
const sequence = tinySequence();
const forestOf = (changes: Partial<OnnxModel>) => tinyForest({ ...forestModel(), ...changes });

it("takes both models, and lets go of them", async () => {
  for (const [pkg, run] of [
    [forest, runTinyForest],
    [sequence, runTinySequence],
  ] as const) {
    const { open, count } = runtime(run);
    await tryPackage(pkg, open);
    expect(count).toEqual({ opened: 1, released: 1 });
  }
});

describe("refuses a file", () => {
  it("too large", async () => {
    const onnx = new Uint8Array(modelBytesMax + 1);
    expect(await refusal({ ...forest, onnx })).toMatchObject({ reason: "too_large" });
  });

  it("of another hash", async () => {
    expect(await refusal({ ...forest, sha256: "0".repeat(64) })).toMatchObject({ reason: "hash_mismatch" });
  });

  it("that is no model, or cut off", async () => {
    const bytes = writeOnnx(forestModel());
    for (const onnx of [new TextEncoder().encode("PK\u0003\u0004"), new Uint8Array(0), bytes.slice(0, 1000)])
      expect(await refusal(withBytes(forest, onnx))).toMatchObject({ reason: "not_onnx" });
  });

  it.each<[string, ModelPackage, string, RegExp]>([
    ["of a later opset", forestOf({ opsets: { "": 22, "ai.onnx.ml": 3 } }), "opset", /ai\.onnx 22.*at most 21/],
    ["of a later opset of trees", forestOf({ opsets: { "": 17, "ai.onnx.ml": 5 } }), "opset", /ai\.onnx\.ml 5/],
    ["of other operators' domain", forestOf({ opsets: { "": 17, "com.microsoft": 1 } }), "opset", /com\.microsoft/],
    ["without the opset of its trees", forestOf({ opsets: { "": 17 } }), "opset", /no version of ai\.onnx\.ml/],
    [
      "with another operator",
      forestOf({
        nodes: [...forestModel().nodes, { type: "RandomNormalLike", inputs: ["score"], outputs: ["noise"] }],
      }),
      "operators",
      /RandomNormalLike/,
    ],
    ["with a sequence's operators for a forest", tinyForest(sequenceModel()), "operators", /ReduceMean/],
    ["with other splits", tinyForest(forestModel({ nodes_modes: { strings: [] } })), "operators", /length|trees/],
    ["with more features", forestOf({ inputs: [{ name: "features", dims: ["N", 4] }] }), "inputs", /N × 4.*N × 3/],
    ["with a fixed number of rows", forestOf({ inputs: [{ name: "features", dims: [1, 3] }] }), "inputs", /1 × 3/],
    ["with another name", forestOf({ inputs: [{ name: "x", dims: ["N", 3] }] }), "inputs", /x, and features/],
    ["of doubles", forestOf({ inputs: [{ name: "features", dims: ["N", 3], elementType: 11 }] }), "inputs", /type 11/],
    ["with another output", forestOf({ outputs: [{ name: "depth", dims: ["N", 1] }] }), "outputs", /depth, and score/],
  ])("%s", async (_, pkg, reason, detail) => {
    expect(await refusal(pkg)).toMatchObject({ reason, detail: expect.stringMatching(detail) });
  });
});

describe("refuses a description", () => {
  const withFeature = (change: object) => {
    const [first, ...rest] = forest.features.features;
    return { ...forest, features: { ...forest.features, features: [{ ...first, ...change }, ...rest] } };
  };
  const calibrated = (change: object) => ({ ...forest, calibration: { ...forest.calibration, ...change } });
  const { windows, scores, at_least, drift } = forest.calibration;

  it.each<[string, ModelPackage]>([
    ["of a feature that there is not", withFeature({ name: "mood" })],
    ["of another unit", withFeature({ unit: "bits" })],
    ["of another range", withFeature({ max: 1 })],
    ["of a feature twice", withFeature({ name: "failed_share", unit: "share", min: 0, max: 1 })],
    ["of other windows", { ...forest, features: { ...forest.features, window_s: 60 } }],
    ["of more windows a row", { ...forest, features: { ...forest.features, windows: 32 } }],
  ])("%s", async (_, pkg) => {
    expect(await refusal(pkg)).toMatchObject({ reason: "features" });
  });

  it.each<[string, ModelPackage]>([
    ["of few windows", calibrated({ windows: 98 })],
    ["of half a window", calibrated({ windows: 999.5 })],
    ["without scores", calibrated({ scores: [], at_least: [] })],
    ["of fewer shares than scores", calibrated({ at_least: at_least.slice(1) })],
    ["of scores that do not ascend", calibrated({ scores: scores.toReversed() })],
    ["of a score that is none", calibrated({ scores: scores.with(3, NaN) })],
    ["of counts instead of shares", calibrated({ at_least: at_least.map((share) => share * windows) })],
    ["of shares that ascend", calibrated({ at_least: at_least.toReversed() })],
    ["without a histogram", calibrated({ drift: { ...drift, features: {} } })],
    [
      "of a histogram of half the windows",
      calibrated({ drift: { ...drift, score: { edges: [0.5], shares: [0.5, 0] } } }),
    ],
  ])("%s", async (_, pkg) => {
    expect(await refusal(pkg)).toMatchObject({ reason: "calibration" });
  });
});

describe("refuses what it makes of the golden rows", () => {
  const golden = (change: object) => ({ ...forest, golden: { ...forest.golden, ...change } });
  const { rows, scores } = forest.golden;

  it.each<[string, ModelPackage]>([
    ["few", golden({ rows: rows.slice(1), scores: scores.slice(1) })],
    ["of other features", golden({ rows: rows.map((row) => row.slice(1)) })],
    ["of levels beyond 1", golden({ rows: rows.with(0, [2, 0, 0]) })],
    ["of no number", golden({ rows: rows.with(0, [NaN, 0, 0]) })],
    ["without scores", golden({ scores: [] })],
    ["another score", golden({ scores: scores.with(15, scores[15] + 2e-5) })],
  ])("%s", async (_, pkg) => {
    expect(await refusal(pkg)).toMatchObject({ reason: "golden_mismatch" });
  });

  it("another error, or none", async () => {
    const { errors } = sequence.golden;
    for (const wrong of [errors!.with(3, [0.9, 0.9]), undefined]) {
      const pkg = { ...sequence, golden: { ...sequence.golden, errors: wrong } } as ModelPackage;
      expect(await refusal(pkg, runTinySequence)).toMatchObject({ reason: "golden_mismatch" });
    }
  });

  const spoilt =
    (change: (data: Float32Array) => Tensors["score"]): Run =>
    async (inputs) => {
      const { score } = await runTinyForest(inputs);
      return { score: change(score.data) };
    };

  it("no number", async () => {
    const run = spoilt((data) => ({ dims: [data.length, 1], data: data.with(2, NaN) }));
    expect(await refusal(forest, run)).toMatchObject({ reason: "not_finite" });
  });

  it("another shape, or a score beyond 1", async () => {
    const flat = spoilt((data) => ({ dims: [data.length], data }));
    const beyond = spoilt((data) => ({ dims: [data.length, 1], data: data.with(0, 1.1) }));
    for (const run of [flat, beyond]) expect(await refusal(forest, run)).toMatchObject({ reason: "outputs" });
  });
});

it("blames the version for what the runtime says of it, and for nothing else", async () => {
  const failing =
    (message: string): Run =>
    () =>
      Promise.reject(new Error(message));
  expect(await refusal(forest, failing("ERROR_CODE: 2, wrong shape"))).toMatchObject({ reason: "inputs" });
  await expect(refusal(forest, failing("no memory"))).rejects.toThrow("no memory");
});
