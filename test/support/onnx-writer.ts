import { PbfWriter } from "pbf";

/** As much of an ONNX file as tests want. */
export interface OnnxModel {
  opsets?: { [domain: string]: number };
  nodes: readonly OnnxNodeModel[];
  inputs: readonly OnnxValueModel[];
  outputs: readonly OnnxValueModel[];
  constants?: readonly OnnxConstant[];
}

interface OnnxConstant {
  name: string;
  dims: readonly number[];
  floats?: readonly number[];
  ints?: readonly number[];
  /** A file beside this one. */
  external?: string;
}

interface OnnxNodeModel {
  type: string;
  domain?: string;
  inputs: readonly string[];
  outputs: readonly string[];
  attributes?: { [name: string]: Attribute };
}

interface OnnxValueModel {
  name: string;
  dims: readonly (number | string)[];
  /** 1, float32, unless told. */
  elementType?: number;
}

type Attribute =
  | { i: number }
  | { f: number }
  | { s: string }
  | { ints: readonly number[] }
  | { floats: readonly number[] }
  | { strings: readonly string[] }
  | { graph: OnnxModel }
  /** Any field of bytes. */
  | { raw: { field: number; bytes: readonly number[] } };

const attributeTypes = { f: 1, i: 2, s: 3, graph: 5, floats: 6, ints: 7, strings: 8, raw: 0 };

export function writeOnnx(model: OnnxModel): Uint8Array<ArrayBuffer> {
  const pbf = new PbfWriter();
  pbf.writeVarintField(1, 8);
  pbf.writeMessage(7, writeGraph, model);
  for (const [domain, version] of Object.entries(model.opsets ?? { "": 17, "ai.onnx.ml": 3 }))
    pbf.writeMessage(
      8,
      (_, opset) => {
        opset.writeStringField(1, domain);
        opset.writeVarintField(2, version);
      },
      undefined,
    );
  return new Uint8Array(pbf.finish());
}

function writeGraph({ nodes, inputs, outputs, constants = [] }: OnnxModel, pbf: PbfWriter): void {
  for (const node of nodes) pbf.writeMessage(1, writeNode, node);
  pbf.writeStringField(2, "graph");
  for (const constant of constants) pbf.writeMessage(5, writeConstant, constant);
  for (const value of inputs) pbf.writeMessage(11, writeValue, value);
  for (const value of outputs) pbf.writeMessage(12, writeValue, value);
}

function writeNode({ type, domain = "", inputs, outputs, attributes = {} }: OnnxNodeModel, pbf: PbfWriter): void {
  for (const input of inputs) pbf.writeStringField(1, input);
  for (const output of outputs) pbf.writeStringField(2, output);
  pbf.writeStringField(4, type);
  for (const attribute of Object.entries(attributes)) pbf.writeMessage(5, writeAttribute, attribute);
  pbf.writeStringField(7, domain);
}

function writeAttribute([name, attribute]: [string, Attribute], pbf: PbfWriter): void {
  pbf.writeStringField(1, name);
  const [kind] = Object.keys(attribute) as (keyof typeof attributeTypes)[];
  if ("f" in attribute) pbf.writeFloatField(2, attribute.f);
  if ("i" in attribute) pbf.writeVarintField(3, attribute.i);
  if ("s" in attribute) pbf.writeStringField(4, attribute.s);
  if ("graph" in attribute) pbf.writeMessage(6, writeGraph, attribute.graph);
  // One field per number, as protobuf's second version writes them: ONNX is of it.
  if ("floats" in attribute) for (const float of attribute.floats) pbf.writeFloatField(7, float);
  if ("ints" in attribute) for (const int of attribute.ints) pbf.writeVarintField(8, int);
  if ("strings" in attribute) for (const text of attribute.strings) pbf.writeStringField(9, text);
  if ("raw" in attribute) pbf.writeBytesField(attribute.raw.field, new Uint8Array(attribute.raw.bytes));
  pbf.writeVarintField(20, attributeTypes[kind]);
}

function writeConstant({ name, dims, floats, ints, external }: OnnxConstant, pbf: PbfWriter): void {
  for (const dim of dims) pbf.writeVarintField(1, dim);
  pbf.writeVarintField(2, ints ? 7 : 1);
  if (floats) pbf.writePackedFloat(4, [...floats]);
  if (ints) pbf.writePackedVarint(7, [...ints]);
  pbf.writeStringField(8, name);
  if (external === undefined) return;
  const writeEntry = ([key, value]: [string, string], entry: PbfWriter) => {
    entry.writeStringField(1, key);
    entry.writeStringField(2, value);
  };
  pbf.writeMessage(13, writeEntry, ["location", external]);
  pbf.writeVarintField(14, 1);
}

function writeValue({ name, dims, elementType = 1 }: OnnxValueModel, pbf: PbfWriter): void {
  const writeDim = (dim: number | string, dimPbf: PbfWriter) =>
    typeof dim === "number" ? dimPbf.writeVarintField(1, dim) : dimPbf.writeStringField(2, dim);
  const writeTensor = (_: unknown, tensor: PbfWriter) => {
    tensor.writeVarintField(1, elementType);
    tensor.writeMessage(2, (all, shape) => all.forEach((dim) => shape.writeMessage(1, writeDim, dim)), dims);
  };
  pbf.writeStringField(1, name);
  pbf.writeMessage(2, (_, type: PbfWriter) => type.writeMessage(1, writeTensor, undefined), undefined);
}
