import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { projectRoot } from "../../../src/cli/local-key.ts";
import { ModelInferenceError, modelNames, type FeatureList, type Golden } from "../../../src/inference/model.ts";
import { openSession } from "../../../wasm/onnx-runtime-node.ts";
import { goldenInputs } from "../../bench/golden-inputs.ts";

it.each(modelNames)("%s gives what the training framework gave, within 1e-5", async (name) => {
  const read = (file: string) => readFileSync(join(projectRoot, "models", name.replace("_", "-"), file));
  const features = JSON.parse(read("features.json").toString()) as FeatureList;
  const golden = JSON.parse(read("golden.json").toString()) as Golden;
  const session = await openSession(new Uint8Array(read("model.onnx")));
  const { score } = await session.run(goldenInputs({ name, features, golden }, golden.rows.length));
  expect(score.data.length).toBe(golden.scores.length);
  const off = golden.scores.map((wanted, i) => Math.abs(score.data[i] - wanted));
  expect(Math.max(...off)).toBeLessThanOrEqual(1e-5);
  await session.release();
});

it("fails as in a Worker", async () => {
  await expect(openSession(new Uint8Array([1, 2, 3]))).rejects.toThrow(ModelInferenceError);
});
