import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { builtInModels } from "../../src/cli/built-in-models.ts";
import { run } from "../../src/cli/weir.ts";
import { operating } from "./operating.ts";

const root = join(import.meta.dirname, "../..");
const tmp = mkdtempSync(join(tmpdir(), "weir-models-"));
const own = builtInModels().get("isolation_forest")!;
const cli = operating({ acme: {} });
const { weir } = cli;

/** The forest that ships with Weir once more, as another file: ModelProto has a field 6, `doc_string`. */
function anotherForest(): { folder: string; sha256: string } {
  const folder = join(tmp, "isolation-forest");
  cpSync(join(root, "models/isolation-forest"), folder, { recursive: true });
  const onnx = Buffer.concat([readFileSync(join(folder, "model.onnx")), Buffer.from([0x32, 1, 0x61])]);
  writeFileSync(join(folder, "model.onnx"), onnx);
  return { folder, sha256: createHash("sha256").update(onnx).digest("hex") };
}

afterAll(() => rmSync(tmp, { recursive: true }));

it("ships with the models of this checkout, for whoever may read anomalies too", async () => {
  for (const key of [cli.worker.keys["-"], cli.worker.keys["acme"]]) {
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
  const log = await weir("audit", "list", "--key", cli.worker.keys["-"]);
  for (const action of ["upload", "shadow", "promote", "rollback"]) expect(log).toContain(`models.${action}`);
});

it("says why a version is not taken", async () => {
  const { folder } = anotherForest();
  const golden = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8"));
  golden.scores[0] += 0.001;
  writeFileSync(join(folder, "golden.json"), JSON.stringify(golden));
  writeFileSync(join(folder, "model.onnx"), Buffer.concat([own.onnx, Buffer.from([0x32, 1, 0x62])]));
  cli.errors = "";
  expect(await run(["models", "upload", folder])).toBe(1);
  expect(cli.errors).toContain("422: The model is not taken (golden_mismatch: score is off by up to 0.00");
  expect(await run(["models", "upload", tmp])).toBe(2);
  expect(await run(["models", "promote", "isolation_forest", "0".repeat(64)])).toBe(1);
  expect(cli.errors).toContain("No version of isolation_forest begins with 0000");
  expect(await run(["models", "promote", "forest", own.sha256])).toBe(2);
});
