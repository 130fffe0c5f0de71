import { consoleLog, systemClock } from "../src/config.ts";
import { builtInModels } from "../src/inference/built-in.ts";
import { ModelCache } from "../src/inference/model-cache.ts";
import { Packages } from "../src/inference/packages.ts";
import { unpacked } from "../src/storage/model-package.ts";

/** What objects that run or check models find them by. */
export function packagesOf(env: Env, waitUntil: (promise: Promise<unknown>) => void): Packages {
  const { MODEL_CACHE: kv, MODELS: bucket, MODEL_REGISTRY } = env;
  const cache = new ModelCache({ kv, bucket, clock: systemClock, log: consoleLog, waitUntil, decode: unpacked });
  const registry = () => MODEL_REGISTRY.get(MODEL_REGISTRY.idFromName("models"));
  return new Packages({ cache, registry, builtIn: builtInModels() });
}
