import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { breakerObject } from "../../durable-objects/model-breaker-rpc.ts";
import { failuresMax, forgottenMs, leaseMs, noLease, recoveryMs } from "../../src/inference/breaker-state.ts";
import { Breakers, type BreakerRpc, type BreakersParts } from "../../src/inference/breaker.ts";
import { ModelInferenceError } from "../../src/inference/model.ts";
import { age, breakerStub, storedOf } from "./breaker-objects.ts";
import { clock } from "./harness.ts";

const object = (name: string) => breakerObject(env.MODEL_BREAKER, name);

async function opened(name: string): Promise<BreakerRpc> {
  const breaker = object(name);
  for (let i = 0; i < failuresMax; i++) await breaker.failed(noLease);
  return breaker;
}

describe("a breaker's object", () => {
  it("opens at the fifth failure, for everybody, and stays so through an eviction", async () => {
    const breaker = object("evicted");
    for (let i = 1; i < failuresMax; i++) {
      expect(await breaker.failed(noLease)).toMatchObject({ state: "closed", failures: i });
      await evictDurableObject(breakerStub("evicted"));
      expect(await breaker.ask()).toMatchObject({ permission: "call", failures: i });
    }
    expect(await breaker.failed(noLease)).toMatchObject({ state: "open", failures: failuresMax });
    await evictDurableObject(breakerStub("evicted"));
    expect(await object("evicted").ask()).toMatchObject({
      permission: "refused",
      state: "open",
      failures: failuresMax,
    });
  });

  it("gives exactly one of those who ask at the same time the lease, and after 30 s another one", async () => {
    const breaker = await opened("probed");
    await age("probed", recoveryMs + 1);
    const answers = await Promise.all(Array.from({ length: 20 }, () => object("probed").ask()));
    const probes = answers.filter(({ permission }) => permission === "probe");
    expect(probes).toHaveLength(1);
    expect(answers.filter(({ permission }) => permission === "refused")).toHaveLength(19);
    await evictDurableObject(breakerStub("probed"));
    expect(await breaker.ask()).toMatchObject({ permission: "refused", state: "half_open", lease: 1 });
    await age("probed", leaseMs);
    await evictDurableObject(breakerStub("probed"));
    expect(await breaker.ask()).toMatchObject({ permission: "probe", lease: 2 });
    // The first one is heard of too late.
    expect(await breaker.succeeded(1)).toMatchObject({ state: "half_open" });
    expect(await breaker.succeeded(2)).toMatchObject({ state: "closed", failures: 0 });
  });

  it("opens for another 60 s where the probe fails", async () => {
    const breaker = await opened("failed-again");
    await age("failed-again", recoveryMs + 1);
    const { lease } = await breaker.ask();
    expect(await breaker.failed(lease)).toMatchObject({ state: "open", failures: failuresMax + 1 });
    await age("failed-again", recoveryMs / 2);
    expect(await breaker.ask()).toMatchObject({ permission: "refused" });
    await age("failed-again", recoveryMs / 2 + 1);
    expect(await breaker.ask()).toMatchObject({ permission: "probe" });
  });

  it("writes on transitions only", async () => {
    const breaker = object("quiet");
    await breaker.ask();
    await breaker.succeeded(noLease);
    await breaker.standing();
    expect(await storedOf("quiet")).toEqual([]);
    await breaker.failed(noLease);
    expect(await storedOf("quiet")).toEqual([["data", { breaker: expect.objectContaining({ failures: 1 }) }]]);
  });

  it("forgets what was quiet for a day, by its alarm, and nothing sooner", async () => {
    const breaker = await opened("forgotten");
    const stub = breakerStub("forgotten");
    await evictDurableObject(stub);
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    expect(await breaker.standing()).toMatchObject({ state: "open", failures: failuresMax });
    await age("forgotten", forgottenMs);
    await evictDurableObject(stub);
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    expect(await storedOf("forgotten")).toEqual([]);
    expect(await breaker.standing()).toMatchObject({ state: "closed", failures: 0 });
    expect(await runDurableObjectAlarm(stub)).toBe(false);
  });

  it("is reached by its own methods only", async () => {
    const stub = breakerStub("fetched");
    const response = await stub.fetch("https://itty-durable/do/call/nothing", { headers: { "do-name": "fetched" } });
    expect(response.status).toBe(500);
    await response.body?.cancel();
  });
});

describe("isolates that share a breaker", () => {
  /** An isolate of its own; `settled` waits for what it does behind its answers. */
  function isolate(more: Partial<BreakersParts> = {}) {
    const pending: Promise<unknown>[] = [];
    const waitUntil = (promise: Promise<unknown>) => void pending.push(promise);
    const breakers = new Breakers({ clock, log: () => {}, waitUntil, objectOf: object, ...more });
    const settled = async () => {
      while (pending.length > 0) await pending.shift();
    };
    return { breakers, settled };
  }
  const fail = () => Promise.reject(new ModelInferenceError("on purpose"));

  it("count together: what fails in two of them opens it in a third", async () => {
    const [a, b, c] = [isolate(), isolate(), isolate()];
    for (const { breakers, settled } of [a, b, a, b, a]) {
      await expect(breakers.of("shared").call(fail)).rejects.toThrow("on purpose");
      await settled();
    }
    let calls = 0;
    const work = async () => ++calls;
    expect(await c.breakers.of("shared").call(work)).toEqual({ ran: false, reason: "breaker_open" });
    expect(calls).toBe(0);
    expect(await c.breakers.standing("shared")).toMatchObject({ state: "open", failures: 5 });
  });

  it("probe once, and all go on when the probe succeeds", async () => {
    await opened("recovering");
    const isolates = [isolate(), isolate(), isolate()];
    let calls = 0;
    const work = async () => ++calls;
    const callAll = () => Promise.all(isolates.map(({ breakers }) => breakers.of("recovering").call(work)));
    expect((await callAll()).filter(({ ran }) => ran)).toEqual([]);
    await age("recovering", recoveryMs + 1);
    clock.now += recoveryMs + 1;
    expect((await callAll()).filter(({ ran }) => ran)).toHaveLength(1);
    for (const { settled } of isolates) await settled();
    clock.now += 5_000;
    expect((await callAll()).filter(({ ran }) => ran)).toHaveLength(3);
    expect(calls).toBe(4);
  });

  it("tell it of the first success after a failure, and of no other", async () => {
    const told: string[] = [];
    const counting = (name: string): BreakerRpc => {
      const real = object(name);
      return {
        ...real,
        failed: (lease) => (told.push("failed"), real.failed(lease)),
        succeeded: (lease) => (told.push("succeeded"), real.succeeded(lease)),
      };
    };
    const [a, b] = [isolate({ objectOf: counting }), isolate({ objectOf: counting })];
    await expect(a.breakers.of("mostly-good").call(fail)).rejects.toThrow();
    await a.settled();
    for (let i = 0; i < 3; i++) await b.breakers.of("mostly-good").call(async () => i);
    await b.settled();
    for (let i = 0; i < 3; i++) await a.breakers.of("mostly-good").call(async () => i);
    expect(told).toEqual(["failed", "succeeded", "succeeded"]);
    expect(await a.breakers.standing("mostly-good")).toMatchObject({ failures: 0 });
  });

  it("go on by themselves while it cannot be reached", async () => {
    const unreachable = () => Promise.reject(new Error("Network connection lost"));
    const dead: BreakerRpc = { ask: unreachable, failed: unreachable, succeeded: unreachable, standing: unreachable };
    const { breakers, settled } = isolate({ objectOf: () => dead });
    let calls = 0;
    const failing = () => (calls++, fail());
    for (let i = 0; i < failuresMax; i++) await expect(breakers.of("dead").call(failing)).rejects.toThrow("on purpose");
    await settled();
    expect(await breakers.of("dead").call(failing)).toMatchObject({ ran: false });
    expect(calls).toBe(failuresMax);
    clock.now += recoveryMs + 1;
    expect(await breakers.of("dead").call(async () => "well")).toEqual({ ran: true, value: "well" });
    expect(await breakers.of("dead").call(async () => "well")).toEqual({ ran: true, value: "well" });
  });
});

it("objects of breakers hold no property that is not meant to be stored", async () => {
  await object("shape").failed(noLease);
  const own = await runInDurableObject(breakerStub("shape"), (instance) => Object.keys(instance));
  expect(own.toSorted()).toEqual(["breaker", "state"]);
});
