import type { Clock, Log } from "../config.ts";
import type { SealedText } from "../security/directory-seal.ts";
import { modelNames, type ModelName } from "./model.ts";
import { within } from "../within.ts";

/** Where a model may run: in the isolate that asks, in an object of its own, behind a server of the operator's. */
export const instanceKinds = ["inline", "runner", "remote"] as const;
type InstanceKind = (typeof instanceKinds)[number];

/** Instances of a deployment: each that is not inline is checked every `checkEveryMs`. */
export const instancesMax = 32;
/** Share of the calls: with weights of more digits a turn would be long, and no more would be said. */
export const weightMax = 100;
/** Between two checks of health, in ms. */
export const checkEveryMs = 30_000;
/** How long one may take, in ms. */
export const checkMsMax = 5_000;
/** Checks at a time: a Worker may wait for six connections. */
export const checksAtOnce = 4;
/** Checks in a row that fail until an instance leaves: one that succeeds brings it back. */
export const checkFailuresMax = 3;
/** How long an isolate goes by the list that it read, in ms: with a call's time, a change is in force within 10 s. */
const freshMs = 5_000;
/** How long a call waits for the list, in ms; after that it goes by what was known before. */
const waitMsMax = 250;

/** What somebody registers. */
export interface NewInstance {
  id: string;
  model: ModelName;
  kind: InstanceKind;
  /** Of a remote one, without a slash at the end. */
  url: string | null;
  weight: number;
  bearer: string | null;
}

export interface Instance extends Omit<NewInstance, "bearer"> {
  health: "healthy" | "unhealthy";
  /** Checks in a row that failed. */
  failures: number;
  /** Calls in flight that it told of at its last check; null where it does not tell. */
  load: number | null;
  lastCheckMs: number | null;
  /** What was wrong at the last check. */
  error: string | null;
  /** SHA-256 of the version whose golden rows it got right at its last check. */
  verified: string | null;
  bearer: SealedText | null;
}

/** What a check found. */
export type Checked = { isWell: true; load: number | null; verified: string | null } | { isWell: false; error: string };

/** An instance after a check. One that was never well has to be so once. */
export function afterCheck(instance: Instance, found: Checked, nowMs: number): Instance {
  if (found.isWell) {
    const { load, verified } = found;
    return { ...instance, health: "healthy", failures: 0, error: null, lastCheckMs: nowMs, load, verified };
  }
  const failures = instance.failures + 1;
  const health = failures >= checkFailuresMax ? "unhealthy" : instance.health;
  return { ...instance, health, failures, error: found.error, lastCheckMs: nowMs, load: null };
}

/** As it is registered. What runs in the isolate that asks is well by that; the others have to show it. */
export function newInstance(wish: NewInstance, bearer: SealedText | null): Instance {
  const health = wish.kind === "inline" ? "healthy" : "unhealthy";
  return { ...wish, bearer, health, failures: 0, load: null, lastCheckMs: null, error: null, verified: null };
}

/** Those of a deployment in which nobody registered any: each model runs where it is asked. */
export const firstInstances: readonly Instance[] = modelNames.map((model) =>
  newInstance({ id: `${model}-inline`, model, kind: "inline", url: null, weight: 1, bearer: null }, null),
);

/** A version as breakers, logs and opinions name it. */
export function versionName(sha256: string): string {
  return sha256.slice(0, 12);
}

/** What its breaker is called. Those inline fail with the version that they run, so a version that mends it is not shut out. */
export function breakerName({ id, kind, model }: Pick<Instance, "id" | "kind" | "model">, version: string): string {
  if (kind === "remote") return `remote/${id}`;
  return `model/${model}/${kind === "inline" ? version : id}`;
}

/** What the Worker asks of the ModelInstances object. */
export interface ModelInstancesRpc {
  list(): Promise<Instance[]>;
  /** Checked at once where it is not inline. `full`: there are `instancesMax`; `exists`: the id is taken. */
  register(wish: NewInstance): Promise<{ instance: Instance } | { refusal: "exists" | "full" }>;
  /** Null where there is none. */
  remove(id: string): Promise<Instance | null>;
}

export interface InstancesParts {
  clock: Clock;
  log: Log;
  /** Finds the object; a new stub with each call, since a broken one stays broken. */
  object(): Pick<ModelInstancesRpc, "list">;
}

/** What inference asks. */
export interface KnownInstances {
  /** Never rejects. */
  of(model: ModelName): Promise<readonly Instance[]>;
}

/** The instances of all models as an isolate knows them. While their object cannot be reached, it goes by what it knew. */
export class Instances implements KnownInstances {
  readonly #parts: InstancesParts;
  #known = firstInstances;
  #freshUntilMs = 0;

  constructor(parts: InstancesParts) {
    this.#parts = parts;
  }

  /** At most `freshMs` old where the object answers in time. While one request asks, others go by what is known. */
  async of(model: ModelName): Promise<readonly Instance[]> {
    const nowMs = this.#parts.clock.nowMs();
    // A clock that was set back does not keep an isolate from asking.
    if (nowMs >= this.#freshUntilMs || nowMs < this.#freshUntilMs - freshMs) {
      this.#freshUntilMs = nowMs + freshMs;
      await this.#read();
    }
    return this.#known.filter((instance) => instance.model === model);
  }

  /** This isolate has just changed them. */
  changed(): void {
    this.#freshUntilMs = 0;
  }

  async #read(): Promise<void> {
    const { log } = this.#parts;
    try {
      this.#known = await within(waitMsMax, this.#parts.object().list());
    } catch (error) {
      const message = "model instances not read: the last known stay in force";
      log({ level: "warn", message, error: (error as Error).message });
    }
  }
}
