import { expect, it } from "vitest";
import type { Calibration } from "../../../src/inference/model.ts";
import { pValueOf } from "../../../src/inference/p-value.ts";

const none = { edges: [], shares: [1] };
/** Four windows: 0.1, 0.2, 0.2 and 0.4. */
const calibration: Calibration = {
  windows: 4,
  scores: [0.1, 0.2, 0.4],
  at_least: [1, 0.75, 0.25],
  drift: { score: none, features: {} },
};

it("counts the windows that look at least so strange, and the one at hand", () => {
  expect(pValueOf(calibration, 0.2)).toBe((1 + 3) / 5);
  expect(pValueOf(calibration, 0.4)).toBe((1 + 1) / 5);
});

it("takes the greater share between two scores of the table", () => {
  expect(pValueOf(calibration, 0.15)).toBe((1 + 4) / 5);
  expect(pValueOf(calibration, 0.399)).toBe((1 + 3) / 5);
});

it("is 1 for what is less strange than every window, and never 0", () => {
  expect(pValueOf(calibration, 0.05)).toBe(1);
  expect(pValueOf(calibration, 1e9)).toBe((1 + 1) / 5);
});

it("comes to whole counts, though shares are rounded", () => {
  const rounded = { ...calibration, windows: 3, at_least: [1, 0.666667, 0.333333] };
  expect(pValueOf(rounded, 0.2)).toBe((1 + 2) / 4);
});
