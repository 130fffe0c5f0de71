import { describe, expect, it } from "vitest";
import {
  beatOf,
  evennessOf,
  gapsOf,
  longestRunOf,
  quantile,
  rhythmOf,
  spreadOf,
  type Beat,
} from "../../../src/core/detectors/regularity.ts";
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

describe("a beat", () => {
  /** Gaps of a minute, with jitter, of which beats are missed. */
  function beat(count: number, jitter: number, missing: number, seed = 5): Beat {
    const random = new Random(seed);
    const gaps: number[] = [];
    for (let gap = 0; gaps.length < count;) {
      gap += 60_000 * (1 - jitter * random.next());
      if (random.chance(missing)) continue;
      gaps.push(gap);
      gap = 0;
    }
    return beatOf(gaps, spreadOf(gaps, 1));
  }

  function chance(count: number, seed: number): Beat {
    const random = new Random(seed);
    const gaps = Array.from({ length: count }, () => random.exponential(60_000));
    return beatOf(gaps, spreadOf(gaps, 1));
  }

  it("goes on through missed contacts", () => {
    const found = beat(40, 0.1, 0.3);
    expect(found.periodMs).toBeGreaterThan(55_000);
    expect(found.periodMs).toBeLessThan(60_000);
    expect(found.missedShare).toBeGreaterThan(0.2);
    expect(found.missedShare).toBeLessThan(0.4);
    expect(found.folded.score).toBeGreaterThan(0.9);
    expect(found.fitShare).toBe(1);
  });

  it("is the less a matter of chance the more gaps keep to it, but the first", () => {
    // Within 2 % of the median lies 1.39 % of what chance makes.
    for (const count of [4, 7, 20]) expect(beat(count, 0, 0).chancePower).toBeCloseTo(-1.858 * (count - 1), 1);
  });

  it.each([
    [7, 0.2, 0],
    [9, 0.1, 0.1],
    [14, 0.5, 0],
    [30, 0.5, 0.3],
  ])("is told from chance by %i gaps of jitter %d with %d missed", (count, jitter, missing) => {
    const powers = Array.from({ length: 20 }, (_, seed) => beat(count, jitter, missing, seed).chancePower);
    expect(powers.filter((power) => power <= -4).length).toBeGreaterThan(15);
  });

  it("is seldom seen in what chance makes: one in 10,000, where so much is asked for", () => {
    let seen = 0;
    for (let seed = 0; seed < 3000; seed++) if (chance(5 + (seed % 30), seed).chancePower <= -4) seen++;
    expect(seen).toBeLessThan(4);
  });
});

describe("a rhythm", () => {
  const at = (gaps: readonly number[]) => {
    let now = 0;
    return [0, ...gaps.map((gap) => (now += gap))];
  };
  const merged = (...all: number[][]) => all.flat().sort((a, b) => a - b);

  it("shows two beats that mix", () => {
    const [one, other] = [at(Array(32).fill(47_000)), at(Array(22).fill(73_000)).map((ms) => ms + 9000)];
    const { strength, periodMs } = rhythmOf(merged(one, other));
    expect(strength).toBeGreaterThan(0.5);
    expect(periodMs).toBeGreaterThan(40_000);
  });

  it("shows nothing in chance, in bursts, in a moment", () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = new Random(seed);
      const visits = at(Array.from({ length: 60 }, () => random.exponential(60_000)));
      expect(rhythmOf(visits).strength).toBeLessThan(0.5);
      const pages = visits.flatMap((ms) => [0, 2000, 5000, 9000].map((more) => ms + more));
      expect(rhythmOf(merged(pages)).strength).toBeLessThan(0.5);
    }
    expect(rhythmOf([5, 5, 5]).strength).toBe(0);
  });
});

describe("a day's bins", () => {
  it("are even where each hour has as many", () => {
    expect(evennessOf([0, 1, 6, 7, 12, 13], 6)).toBe(1);
    expect(evennessOf([0, 1, 2, 3, 4, 5, 40], 6)).toBe(0);
    expect(evennessOf([], 6)).toBe(0);
  });

  it("have a longest run", () =>
    expect([longestRunOf([]), longestRunOf([3]), longestRunOf([1, 2, 4, 5, 6])]).toEqual([0, 1, 3]));
});
