import type { Clock, Log } from "../config.ts";
import type { Breakers, BreakerStanding } from "../inference/breaker.ts";
import { recoveryMs } from "../inference/breaker-state.ts";
import {
  breakerName,
  instancesMax,
  versionName,
  type Instance,
  type ModelInstancesRpc,
  type NewInstance,
} from "../inference/instances.ts";
import type { ModelName } from "../inference/model.ts";
import type { ModelsInForce } from "../inference/registry.ts";
import { noTenant, type Audit, type AuditDetail } from "../security/audit.ts";
import { StorageError } from "../storage/d1.ts";
import { isRetryable, retryOnce } from "../storage/retry-once.ts";
import type { Author } from "./api-keys.ts";

/** An instance as it is told of. */
export interface KnownInstance {
  instance: Instance;
  /** Calls that run in the isolate that answers. */
  inFlight: number;
  /** Null where its version is not known yet, or the breaker's object does not answer. */
  breaker: KnownBreaker | null;
}

export interface KnownBreaker extends BreakerStanding {
  name: string;
  /** ms until it can be probed; null where it is not open. */
  probeInMs: number | null;
}

export type InstanceRefusal = { reason: "not_found" } | { reason: "conflict"; detail: string };

export interface ModelInstanceListParts {
  clock: Clock;
  log: Log;
  /** Finds the object; a new stub with each call, since a broken one stays broken. */
  object(): ModelInstancesRpc;
  breakers: Breakers;
  models: Pick<ModelsInForce, "of">;
  audit: Pick<Audit, "withChange">;
  /** Calls of an instance that run here. */
  inFlight(id: string): number;
  /** There may be others now. */
  changed(): void;
}

/**
 * Where models may run: listed, registered, removed. It belongs to the deployment. Every method throws StorageError where
 * D1 or the object fails. A change is recorded first: what is recorded may not have happened, but not the other way round.
 */
export class ModelInstanceList {
  readonly #parts: ModelInstanceListParts;

  constructor(parts: ModelInstanceListParts) {
    this.#parts = parts;
  }

  async list(): Promise<KnownInstance[]> {
    const instances = await this.#ask((object) => object.list(), true);
    return Promise.all(instances.map((instance) => this.#known(instance)));
  }

  async register(by: Author, wish: NewInstance): Promise<KnownInstance | InstanceRefusal> {
    const { id, model, kind, weight } = wish;
    const instances = await this.#ask((object) => object.list(), true);
    if (instances.some((one) => one.id === id)) return taken(id);
    await this.#record(by, "model_instances.register", { id, model, kind, weight });
    const result = await this.#ask((object) => object.register(wish), false);
    if ("instance" in result) return this.#known(result.instance);
    if (result.refusal === "exists") return taken(id);
    return { reason: "conflict", detail: `there are ${instancesMax} instances already` };
  }

  async remove(by: Author, id: string): Promise<KnownInstance | InstanceRefusal> {
    const instances = await this.#ask((object) => object.list(), true);
    const found = instances.find((one) => one.id === id);
    if (!found) return { reason: "not_found" };
    await this.#record(by, "model_instances.remove", { id, model: found.model, kind: found.kind });
    await this.#ask((object) => object.remove(id), true);
    return this.#known(found);
  }

  async #record({ principal, requestId }: Author, action: string, detail: AuditDetail): Promise<void> {
    const event = { action, actor: principal.kid, outcome: "success", detail, requestId } as const;
    await this.#parts.audit.withChange(noTenant, event, () => []);
  }

  async #ask<T>(call: (object: ModelInstancesRpc) => Promise<T>, mayRepeat: boolean): Promise<T> {
    const { clock } = this.#parts;
    try {
      return await retryOnce(
        clock,
        () => call(this.#parts.object()),
        (error) => mayRepeat && isRetryable(error),
      );
    } catch (error) {
      throw new StorageError(`model instances: ${(error as Error).message}`, { cause: error });
    } finally {
      this.#parts.changed();
    }
  }

  async #known(instance: Instance): Promise<KnownInstance> {
    return { instance, inFlight: this.#parts.inFlight(instance.id), breaker: await this.#breakerOf(instance) };
  }

  async #breakerOf(instance: Instance): Promise<KnownBreaker | null> {
    const version = await this.#versionOf(instance.model);
    if (version === undefined) return null;
    const name = breakerName(instance, version);
    try {
      const standing = await this.#parts.breakers.standing(name);
      const { state, failedMsAgo, leaseMsLeft } = standing;
      const waits = { closed: null, open: Math.max(0, recoveryMs - failedMsAgo), half_open: leaseMsLeft };
      return { ...standing, name, probeInMs: waits[state] };
    } catch (error) {
      this.#parts.log({ level: "warn", message: "breaker not read", name, error: (error as Error).message });
      return null;
    }
  }

  async #versionOf(model: ModelName): Promise<string | undefined> {
    const { current } = await this.#parts.models.of(model);
    if (current === "warming_up") return undefined;
    return current === "missing" ? current : versionName(current.sha256);
  }
}

function taken(id: string): InstanceRefusal {
  return { reason: "conflict", detail: `there is an instance ${id} already` };
}
