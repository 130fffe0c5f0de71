import { env } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import { sha256Of } from "../../src/inference/model-cache.ts";
import type { ModelPackage } from "../../src/inference/model.ts";
import { packed } from "../../src/storage/model-package.ts";
import { tinyForest } from "../support/tiny-models.ts";
import { clock, hourMs, modelsOf } from "./harness.ts";

/** Counts what is asked of the real KV and R2. */
function counting() {
  const asked = { kv: 0, kvPuts: 0, r2: 0 };
  const kv = {
    get: (...of: Parameters<typeof env.MODEL_CACHE.get>) => (asked.kv++, env.MODEL_CACHE.get(...of)),
    put: (...of: Parameters<typeof env.MODEL_CACHE.put>) => (asked.kvPuts++, env.MODEL_CACHE.put(...of)),
  } as unknown as typeof env.MODEL_CACHE;
  const bucket = {
    get: (key: string) => (asked.r2++, env.MODELS.get(key)),
    put: (key: string, bytes: Uint8Array) => env.MODELS.put(key, bytes),
  } as unknown as typeof env.MODELS;
  return { asked, kv, bucket };
}

let cards = 0;
/** One that nothing has ever seen, and where it lies. */
function fresh(): { pkg: ModelPackage; bytes: Uint8Array<ArrayBuffer>; sha256: string; key: string } {
  const pkg = { ...tinyForest(), card: `card ${cards++}` };
  const bytes = packed(pkg);
  const sha256 = sha256Of(bytes);
  return { pkg, bytes, sha256, key: `models/${sha256}` };
}

beforeEach(() => {
  clock.now = hourMs;
});

describe("a model that is not in memory", () => {
  it("is read from R2 once, however many ask at a time, and none of them waits", async () => {
    const { asked, ...stores } = counting();
    const { cache, settled } = modelsOf(stores);
    const { pkg, bytes } = fresh();
    const sha256 = await cache.store(bytes);
    const answers = Array.from({ length: 50 }, () => cache.get(sha256));
    expect(new Set(answers)).toEqual(new Set(["warming_up"]));
    await settled();
    expect(cache.get(sha256)).toEqual({ value: pkg });
    expect(asked).toEqual({ kv: 1, kvPuts: 1, r2: 1 });
  });

  it("comes from KV where another isolate has put it, and R2 is not asked", async () => {
    const { pkg, bytes } = fresh();
    const first = modelsOf();
    const sha256 = await first.cache.store(bytes);
    await first.cache.load(sha256);
    const { asked, ...stores } = counting();
    const second = modelsOf(stores);
    expect(await second.cache.load(sha256)).toEqual(pkg);
    expect(asked).toEqual({ kv: 1, kvPuts: 0, r2: 0 });
  });

  it("is put into KV for an hour", async () => {
    const puts: unknown[][] = [];
    const put = (...of: unknown[]) => Promise.resolve(void puts.push(of));
    const { cache } = modelsOf({ kv: { get: async () => null, put } as unknown as typeof env.MODEL_CACHE });
    const { bytes, key } = fresh();
    await cache.load(await cache.store(bytes));
    expect(puts).toEqual([[key, bytes, { expirationTtl: 3600 }]]);
  });

  it("is loaded by another request where the first one has not come back within 30 s", async () => {
    let begun = 0;
    const never = { ...counting().kv, get: () => (begun++, new Promise(() => {})) };
    const { cache } = modelsOf({ kv: never as unknown as typeof env.MODEL_CACHE });
    const { sha256 } = fresh();
    const begunAfter = [0, 29_999, 30_000].map((afterMs) => {
      clock.now = hourMs + afterMs;
      expect(cache.get(sha256)).toBe("warming_up");
      return begun;
    });
    expect(begunAfter).toEqual([1, 1, 2]);
  });
});

describe("a model in memory", () => {
  it("stays as long as it is used, and is read again 300 s after the last use", async () => {
    const { asked, ...stores } = counting();
    const { cache } = modelsOf(stores);
    const { bytes } = fresh();
    const sha256 = await cache.store(bytes);
    await cache.load(sha256);
    for (let i = 0; i < 5; i++) {
      clock.now += 299_000;
      expect(typeof cache.get(sha256)).toBe("object");
    }
    clock.now += 300_000;
    expect(cache.get(sha256)).toBe("warming_up");
    expect(asked.kv).toBe(2);
  });
});

describe("bytes that are not what their hash says", () => {
  it("are not served from KV: R2's are, and replace them", async () => {
    const { cache, events } = modelsOf();
    const { pkg, bytes, key } = fresh();
    const sha256 = await cache.store(bytes);
    const rotten = bytes.slice();
    rotten[rotten.length - 5] ^= 1;
    await env.MODEL_CACHE.put(key, rotten);
    expect(await cache.load(sha256)).toEqual(pkg);
    expect(events).toMatchObject([
      { level: "error", message: "model is not what its hash says", from: "kv", sha256, actual: sha256Of(rotten) },
    ]);
    expect(new Uint8Array((await env.MODEL_CACHE.get(key, "arrayBuffer"))!)).toEqual(bytes);
  });

  it("are not served from R2 either: then there is none, and it is asked for again 5 s later", async () => {
    const { asked, ...stores } = counting();
    const { cache, events, settled } = modelsOf(stores);
    const { pkg, bytes, sha256, key } = fresh();
    await env.MODELS.put(key, bytes.slice(0, -1));
    expect(cache.get(sha256)).toBe("warming_up");
    await settled();
    expect(cache.get(sha256)).toBe("missing");
    expect(events).toMatchObject([{ message: "model is not what its hash says", from: "r2", bytes: bytes.length - 1 }]);
    expect(await env.MODEL_CACHE.get(key)).toBeNull();
    clock.now += 4_999;
    expect(cache.get(sha256)).toBe("missing");
    expect(asked.r2).toBe(1);

    await env.MODELS.put(key, bytes);
    clock.now += 1;
    expect(cache.get(sha256)).toBe("warming_up");
    await settled();
    expect(cache.get(sha256)).toEqual({ value: pkg });
  });

  it("do not warm KV", async () => {
    const { cache } = modelsOf();
    const { bytes, sha256, key } = fresh();
    expect(await cache.warm(sha256)).toBe(false);
    await env.MODELS.put(key, bytes.slice(1));
    expect(await cache.warm(sha256)).toBe(false);
    expect(await env.MODEL_CACHE.get(key)).toBeNull();
    await env.MODELS.put(key, bytes);
    expect(await cache.warm(sha256)).toBe(true);
    expect(await env.MODEL_CACHE.get(key)).not.toBeNull();
  });
});

describe("where KV fails", () => {
  it("R2 has it all the same", async () => {
    const broken = () => Promise.reject(new Error("KV is down"));
    const { cache, events } = modelsOf({ kv: { get: broken, put: broken } as unknown as typeof env.MODEL_CACHE });
    const { pkg, bytes } = fresh();
    expect(await cache.load(await cache.store(bytes))).toEqual(pkg);
    expect(events.map(({ message }) => message)).toEqual(["model not read", "model not cached"]);
  });
});
