import { describe, expect, it } from "vitest";
import { TokenBuckets } from "../../../src/security/rate-limit.ts";

describe("TokenBuckets", () => {
  it("lets a burst through, then as many as come back", () => {
    const buckets = new TokenBuckets({ perSecond: 8, burst: 3 }, 100);
    expect([0, 0, 0].map((at) => buckets.take("a", 1, at))).toEqual([0, 0, 0]);
    expect(buckets.take("a", 1, 0)).toBe(125);
    expect(buckets.take("a", 1, 125)).toBe(0);
    expect(buckets.take("a", 1, 125)).toBe(125);
    expect(buckets.take("b", 1, 125)).toBe(0);
  });

  it("is never fuller than a burst, and gives nothing for a clock that steps back", () => {
    const buckets = new TokenBuckets({ perSecond: 10, burst: 3 }, 100);
    expect(buckets.take("a", 3, 1_000_000)).toBe(0);
    expect(buckets.take("a", 1, 0)).toBeGreaterThan(0);
    expect(buckets.take("a", 3, 10_000_000)).toBe(0);
    expect(buckets.take("a", 1, 10_000_000)).toBeGreaterThan(0);
  });

  it("drains no lower than empty", () => {
    const buckets = new TokenBuckets({ perSecond: 10, burst: 3 }, 100);
    buckets.drain("a", 50, 0);
    expect(buckets.take("a", 1, 0)).toBe(100);
  });

  it("remembers so many keys, those that were used last", () => {
    const buckets = new TokenBuckets({ perSecond: 1, burst: 1 }, 1000);
    buckets.take("kept", 1, 0);
    for (let i = 0; i < 100_000; i += 500) {
      for (let j = 0; j < 500; j++) buckets.take(`flood ${i + j}`, 1, 0);
      expect(buckets.take("kept", 1, 0)).toBeGreaterThan(0);
    }
    expect(buckets.size).toBe(1000);
  });
});
