import { expect, it } from "vitest";
import { retryDelayMs } from "../../../src/core/retry.ts";

it("doubles from a second, and waits a minute after the third retry", () => {
  expect([1, 2, 3, 4, 50].map((retry) => retryDelayMs(retry, "transient", 1))).toEqual([
    1000, 2000, 4000, 60_000, 60_000,
  ]);
});

it("leaves half of it to chance", () => {
  expect([0, 0.5, 1].map((chance) => retryDelayMs(2, "transient", chance))).toEqual([1000, 1500, 2000]);
});

it("does not hurry where only a person can help", () => {
  expect(retryDelayMs(1, "permanent", 1)).toBe(60_000);
});
