import { featureCount, levelMax } from "../../../src/core/features/features.ts";
import { builtInModels } from "../../../src/inference/built-in.ts";
import { creditPaths, forestOf } from "../../../src/inference/forest-paths.ts";
import type { ModelPackage } from "../../../src/inference/model.ts";
import { shapeOf } from "../../../src/inference/model-shape.ts";
import { readOnnx } from "../../../src/inference/onnx-file.ts";
import { scoreRows } from "../../../src/inference/rows.ts";
import { linearMemoryBytes, openSession, rowsMax, type OnnxSession } from "../../../wasm/onnx-runtime.ts";
import { goldenInputs } from "../golden-inputs.ts";

const models = builtInModels();
const sessions = new Map<string, OnnxSession>();

/**
 * `POST /start` starts the runtime, `/open` a session, `/release` ends it; `/run` runs its model on `?rows=` rows,
 * `/explain` walks the forest's paths for as many, `/score` does all that a tier 2 does with them: `?repeats=` times.
 * Each answers with the bytes of the runtime's memory.
 */
export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const work = works[pathname];
    if (!work) return new Response(null, { status: 404 });
    const number = (name: string) => Number(searchParams.get(name) ?? 1);
    await work(searchParams.get("model") ?? "isolation_forest", number("rows"), number("repeats"));
    return Response.json(linearMemoryBytes());
  },
};

type Work = (model: string, rows: number, repeats: number) => Promise<void>;

const works: { [path: string]: Work } = {
  "/nothing": async () => {},
  "/start": async () => void (await openSession(new Uint8Array(4)).catch(() => {})),
  "/open": async (model) => void sessions.set(model, await openSession(packageOf(model).onnx)),
  "/release": (model) => sessions.get(model)!.release(),
  "/run": async (model, rows, repeats) => {
    const pkg = packageOf(model);
    const runs = [];
    for (let from = 0; from < rows; from += rowsMax) runs.push(goldenInputs(pkg, Math.min(rowsMax, rows - from)));
    const { run } = sessions.get(model)!;
    for (let i = 0; i < repeats; i++) for (const inputs of runs) await run(inputs);
  },
  "/explain": async (model, rows, repeats) => {
    const pkg = packageOf(model);
    const forest = forestOf(readOnnx(pkg.onnx));
    const width = pkg.features.features.length;
    const { data } = goldenInputs(pkg, rows)["features"];
    for (let i = 0; i < repeats; i++)
      for (let row = 0; row < rows; row++) creditPaths(forest, data, row * width, new Float64Array(width));
  },
  "/score": async (model, rows, repeats) => {
    const pkg = packageOf(model);
    const candidates = Array.from({ length: rows }, (_, row) => candidateOf(pkg, row % pkg.golden.rows.length));
    const { run } = sessions.get(model)!;
    for (let i = 0; i < repeats; i++) await scoreRows(pkg, candidates, run);
  },
};

function packageOf(model: string): ModelPackage {
  const pkg = models.get(model as ModelPackage["name"]);
  if (!pkg) throw new Error(`there is no model ${model}`);
  return pkg;
}

/** A host whose windows are those of a golden row. */
function candidateOf({ name, features, golden }: ModelPackage, row: number) {
  const { places, windows } = shapeOf({ name, features });
  const vectors = Array.from({ length: windows }, (_, window) => {
    const vector = new Uint8Array(featureCount);
    for (const [k, place] of places.entries())
      vector[place] = Math.round(levelMax * golden.rows[row][window * places.length + k]);
    return vector;
  });
  return { vectors: vectors.filter((_, window) => golden.masks?.[row][window] !== 0) };
}
