import { describe, expect, it } from "vitest";
import { failuresMax, newBreaker, recoveryMs } from "../../../src/inference/breaker-state.ts";
import { Breakers, freshMs, type BreakerAnswer, type BreakerRpc } from "../../../src/inference/breaker.ts";
import { ModelInferenceError } from "../../../src/inference/model.ts";
import { MemoryBreakers, stoppedClock } from "../../support/inference-parts.ts";

/** An isolate whose breakers' object the test can slow down or cut off. */
function isolate() {
  const clock = stoppedClock();
  const memory = new MemoryBreakers(clock);
  const pending: Promise<unknown>[] = [];
  const log: string[] = [];
  /** Each call waits for this. */
  const line: { before: () => Promise<void> } = { before: async () => {} };
  const objectOf = (name: string): BreakerRpc => {
    const real = memory.objectOf(name);
    return {
      ask: async () => (await line.before(), real.ask()),
      failed: async (lease) => (await line.before(), real.failed(lease)),
      succeeded: async (lease) => (await line.before(), real.succeeded(lease)),
      standing: () => real.standing(),
    };
  };
  const waitUntil = (promise: Promise<unknown>) => void pending.push(promise);
  const breakers = new Breakers({ clock, log: ({ message }) => void log.push(message), waitUntil, objectOf });
  const settled = async () => {
    while (pending.length > 0) await pending.shift();
  };
  return { breaker: breakers.of("d1"), breakers, clock, memory, line, log, settled };
}

const turn = () => new Promise<void>((resolve) => setTimeout(resolve));
const fail = () => Promise.reject(new ModelInferenceError("on purpose"));
const isOpen = { ran: false, reason: "breaker_open" };

describe("an isolate", () => {
  it("asks the object once in five seconds while all is well, and tells it nothing", async () => {
    const { breaker, clock, memory, settled } = isolate();
    for (let i = 0; i < 10; i++) {
      expect(await breaker.call(async () => i)).toEqual({ ran: true, value: i });
      clock.now += freshMs / 5;
    }
    await settled();
    expect(memory.told).toEqual(["ask d1", "ask d1"]);
  });

  it("asks nothing while it is open", async () => {
    const { breaker, clock, memory, settled } = isolate();
    for (let i = 0; i < failuresMax; i++) await expect(breaker.call(fail)).rejects.toThrow("on purpose");
    await settled();
    memory.told.length = 0;
    for (let i = 0; i < 6; i++) {
      expect(await breaker.call(fail)).toEqual(isOpen);
      clock.now += recoveryMs / 6;
    }
    expect(memory.told).toEqual([]);
  });

  it("counts only the failures that are to be counted", async () => {
    const { breaker, settled, memory } = isolate();
    const bug = () => Promise.reject(new TypeError("a bug"));
    for (let i = 0; i < 2 * failuresMax; i++) await expect(breaker.call(bug)).rejects.toThrow("a bug");
    await settled();
    expect(memory.told).toEqual(["ask d1"]);
    const isBug = (error: unknown) => error instanceof TypeError;
    for (let i = 0; i < failuresMax; i++) await expect(breaker.call(bug, isBug)).rejects.toThrow("a bug");
    expect(await breaker.call(bug, isBug)).toEqual(isOpen);
  });

  it("does not wait for an object that hangs, and goes by its own count", async () => {
    const { breaker, line, log, settled, clock } = isolate();
    line.before = () => new Promise(() => {});
    expect(await breaker.call(async () => "well")).toEqual({ ran: true, value: "well" });
    expect(log).toEqual(["breaker not reached: going by its own count"]);
    for (let i = 0; i < failuresMax; i++) await expect(breaker.call(fail)).rejects.toThrow();
    expect(await breaker.call(fail)).toEqual(isOpen);
    line.before = async () => {};
    await settled();
    // The object has heard of nothing, and says so when it is asked: that counts again.
    clock.now += recoveryMs + 1;
    expect(await breaker.call(async () => "well")).toEqual({ ran: true, value: "well" });
  });

  it("probes once by itself while the object cannot be reached", async () => {
    const { breaker, line, clock } = isolate();
    line.before = () => Promise.reject(new Error("Network connection lost"));
    for (let i = 0; i < failuresMax; i++) await expect(breaker.call(fail)).rejects.toThrow();
    clock.now += recoveryMs + 1;
    let [calls, finish] = [0, () => {}];
    const slow = () => (calls++, new Promise<void>((resolve) => (finish = resolve)));
    const probing = breaker.call(slow);
    await turn();
    expect(await breaker.call(slow)).toEqual(isOpen);
    expect(calls).toBe(1);
    finish();
    expect(await probing).toMatchObject({ ran: true });
    expect(await breaker.call(async () => 1)).toMatchObject({ ran: true });
  });

  it("does not forget what happened while the object answered", async () => {
    const { breaker, line, settled } = isolate();
    await breaker.call(async () => 1);
    const gates: (() => void)[] = [];
    line.before = () => new Promise((resolve) => gates.push(resolve));
    for (let i = 0; i < failuresMax; i++) await expect(breaker.call(fail)).rejects.toThrow();
    // The object has answered the first of five.
    gates.shift()!();
    for (let i = 0; i < 5; i++) await turn();
    expect(await breaker.call(fail)).toEqual(isOpen);
    line.before = async () => {};
    gates.shift()!();
    await settled();
    expect(await breaker.call(fail)).toEqual(isOpen);
  });

  it("goes by what it knows while another request asks; one that dies while it asks holds nobody up", async () => {
    const { breaker, clock, line, memory } = isolate();
    const dead = new Promise<void>(() => {});
    line.before = () => dead;
    const died = breaker.permit();
    expect(await breaker.permit()).toEqual({ lease: 0, ownLease: 0 });
    line.before = async () => {};
    expect(memory.told).toEqual([]);
    clock.now += 250;
    expect(await breaker.permit()).toEqual({ lease: 0, ownLease: 0 });
    expect(memory.told).toEqual(["ask d1"]);
    await died;
  });

  it("gives the object's lease to one of its requests only", async () => {
    const { breaker, breakers, clock, settled } = isolate();
    for (let i = 0; i < failuresMax; i++) await expect(breaker.call(fail)).rejects.toThrow();
    await settled();
    clock.now += recoveryMs + 1;
    const permits = await Promise.all(Array.from({ length: 5 }, () => breakers.of("d1").permit()));
    expect(permits.filter((permit) => permit !== undefined)).toEqual([{ lease: 1, ownLease: 0 }]);
  });

  it("takes over what other isolates brought about", async () => {
    const clock = stoppedClock();
    const answer: BreakerAnswer = {
      ...newBreaker,
      state: "open",
      failures: 7,
      failedMsAgo: 59_000,
      leaseMsLeft: 0,
      permission: "refused",
    };
    let asks = 0;
    const object = { ask: async () => (asks++, answer) } as unknown as BreakerRpc;
    const breakers = new Breakers({ clock, log: () => {}, waitUntil: () => {}, objectOf: () => object });
    expect(await breakers.of("d1").permit()).toBeUndefined();
    clock.now += 1_000;
    expect(await breakers.of("d1").permit()).toBeUndefined();
    expect(asks).toBe(1);
    clock.now += 1;
    await breakers.of("d1").permit();
    expect(asks).toBe(2);
  });
});
