import { describe, expect, it } from "vitest";
import { Admission } from "../../../src/tiers/admission.ts";

/** Work that ends when it is told to. */
function held() {
  const { promise, resolve } = Promise.withResolvers<string>();
  return { work: () => promise, end: resolve };
}

describe("the door of a tier", () => {
  it("lets so many in at a time, the others in order", async () => {
    const door = new Admission({ running: 2, waiting: 100 });
    const begun: number[] = [];
    const all = [0, 1, 2, 3].map(() => held());
    const results = all.map(({ work }, i) =>
      door.run(10, () => {
        begun.push(i);
        return work();
      }),
    );
    await Promise.resolve();
    expect(begun).toEqual([0, 1]);
    all[1].end("second");
    expect(await results[1]).toBe("second");
    expect(begun).toEqual([0, 1, 2]);
    for (const one of all) one.end("done");
    expect(await Promise.all(results)).toEqual(["done", "second", "done", "done"]);
  });

  it("turns away at once what finds the line full; one call may wait, whatever it brings", async () => {
    const door = new Admission({ running: 1, waiting: 100 });
    const first = held();
    const running = door.run(5, first.work);
    const large = door.run(1_000, async () => "large");
    expect(await door.run(1, async () => "small")).toBeUndefined();
    first.end("first");
    expect([await running, await large]).toEqual(["first", "large"]);
    expect(await door.run(1, async () => "small")).toBe("small");
  });

  it("goes on after work that failed", async () => {
    const door = new Admission({ running: 1, waiting: 1 });
    await expect(door.run(1, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await door.run(1, async () => "next")).toBe("next");
  });
});
