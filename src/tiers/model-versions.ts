import type {
  ModelRegistryRpc,
  Observed,
  PointRefusal,
  RegistryContents,
  StoredVersion,
} from "../../durable-objects/model-registry-rpc.ts";
import type { Clock, Log } from "../config.ts";
import { metricsIn } from "../inference/card.ts";
import { sha256Of, type ModelCache } from "../inference/model-cache.ts";
import type { ModelName, ModelPackage } from "../inference/model.ts";
import { builtIn, type PointerChange } from "../inference/pointers.ts";
import { ModelRefused, type RefusalReason } from "../inference/trial.ts";
import { noTenant, type Audit } from "../security/audit.ts";
import { StorageError } from "../storage/d1.ts";
import { packed } from "../storage/model-package.ts";
import { isRetryable, retryOnce } from "../storage/retry-once.ts";
import type { Author } from "./api-keys.ts";

/** A version as it is told of; null where it ships with the Worker. */
export type KnownVersion = Omit<StoredVersion, "packageSha256" | "uploadedAtMs" | "uploadedBy"> & {
  uploadedAtMs: number | null;
  uploadedBy: string | null;
};

export interface KnownModel {
  name: ModelName;
  /** SHA-256s; null where there is none. */
  current: string | null;
  previous: string | null;
  shadow: string | null;
  /** The one that ships with the Worker, then the newest first. */
  versions: KnownVersion[];
}

export interface KnownModels {
  revision: number;
  models: KnownModel[];
}

export type ModelRefusal =
  | { reason: "model_refused"; why: RefusalReason; detail: string }
  | { reason: "not_found" }
  | { reason: "conflict"; detail: string }
  | { reason: "precondition_failed"; etag: string };

export interface ModelVersionsParts {
  clock: Clock;
  log: Log;
  /** Finds the object; a new stub with each call, since a broken one stays broken. */
  registry(): ModelRegistryRpc;
  cache: Pick<ModelCache<ModelPackage>, "store" | "warm">;
  builtIn: ReadonlyMap<ModelName, ModelPackage>;
  audit: Pick<Audit, "withChange">;
  /** Throws ModelRefused. */
  tryPackage(pkg: ModelPackage): Promise<void>;
  /** Something else may be in force now. */
  changed(): void;
}

/**
 * The versions of all models: uploaded, looked at beside the one in force, put in force, taken back. They belong to the
 * deployment. Every method throws StorageError where D1, R2 or the registry's object fails.
 *
 * A change happens in the object, together with the row that the audit log has to get; the row is written behind it, and
 * nothing else changes before it is. Should the Worker die in between, who comes next writes it, cron at the latest; it
 * may then stand there twice, with the same revision.
 */
export class ModelVersions {
  readonly #parts: ModelVersionsParts;

  constructor(parts: ModelVersionsParts) {
    this.#parts = parts;
  }

  async list(): Promise<KnownModels> {
    return this.#known(await this.#ask((registry) => registry.contents()));
  }

  observed(): Promise<Observed> {
    return this.#ask((registry) => registry.observed());
  }

  /** With its card. */
  async version(name: ModelName, sha256: string): Promise<(KnownVersion & { card: string }) | undefined> {
    const own = this.#parts.builtIn.get(name);
    if (own?.sha256 === sha256) return { ...versionOf(own), card: own.card };
    return (await this.#ask((registry) => registry.version(name, sha256))) ?? undefined;
  }

  /** Takes a version if it passes its trial. Nothing comes into force by that; the same again is the same. */
  async upload(by: Author, given: ModelPackage): Promise<KnownVersion | ModelRefusal> {
    const { builtIn: ours, cache, clock } = this.#parts;
    const { name, sha256 } = given;
    const own = ours.get(name);
    if (own?.sha256 === sha256) return versionOf(own);
    const bytes = packed(given);
    const known = await this.#ask((registry) => registry.version(name, sha256));
    if (known) return known.packageSha256 === sha256Of(bytes) ? known : otherParts;
    const refusal = await this.#tried(given);
    if (refusal) return refusal;

    await this.recordChanges();
    const packageSha256 = await stored(cache.store(bytes));
    const [uploadedAtMs, uploadedBy] = [clock.nowMs(), by.principal.kid];
    const version = { ...versionOf(given), packageSha256, uploadedAtMs, uploadedBy };
    const added = await this.#ask((registry) => registry.add(version, given.card, this.#changedBy(by)));
    if (added === "differs") return otherParts;
    await this.#recordBehind();
    return version;
  }

  /** @param revision that of the list which the change is based on. */
  async point(
    by: Author,
    name: ModelName,
    revision: number,
    change: PointerChange,
  ): Promise<KnownModels | ModelRefusal> {
    await this.recordChanges();
    const contents = await this.#ask((registry) => registry.contents());
    if (contents.revision !== revision) return stale(contents);
    const asked = this.#named(name, change);
    const target = asked.to === "rollback" ? contents.models[name].pointers.previous : asked.version;
    const unusable = await this.#unusable(contents, name, target);
    if (unusable) return unusable;
    const result = await this.#ask((registry) => registry.point(name, revision, asked, this.#changedBy(by)));
    if (!result.done) return this.#refusal(result.refusal);
    this.#parts.changed();
    await this.#recordBehind();
    return this.#known(result.contents);
  }

  /** Tells the audit log what it has not been told yet. @throws StorageError */
  async recordChanges(): Promise<void> {
    const { audit } = this.#parts;
    for (const { id, action, actor, requestId, detail } of await this.#ask((registry) => registry.unrecorded())) {
      await audit.withChange(noTenant, { action, actor, outcome: "success", detail, requestId }, () => []);
      await this.#ask((registry) => registry.recorded(id));
    }
  }

  /** The change has happened: who asked for it is not told of this. */
  async #recordBehind(): Promise<void> {
    try {
      await this.recordChanges();
    } catch (error) {
      const event = { message: "change of a model not yet recorded", error: (error as Error).message };
      this.#parts.log({ level: "error", ...event });
    }
  }

  async #tried(given: ModelPackage): Promise<ModelRefusal | undefined> {
    try {
      await this.#parts.tryPackage(given);
      return undefined;
    } catch (error) {
      if (!(error instanceof ModelRefused)) throw error;
      return { reason: "model_refused", why: error.reason, detail: error.detail };
    }
  }

  /** A version comes into force only from bytes that R2 has, and KV with it. */
  async #unusable(
    contents: RegistryContents,
    name: ModelName,
    version: string | null,
  ): Promise<ModelRefusal | undefined> {
    const { builtIn: ours, cache } = this.#parts;
    if (version === null) return undefined;
    if (version === builtIn) return ours.has(name) ? undefined : { reason: "not_found" };
    const found = contents.models[name].versions.find(({ sha256 }) => sha256 === version);
    if (!found) return { reason: "not_found" };
    if (await cache.warm(found.packageSha256)) return undefined;
    return { reason: "conflict", detail: "what R2 has of this version is not what was uploaded" };
  }

  async #refusal(why: PointRefusal): Promise<ModelRefusal> {
    switch (why) {
      case "stale":
        return stale(await this.#ask((registry) => registry.contents()));
      case "unknown_version":
        return { reason: "not_found" };
      case "nothing_before":
        return { reason: "conflict", detail: "no version was in force before" };
      case "is_current":
        return { reason: "conflict", detail: "the version is in force already" };
      default:
        return why satisfies never;
    }
  }

  /** Whoever names the hash of the version that ships with the Worker means that one. */
  #named(name: ModelName, change: PointerChange): PointerChange {
    const own = this.#parts.builtIn.get(name)?.sha256;
    return "version" in change && change.version === own ? { ...change, version: builtIn } : change;
  }

  #changedBy({ principal, requestId }: Author) {
    return { kid: principal.kid, requestId, nowMs: this.#parts.clock.nowMs() };
  }

  #known({ revision, models }: RegistryContents): KnownModels {
    const all = Object.entries(models).map(([key, { pointers, versions }]) => {
      const name = key as ModelName;
      const own = this.#parts.builtIn.get(name);
      const shown = (version: string | null) => (version === builtIn ? (own?.sha256 ?? null) : version);
      const { current, previous, shadow } = pointers;
      return {
        name,
        current: shown(current),
        previous: shown(previous),
        shadow: shown(shadow),
        versions: [...(own ? [versionOf(own)] : []), ...versions.filter(({ sha256 }) => sha256 !== own?.sha256)],
      };
    });
    return { revision, models: all };
  }

  async #ask<T>(call: (registry: ModelRegistryRpc) => Promise<T>): Promise<T> {
    try {
      return await retryOnce(this.#parts.clock, () => call(this.#parts.registry()), isRetryable);
    } catch (error) {
      throw new StorageError(`model registry: ${(error as Error).message}`, { cause: error });
    }
  }
}

const otherParts: ModelRefusal = {
  reason: "conflict",
  detail: "there is a version of the same model file with other features, calibration, golden rows or card",
};

function stale({ revision }: RegistryContents): ModelRefusal {
  return { reason: "precondition_failed", etag: `"${revision}"` };
}

/** @throws StorageError */
async function stored<T>(storing: Promise<T>): Promise<T> {
  try {
    return await storing;
  } catch (error) {
    throw new StorageError(`model not stored: ${(error as Error).message}`, { cause: error });
  }
}

function versionOf({ name, sha256, onnx, features, calibration, card }: ModelPackage) {
  const { windows: calibrationWindows, drift } = calibration;
  const known = { model: name, sha256, bytes: onnx.length, features, calibrationWindows, drift };
  return { ...known, metrics: metricsIn(card), uploadedAtMs: null, uploadedBy: null };
}
