import { describe, expect, it } from "vitest";
import { features } from "../../src/core/features/features.ts";
import { builtInModels } from "../../src/inference/built-in.ts";
import { ModelInferenceError, modelNames, type ModelPackage, type Tensors } from "../../src/inference/model.ts";
import { scoreRows } from "../../src/inference/rows.ts";
import { ModelRefused, tryPackage } from "../../src/inference/trial.ts";
import { linearMemoryBytes, openSession, rowsMax } from "../../wasm/onnx-runtime.ts";
import { writeOnnx, type OnnxModel } from "../support/onnx-writer.ts";
import { forestModel, runTinyForest, sequenceModel, tinyForest, tinySequence } from "../support/tiny-models.ts";

/** The runtime itself, with the models that ship: one file, since each that loads it takes seconds. */

const { instantiate } = WebAssembly;
const models = builtInModels();
const golden = modelNames.map((name) => [name, models.get(name)!] as const);

const tensor = (dims: number[], ...values: number[]) => ({ dims, data: Float32Array.from(values) });

function inputsOf({ golden: { rows, masks }, features: { windows, features: list } }: ModelPackage): Tensors {
  const values = rows.flat();
  if (!masks) return { features: tensor([rows.length, list.length], ...values) };
  return {
    sequence: tensor([rows.length, windows, list.length], ...values),
    mask: tensor([rows.length, windows], ...masks.flat()),
  };
}

describe.each(golden)("%s", (_, pkg) => {
  it("gives what the training framework gave, within 1e-5", async () => {
    const session = await openSession(pkg.onnx);
    const outputs = await session.run(inputsOf(pkg));
    const off = (name: string, wanted: readonly number[]) => {
      expect(outputs[name].data.length).toBe(wanted.length);
      return Math.max(...wanted.map((value, i) => Math.abs(outputs[name].data[i] - value)));
    };
    expect(off("score", pkg.golden.scores)).toBeLessThanOrEqual(1e-5);
    const { errors } = pkg.golden;
    expect(errors ? off("errors", errors.flat()) : 0).toBeLessThanOrEqual(1e-5);
    await session.release();
  });

  it("takes features as they are computed, and is the file that its card names", () => {
    for (const { name, unit, min, max } of pkg.features.features)
      expect({ name, unit, min, max }).toEqual(pickOf(features.find((feature) => feature.name === name)));
    expect(pkg.card).toContain(`SHA-256 of model.onnx: \`${pkg.sha256}\``);
    expect(pkg.golden.rows.length).toBeGreaterThanOrEqual(16);
  });

  it("passes its own trial", async () => {
    await expect(tryPackage(pkg, openSession)).resolves.toBeUndefined();
  });
});

const pickOf = (feature: (typeof features)[number] | undefined) => {
  const { name, unit, min, max } = feature!;
  return { name, unit, min, max };
};

describe("the runtime", () => {
  it("leaves WebAssembly as it was", async () => {
    await openSession(writeOnnx(forestModel()));
    expect(WebAssembly.instantiate).toBe(instantiate);
  });

  it("gives what its operators' definitions give", async () => {
    const pkg = tinyForest();
    const { run } = await openSession(pkg.onnx);
    const given = inputsOf(pkg);
    const [actual, wanted] = [await run(given), await runTinyForest(given)];
    for (const [i, score] of wanted["score"].data.entries()) expect(actual["score"].data[i]).toBeCloseTo(score, 6);
    const [opinion] = await scoreRows(pkg, [{ vectors: [new Uint8Array(features.length)] }], run);
    expect(opinion.score).toBeCloseTo((await runTinyForest({ features: tensor([1, 3], 0, 0, 0) }))["score"].data[0], 6);
  });

  it("runs several models at once", async () => {
    const [wide, narrow] = [await openSession(writeOnnx(sums(12))), await openSession(writeOnnx(sums(2)))];
    const ask = async (i: number) => {
      const [session, count] = i % 3 === 0 ? [narrow, 2] : [wide, 12];
      const names = Array.from({ length: count }, (_, k) => `in${k}`);
      const outputs = await session.run(Object.fromEntries(names.map((name, k) => [name, tensor([1, 1], i + k)])));
      return [...outputs["all"].data].every((value, k) => value === i + k);
    };
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => ask(i)));
    expect(answers.every(Boolean)).toBe(true);
  });

  it("waits for nothing outside: no request's end leaves others waiting for it", async () => {
    const work = (async () => {
      const session = await openSession(tinyForest().onnx);
      await session.run({ features: tensor([1, 3], 0, 0, 0) });
      await session.release();
      return "done";
    })();
    const microtasks = (async () => {
      for (let i = 0; i < 1000; i++) await Promise.resolve();
      return "still waiting";
    })();
    expect(await Promise.race([work, microtasks])).toBe("done");
  });

  it("lets go of models: its memory stays as it was after many more", async () => {
    const { onnx } = models.get("isolation_forest")!;
    const reopen = async (times: number) => {
      for (let i = 0; i < times; i++) await (await openSession(onnx)).release();
      return linearMemoryBytes();
    };
    const before = await reopen(3);
    expect(before).toBeGreaterThanOrEqual(2 ** 24);
    expect(await reopen(30)).toBe(before);
  });
});

/** Puts its inputs beside each other. */
function sums(count: number): OnnxModel {
  const names = Array.from({ length: count }, (_, i) => `in${i}`);
  return {
    nodes: [{ type: "Concat", inputs: names, outputs: ["all"], attributes: { axis: { i: 1 } } }],
    inputs: names.map((name) => ({ name, dims: ["N", 1] })),
    outputs: [{ name: "all", dims: ["N", count] }],
  };
}

describe("fails with ModelInferenceError, and goes on", () => {
  const onnx = writeOnnx(forestModel());
  const row = tensor([1, 3], 0, 0.5, 1);

  it.each<[string, Tensors, RegExp]>([
    ["on NaN", { features: tensor([1, 3], 0, NaN, 0) }, /features holds a number that is not finite/],
    ["on infinity", { features: tensor([1, 3], 0, Infinity, 0) }, /not finite/],
    ["on another shape", { features: tensor([1, 4], 0, 0, 0, 0) }, /ERROR_CODE: 2/],
    ["on fewer numbers than the shape says", { features: tensor([2, 3], 0, 0, 0) }, /3 numbers for the shape 2 × 3/],
    ["on a missing input", {}, /the input features is missing/],
    ["on an input too many", { features: row, mask: row }, /mask/],
    ["on too many rows", { features: tensor([rowsMax + 1, 1], ...Array<number>(rowsMax + 1).fill(0)) }, /257 rows/],
  ])("%s", async (_, inputs, reason) => {
    const session = await openSession(onnx);
    const failing = session.run(inputs);
    await expect(failing).rejects.toThrow(ModelInferenceError);
    await expect(failing).rejects.toThrow(reason);
    expect((await session.run({ features: row }))["score"].dims).toEqual([1, 1]);
    await session.release();
  });

  it("on bytes that are no model", async () => {
    for (const bytes of [new Uint8Array(0), new Uint8Array([1, 2, 3]), onnx.slice(0, 3000)])
      await expect(openSession(bytes)).rejects.toThrow(ModelInferenceError);
  });

  it("once it was released", async () => {
    const session = await openSession(onnx);
    await session.release();
    await expect(session.run({ features: row })).rejects.toThrow(ModelInferenceError);
  });
});

describe("a trial refuses", () => {
  const reasonOf = (pkg: ModelPackage) =>
    tryPackage(pkg, openSession).then(
      () => "taken",
      (error: unknown) => (error instanceof ModelRefused ? error.reason : String(error)),
    );

  it("a model that the runtime does not take", async () => {
    const nodes = forestModel().nodes.map((node) =>
      node.type === "Mul" ? { ...node, inputs: ["nothing", "scale"] } : node,
    );
    expect(await reasonOf(tinyForest({ ...forestModel(), nodes }))).toBe("not_onnx");
  });

  it("a model that gives no numbers", async () => {
    const scale = { name: "scale", dims: [1], floats: [NaN] };
    const [, two] = forestModel().constants!;
    expect(await reasonOf(tinyForest({ ...forestModel(), constants: [scale, two] }))).toBe("not_finite");
  });

  it("a model that gives other scores than its golden rows", async () => {
    const [scale] = forestModel().constants!;
    const two = { name: "two", dims: [1], floats: [2.001] };
    expect(await reasonOf(tinyForest({ ...forestModel(), constants: [scale, two] }))).toBe("golden_mismatch");
  });

  it("a model that gives another shape than it says", async () => {
    const model = sequenceModel();
    const nodes = model.nodes.map((node) => (node.outputs[0] === "score" ? { ...node, inputs: ["masked"] } : node));
    expect(await reasonOf(tinySequence({ ...model, nodes }))).toMatch(/outputs|not_onnx|inputs/);
  });

  it("neither of the tiny ones", async () => {
    expect(await reasonOf(tinyForest())).toBe("taken");
    expect(await reasonOf(tinySequence())).toBe("taken");
  });
});
