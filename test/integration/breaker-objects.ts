import { env, runInDurableObject } from "cloudflare:test";
import type { BreakerState } from "../../src/inference/breaker-state.ts";

export function breakerStub(name: string) {
  return env.MODEL_BREAKER.get(env.MODEL_BREAKER.idFromName(name));
}

/** As if what a breaker's object remembers were so much older, in ms: its clock is the real one. */
export async function age(name: string, ms: number): Promise<void> {
  await runInDurableObject(breakerStub(name), async (instance, { storage }) => {
    const { breaker } = (await storage.get<{ breaker: BreakerState }>("data"))!;
    const { lastFailureMs, leaseUntilMs } = breaker;
    const older = { ...breaker, lastFailureMs: lastFailureMs - ms, leaseUntilMs: leaseUntilMs - ms };
    Object.assign(instance, { breaker: older });
    await storage.put("data", { breaker: older });
  });
}

/** All that the object has on its disk. */
export function storedOf(name: string): Promise<[string, unknown][]> {
  return runInDurableObject(breakerStub(name), async (_, { storage }) => [...(await storage.list())]);
}
