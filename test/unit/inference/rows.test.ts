import { describe, expect, it } from "vitest";
import { featureCount, features, valueOf, type Vector } from "../../../src/core/features/features.ts";
import { ModelInferenceError, type ModelPackage, type Tensors } from "../../../src/inference/model.ts";
import { explainedMax, scoreRows, type Run } from "../../../src/inference/rows.ts";
import { rowsMax } from "../../../wasm/onnx-session.ts";
import { Random } from "../../support/random.ts";
import {
  forestFeatures,
  runTinyForest,
  runTinySequence,
  sequenceFeatures,
  tinyForest,
  tinyScore,
  tinySequence,
} from "../../support/tiny-models.ts";

const placeOf = (name: string) => features.findIndex((feature) => feature.name === name);

function vector(levels: { readonly [feature: string]: number }): Vector {
  const one = new Uint8Array(featureCount);
  for (const [name, level] of Object.entries(levels)) one[placeOf(name)] = level;
  return one;
}

const host = (...vectors: Vector[]) => ({ vectors });

/** Tells what it was given. */
function watched(run: Run): { run: Run; inputs: Tensors[] } {
  const inputs: Tensors[] = [];
  return {
    inputs,
    run: (given) => {
      inputs.push(given);
      return run(given);
    },
  };
}

const forest = tinyForest();
const sequence = tinySequence();

describe("a forest", () => {
  it("is given the last window, levels / 255 in the order of its features", async () => {
    const { run, inputs } = watched(runTinyForest);
    const earlier = vector({ requests: 9 });
    const last = vector({ requests: 255, failed_share: 51, rare_requests: 102, sent_bytes: 77 });
    await scoreRows(forest, [host(earlier, last)], run);
    expect(forestFeatures).toEqual(["requests", "failed_share", "rare_requests"]);
    expect(inputs).toEqual([{ features: { dims: [1, 3], data: Float32Array.of(1, 0.2, 0.4) } }]);
  });

  it("gives score, p-value and version in the order of the candidates, however many there are", async () => {
    const random = new Random(1);
    const candidates = Array.from({ length: 2 * rowsMax + 3 }, () =>
      host(vector(Object.fromEntries(forestFeatures.map((name) => [name, random.int(0, 255)])))),
    );
    const { run, inputs } = watched(runTinyForest);
    const opinions = await scoreRows(forest, candidates, run);
    expect(inputs.map(({ features: { dims } }) => dims[0])).toEqual([rowsMax, rowsMax, 3]);
    expect(opinions.length).toBe(candidates.length);
    for (const [i, { vectors }] of candidates.entries()) {
      const score = tinyScore(forestFeatures.map((name) => vectors[0][placeOf(name)] / 255));
      expect(opinions[i].score).toBeCloseTo(score, 6);
      // Of the 999 windows, that of rank i scored i thousandths.
      expect(opinions[i].p_value).toBeCloseTo((1001 - Math.floor(1000 * opinions[i].score)) / 1000, 9);
    }
    expect(opinions[0]).toMatchObject({ model: "isolation_forest", version: forest.sha256.slice(0, 12) });
    expect(opinions[0].version).toMatch(/^[0-9a-f]{12}$/);
  });

  it("says which features made it strange, in their own units, only of what is strange", async () => {
    const strange = { ...forest, calibration: { ...forest.calibration, scores: [0], at_least: [explainedMax - 0.01] } };
    const row = vector({ requests: 128, failed_share: 255, rare_requests: 0 });
    const [{ contributions }] = await scoreRows(strange, [host(vector({ requests: 7 }), row)], runTinyForest);
    expect(contributions.length).toBeGreaterThan(0);
    const shares = contributions.map(({ share }) => share);
    expect(shares).toEqual(shares.toSorted((a, b) => b - a));
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9);
    for (const { feature, value } of contributions)
      expect(value).toBe(valueOf(features[placeOf(feature)], row[placeOf(feature)]));
    const ordinary = {
      ...forest,
      calibration: { ...forest.calibration, scores: [0], at_least: [explainedMax + 0.01] },
    };
    expect((await scoreRows(ordinary, [host(row)], runTinyForest))[0].contributions).toEqual([]);
  });
});

describe("a sequence", () => {
  it("is given the windows to the right, and which of them there are", async () => {
    const { run, inputs } = watched(runTinySequence);
    await scoreRows(sequence, [host(vector({ sent_bytes: 51 }), vector({ failed_share: 255 }))], run);
    const [{ sequence: given, mask }] = inputs;
    expect(given.dims).toEqual([1, 32, 2]);
    expect([...given.data.subarray(-4)]).toEqual([Math.fround(0.2), 0, 0, 1]);
    expect(given.data.subarray(0, -4).every((level) => level === 0)).toBe(true);
    expect([...mask.data]).toEqual([...Array<number>(30).fill(0), 1, 1]);
  });

  it("explains by the errors", async () => {
    const windows = Array.from({ length: 40 }, () => vector({ sent_bytes: 255, failed_share: 85 }));
    const strange = { ...sequence, calibration: { ...sequence.calibration, scores: [0], at_least: [0.001] } };
    const [opinion] = await scoreRows(strange, [host(...windows)], runTinySequence);
    expect(opinion.score).toBeCloseTo((1 + 1 / 3) / 2, 6);
    expect(opinion.contributions.map(({ feature }) => feature)).toEqual(sequenceFeatures);
    expect(opinion.contributions[0].share).toBeCloseTo(0.75, 6);
    expect(opinion.contributions[0].value / 1e12).toBeCloseTo(1, 6);
  });
});

describe("fails", () => {
  const row = host(vector({ requests: 1 }));
  const answering =
    (outputs: Tensors): Run =>
    async () =>
      outputs;
  const score = (...values: number[]) => ({ score: { dims: [values.length, 1], data: Float32Array.from(values) } });
  const errors = (...values: number[]) => ({ errors: { dims: [1, values.length], data: Float32Array.from(values) } });
  const named = (pkg: ModelPackage, name: string) => {
    const [first, ...rest] = pkg.features.features;
    return { ...pkg, features: { ...pkg.features, features: [{ ...first, name }, ...rest] } };
  };

  it.each<[string, ModelPackage, { vectors: readonly Vector[] }, Run, RegExp]>([
    ["on a score that is not a number", forest, row, answering(score(NaN)), /not finite/],
    ["on a score beyond 1", forest, row, answering(score(1.5)), /outside 0 to 1/],
    ["on a score for another row", forest, row, answering(score(0.5, 0.5)), /2 × 1, and 1 × 1/],
    ["without a score", forest, row, answering({}), /no output score/],
    ["on an infinite error", sequence, row, answering({ ...score(1), ...errors(0, Infinity) }), /errors .* not finite/],
    ["on a negative error", sequence, row, answering({ ...score(1), ...errors(0, -1) }), /errors .* outside/],
    ["on errors of other features", sequence, row, answering({ ...score(1), ...errors(0) }), /1 × 1, and 1 × 2/],
    ["on a candidate without windows", forest, host(), runTinyForest, /no window/],
    ["on a window of other features", forest, host(new Uint8Array(3)), runTinyForest, /3 features/],
    ["on a feature that there is not", named(forest, "mood"), row, runTinyForest, /no feature mood/],
    ["on bytes that are no forest", { ...forest, onnx: new Uint8Array(9) }, row, runTinyForest, /malformed|graphs/],
  ])("%s", async (_, pkg, candidate, run, reason) => {
    const failing = scoreRows(pkg, [candidate], run);
    await expect(failing).rejects.toThrow(ModelInferenceError);
    await expect(failing).rejects.toThrow(reason);
  });
});
