/**
 * ONNX Runtime inside a Worker: onnxruntime-web as it is published.
 *
 * workerd compiles no WebAssembly from bytes; it gives an imported `.wasm` as a compiled module. The runtime's glue
 * knows only bytes and `WebAssembly.instantiate`. So it is handed a marker for bytes, and while it starts, and only then,
 * `instantiate` answers a call with the marker by the compiled module.
 *
 * One runtime per isolate. Its linear memory starts at 16 MiB, grows with the models and with the largest run, and never
 * shrinks: `release` gives memory back to the runtime, for its next session.
 */
import { onnxModule } from "./onnx-module.ts";
import { createSession, modelErrors, type OpenSession } from "./onnx-session.ts";

export { rowsMax, type OnnxSession, type OpenSession } from "./onnx-session.ts";

type Ort = typeof import("onnxruntime-web/wasm");

export const openSession: OpenSession = (onnx) =>
  modelErrors("open", async () => createSession(await (runtime ??= start()), onnx));

/** A runtime that failed to start does not start again in this isolate: its glue refuses. */
let runtime: Promise<Ort> | undefined;

/** No WebAssembly begins so. */
const marker = new TextEncoder().encode("weir: the compiled module");
const isMarker = (bytes: Uint8Array) => bytes.length === marker.length && bytes.every((byte, i) => byte === marker[i]);

/** Takes microtasks only, as all of this does: what one request has begun, no other waits for longer than its own turn. */
async function start(): Promise<Ort> {
  const module = await onnxModule();
  // Evaluated here and not when the isolate starts, which has a second for everything.
  const ort = await import("onnxruntime-web/wasm");
  const { wasm } = ort.env;
  wasm.numThreads = 1;
  wasm.proxy = false;
  wasm.wasmBinary = marker;
  const { instantiate } = WebAssembly;
  Object.assign(WebAssembly, { instantiate: answering(module, instantiate) });
  try {
    // The runtime starts with its first session; it refuses this one as no model.
    await ort.InferenceSession.create(new Uint8Array(4)).catch(expectNoModel);
  } finally {
    Object.assign(WebAssembly, { instantiate });
  }
  return ort;
}

type Instantiate = (source: unknown, imports: WebAssembly.Imports) => Promise<unknown>;

/** The glue copies the marker, so it is known by its content. */
function answering(module: WebAssembly.Module, instantiate: unknown): Instantiate {
  return async (source, imports) => {
    const isOurs = source instanceof Uint8Array && isMarker(source);
    if (!isOurs) return (instantiate as Instantiate)(source, imports);
    memory = Object.values(imports)
      .flatMap((part) => Object.values(part))
      .find((value) => value instanceof WebAssembly.Memory);
    return { module, instance: new WebAssembly.Instance(module, imports) };
  };
}

/** The glue makes it and hands it in. */
let memory: WebAssembly.Memory | undefined;

/** What the runtime holds of the isolate's 128 MB; 0 before it starts. */
export const linearMemoryBytes = (): number => memory?.buffer.byteLength ?? 0;

function expectNoModel(error: unknown): void {
  if (!String(error).includes("ERROR_CODE: 7")) throw error;
}
