import type { Random } from "../support/random.ts";
import type { Point } from "./grid.ts";

/**
 * Some of the points, so that every value (strength 1) or every pair of values of two parameters (strength 2) that is
 * among them all is among those. Greedy: each one taken covers the most that is left; chance decides between equals.
 */
export function cover(points: readonly Point[], strength: 1 | 2, random: Random): Point[] {
  const candidates = random.shuffled(points).map((point) => ({ point, parts: partsOf(point, strength) }));
  const left = new Set(candidates.flatMap(({ parts }) => parts));
  const taken: Point[] = [];
  while (left.size > 0) {
    let best = candidates[0];
    let most = 0;
    for (const candidate of candidates) {
      const fresh = candidate.parts.filter((part) => left.has(part)).length;
      if (fresh > most) [best, most] = [candidate, fresh];
    }
    taken.push(best.point);
    for (const part of best.parts) left.delete(part);
  }
  return taken;
}

function partsOf(point: Point, strength: 1 | 2): string[] {
  const values = Object.entries(point).map(([name, value]) => `${name} ${value}`);
  if (strength === 1) return values;
  return values.flatMap((one, i) => values.slice(i + 1).map((other) => `${one}, ${other}`));
}
