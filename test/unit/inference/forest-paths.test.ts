import { describe, expect, it } from "vitest";
import { averagePath, creditPaths, forestOf } from "../../../src/inference/forest-paths.ts";
import { readOnnx } from "../../../src/inference/onnx-file.ts";
import { writeOnnx } from "../../support/onnx-writer.ts";
import { Random } from "../../support/random.ts";
import {
  ensembleOf,
  forestFeatures,
  forestModel,
  pathOf,
  tinyTrees,
  type TinyTree,
} from "../../support/tiny-models.ts";

type Changes = Parameters<typeof forestModel>[0];
const forestWith = (changes?: Changes) => forestOf(readOnnx(writeOnnx(forestModel(changes))));
const forestOfTrees = (trees: readonly TinyTree[]) => forestWith(ensembleOf(trees));

function credits(forest: ReturnType<typeof forestOf>, row: readonly number[]): number[] {
  const sums = new Float64Array(row.length);
  creditPaths(forest, Float32Array.from(row), 0, sums);
  return [...sums];
}
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** Mean of the leaves' path lengths, each as often as training samples ended there. */
function expectedOf({ split, samples }: TinyTree): number {
  if (!split) return averagePath(samples);
  const { yes, no } = split;
  return 1 + (yes.samples * expectedOf(yes) + no.samples * expectedOf(no)) / samples;
}

describe("credits", () => {
  it("sum to the expected path less the row's own, over all trees", () => {
    const forest = forestWith();
    const random = new Random(3);
    const expected = sum(tinyTrees.map(expectedOf));
    for (let i = 0; i < 200; i++) {
      const row = forestFeatures.map(() => random.int(0, 255) / 255);
      expect(sum(credits(forest, row))).toBeCloseTo(expected - sum(tinyTrees.map((tree) => pathOf(tree, row))), 4);
    }
  });

  it("go to the feature that isolates", () => {
    const leaf = (samples: number): TinyTree => ({ samples });
    const split = (feature: number, threshold: number, yes: TinyTree, no: TinyTree): TinyTree => {
      return { split: { feature, threshold, yes, no }, samples: yes.samples + no.samples };
    };
    // One of 32 samples lies above 0.75 in the second feature; the first cuts the rest into halves.
    const forest = forestOfTrees([split(1, 0.75, split(0, 0.5, leaf(16), leaf(15)), leaf(1))]);
    const [first, second, third] = credits(forest, [0.25, 1, 0]);
    expect(second).toBeGreaterThan(3);
    expect([first, third]).toEqual([0, 0]);
    // Of one of the many, the first split took off less than nothing: so far it is no stranger than others.
    expect(credits(forest, [0.25, 0, 0])[1]).toBeLessThan(0);
  });

  it("follow the split at its threshold itself, as the runtime does", () => {
    const root: TinyTree = {
      split: { feature: 0, threshold: 0.5, yes: { samples: 1 }, no: { samples: 7 } },
      samples: 8,
    };
    const forest = forestOfTrees([root]);
    expect(credits(forest, [0.5, 0, 0])[0]).toBeGreaterThan(0);
    expect(credits(forest, [0.501, 0, 0])[0]).toBeLessThan(0);
  });

  it("of a row begin where the row does", () => {
    const forest = forestWith();
    const rows = Float32Array.from([0, 0, 0, 1, 0.5, 0.25]);
    const sums = new Float64Array(3);
    creditPaths(forest, rows, 3, sums);
    expect([...sums]).toEqual(credits(forest, [1, 0.5, 0.25]));
  });

  it("weigh leaves alike where they do not tell their samples", () => {
    const ensemble = ensembleOf([tinyTrees[0]]);
    const weights = ensemble.target_weights.floats.map((weight) => 0.37 * weight + 0.01);
    const { expected, roots } = forestWith({ ...ensemble, target_weights: { floats: weights } });
    const leaves = (tree: TinyTree): number => (tree.split ? leaves(tree.split.yes) + leaves(tree.split.no) : 1);
    const paths = (tree: TinyTree, depth: number): number =>
      tree.split
        ? paths(tree.split.yes, depth + 1) + paths(tree.split.no, depth + 1)
        : 0.37 * (depth + averagePath(tree.samples)) + 0.01;
    expect(expected[roots[0]]).toBeCloseTo(paths(tinyTrees[0], 0) / leaves(tinyTrees[0]), 5);
  });
});

describe("refuses trees", () => {
  const ensemble = ensembleOf(tinyTrees);
  type Ids = "nodes_truenodeids" | "nodes_nodeids" | "target_nodeids";
  const changed = (name: Ids, at: number, id: number): Changes => {
    return { [name]: { ints: ensemble[name].ints.with(at, id) } };
  };
  const inner = ensemble.nodes_modes.strings.indexOf("BRANCH_LEQ", 1);

  it.each<[string, Changes, RegExp]>([
    ["with other splits", { nodes_modes: { strings: ensemble.nodes_modes.strings.with(0, "BRANCH_LT") } }, /BRANCH_LT/],
    ["that are averaged", { aggregate_function: { s: "AVERAGE" } }, /AVERAGE/],
    ["whose arrays differ in length", { nodes_values: { floats: [1] } }, /differ in length/],
    ["with a child that does not exist", changed("nodes_truenodeids", 0, 9999), /does not exist/],
    ["that lead back to their root", changed("nodes_truenodeids", inner, 0), /two parents|one root|circle/],
    ["with two nodes of the same id", changed("nodes_nodeids", 1, 0), /same id/],
    ["with a leaf without a value", changed("target_nodeids", 0, 9999), /no value/],
  ])("%s", (_, changes, reason) => {
    expect(() => forestWith(changes)).toThrow(reason);
  });

  it("that are none", () => {
    const model = forestModel();
    expect(() => forestOf(readOnnx(writeOnnx({ ...model, nodes: model.nodes.slice(1) })))).toThrow(/0 tree ensembles/);
  });
});
