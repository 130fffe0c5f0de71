import { describe, expect, it } from "vitest";
import {
  addedAgreement,
  addedDrift,
  driftOf,
  driftRowsMin,
  levelOf,
  partOf,
  stabilityIndex,
} from "../../../src/inference/drift.ts";

const tenths = { edges: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], shares: Array<number>(10).fill(0.1) };

describe("the population stability index", () => {
  it("is 0 where shares are as they were, and as large as by hand where they are not", () => {
    expect(stabilityIndex(tenths.shares, Array<number>(10).fill(50))).toBe(0);
    // (0.6 − 0.5) ln(0.6 / 0.5) + (0.4 − 0.5) ln(0.4 / 0.5)
    expect(stabilityIndex([0.5, 0.5], [60, 40])).toBeCloseTo(0.0182322 + 0.0223144, 6);
    expect(stabilityIndex([0.5, 0.5], [0, 0])).toBe(0);
  });

  it("is finite where a part is empty", () => {
    expect(stabilityIndex([0, 1], [100, 0])).toBeCloseTo(2 * 0.9999 * Math.log(1e4), 9);
  });

  it("has levels from 0.1 and from 0.25 on", () => {
    expect([0, 0.0999, 0.1, 0.2499, 0.25, 9].map(levelOf)).toEqual([
      "stable",
      "stable",
      "moderate",
      "moderate",
      "shifted",
      "shifted",
    ]);
  });
});

describe("a histogram", () => {
  it("has the value in the first part whose edge it lies below", () => {
    expect([-1, 0, 0.0999, 0.1, 0.55, 0.9, 2].map((value) => partOf(tenths, value))).toEqual([0, 0, 0, 1, 5, 9, 9]);
    expect(partOf({ edges: [] }, 0.5)).toBe(0);
  });
});

describe("drift", () => {
  const calibration = { score: tenths, features: { requests: { edges: [0.5], shares: [0.5, 0.5] } } };
  const even = (rows: number) => Array<number>(10).fill(rows / 10);
  const counts = { rows: 1000, score: even(1000), features: { requests: [900, 100], unknown: [1, 2, 3] } };

  it("names each index, and its worst one makes the level", () => {
    expect(driftOf(calibration, counts)).toEqual({
      rows: 1000,
      level: "shifted",
      score: 0,
      features: { requests: expect.closeTo(0.87889, 5) as number },
    });
    const calm = driftOf(calibration, { ...counts, features: { requests: [500, 500] } });
    expect(calm).toMatchObject({ level: "stable", features: { requests: 0 } });
  });

  it("says nothing of a few rows, or of parts that are another calibration's", () => {
    const few = { ...counts, rows: driftRowsMin - 1 };
    expect(driftOf(calibration, few)).toEqual({ rows: few.rows, level: null, score: null, features: null });
    expect(driftOf(calibration, { ...counts, score: [1000] }).level).toBeNull();
  });

  it("adds up, unless the parts are others by now", () => {
    const more = { rows: 2, score: [1, 1], features: { requests: [2, 0] } };
    expect(addedDrift(undefined, more)).toEqual(more);
    const both = addedDrift({ rows: 3, score: [3, 0], features: { requests: [1, 2] } }, more);
    expect(both).toEqual({ rows: 5, score: [4, 1], features: { requests: [3, 2] } });
    expect(addedDrift({ ...both, score: [1, 2, 3] }, more)).toEqual(more);
    expect(addedDrift({ ...both, features: { requests: [5] } }, more)).toEqual(more);
  });
});

describe("agreement", () => {
  it("adds up", () => {
    const one = { rows: 10, both: 1, neither: 6, only_current: 2, only_shadow: 1, p_difference: 0.5 };
    expect(addedAgreement(undefined, one)).toEqual(one);
    expect(addedAgreement(one, one)).toEqual({
      rows: 20,
      both: 2,
      neither: 12,
      only_current: 4,
      only_shadow: 2,
      p_difference: 1,
    });
  });
});
