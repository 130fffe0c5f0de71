import { describe, expect, it } from "vitest";
import { gapsOf, quantile, spreadOf } from "../../../src/core/detectors/regularity.ts";
import { Random } from "../../support/random.ts";

describe("regularity", () => {
  const gaps = (draw: (random: Random) => number) =>
    Array.from(
      { length: 63 },
      (
        (random) => () =>
          60_000 * draw(random)
      )(new Random(5)),
    );

  it("interpolates quantiles", () => {
    expect([quantile([], 0.5), quantile([7], 0.25), quantile([1, 2, 3, 10], 0.5), quantile([0, 10], 0.75)]).toEqual([
      0, 7, 2.5, 7.5,
    ]);
  });

  it("takes differences of neighbours", () => expect(gapsOf([1, 4, 4, 9])).toEqual([3, 0, 5]));

  it("gives a clockwork 1", () =>
    expect(
      spreadOf(
        gaps(() => 1),
        0,
      ).score,
    ).toBe(1));

  it("sees through jitter of 50 %", () => {
    expect(
      spreadOf(
        gaps((random) => 1 - 0.5 * random.next()),
        0,
      ).score,
    ).toBeGreaterThan(0.85);
  });

  it("does not take chance for a clock", () => {
    expect(
      spreadOf(
        gaps((random) => random.exponential(1)),
        0,
      ).score,
    ).toBeLessThan(0.75);
  });

  it("counts skew only beyond what chance makes of so few values", () => {
    const skewed = (count: number) =>
      spreadOf(
        Array.from({ length: count }, (_, i) => (i % 4 === 3 ? 4000 : 1000 + i)),
        0,
      );
    expect(Math.abs(skewed(4).skew)).toBeGreaterThan(0.5);
    expect(skewed(4).score).toBeGreaterThan(skewed(400).score);
  });

  it("takes a median of nothing as it is told", () => {
    expect([spreadOf([0, 0, 0], 0).score, spreadOf([0, 0, 0], 1).score]).toEqual([0.5, 1]);
  });
});
