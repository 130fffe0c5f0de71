import { describe, expect, it } from "vitest";
import type { Clock } from "../../../src/config.ts";
import { askD1, StorageError } from "../../../src/storage/d1.ts";

const waits: number[] = [];
const clock: Clock = { nowMs: () => 0, wait: async (ms) => void waits.push(ms), chance: () => 0.5 };

/** Fails with these messages, in order, then succeeds. */
function failing(...messages: string[]) {
  const calls: number[] = [];
  const call = async () => {
    const message = messages[calls.push(1) - 1];
    if (message) throw new Error(message);
    return "done";
  };
  return { call, calls };
}

describe("askD1", () => {
  it.each([
    "D1_ERROR: Network connection lost.",
    "D1_ERROR: Internal error in D1 DB storage caused object to be reset.",
    "D1_ERROR: D1 DB reset because its code was updated.",
  ])("asks once more after %s", async (message) => {
    const { call, calls } = failing(message);
    waits.length = 0;
    expect(await askD1(clock, call)).toBe("done");
    expect(calls).toHaveLength(2);
    expect(waits).toEqual([125]);
  });

  it("does not ask a third time", async () => {
    const { call, calls } = failing("Network connection lost", "Network connection lost");
    await expect(askD1(clock, call)).rejects.toThrow(StorageError);
    expect(calls).toHaveLength(2);
  });

  it.each(["D1 DB is overloaded.", "D1 DB exceeded timeout", "UNIQUE constraint failed"])(
    "gives up at %s",
    async (message) => {
      const { call, calls } = failing(message);
      await expect(askD1(clock, call)).rejects.toThrow(StorageError);
      expect(calls).toHaveLength(1);
    },
  );
});
