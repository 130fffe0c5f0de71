import { env } from "cloudflare:workers";

interface PluginEnv {
  ONNX_WASM: Fetcher;
  /** The plugin's own, by which it evaluates tests. */
  __VITEST_POOL_WORKERS_UNSAFE_EVAL: { newWasmModule(bytes: ArrayBuffer): WebAssembly.Module };
}

/**
 * Stands for wasm/onnx-module.ts in tests. The plugin would hand the module over as JSON, 14 MB number by number, which
 * takes many seconds: so it is compiled from the file's bytes, and only for tests that run a model.
 */
export async function onnxModule(): Promise<WebAssembly.Module> {
  const { ONNX_WASM: file, __VITEST_POOL_WORKERS_UNSAFE_EVAL: unsafe } = env as unknown as PluginEnv;
  const response = await file.fetch("http://file/");
  return unsafe.newWasmModule(await response.arrayBuffer());
}
