import { describe, expect, it } from "vitest";
import { changed, firstPointers, type PointerChange, type Pointers } from "../../../src/inference/pointers.ts";

const after = (...changes: PointerChange[]) =>
  changes.reduce((pointers, change) => changed(pointers, change) as Pointers, firstPointers);
const promote = (version: string): PointerChange => ({ to: "promote", version });
const shadow = (version: string | null): PointerChange => ({ to: "shadow", version });
const rollback: PointerChange = { to: "rollback" };

describe("the pointers of a model", () => {
  it("remember what was in force before, and a rollback can be rolled back", () => {
    expect(after(promote("a"))).toEqual({ current: "a", previous: "built_in", shadow: null });
    expect(after(promote("a"), promote("b"))).toEqual({ current: "b", previous: "a", shadow: null });
    expect(after(promote("a"), promote("b"), rollback)).toEqual({ current: "a", previous: "b", shadow: null });
    expect(after(promote("a"), promote("b"), rollback, rollback)).toMatchObject({ current: "b", previous: "a" });
    expect(changed(firstPointers, rollback)).toBe("nothing_before");
  });

  it("stay as they are where a version is promoted that is in force", () => {
    expect(after(promote("a"), promote("a"))).toEqual(after(promote("a")));
  });

  it("never name a version as its own shadow", () => {
    expect(after(shadow("a"))).toEqual({ ...firstPointers, shadow: "a" });
    expect(after(shadow("a"), shadow(null))).toEqual(firstPointers);
    expect(after(shadow("a"), promote("b"))).toMatchObject({ current: "b", shadow: "a" });
    expect(after(shadow("a"), promote("a"))).toMatchObject({ current: "a", shadow: null });
    expect(after(promote("a"), promote("b"), shadow("a"), rollback)).toMatchObject({ current: "a", shadow: null });
    expect(changed(after(promote("a")), shadow("a"))).toBe("is_current");
  });
});
