import type { InForce, ModelInForce, ModelRegistryRpc, VersionRef } from "../../durable-objects/model-registry-rpc.ts";
import type { Clock, Log } from "../config.ts";
import type { ModelCache } from "./model-cache.ts";
import { modelNames, type ModelName, type ModelOpinion, type ModelPackage } from "./model.ts";
import { Observations, type ObservedInput } from "./observations.ts";
import { builtIn } from "./pointers.ts";

/** How long an isolate goes by what it read, in ms: with the time a load takes, a promotion is in force within 10 s. */
const freshMs = 5_000;
/** How long a request waits for the registry, in ms; after that it goes by what was known before. */
const waitMsMax = 500;
/** How long others go by what is known while one asks, in ms. */
const askingMs = 1_000;

/** What tier 2 asks. */
export interface ModelsInForce {
  /** Never waits for a load, and never rejects: what is not in memory is loaded behind the request, and "warming_up". */
  of(name: ModelName): Promise<{ current: ModelPackage | "warming_up" | "missing"; shadow?: ModelPackage }>;
  /** For drift and agreement; cheap. Inputs and opinions in the same order. */
  observe(name: ModelName, seen: SeenByModels): void;
}

export interface SeenByModels {
  current: { sha256: string; inputs: readonly ObservedInput[]; opinions: readonly ModelOpinion[] };
  shadow?: { sha256: string; opinions: readonly ModelOpinion[] };
}

export interface RegistryParts {
  clock: Clock;
  log: Log;
  /** Keeps the isolate alive until the promise settles. */
  waitUntil(promise: Promise<unknown>): void;
  /** Finds the object; a new stub with each call, since a broken one stays broken. */
  registry(): Pick<ModelRegistryRpc, "inForce" | "observe">;
  cache: Pick<ModelCache<ModelPackage>, "get" | "warm">;
  builtIn: ReadonlyMap<ModelName, ModelPackage>;
}

interface Known {
  inForce: InForce;
  askAgainAtMs: number;
}

const everythingBuiltIn: InForce = {
  revision: 0,
  models: Object.fromEntries(modelNames.map((name) => [name, { current: builtIn, shadow: null }])) as Record<
    ModelName,
    ModelInForce
  >,
};

/**
 * The versions in force, as the registry's object says, remembered for seconds. While it cannot be reached, what was
 * known last stays in force, else what ships with the Worker.
 */
export class Registry implements ModelsInForce {
  readonly #parts: RegistryParts;
  readonly #observations: Observations;
  #known: Known | undefined;

  constructor(parts: RegistryParts) {
    this.#parts = parts;
    this.#observations = new Observations({ ...parts, send: (report) => parts.registry().observe(report) });
  }

  async of(name: ModelName): ReturnType<ModelsInForce["of"]> {
    const { current, shadow } = (await this.#inForce()).models[name];
    const beside = shadow && this.#package(name, shadow);
    return {
      current: this.#package(name, current),
      ...(typeof beside === "object" && beside !== null && { shadow: beside }),
    };
  }

  observe(name: ModelName, { current, shadow }: SeenByModels): void {
    const ours = this.#packageNamed(name, current.sha256);
    const theirs = shadow && this.#packageNamed(name, shadow.sha256);
    if (!ours) return;
    this.#observations.add(
      name,
      current.inputs,
      { package: ours, opinions: current.opinions },
      shadow && theirs && { package: theirs, opinions: shadow.opinions },
    );
  }

  /** Of an isolate that has just started: asks what is in force, and begins to load it. */
  async begin(): Promise<void> {
    await this.#inForce();
  }

  /** This isolate has just changed what is in force. */
  changed(): void {
    if (this.#known) this.#known.askAgainAtMs = 0;
  }

  /** Puts all versions in force, and shadows, into KV once more. Never rejects. */
  async warmKv(): Promise<void> {
    const { models } = await this.#inForce();
    for (const { packageSha256 } of refsIn(models)) await this.#parts.cache.warm(packageSha256);
  }

  #package(name: ModelName, version: VersionRef | typeof builtIn): ModelPackage | "warming_up" | "missing" {
    const { cache, builtIn: ours } = this.#parts;
    if (version === builtIn) return ours.get(name) ?? "missing";
    const cached = cache.get(version.packageSha256);
    return typeof cached === "string" ? cached : cached.value;
  }

  /** What scored a moment ago, if it is still in force and at hand. */
  #packageNamed(name: ModelName, sha256: string): ModelPackage | undefined {
    const { current, shadow } = (this.#known?.inForce ?? everythingBuiltIn).models[name];
    return [current, shadow]
      .map((version) => version && this.#package(name, version))
      .find((found): found is ModelPackage => typeof found === "object" && found?.sha256 === sha256);
  }

  /** At most `freshMs` old where the registry answers in time. While one request asks, others go by what is known. */
  async #inForce(): Promise<InForce> {
    const { clock } = this.#parts;
    const nowMs = clock.nowMs();
    const known = this.#known;
    // A clock that was set back does not keep an isolate from asking.
    if (known && nowMs < known.askAgainAtMs && nowMs >= known.askAgainAtMs - freshMs) return known.inForce;
    if (known) known.askAgainAtMs = nowMs + askingMs;
    const asking = this.#ask(nowMs);
    this.#parts.waitUntil(asking);
    const waiting = clock.wait(waitMsMax).then(() => this.#keep(this.#lastKnown(), nowMs));
    return Promise.race([asking, waiting]);
  }

  async #ask(nowMs: number): Promise<InForce> {
    try {
      return this.#keep(await this.#parts.registry().inForce(), nowMs);
    } catch (error) {
      const message = "model registry not read: the last known stays in force";
      this.#parts.log({ level: "warn", message, error: (error as Error).message });
      return this.#keep(this.#lastKnown(), nowMs);
    }
  }

  #lastKnown(): InForce {
    return this.#known?.inForce ?? everythingBuiltIn;
  }

  /** Remembers it unless something newer is known; begins to load what is new. */
  #keep(inForce: InForce, askedAtMs: number): InForce {
    const known = this.#known;
    const newer = known && known.inForce.revision > inForce.revision ? known.inForce : inForce;
    if (newer.revision !== known?.inForce.revision)
      for (const { packageSha256 } of refsIn(newer.models)) this.#parts.cache.get(packageSha256);
    this.#known = { inForce: newer, askAgainAtMs: Math.max(askedAtMs + freshMs, known?.askAgainAtMs ?? 0) };
    return newer;
  }
}

/** The uploaded versions among what is in force. */
function refsIn(models: InForce["models"]): VersionRef[] {
  const all = modelNames.flatMap((name) => [models[name].current, models[name].shadow]);
  return all.filter((version): version is VersionRef => typeof version === "object" && version !== null);
}
