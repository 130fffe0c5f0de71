import { describe, expect, test } from "vitest";
import { Random } from "../../support/random.ts";
import { cover } from "../../sweep/cover.ts";
import { seeds } from "../../sweep/grid.ts";
import recorded from "../../sweep/recorded.json" with { type: "json" };
import { makeScene } from "../../sweep/scene.ts";
import { product } from "../../sweep/section.ts";
import { dnsTunnel } from "../../sweep/sections/dns-tunnel.ts";
import { recordOf, summaries, sweep, type Recorded } from "../../sweep/sweep.ts";
import { World } from "../../sweep/world.ts";

/** Work that is the same in both worlds: once is enough. */
const isWorkerd = globalThis.navigator?.userAgent === "Cloudflare-Workers";

describe.skipIf(isWorkerd)("the quick sweep", () => {
  test("finds no less, and raises no more falsely, than was recorded", { timeout: 240_000 }, () => {
    const measured = recordOf(summaries([...sweep({ seeds: seeds.seen, quick: true })]));
    const worse = Object.entries(recorded as Recorded).flatMap(([section, { recall, precision }]) => {
      const now = measured[section];
      const isWorse = (was: number | null, is: number | null | undefined) => was !== null && (is ?? 0) < was;
      return isWorse(recall, now?.recall) || isWorse(precision, now?.precision) ? [{ section, now }] : [];
    });
    expect(worse).toEqual([]);
  });
});

test.skipIf(isWorkerd)("the same seed plants the same records", () => {
  const [one, other] = [1, 2].map(() => makeScene({ section: dnsTunnel, seed: 1, background: "office", quick: true }));
  const { flows } = one.world;
  expect(flows.length).toBeGreaterThan(1000);
  expect(other.world.flows.addresses.words).toEqual(flows.addresses.words);
  for (const column of ["startMs", "endMs", "source", "target", "sourceBytes", "targetBytes"] as const) {
    expect(Buffer.from(other.world.flows[column].buffer).equals(Buffer.from(flows[column].buffer))).toBe(true);
  }
});

test("a verdict about a network is about each that has an address in it", () => {
  const world = new World({ startMs: 0, attackMs: 0, endMs: 1 });
  world.begin(7, new Random(3));
  const hosts = world.inside(300);
  expect([0, 249, 250].map((host) => world.textOf(hosts(host)))).toEqual(["10.32.0.1", "10.32.0.250", "10.32.1.1"]);
  expect(["10.32.0.1", "10.32.1.0/24", "10.32.2.0/24", "10.32.0.2"].map((entity) => world.ownersOf(entity))).toEqual([
    [7],
    [7],
    [],
    [],
  ]);
  expect(world.names("10.32.1.0/24", hosts(250), true)).toBe(true);
  expect(world.names("10.32.1.0/24", hosts(250), false)).toBe(false);
});

test("a covering selection has every pair of values", () => {
  const points = product({ a: [1, 2, 3], b: ["x", "y"], c: [1, 2, 3, 4] }, ({ a, c }) => a !== c);
  const chosen = cover(points, 2, new Random(1));
  const pairs = (of: typeof points) =>
    new Set(of.flatMap(({ a, b, c }) => [`a${a} b${b}`, `a${a} c${c}`, `b${b} c${c}`]));
  expect(pairs(chosen)).toEqual(pairs(points));
  expect(chosen.length).toBeLessThan(points.length);
});
