import { describe, expect, it } from "vitest";
import { modelBytesMax, OnnxFileError, readOnnx } from "../../../src/inference/onnx-file.ts";
import { writeOnnx, type OnnxModel } from "../../support/onnx-writer.ts";
import { forestModel, sequenceModel, tinyTrees } from "../../support/tiny-models.ts";

const identity: OnnxModel = {
  nodes: [{ type: "Identity", inputs: ["x"], outputs: ["y"] }],
  inputs: [{ name: "x", dims: ["N", 3] }],
  outputs: [{ name: "y", dims: ["N", 3], elementType: 11 }],
};

describe("a model", () => {
  it("tells its opsets, by domain", () => {
    expect([...readOnnx(writeOnnx(identity)).opsets]).toEqual([
      ["ai.onnx", 17],
      ["ai.onnx.ml", 3],
    ]);
  });

  it("tells its inputs and outputs, with types and dimensions", () => {
    const { inputs, outputs } = readOnnx(writeOnnx(identity));
    expect(inputs).toEqual([{ name: "x", elementType: 1, dims: ["N", 3] }]);
    expect(outputs).toEqual([{ name: "y", elementType: 11, dims: ["N", 3] }]);
  });

  it("tells its operators, those of graphs inside it as well", () => {
    const deep = {
      ...identity,
      nodes: [{ type: "Loop", inputs: [], outputs: [], attributes: { body: { graph: identity } } }],
    };
    expect([...readOnnx(writeOnnx(deep)).operators]).toEqual(["ai.onnx.Identity", "ai.onnx.Loop"]);
    expect([...readOnnx(writeOnnx(sequenceModel())).operators]).toEqual([
      "ai.onnx.Unsqueeze",
      "ai.onnx.Mul",
      "ai.onnx.ReduceMean",
    ]);
  });

  it("gives the arrays of a forest", () => {
    const { attributes } = readOnnx(writeOnnx(forestModel())).nodes[0];
    const trees = attributes.get("nodes_treeids")!.numbers;
    expect(new Set(trees).size).toBe(tinyTrees.length);
    expect(attributes.get("nodes_modes")!.strings.length).toBe(trees.length);
    expect(attributes.get("aggregate_function")!.strings).toEqual(["SUM"]);
    expect(attributes.get("nodes_values")!.numbers.some((value) => value > 0 && value < 1)).toBe(true);
  });

  it("may write its numbers packed", () => {
    const bytes = writeOnnx({ ...identity, nodes: [packed(7, [0, 0, 0x20, 0x41, 0, 0, 0, 0x40])] });
    expect(readOnnx(bytes).nodes[0].attributes.get("a")!.numbers).toEqual([10, 2]);
  });
});

/** A node of which only its raw attribute `a` matters: a field of bytes. */
function packed(field: number, bytes: readonly number[]): OnnxModel["nodes"][number] {
  return { type: "Identity", inputs: [], outputs: [], attributes: { a: { raw: { field, bytes } } } };
}

describe("refuses", () => {
  const reading = (bytes: Uint8Array) => () => readOnnx(bytes);

  it("what is no ONNX file", () => {
    const texts = ["", "PK\u0003\u0004", "{}", "GIF89a", "\u0000\u0000\u0000\u0000"];
    for (const text of texts) expect(reading(new TextEncoder().encode(text)), text).toThrow(OnnxFileError);
  });

  /** What it reads, or "refused"; anything else that is thrown is thrown on. */
  function read(bytes: Uint8Array): ReturnType<typeof readOnnx> | "refused" {
    try {
      return readOnnx(bytes);
    } catch (error) {
      if (error instanceof OnnxFileError) return "refused";
      throw error;
    }
  }

  it("a file that is cut off, wherever that is", () => {
    const whole = writeOnnx(forestModel());
    const whereTaken: number[] = [];
    for (let length = 0; length < whole.length; length += length < 2000 ? 1 : 97)
      if (read(whole.subarray(0, length)) !== "refused") whereTaken.push(length);
    // Behind the graph only opsets follow, and without those the trial refuses it.
    expect(whereTaken.every((length) => length > whole.length - 30)).toBe(true);
  });

  it("a part that is longer than what it is a part of", () => {
    // A graph of 3 bytes, which begins a node of 4.
    const bytes = [0x3a, 3, 0x0a, 4, 0x22, 0, 0x22, 0];
    expect(read(new Uint8Array(bytes))).toBe("refused");
    expect(read(new Uint8Array(bytes.with(1, 6)))).not.toBe("refused");
  });

  it("bytes that were changed with OnnxFileError, if at all", () => {
    const whole = writeOnnx(forestModel());
    let refused = 0;
    for (let i = 0; i < whole.length; i += 31) {
      const changed = whole.slice();
      changed[i] ^= 0xff;
      if (read(changed) === "refused") refused++;
    }
    expect(refused).toBeGreaterThan(20);
  });

  it("files beyond the bounds", () => {
    expect(reading(new Uint8Array(modelBytesMax + 1))).toThrow(/bytes, and 8388608 are allowed/);
    const many = Array.from({ length: 4097 }, () => identity.nodes[0]);
    expect(reading(writeOnnx({ ...identity, nodes: many }))).toThrow(/more than 4096 nodes/);
    const numbers = new Uint8Array(262_145);
    expect(reading(writeOnnx({ ...identity, nodes: [packed(8, [...numbers])] }))).toThrow(/more than 262144 values/);
    let deep = identity;
    for (let i = 0; i < 5; i++)
      deep = { ...identity, nodes: [{ type: "If", inputs: [], outputs: [], attributes: { branch: { graph: deep } } }] };
    expect(reading(writeOnnx(deep))).toThrow(/more than 4 deep/);
  });

  it("data that lies outside of the file", () => {
    const external = { ...identity, constants: [{ name: "w", dims: [1], external: "weights.bin" }] };
    expect(reading(writeOnnx(external))).toThrow(/data outside/);
  });
});
