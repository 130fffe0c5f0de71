import { existsSync, readFileSync } from "node:fs";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { projectRoot } from "../../src/cli/local-key.ts";
import { bundle, startWorkerd, type Script } from "../../src/cli/workerd.ts";
import { modelNames, type FeatureList, type Golden, type ModelName, type Tensors } from "../../src/inference/model.ts";
import { cpuMs, cpuOf, workerdPids } from "./cpu.ts";
import { goldenInputs } from "./golden-inputs.ts";
import { Poster } from "./load.ts";
import { spread, type Spread } from "./spread.ts";

export interface ModelBenchOptions {
  rounds: number;
  /** Where `onnxruntime-node` is installed; without it the native runtime is left out. */
  native: string | undefined;
}

export interface ModelBenchResult {
  rounds: number;
  /** As in `BenchResult`. */
  basis: "cpu" | "wall";
  /** By model and rows of a run. */
  models: { model: ModelName; rows: number; web: Spread; native: Spread | null; ratio: Spread | null }[];
  /** The path attribution of one row. */
  explain_us_per_row: Spread;
  /** All that tier 2 does with a row, at 64 rows a run. */
  score_us_per_row: { [model in ModelName]: Spread };
  /** On the clock, each in a `workerd` of its own that has answered a request before. */
  cold_ms: { start: Spread; first_session: Spread; second_session: Spread; later_session: Spread };
  /** Of the runtime's linear memory: started; with both models open; after runs of 256 rows; after 100 sessions more. */
  memory_bytes: { started: number; open: number; run: number; reopened: number };
}

/** Rows of a run. The Worker runs 1,024 rows as four runs of 256. */
const batches = [1, 64, 1024] as const;
/** Rows of one measurement: with fewer, the clock's ticks and the request itself would show. */
const rowsMeasured = 16_384;
const warmRounds = 2;
/** `workerd`s that are started cold. */
const coldStarts = 5;

const config = join(projectRoot, "test/bench/worker/models.wrangler.toml");

export async function runModelBench(
  { rounds, native }: ModelBenchOptions,
  say: (text: string) => void,
): Promise<ModelBenchResult> {
  const folder = mkdtempSync(join(tmpdir(), "weir-bench-"));
  try {
    say("models: building the Worker");
    const script = await bundle(config, folder);
    say("models: cold starts");
    const cold = await coldStart(script);
    say("models: in workerd and in the native runtime");
    const figures = await interleave(script, rounds, native);
    return { rounds, ...figures, ...cold };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Cold = Pick<ModelBenchResult, "cold_ms" | "memory_bytes">;

async function coldStart(script: Script): Promise<Cold> {
  const ms = { start: [], first_session: [], second_session: [], later_session: [] } as { [step: string]: number[] };
  let memory: Cold["memory_bytes"] | undefined;
  for (let i = 0; i < coldStarts; i++) {
    await withWorker(script, async (poster) => {
      const timed = async (step: string, path: string) => {
        const before = performance.now();
        const bytes = await poster.call<number>("POST", path);
        ms[step].push(performance.now() - before);
        return bytes;
      };
      await poster.call("POST", "/nothing");
      const started = await timed("start", "/start");
      await timed("first_session", "/open?model=isolation_forest");
      const open = await timed("second_session", "/open?model=lstm_autoencoder");
      await poster.call("POST", "/run?model=isolation_forest&rows=256");
      const run = await poster.call<number>("POST", "/run?model=lstm_autoencoder&rows=256");
      memory = { started, open, run, reopened: await reopened(poster, timed) };
    });
  }
  const spreads = Object.fromEntries(Object.entries(ms).map(([step, values]) => [step, spread(values)]));
  return { cold_ms: spreads as Cold["cold_ms"], memory_bytes: memory! };
}

async function reopened(poster: Poster, timed: (step: string, path: string) => Promise<number>): Promise<number> {
  let bytes = 0;
  for (let i = 0; i < 100; i++) {
    const model = modelNames[i % modelNames.length];
    await poster.call("POST", `/release?model=${model}`);
    bytes = await timed("later_session", `/open?model=${model}`);
  }
  return bytes;
}

async function withWorker<T>(
  script: Script,
  work: (poster: Poster, pid: number | undefined) => Promise<T>,
): Promise<T> {
  const before = workerdPids();
  const workerd = await startWorkerd(config, {}, { script });
  const poster = new Poster(workerd.url, "", 1);
  try {
    return await work(
      poster,
      workerdPids().find((pid) => !before.includes(pid)),
    );
  } finally {
    poster.close();
    await workerd.dispose();
  }
}

type Figures = Pick<ModelBenchResult, "basis" | "models" | "explain_us_per_row" | "score_us_per_row">;

/** Each round measures everything once, the native runtime right after the Worker: a busy moment hits both. */
function interleave(script: Script, rounds: number, nativeFolder: string | undefined): Promise<Figures> {
  return withWorker(script, async (poster, pid) => {
    for (const model of modelNames) await poster.call("POST", `/open?model=${model}`);
    const native = nativeFolder === undefined ? undefined : await openNative(nativeFolder);
    const costs = modelNames.flatMap((model) =>
      batches.map((rows) => ({ model, rows, web: [] as number[], native: [] as number[] })),
    );
    const explain: number[] = [];
    const score = { isolation_forest: [] as number[], lstm_autoencoder: [] as number[] };
    const inWorker = async (path: string) => (await cpuOf(pid, () => poster.call("POST", path))).us / rowsMeasured;
    for (let round = -warmRounds; round < rounds; round++) {
      const kept = (values: number[], us: number) => void (round >= 0 && values.push(us));
      for (const { model, rows, web, native: other } of costs) {
        const repeats = rowsMeasured / rows;
        kept(web, await inWorker(`/run?model=${model}&rows=${rows}&repeats=${repeats}`));
        if (native) kept(other, (await cpuOf(process.pid, () => native(model, rows, repeats))).us / rowsMeasured);
      }
      kept(explain, await inWorker(`/explain?rows=64&repeats=${rowsMeasured / 64}`));
      for (const model of modelNames)
        kept(score[model], await inWorker(`/score?model=${model}&rows=64&repeats=${rowsMeasured / 64}`));
    }
    return {
      basis: cpuMs(pid) === undefined ? ("wall" as const) : ("cpu" as const),
      models: costs.map(({ model, rows, web, native: other }) => ({
        model,
        rows,
        web: spread(web),
        native: native ? spread(other) : null,
        ratio: native ? spread(web.map((us, i) => us / other[i])) : null,
      })),
      explain_us_per_row: spread(explain),
      score_us_per_row: {
        isolation_forest: spread(score.isolation_forest),
        lstm_autoencoder: spread(score.lstm_autoencoder),
      },
    };
  });
}

type NativeRun = (model: ModelName, rows: number, repeats: number) => Promise<void>;

/** As much of onnxruntime-node as is used here. */
interface NativeRuntime {
  InferenceSession: {
    create(bytes: Uint8Array, options: object): Promise<{ run(inputs: object): Promise<unknown> }>;
  };
  Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => object;
}

async function openNative(folder: string): Promise<NativeRun> {
  const { InferenceSession, Tensor } = createRequire(join(folder, "package.json"))("onnxruntime-node") as NativeRuntime;
  const options = { executionProviders: ["cpu"], intraOpNumThreads: 1, interOpNumThreads: 1 };
  const models = new Map(modelNames.map((name) => [name, modelOf(name)]));
  const sessions = new Map(
    await Promise.all(
      modelNames.map(async (name) => [name, await InferenceSession.create(models.get(name)!.onnx, options)] as const),
    ),
  );
  const asNative = (inputs: Tensors) =>
    Object.fromEntries(
      Object.entries(inputs).map(([name, { dims, data }]) => [name, new Tensor("float32", data, dims)]),
    );
  return async (model, rows, repeats) => {
    const inputs = goldenInputs(models.get(model)!, rows);
    for (let i = 0; i < repeats; i++) await sessions.get(model)!.run(asNative(inputs));
  };
}

function modelOf(name: ModelName) {
  const file = (path: string) => readFileSync(join(projectRoot, "models", name.replace("_", "-"), path));
  const features = JSON.parse(file("features.json").toString()) as FeatureList;
  const golden = JSON.parse(file("golden.json").toString()) as Golden;
  return { name, features, golden, onnx: new Uint8Array(file("model.onnx")) };
}

/**
 * The native runtime of the same version, in a temporary folder that stays for the next time: 226 MB that nothing but
 * this comparison wants.
 */
export async function installNative(say: (text: string) => void): Promise<string> {
  const { version } = JSON.parse(
    readFileSync(join(projectRoot, "node_modules/onnxruntime-web/package.json"), "utf8"),
  ) as { version: string };
  const folder = join(tmpdir(), `weir-onnxruntime-node-${version}`);
  if (existsSync(join(folder, "node_modules/onnxruntime-node/package.json"))) return folder;
  say(`installing onnxruntime-node ${version} into ${folder}`);
  const flags = ["--no-save", "--no-package-lock", "--ignore-scripts", "--prefix", folder];
  await promisify(execFile)("npm", ["install", ...flags, `onnxruntime-node@${version}`]);
  return folder;
}
