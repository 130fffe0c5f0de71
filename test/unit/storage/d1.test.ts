import { describe, expect, it } from "vitest";
import { askD1, StorageError } from "../../../src/storage/d1.ts";

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
    expect(await askD1(call)).toBe("done");
    expect(calls).toHaveLength(2);
  });

  it("does not ask a third time", async () => {
    const { call, calls } = failing("Network connection lost", "Network connection lost");
    await expect(askD1(call)).rejects.toThrow(StorageError);
    expect(calls).toHaveLength(2);
  });

  it.each(["D1 DB is overloaded.", "D1 DB exceeded timeout", "UNIQUE constraint failed"])(
    "gives up at %s",
    async (message) => {
      const { call, calls } = failing(message);
      await expect(askD1(call)).rejects.toThrow(StorageError);
      expect(calls).toHaveLength(1);
    },
  );
});
