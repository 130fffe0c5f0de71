import { DurableObject } from "cloudflare:workers";
import { consoleLog } from "../src/config.ts";
import { runGolden } from "../src/inference/check.ts";
import type { Checked } from "../src/inference/instances.ts";
import { ModelInferenceError, type ModelName } from "../src/inference/model.ts";
import { Packages } from "../src/inference/packages.ts";
import { Sessions } from "../src/inference/sessions.ts";
import { openSession } from "../wasm/onnx-runtime.ts";
import { packagesOf } from "./model-packages.ts";
import type { ModelRunnerRpc, RunRequest, RunResult } from "./model-runner-rpc.ts";

/** Calls in flight: it computes one at a time, and a call is worth waiting for as long as few are before it. */
const callsMax = 16;

/**
 * Runs models away from the isolate that asks, by the same runtime: named by its instance. It finds a version by its
 * hash, among what ships with the Worker and what R2 has, and runs nothing that a caller brings.
 */
export class ModelRunner extends DurableObject<Env> implements ModelRunnerRpc {
  readonly #packages: Packages;
  readonly #sessions: Sessions;
  #calls = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const waitUntil = (promise: Promise<unknown>) => ctx.waitUntil(promise);
    this.#packages = packagesOf(env, waitUntil);
    this.#sessions = new Sessions({ log: consoleLog, waitUntil, open: openSession });
  }

  async run({ model, sha256, inputs }: RunRequest): Promise<RunResult> {
    if (this.#calls >= callsMax) return { error: `${callsMax} calls are in flight` };
    this.#calls++;
    try {
      const pkg = await this.#packages.version(model, sha256);
      if (!pkg) return { error: `there is no version ${sha256.slice(0, 12)} of ${model}` };
      return { outputs: await this.#sessions.use(pkg, (session) => session.run(inputs)) };
    } catch (error) {
      if (error instanceof ModelInferenceError) return { error: error.message };
      throw error;
    } finally {
      this.#calls--;
    }
  }

  async check(model: ModelName): Promise<Checked> {
    const load = this.#calls;
    const pkg = await this.#packages.inForce(model);
    if (pkg) await this.#sessions.use(pkg, (session) => runGolden(pkg, (inputs) => session.run(inputs)));
    return { isWell: true, load, verified: pkg?.sha256 ?? null };
  }
}
