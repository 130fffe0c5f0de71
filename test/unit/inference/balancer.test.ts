import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Balancer, loadedFrom, type Balanced } from "../../../src/inference/balancer.ts";

const never = () => {
  throw new Error("left to chance");
};

function picks(balancer: Balancer, among: readonly Balanced[], times: number): string[] {
  return Array.from({ length: times }, () => balancer.pick(among)!.id);
}

function instances(weights: Record<string, number>, loads: Record<string, number> = {}): Balanced[] {
  return Object.entries(weights).map(([id, weight]) => ({ id, weight, load: loads[id] ?? 0 }));
}

function countsOf(ids: readonly string[]): Record<string, number> {
  return ids.reduce<Record<string, number>>((counts, id) => ({ ...counts, [id]: (counts[id] ?? 0) + 1 }), {});
}

describe("smooth weighted round robin", () => {
  it("is nginx's: 5, 1 and 1 take turns as its commit message says", () => {
    expect(picks(new Balancer(never), instances({ a: 5, b: 1, c: 1 }), 7).join(" ")).toBe("a a b a c a a");
  });

  it("gives each its weight, exactly, in any run of as many calls as the weights add up to", () => {
    const weights = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(weights, fc.nat(20), (list, before) => {
        const all = instances(Object.fromEntries(list.map((weight, i) => [`i${i}`, weight])));
        const total = list.reduce((sum, weight) => sum + weight, 0);
        const balancer = new Balancer(never);
        picks(balancer, all, before);
        const expected = Object.fromEntries(all.map(({ id, weight }) => [id, weight]));
        expect(countsOf(picks(balancer, all, total))).toEqual(expected);
      }),
    );
  });

  it("goes round those that are left when one leaves, and takes it back without favour", () => {
    const balancer = new Balancer(never);
    const all = instances({ a: 2, b: 1, c: 1 });
    const withoutA = all.filter(({ id }) => id !== "a");
    expect(countsOf(picks(balancer, all, 4))).toEqual({ a: 2, b: 1, c: 1 });
    expect(countsOf(picks(balancer, withoutA, 100))).toEqual({ b: 50, c: 50 });
    expect(countsOf(picks(balancer, all, 40))).toEqual({ a: 20, b: 10, c: 10 });
  });

  it("gives nothing to a weight of 0, and has nothing to give where there is nobody", () => {
    const balancer = new Balancer(never);
    expect(countsOf(picks(balancer, instances({ a: 1, b: 0 }), 5))).toEqual({ a: 5 });
    expect(balancer.pick(instances({ b: 0 }))).toBeUndefined();
    expect(balancer.pick([])).toBeUndefined();
  });
});

describe("under load", () => {
  /** Gives these numbers, in turn. */
  const chances = (...numbers: number[]) => {
    let i = 0;
    return () => numbers[i++ % numbers.length];
  };

  it(`begins at ${loadedFrom} calls in flight on one instance`, () => {
    const weights = { a: 1, b: 1 };
    expect(picks(new Balancer(never), instances(weights, { a: loadedFrom - 1 }), 2)).toEqual(["a", "b"]);
    expect(() => new Balancer(never).pick(instances(weights, { a: loadedFrom }))).toThrow("left to chance");
    // With one instance there is no choice.
    expect(new Balancer(never).pick(instances({ a: 1 }, { a: 99 }))?.id).toBe("a");
  });

  it("takes the less loaded of two, whichever is drawn first", () => {
    const two = instances({ a: 1, b: 1 }, { a: 9, b: 2 });
    expect(picks(new Balancer(chances(0, 0.99)), two, 20)).toEqual(Array.from({ length: 20 }, () => "b"));
  });

  it("reckons load by weight", () => {
    const two = instances({ big: 10, small: 1 }, { big: 12, small: 3 });
    expect(new Balancer(chances(0)).pick(two)?.id).toBe("big");
  });

  it("never takes the most loaded of equal ones, and draws all others", () => {
    const three = instances({ a: 1, b: 1, c: 1 }, { a: 9, b: 5, c: 5 });
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (x, y) => {
          expect(new Balancer(chances(x, y)).pick(three)?.id).not.toBe("a");
        },
      ),
    );
    const drawn = [0, 0.34, 0.67].flatMap((x) => [0, 0.9].map((y) => new Balancer(chances(x, y)).pick(three)?.id));
    expect(new Set(drawn)).toEqual(new Set(["b", "c"]));
  });
});
