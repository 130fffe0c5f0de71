import module from "onnxruntime-web/ort-wasm-simd-threaded.wasm";

/**
 * The runtime's WebAssembly, as the platform compiles it. Imported statically: a dynamic import waits for I/O, which ends
 * with the request that began it, and others that wait for the same session would wait for ever. vitest.config.ts puts
 * test/integration/onnx-module.ts in its place.
 */
export const onnxModule = async (): Promise<WebAssembly.Module> => module;
