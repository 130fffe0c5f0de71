import type { Threat } from "../../src/core/verdict.ts";
import type { Point, Wanted } from "./grid.ts";
import type { World } from "./world.ts";

/** A point of the grid as it was planted. */
export interface Planted {
  /** Indexes of the addresses, one of which a verdict must name. */
  entities: readonly number[];
  /** Whether the prefix of one of them (/24, /48) may be named instead. */
  orPrefix?: true;
  /** Of these, a verdict must list one; any will do where there are none. */
  peers?: readonly number[];
  startMs: number;
  /** End of the last record; that of the scene unless told. */
  endMs?: number;
  /** Ends of the records that make it what it is, for the time to detect: failed attempts, contacts. */
  momentsMs?: readonly number[];
}

/** One part of the grid: what is planted, what stands beside it, and how both look in a log. */
export interface Section {
  /** As files and tables name it. */
  id: string;
  title: string;
  threat: Threat;
  /** Whether a verdict of any other threat tells of it as well: one said since it began. */
  isAnyThreat?: true;
  /** Every combination of the grid's values that can be. */
  points: readonly Point[];
  /** Whether all of them are planted by each seed, or so many that each pair of values is. */
  selection: "all" | "pairs";
  /** The parameter along the plot, and the one that its lines stand for. */
  along: string;
  lines: string;
  /** Of attacks, after `historyHours` without any. */
  hours: number;
  historyHours: number;
  /** Longest span of event time in a batch while attacks begin, in seconds. */
  batchS: 10 | 60;
  wanted(point: Point): Wanted;
  plant(world: World, point: Point): Planted;
  /** Share of each kind among the look-alikes; equal unless told. */
  shares?: Readonly<Record<string, number>>;
  /** Why the points are missed that are, and what is raised falsely is: told where the page lists them. */
  why?: string;
  imitate: Readonly<Record<string, (world: World) => void>>;
}

type Values = { readonly [parameter: string]: readonly (number | string)[] };

/** Every combination of the values, the last parameter fastest. */
export function product(values: Values, isPossible: (point: Point) => boolean = () => true): Point[] {
  let points: Point[] = [{}];
  for (const [name, list] of Object.entries(values)) {
    points = points.flatMap((point) => list.map((value) => ({ ...point, [name]: value })));
  }
  return points.filter(isPossible);
}
