/** The runtime of `onnx-runtime.ts` in Node, which compiles bytes: for the command line and for evaluation. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-web/wasm";
import { createSession, modelErrors, type OpenSession } from "./onnx-session.ts";

/** As in a Worker. */
export const openSession: OpenSession = (onnx) =>
  modelErrors("open", () => {
    const { wasm } = ort.env;
    wasm.numThreads = 1;
    wasm.proxy = false;
    wasm.wasmBinary ??= readFileSync(fileURLToPath(import.meta.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm")));
    return createSession(ort, onnx);
  });
