import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { Response } from "miniflare";
import { defineConfig } from "vitest/config";

/** Pure parts: they run in both worlds, since both run them. */
const inBothWorlds = ["test/unit/**/*.test.ts", "test/contract/**/*.test.ts"];
/** What only Node has: files, processes, sockets. */
const nodeOnly = ["test/unit/cli/**", "test/unit/support/**"];

/** The keys of `test/integration`: every secret is "secret". */
const secret_sha256 = createHash("sha256").update("secret").digest("hex");
const bindings = {
  MASTER_KEY: Buffer.alloc(32, 7).toString("base64"),
  API_KEYS: JSON.stringify([
    { kid: "admin", tenant: "acme", role: "admin", secret_sha256 },
    { kid: "shipper", tenant: "acme", role: "shipper", secret_sha256 },
    { kid: "viewer", tenant: "acme", role: "viewer", secret_sha256 },
    { kid: "analyst", tenant: "acme", role: "analyst", secret_sha256 },
    { kid: "auditor", tenant: "acme", role: "auditor", secret_sha256 },
    { kid: "other", tenant: "lab", role: "admin", secret_sha256 },
    { kid: "operator", tenant: "-", role: "operator", secret_sha256 },
  ]),
};

/** Only so that a hang ends, in ms: no test asserts on time, and a busy machine takes its own. */
const testTimeout = 120_000;

/** The runtime of models, for test/integration/onnx-module.ts. */
const onnxWasm = () =>
  new Response(readFileSync(fileURLToPath(import.meta.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"))));

export default defineConfig({
  test: {
    // As many files at a time as there are cores; by default one less.
    maxWorkers: "100%",
    projects: [
      {
        test: {
          name: "node",
          testTimeout,
          include: [
            ...inBothWorlds,
            "test/golden/**/*.test.ts",
            "test/fuzz/**/*.test.ts",
            "test/simulation/**/*.test.ts",
            "test/e2e/**/*.test.ts",
          ],
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: { bindings, serviceBindings: { ONNX_WASM: onnxWasm } },
          }),
        ],
        test: {
          name: "workerd",
          testTimeout,
          include: [...inBothWorlds, "test/integration/**/*.test.ts"],
          exclude: nodeOnly,
          // So that only tests that run a model load the runtime.
          alias: [
            { find: /^.*\/onnx-module\.ts$/, replacement: `${import.meta.dirname}/test/integration/onnx-module.ts` },
          ],
          // It imports its own files without their endings.
          deps: { optimizer: { ssr: { enabled: true, include: ["itty-durable"] } } },
          setupFiles: ["test/integration/apply-migrations.ts"],
          provide: { migrations: await readD1Migrations("src/storage/migrations") },
        },
      },
    ],
  },
});
