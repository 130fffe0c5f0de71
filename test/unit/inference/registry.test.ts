import { describe, expect, it } from "vitest";
import type { InForce, VersionRef } from "../../../durable-objects/model-registry-rpc.ts";
import type { Clock } from "../../../src/config.ts";
import type { Cached } from "../../../src/inference/model-cache.ts";
import type { ModelName, ModelPackage } from "../../../src/inference/model.ts";
import { Registry } from "../../../src/inference/registry.ts";
import { tinyForest } from "../../support/tiny-models.ts";

const own = tinyForest();
const newer = { ...own, sha256: "a".repeat(64) };
const ref = ({ sha256 }: ModelPackage): VersionRef => ({ sha256, packageSha256: `package of ${sha256}` });

const inForce = (revision: number, current: VersionRef | "built_in", shadow: VersionRef | null = null): InForce => ({
  revision,
  models: { isolation_forest: { current, shadow }, lstm_autoencoder: { current: "built_in", shadow: null } },
});

/** A registry of an isolate; `answers` are the object's, one by one, the last for good. */
function isolate(...answers: (InForce | Error | Promise<InForce>)[]) {
  let waits: (() => void)[] = [];
  const clock: Clock & { now: number } = {
    now: 1_000_000,
    nowMs: () => clock.now,
    wait: () => new Promise((resolve) => waits.push(resolve)),
    chance: () => 0,
  };
  const loaded: string[] = [];
  const states = new Map<string, Cached<ModelPackage>>();
  const logged: string[] = [];
  let asked = 0;
  const registry = new Registry({
    clock,
    log: ({ message }) => void logged.push(message),
    waitUntil: () => {},
    registry: () => ({
      inForce: async () => {
        const answer = answers[Math.min(asked++, answers.length - 1)];
        if (answer instanceof Error) throw answer;
        return answer;
      },
      observe: async () => {},
    }),
    cache: {
      get: (sha256) => {
        loaded.push(sha256);
        return states.get(sha256) ?? "warming_up";
      },
      warm: async () => true,
    },
    builtIn: new Map<ModelName, ModelPackage>([["isolation_forest", own]]),
  });
  const timeOut = () => {
    for (const resolve of waits) resolve();
    waits = [];
  };
  return { registry, clock, loaded, states, logged, timeOut, asked: () => asked };
}

const current = async (registry: Registry) => (await registry.of("isolation_forest")).current;

describe("the version in force", () => {
  it("is the one that ships with the Worker where nothing was changed, and missing where none ships", async () => {
    const { registry } = isolate(inForce(0, "built_in"));
    expect(await registry.of("isolation_forest")).toEqual({ current: own });
    expect(await registry.of("lstm_autoencoder")).toEqual({ current: "missing" });
  });

  it("is asked for again after 5 s, not before", async () => {
    const { registry, clock, asked, states } = isolate(inForce(0, "built_in"), inForce(1, ref(newer)));
    states.set(ref(newer).packageSha256, { value: newer });
    expect(await current(registry)).toBe(own);
    clock.now += 4_999;
    expect(await current(registry)).toBe(own);
    expect(asked()).toBe(1);
    clock.now += 1;
    expect(await current(registry)).toBe(newer);
  });

  it("is warming up while it is loaded, which nobody waits for", async () => {
    const { registry, states } = isolate(inForce(1, ref(newer)));
    expect(await current(registry)).toBe("warming_up");
    states.set(ref(newer).packageSha256, "missing");
    expect(await current(registry)).toBe("missing");
    states.set(ref(newer).packageSha256, { value: newer });
    expect(await current(registry)).toBe(newer);
  });

  it("has a shadow once that is loaded", async () => {
    const { registry, states } = isolate(inForce(1, "built_in", ref(newer)));
    expect(await registry.of("isolation_forest")).toEqual({ current: own });
    states.set(ref(newer).packageSha256, { value: newer });
    expect(await registry.of("isolation_forest")).toEqual({ current: own, shadow: newer });
  });

  it("begins to be loaded when it is first heard of, for all models at once", async () => {
    const { registry, loaded } = isolate(inForce(1, ref(newer)));
    await registry.begin();
    expect(loaded).toEqual([ref(newer).packageSha256]);
  });
});

describe("while the registry cannot be reached", () => {
  it("what was known last stays in force", async () => {
    const { registry, clock, states, logged } = isolate(inForce(3, ref(newer)), new Error("gone"));
    states.set(ref(newer).packageSha256, { value: newer });
    expect(await current(registry)).toBe(newer);
    clock.now += 60_000;
    expect(await current(registry)).toBe(newer);
    expect(logged).toEqual(["model registry not read: the last known stays in force"]);
  });

  it("what ships with the Worker is in force where nothing was known", async () => {
    expect(await current(isolate(new Error("gone")).registry)).toBe(own);
  });

  it("nobody waits longer than for a while, and the late answer counts afterwards", async () => {
    const { promise: late, resolve: answer } = Promise.withResolvers<InForce>();
    const { registry, states, timeOut, asked } = isolate(late);
    states.set(ref(newer).packageSha256, { value: newer });
    const asking = current(registry);
    timeOut();
    expect(await asking).toBe(own);
    expect(await current(registry)).toBe(own);
    expect(asked()).toBe(1);
    answer(inForce(1, ref(newer)));
    await late;
    await Promise.resolve();
    expect(await current(registry)).toBe(newer);
  });

  it("others go by what is known while one asks", async () => {
    const never = new Promise<InForce>(() => {});
    const { registry, clock, asked } = isolate(inForce(0, "built_in"), never);
    await current(registry);
    clock.now += 5_000;
    void current(registry);
    expect(await current(registry)).toBe(own);
    expect(asked()).toBe(2);
    clock.now += 1_000;
    void current(registry);
    expect(asked()).toBe(3);
  });

  it("an answer that was overtaken changes nothing", async () => {
    const { registry, clock, states } = isolate(inForce(3, ref(newer)), inForce(2, "built_in"));
    states.set(ref(newer).packageSha256, { value: newer });
    await current(registry);
    clock.now += 5_000;
    expect(await current(registry)).toBe(newer);
  });
});
