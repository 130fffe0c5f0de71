import type { FlowBatch } from "../../src/core/flow/flow-batch.ts";
import { Random } from "../support/random.ts";
import { cover } from "./cover.ts";
import type { Point } from "./grid.ts";
import { addBackground, addOrdinaryLife, type Background } from "./ordinary.ts";
import { copyShifted } from "./rows.ts";
import type { Planted, Section } from "./section.ts";
import { World } from "./world.ts";

/** Benign records of somebody else's network. */
export interface CaptureRows {
  name: string;
  rows: FlowBatch;
  internal: readonly string[];
}

export interface SceneOptions {
  section: Section;
  seed: number;
  background: Background | CaptureRows;
  /** Each value of a parameter once, not each pair; few hosts. */
  quick?: boolean;
}

/** Who owns addresses: a point of the grid, or a look-alike of some kind. */
export type Owner = { point: Point; planted: Planted } | { kind: string };

export interface Scene {
  world: World;
  /** By number; 0 is the background. */
  owners: (Owner | undefined)[];
  internal: string[];
}

const hourMs = 3_600_000;
/** 2026-01-05T00:00Z, a Monday. */
const sceneStartMs = Date.UTC(2026, 0, 5);

/** Plants points and as many look-alikes in a background. The same options give the same records. */
export function makeScene({ section, seed, background, quick = false }: SceneOptions): Scene {
  const name = typeof background === "string" ? background : background.name;
  const random = new Random(seed).fork(section.id).fork(name);
  const attackMs = sceneStartMs + section.historyHours * hourMs;
  const world = new World({ startMs: sceneStartMs, attackMs, endMs: attackMs + section.hours * hourMs });
  if (typeof background === "string") addBackground(world, background, seed, quick);
  else addCapture(world, background);
  const owners: (Owner | undefined)[] = [undefined];
  for (const point of pointsOf(section, random.fork("points"), quick)) {
    world.begin(owners.length, random.fork(`point ${owners.length}`));
    owners.push({ point, planted: section.plant(world, point) });
  }
  for (const kind of kindsOf(section, owners.length - 1)) {
    world.begin(owners.length, random.fork(`look-alike ${owners.length}`));
    section.imitate[kind](world);
    owners.push({ kind });
  }
  world.finish();
  world.begin(0, random.fork("ordinary life"));
  addOrdinaryLife(world, world.clients, world.random, quick);
  const internal = ["10.0.0.0/8", "fd00::/8", ...(typeof background === "string" ? [] : background.internal)];
  return { world, owners, internal };
}

function pointsOf({ points, selection }: Section, random: Random, quick: boolean): readonly Point[] {
  if (quick) return cover(points, 1, random);
  return selection === "all" ? points : cover(points, 2, random);
}

/** A kind for each of `count` look-alikes, by its share, but at least one of each. */
function kindsOf({ imitate, shares = {} }: Section, count: number): string[] {
  const kinds = Object.keys(imitate);
  return kinds.flatMap((kind, i) => {
    const share = shares[kind];
    const even = Math.floor((count * (i + 1)) / kinds.length) - Math.floor((count * i) / kinds.length);
    const wanted = share === undefined ? even : Math.round(share * count);
    return Array.from({ length: Math.max(1, wanted) }, () => kind);
  });
}

/** By its own clock, from the start of the scene; again and again where it is shorter. */
function addCapture({ flows, startMs, endMs }: World, { rows }: CaptureRows): void {
  let [firstMs, lastMs] = [Infinity, -Infinity];
  for (let i = 0; i < rows.length; i++) {
    firstMs = Math.min(firstMs, rows.startMs[i]);
    lastMs = Math.max(lastMs, rows.endMs[i]);
  }
  for (let shiftMs = startMs - firstMs; firstMs + shiftMs < endMs; shiftMs += lastMs - firstMs + 1000) {
    copyShifted(rows, shiftMs, endMs, flows);
  }
}
