import type { InferenceSession, Tensor, TypedTensor } from "onnxruntime-web/wasm";
import { areFinite } from "../src/inference/finite.ts";
import { ModelInferenceError, type Tensors } from "../src/inference/model.ts";

/** A model in the runtime's memory. */
export interface OnnxSession {
  /** All outputs by name. Throws ModelInferenceError: NaN in, wrong names or shapes, more than `rowsMax` rows. */
  run: (inputs: Tensors) => Promise<Tensors>;
  /** Gives its memory back to the runtime; to run it afterwards is an error. */
  release: () => Promise<void>;
}

/** Copies the model; the first call starts the runtime. Throws ModelInferenceError. */
export type OpenSession = (onnx: Uint8Array<ArrayBuffer>) => Promise<OnnxSession>;

/**
 * Rows of one run. The runtime's linear memory grows with the largest run and never shrinks, and a Worker has 128 MB:
 * runs of 256 rows take it from 16 to 19 MiB, and more rows are no faster.
 */
export const rowsMax = 256;

type Ort = typeof import("onnxruntime-web/wasm");

/** Throws what the runtime throws. */
export async function createSession(ort: Ort, onnx: Uint8Array<ArrayBuffer>): Promise<OnnxSession> {
  const session = await alone(() => ort.InferenceSession.create(onnx, { executionProviders: ["wasm"] }));
  return {
    run: (inputs) => modelErrors("run", () => run(ort, session, inputs)),
    release: () => modelErrors("release", () => alone(() => session.release())),
  };
}

async function run(ort: Ort, session: InferenceSession, inputs: Tensors): Promise<Tensors> {
  for (const name of session.inputNames) if (!inputs[name]) throw new Error(`the input ${name} is missing`);
  const feeds = Object.entries(inputs).map(([name, input]) => [name, checked(ort, name, input)] as const);
  const outputs = await alone(() => session.run(Object.fromEntries(feeds)));
  return Object.fromEntries(Object.entries(outputs).map(([name, output]) => [name, floats(name, output)]));
}

/** The runtime makes a normal-looking score of NaN, so it never sees one. */
function checked(ort: Ort, name: string, { dims, data }: Tensors[string]): Tensor {
  if (dims[0] > rowsMax) throw new Error(`the input ${name} has ${dims[0]} rows, and ${rowsMax} are allowed`);
  if (dims.reduce((product, dim) => product * dim, 1) !== data.length)
    throw new Error(`the input ${name} has ${data.length} numbers for the shape ${dims.join(" × ")}`);
  if (!areFinite(data)) throw new Error(`the input ${name} holds a number that is not finite`);
  return new ort.Tensor("float32", data, dims);
}

function floats(name: string, output: Tensor): Tensors[string] {
  if (output.type !== "float32") throw new Error(`the output ${name} is of type ${output.type}`);
  return { dims: output.dims, data: (output as TypedTensor<"float32">).data };
}

/** The last call of any session that is not done. */
let busy: Promise<unknown> | undefined;

/**
 * One call into the runtime at a time, in order. Its wrappers reserve stack in linear memory, wait for a microtask, and
 * call: two that interleave overwrite each other's arguments. A call takes microtasks only, so none outlives its
 * request's turn, and no request ever waits for another's.
 */
async function alone<T>(call: () => Promise<T>): Promise<T> {
  const mine = busy ? busy.then(call, call) : call();
  busy = mine;
  try {
    return await mine;
  } finally {
    if (busy === mine) busy = undefined;
  }
}

/** The runtime's errors are told apart by text only. */
export async function modelErrors<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ModelInferenceError) throw error;
    throw new ModelInferenceError(`${doing}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
