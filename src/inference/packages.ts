import type { ModelRegistryRpc } from "../../durable-objects/model-registry-rpc.ts";
import type { ModelCache } from "./model-cache.ts";
import type { ModelName, ModelPackage } from "./model.ts";
import { builtIn } from "./pointers.ts";

export interface PackagesParts {
  /** Finds the object; a new stub with each call, since a broken one stays broken. */
  registry(): Pick<ModelRegistryRpc, "inForce" | "version">;
  cache: Pick<ModelCache<ModelPackage>, "load">;
  builtIn: ReadonlyMap<ModelName, ModelPackage>;
}

/** Versions whose place is remembered, 200 bytes each. */
const placesMax = 64;

/** Versions for objects that run or check models, which wait for a load. Undefined: nobody has it as its hash says. */
export class Packages {
  readonly #parts: PackagesParts;
  /** By SHA-256 of the ONNX file, that of the package. */
  readonly #places = new Map<string, string>();

  constructor(parts: PackagesParts) {
    this.#parts = parts;
  }

  /** What scores at present. Rejects where the registry cannot be reached. */
  async inForce(name: ModelName): Promise<ModelPackage | undefined> {
    const { cache, builtIn: ours } = this.#parts;
    const { current } = (await this.#parts.registry().inForce()).models[name];
    return current === builtIn ? ours.get(name) : cache.load(current.packageSha256);
  }

  /** Whatever part it plays. Rejects where the registry cannot be reached. */
  async version(name: ModelName, sha256: string): Promise<ModelPackage | undefined> {
    const { cache, builtIn: ours } = this.#parts;
    const own = ours.get(name);
    if (own?.sha256 === sha256) return own;
    const place = this.#places.get(sha256) ?? (await this.#parts.registry().version(name, sha256))?.packageSha256;
    if (place === undefined) return undefined;
    if (this.#places.size >= placesMax) this.#places.clear();
    this.#places.set(sha256, place);
    return cache.load(place);
  }
}
