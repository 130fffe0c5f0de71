import { expect, it } from "vitest";
import { Breakers } from "../../../src/inference/breaker.ts";
import { failuresMax, recoveryMs } from "../../../src/inference/breaker-state.ts";
import type { SealedAnomalyStore } from "../../../src/storage/anomalies.ts";
import { StorageError } from "../../../src/storage/d1.ts";
import { guardedWrites } from "../../../src/storage/guarded-writes.ts";
import { LocalClock } from "../../../src/tiers/local-parts.ts";
import type { Owner } from "../../../src/security/tenant.ts";

/** A database that fails until it is mended; its breaker's object cannot be reached, so the isolate goes by its own count. */
function parts() {
  const clock = new LocalClock();
  clock.set(1);
  const asked: string[] = [];
  const state = { error: new Error() as Error | undefined };
  const store = {
    upsert: async ({ id }: Owner) => {
      asked.push(id);
      if (state.error) throw state.error;
    },
  } as unknown as SealedAnomalyStore;
  const unreachable = () => Promise.reject(new Error("no object"));
  const object = { ask: unreachable, failed: unreachable, succeeded: unreachable, standing: unreachable };
  const breakers = new Breakers({ clock, log: () => {}, waitUntil: () => {}, objectOf: () => object });
  return { clock, asked, state, guarded: guardedWrites(store, breakers) };
}

const home = { id: "acme", jurisdiction: null } as Owner;

it("does not ask a database that failed five times, until a minute has passed", async () => {
  const { clock, asked, state, guarded } = parts();
  state.error = new StorageError("D1_ERROR: Network connection lost");
  for (let i = 0; i < 2 * failuresMax; i++) await expect(guarded.upsert(home, [])).rejects.toThrow(StorageError);
  expect(asked).toHaveLength(failuresMax);
  state.error = undefined;
  await expect(guarded.upsert(home, [])).rejects.toThrow("breaker is open");
  clock.set(recoveryMs + 2);
  await guarded.upsert(home, []);
  await guarded.upsert(home, []);
  expect(asked).toHaveLength(failuresMax + 2);
});

it("keeps databases apart, and counts nothing that is no failure of theirs", async () => {
  const { asked, state, guarded } = parts();
  state.error = new StorageError("D1_ERROR: overloaded");
  for (let i = 0; i < failuresMax; i++) await expect(guarded.upsert(home, [])).rejects.toThrow();
  state.error = new TypeError("a bug");
  const other = { id: "lab", jurisdiction: "eu" } as Owner;
  for (let i = 0; i < 2 * failuresMax; i++) await expect(guarded.upsert(other, [])).rejects.toThrow("a bug");
  expect(asked.filter((id) => id === "lab")).toHaveLength(2 * failuresMax);
});
