import type { ModelRunnerRpc } from "../../durable-objects/model-runner-rpc.ts";
import type { Clock, Log } from "../config.ts";
import type { Candidate } from "../core/features/candidate.ts";
import type { SealedText } from "../security/directory-seal.ts";
import { Balancer } from "./balancer.ts";
import type { Breaker, Breakers, Permit } from "./breaker.ts";
import { noLease } from "./breaker-state.ts";
import { faultyRun, type ModelFault } from "./fault.ts";
import { breakerName, versionName, type Instance, type KnownInstances } from "./instances.ts";
import {
  ModelInferenceError,
  type ModelName,
  type ModelOpinion,
  type ModelPackage,
  type NotScored,
  type Tensors,
} from "./model.ts";
import type { ModelsInForce } from "./registry.ts";
import { RemoteModel } from "./remote.ts";
import { scoreRows, type Run } from "./rows.ts";
import type { Sessions } from "./sessions.ts";
import { TimedOut, within } from "../within.ts";

/** Calls of one model in flight, in an isolate: as many as batches that tier 2 looks at. */
export const callsMax = 5;
/** Characters of an error that are told. */
const detailCharsMax = 200;

export type Scored =
  | { ran: true; opinions: ModelOpinion[]; instance: string }
  | { ran: false; reason: NotScored; detail?: string };

/** What tier 2 calls. */
export interface Inference {
  /** Opinions in the order of the candidates, of which there is at least one. Never rejects. */
  score(name: ModelName, candidates: readonly Candidate[]): Promise<Scored>;
}

export interface InferenceParts {
  clock: Clock;
  log: Log;
  /** Keeps the isolate alive until the promise settles. */
  waitUntil(promise: Promise<unknown>): void;
  models: ModelsInForce;
  breakers: Breakers;
  instances: KnownInstances;
  sessions: Sessions;
  /** The runner of an instance; a new stub with each call, since a broken one stays broken. */
  runnerOf(id: string): Pick<ModelRunnerRpc, "run">;
  /** Opens an instance's key. */
  openBearer(instance: Pick<Instance, "id" | "url">, sealed: SealedText): string;
  fetch: typeof fetch;
  /** Of one call, in ms. */
  timeoutMs: number;
  /** Of runs; `models` have what is broken of themselves. */
  fault: ModelFault;
}

/** An instance that may be called, once. */
interface Choice {
  instance: Instance;
  breaker: Breaker;
  permit: Permit;
}

/** One model call: who runs it, whether it may, for how long; and what its failure means to others. */
export class ModelInference implements Inference {
  readonly #parts: InferenceParts;
  readonly #balancers = new Map<ModelName, Balancer>();
  /** Calls, by model and by instance. */
  readonly #inFlight = new Map<string, number>();
  /** Models whose shadow is looking at something. */
  readonly #shadowing = new Set<ModelName>();

  constructor(parts: InferenceParts) {
    this.#parts = parts;
  }

  async score(name: ModelName, candidates: readonly Candidate[]): Promise<Scored> {
    if (this.inFlight(name) >= callsMax) return { ran: false, reason: "queue_full" };
    return this.#counted(name, () => this.#score(name, candidates));
  }

  /** Calls of a model or an instance that run at present, in this isolate. */
  inFlight(of: string): number {
    return this.#inFlight.get(of) ?? 0;
  }

  async #score(name: ModelName, candidates: readonly Candidate[]): Promise<Scored> {
    const { current, shadow } = await this.#parts.models.of(name);
    if (current === "warming_up") return { ran: false, reason: "warming_up" };
    if (current === "missing") return this.#missing(name);
    const choice = await this.#choose(current);
    if (typeof choice === "string") return { ran: false, reason: choice };
    if (this.#isWarming(current, choice)) return { ran: false, reason: "warming_up" };
    const { id } = choice.instance;
    const scored = await this.#counted(id, () => this.#call(current, choice, candidates));
    if (scored.ran) this.#tellBehind(name, { current, shadow, candidates, opinions: scored.opinions });
    return scored;
  }

  /** That there is no model is a failure like any other: its breaker says so to everybody. */
  async #missing(name: ModelName): Promise<Scored> {
    const breaker = this.#parts.breakers.of(`model/${name}/missing`);
    const permit = await breaker.permit();
    if (!permit) return { ran: false, reason: "breaker_open" };
    breaker.failed(permit);
    return { ran: false, reason: "missing" };
  }

  /** One that is healthy and whose breaker lets it be called; or why there is none. */
  async #choose({ name, sha256 }: ModelPackage): Promise<Choice | "no_healthy_instance" | "breaker_open"> {
    const { breakers, instances, clock } = this.#parts;
    const balancer = this.#balancers.get(name) ?? new Balancer(() => clock.chance());
    this.#balancers.set(name, balancer);
    const version = versionName(sha256);
    let left = (await instances.of(name))
      .filter((instance) => isUsable(instance, sha256))
      .map((instance) => ({
        ...instance,
        load: Math.max(this.inFlight(instance.id), instance.load ?? 0),
        of: instance,
      }));
    if (left.length === 0) return "no_healthy_instance";
    for (;;) {
      const picked = balancer.pick(left);
      if (!picked) return "breaker_open";
      const breaker = breakers.of(breakerName(picked, version));
      const permit = await breaker.permit();
      if (permit) return { instance: picked.of, breaker, permit };
      left = left.filter((one) => one.id !== picked.id);
    }
  }

  /**
   * In a cold isolate the session is opened behind the request. A probe waits for it, since it has to say how it went; and
   * so does who comes after a session that did not open.
   */
  #isWarming(pkg: ModelPackage, { instance, breaker, permit }: Choice): boolean {
    const { sessions } = this.#parts;
    const isProbe = permit.lease !== noLease || permit.ownLease !== noLease;
    if (instance.kind !== "inline" || isProbe || sessions.isOpen(pkg) || sessions.hasFailed(pkg)) return false;
    sessions.warm(pkg, (error) => {
      breaker.failed(permit);
      this.#logFailure(pkg, instance.id, error);
    });
    return true;
  }

  async #call(pkg: ModelPackage, choice: Choice, candidates: readonly Candidate[]): Promise<Scored> {
    const { timeoutMs } = this.#parts;
    const { instance, breaker, permit } = choice;
    try {
      const opinions = await within(timeoutMs, this.#run(pkg, instance, candidates));
      breaker.succeeded(permit);
      return { ran: true, opinions, instance: instance.id };
    } catch (error) {
      const isLate = error instanceof TimedOut;
      if (isLate || error instanceof ModelInferenceError) breaker.failed(permit);
      const detail = this.#logFailure(pkg, instance.id, error);
      return { ran: false, reason: isLate ? "timed_out" : "failed", detail };
    }
  }

  #run(pkg: ModelPackage, instance: Instance, candidates: readonly Candidate[]): Promise<ModelOpinion[]> {
    const { fault, sessions } = this.#parts;
    if (instance.kind !== "inline")
      return scoreRows(pkg, candidates, faultyRun(this.#runElsewhere(pkg, instance), fault, false));
    return sessions.use(pkg, ({ run }) => scoreRows(pkg, candidates, faultyRun(run, fault, true)));
  }

  #runElsewhere({ name: model, sha256 }: ModelPackage, instance: Instance): Run {
    if (instance.kind === "runner")
      return (inputs) => runIn(this.#parts.runnerOf(instance.id), { model, sha256, inputs });
    const { clock, timeoutMs, fetch } = this.#parts;
    const bearer = instance.bearer && this.#parts.openBearer(instance, instance.bearer);
    const remote = new RemoteModel({ url: instance.url!, bearer, model, clock, timeoutMs, fetch });
    return (inputs) => remote.run(inputs);
  }

  /** Behind the answer: the shadow has no effect, and its errors count nowhere. */
  #tellBehind(
    name: ModelName,
    seen: {
      current: ModelPackage;
      shadow: ModelPackage | undefined;
      candidates: readonly Candidate[];
      opinions: ModelOpinion[];
    },
  ): void {
    const { models } = this.#parts;
    const { candidates: inputs, opinions, shadow } = seen;
    const current = { sha256: seen.current.sha256, inputs, opinions };
    if (!shadow || this.#shadowing.has(name)) return models.observe(name, { current });
    this.#shadowing.add(name);
    const beside = async () => {
      try {
        const said = await this.#shadowed(shadow, inputs);
        models.observe(name, { current, ...(said && { shadow: { sha256: shadow.sha256, opinions: said } }) });
      } finally {
        this.#shadowing.delete(name);
      }
    };
    this.#parts.waitUntil(beside());
  }

  async #shadowed(pkg: ModelPackage, candidates: readonly Candidate[]): Promise<ModelOpinion[] | undefined> {
    const { timeoutMs, sessions } = this.#parts;
    try {
      const running = sessions.use(pkg, ({ run }) => scoreRows(pkg, candidates, run));
      return await within(timeoutMs, running);
    } catch (error) {
      this.#logFailure(pkg, "shadow", error);
      return undefined;
    }
  }

  async #counted<T>(of: string, work: () => Promise<T>): Promise<T> {
    this.#inFlight.set(of, this.inFlight(of) + 1);
    try {
      return await work();
    } finally {
      const left = this.inFlight(of) - 1;
      if (left > 0) this.#inFlight.set(of, left);
      else this.#inFlight.delete(of);
    }
  }

  #logFailure({ name: model, sha256 }: ModelPackage, instance: string, error: unknown): string {
    const { message } = error as Error;
    const isExpected = error instanceof TimedOut || error instanceof ModelInferenceError;
    const event = { message: "model call failed", model, version: versionName(sha256), instance };
    this.#parts.log({ ...event, level: isExpected ? "warn" : "error", error: message });
    return message.slice(0, detailCharsMax);
  }
}

/** A remote one is, only while it runs the version in force: it runs whatever it was given. */
function isUsable({ kind, health, weight, verified }: Instance, sha256: string): boolean {
  return health === "healthy" && weight > 0 && (kind !== "remote" || verified === sha256);
}

/** Throws ModelInferenceError, also where the object cannot be reached. */
async function runIn(
  runner: Pick<ModelRunnerRpc, "run">,
  request: Parameters<ModelRunnerRpc["run"]>[0],
): Promise<Tensors> {
  let result: Awaited<ReturnType<ModelRunnerRpc["run"]>>;
  try {
    result = await runner.run(request);
  } catch (error) {
    throw new ModelInferenceError(`runner: ${(error as Error).message}`, { cause: error });
  }
  if ("error" in result) throw new ModelInferenceError(`runner: ${result.error}`);
  return result.outputs;
}
