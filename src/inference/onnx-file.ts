import { PbfReader } from "pbf";

/** Of a model file, in bytes: the built-in ones take 1 MB and 0.1 MB, and an isolate has 128 MB for all there is. */
export const modelBytesMax = 8 * 1024 * 1024;
/** Of a model, in its graph and in those inside it: the built-in ones have some dozen. */
const nodesMax = 4096;
/** Of all numbers of one attribute: a forest of 100 trees over 256 samples has up to 51,100 nodes. */
const valuesMax = 262_144;
/** Of graphs in graphs. */
const depthMax = 4;

/** What Weir needs to know of an ONNX file. Domains are written out: `ai.onnx` is that of no name. */
export interface OnnxFile {
  /** Version by domain. */
  opsets: ReadonlyMap<string, number>;
  /** Of the graph and of those inside it, `domain.Operator`, each once. */
  operators: ReadonlySet<string>;
  inputs: readonly OnnxValue[];
  outputs: readonly OnnxValue[];
  /** Of the graph itself, in the order of the file. */
  nodes: readonly OnnxNode[];
}

export interface OnnxValue {
  name: string;
  /** TensorProto.DataType: 1 is float32; 0 stands for what is no tensor. */
  elementType: number;
  /** A name where it is dynamic, "" where it has none; undefined where the file tells no shape. */
  dims: readonly (number | string)[] | undefined;
}

interface OnnxNode {
  operator: string;
  attributes: ReadonlyMap<string, OnnxAttribute>;
}

interface OnnxAttribute {
  /** `i`, `f`, `ints` or `floats`. */
  numbers: readonly number[];
  /** `s` or `strings`. */
  strings: readonly string[];
}

/** The bytes are no ONNX file, or one beyond the bounds. */
export class OnnxFileError extends Error {
  override readonly name = "OnnxFileError";
}

/** Wire format: onnx/onnx.proto3 of ONNX 1.19. Throws OnnxFileError, and nothing else. */
export function readOnnx(bytes: Uint8Array): OnnxFile {
  if (bytes.length > modelBytesMax)
    throw new OnnxFileError(`the file has ${bytes.length} bytes, and ${modelBytesMax} are allowed`);
  try {
    return readModel(new PbfReader(bytes));
  } catch (error) {
    if (error instanceof OnnxFileError) throw error;
    // A RangeError of the reader's DataView, or a type of field that protobuf does not have.
    throw new OnnxFileError(`the file is malformed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

interface Model extends OnnxFile {
  opsets: Map<string, number>;
  operators: Set<string>;
  inputs: OnnxValue[];
  outputs: OnnxValue[];
  nodes: OnnxNode[];
  nodeCount: number;
  graphs: number;
}

/** ModelProto */
function readModel(pbf: PbfReader): OnnxFile {
  const model: Model = {
    opsets: new Map(),
    operators: new Set(),
    inputs: [],
    outputs: [],
    nodes: [],
    nodeCount: 0,
    graphs: 0,
  };
  fields(pbf, pbf.length, (field) => {
    if (field === 8) readOpset(pbf, model);
    else if (field === 7) {
      model.graphs++;
      readGraph(pbf, model, 0);
    } else if (field === 20 || field === 25)
      throw new OnnxFileError("the file brings functions or training of its own");
  });
  if (model.graphs !== 1) throw new OnnxFileError(`the file has ${model.graphs} graphs, and one is wanted`);
  const { opsets, operators, inputs, outputs, nodes } = model;
  return { opsets, operators, inputs, outputs, nodes };
}

/** OperatorSetIdProto */
function readOpset(pbf: PbfReader, { opsets }: Model): void {
  let domain = "";
  let version = 0;
  message(pbf, (field) => {
    if (field === 1) domain = readText(pbf);
    else if (field === 2) version = pbf.readVarint(true);
  });
  opsets.set(domainName(domain), version);
}

const domainName = (domain: string) => domain || "ai.onnx";

/** GraphProto; of the ones inside others only the operators count. */
function readGraph(pbf: PbfReader, model: Model, depth: number): void {
  if (depth > depthMax) throw new OnnxFileError(`graphs lie more than ${depthMax} deep in graphs`);
  message(pbf, (field) => {
    if (field === 1) {
      const node = readNode(pbf, model, depth);
      if (depth === 0) model.nodes.push(node);
    } else if (field === 5) checkTensor(pbf);
    else if (field === 11 && depth === 0) model.inputs.push(readValue(pbf));
    else if (field === 12 && depth === 0) model.outputs.push(readValue(pbf));
  });
}

/** NodeProto */
function readNode(pbf: PbfReader, model: Model, depth: number): OnnxNode {
  if (++model.nodeCount > nodesMax) throw new OnnxFileError(`the graph has more than ${nodesMax} nodes`);
  const attributes = new Map<string, OnnxAttribute>();
  let type = "";
  let domain = "";
  message(pbf, (field) => {
    if (field === 4) type = readText(pbf);
    else if (field === 7) domain = readText(pbf);
    else if (field === 5) {
      const { name, ...attribute } = readAttribute(pbf, model, depth);
      attributes.set(name, attribute);
    }
  });
  const operator = `${domainName(domain)}.${type}`;
  model.operators.add(operator);
  return { operator, attributes };
}

/** AttributeProto */
function readAttribute(pbf: PbfReader, model: Model, depth: number): OnnxAttribute & { name: string } {
  let name = "";
  const numbers: number[] = [];
  const strings: string[] = [];
  message(pbf, (field) => {
    if (field === 1) name = readText(pbf);
    else if (field === 2 || field === 7) each(pbf, numbers, () => pbf.readFloat());
    else if (field === 3 || field === 8) each(pbf, numbers, () => pbf.readVarint(true));
    else if (field === 4 || field === 9) {
      checkCount(strings);
      strings.push(readText(pbf));
    } else if (field === 5 || field === 10) checkTensor(pbf);
    else if (field === 6 || field === 11) readGraph(pbf, model, depth + 1);
  });
  return { name, numbers, strings };
}

/** TensorProto: only that it lies in the file itself. */
function checkTensor(pbf: PbfReader): void {
  message(pbf, (field) => {
    if (field === 13 || (field === 14 && pbf.readVarint() !== 0))
      throw new OnnxFileError("the file refers to data outside");
  });
}

/** ValueInfoProto, TypeProto, TypeProto.Tensor, TensorShapeProto and Dimension, one in the other. */
function readValue(pbf: PbfReader): OnnxValue {
  let name = "";
  let elementType = 0;
  let dims: (number | string)[] | undefined;
  const readDim = () => {
    let dim: number | string = "";
    message(pbf, (field) => {
      if (field === 1) dim = pbf.readVarint(true);
      else if (field === 2) dim = readText(pbf);
    });
    return dim;
  };
  const readShape = () => {
    const shape: (number | string)[] = [];
    message(pbf, (field) => {
      if (field !== 1) return;
      checkCount(shape);
      shape.push(readDim());
    });
    return shape;
  };
  const readTensorType = () =>
    message(pbf, (field) => {
      if (field === 1) elementType = pbf.readVarint();
      else if (field === 2) dims = readShape();
    });
  message(pbf, (field) => {
    if (field === 1) name = readText(pbf);
    else if (field === 2)
      message(pbf, (kind) => {
        if (kind === 1) readTensorType();
      });
  });
  return { name, elementType, dims };
}

const wireBytes = 2;

/** A message that stands in a field. */
function message(pbf: PbfReader, onField: (field: number) => void): void {
  fields(pbf, endOf(pbf), onField);
}

/** pbf reads on beyond the end of a message, and beyond that of the file: so each field's end is looked at. */
function fields(pbf: PbfReader, end: number, onField: (field: number) => void): void {
  for (let field; (field = pbf.nextField(end)) !== 0;) {
    onField(field);
    if (pbf.pos > end) break;
  }
  if (pbf.pos !== end) throw new OnnxFileError("the file is malformed or cut off");
}

function endOf(pbf: PbfReader): number {
  if (pbf.type !== wireBytes) throw new OnnxFileError("the file is malformed: a field is of another type");
  const end = pbf.readVarint() + pbf.pos;
  if (end > pbf.length) throw new OnnxFileError("the file is malformed or cut off");
  return end;
}

function readText(pbf: PbfReader): string {
  const end = endOf(pbf);
  const text = new TextDecoder().decode(pbf.buf.subarray(pbf.pos, end));
  pbf.pos = end;
  return text;
}

/** A repeated number, packed or not. */
function each(pbf: PbfReader, into: number[], read: () => number): void {
  const end = pbf.type === wireBytes ? endOf(pbf) : pbf.pos + 1;
  while (pbf.pos < end) {
    checkCount(into);
    into.push(read());
  }
}

function checkCount(values: readonly unknown[]): void {
  if (values.length >= valuesMax) throw new OnnxFileError(`an attribute has more than ${valuesMax} values`);
}
