import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { builtInModels } from "../../src/cli/built-in-models.ts";
import { startLocalWorker, type LocalWorker } from "../../src/cli/local-worker.ts";
import { run } from "../../src/cli/weir.ts";

const root = join(import.meta.dirname, "../..");
const tmp = mkdtempSync(join(tmpdir(), "weir-models-"));
const own = builtInModels().get("isolation_forest")!;
let worker: LocalWorker;
let out = "";
let errors = "";

/** The forest that ships with Weir once more, as another file: ModelProto has a field 6, `doc_string`. */
function anotherForest(): { folder: string; sha256: string } {
  const folder = join(tmp, "isolation-forest");
  cpSync(join(root, "models/isolation-forest"), folder, { recursive: true });
  const onnx = Buffer.concat([readFileSync(join(folder, "model.onnx")), Buffer.from([0x32, 1, 0x61])]);
  writeFileSync(join(folder, "model.onnx"), onnx);
  return { folder, sha256: createHash("sha256").update(onnx).digest("hex") };
}

beforeAll(async () => {
  worker = await startLocalWorker({ tenants: { acme: {} } });
}, 60_000);

afterAll(async () => {
  await worker?.dispose();
  rmSync(tmp, { recursive: true });
});

beforeEach(() => {
  vi.spyOn(console, "log").mockImplementation((text) => void (out += `${text}\n`));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((errors += String(text)), true));
  vi.stubEnv("WEIR_URL", worker.url);
  vi.stubEnv("WEIR_OPERATOR_KEY", worker.keys["-"]);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** What a command line prints. */
async function weir(...argv: string[]): Promise<string> {
  out = errors = "";
  expect(await run(argv), errors).toBe(0);
  return out;
}

it("ships with the models of this checkout, for whoever may read anomalies too", async () => {
  for (const key of [worker.keys["-"], worker.keys["acme"]]) {
    const listed = await weir("models", "list", "--key", key);
    for (const { name, sha256 } of builtInModels().values())
      expect(listed).toMatch(new RegExp(`^${name} +${sha256.slice(0, 12)} +current .*ships with Weir`, "m"));
  }
  expect(await weir("models", "show", "isolation_forest", own.sha256)).toContain("## Blind spots");
});

it("takes a version, has it in shadow, promotes it, and takes it back", async () => {
  const { folder, sha256 } = anotherForest();
  const of = (part: string) => new RegExp(`^isolation_forest +${sha256.slice(0, 12)} +${part} `, "m");
  expect(await weir("models", "upload", folder)).toContain(`isolation_forest ${sha256} was taken`);
  expect(await weir("models", "list")).toMatch(of("-"));
  expect(await weir("models", "shadow", "isolation_forest", sha256.slice(0, 8))).toMatch(of("shadow"));
  expect(await weir("models", "shadow", "isolation_forest", "none")).toMatch(of("-"));
  expect(await weir("models", "promote", "isolation_forest", sha256)).toMatch(of("current"));
  expect(await weir("models", "rollback", "isolation_forest")).toMatch(of("previous"));
  expect(await weir("models", "show", "isolation_forest")).toMatch(/^drift .+\n\nagreement /);
  const log = await weir("audit", "list", "--key", worker.keys["-"]);
  for (const action of ["upload", "shadow", "promote", "rollback"]) expect(log).toContain(`models.${action}`);
});

it("says why a version is not taken", async () => {
  const { folder } = anotherForest();
  const golden = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8"));
  golden.scores[0] += 0.001;
  writeFileSync(join(folder, "golden.json"), JSON.stringify(golden));
  writeFileSync(join(folder, "model.onnx"), Buffer.concat([own.onnx, Buffer.from([0x32, 1, 0x62])]));
  errors = "";
  expect(await run(["models", "upload", folder])).toBe(1);
  expect(errors).toContain("422: The model is not taken (golden_mismatch: score is off by up to 0.00");
  expect(await run(["models", "upload", tmp])).toBe(2);
  expect(await run(["models", "promote", "isolation_forest", "0".repeat(64)])).toBe(1);
  expect(errors).toContain("No version of isolation_forest begins with 0000");
  expect(await run(["models", "promote", "forest", own.sha256])).toBe(2);
});
