import { Random } from "../support/random.ts";
import { novelBehaviour } from "./grid.ts";
import { live } from "./lives.ts";
import { addBackground, addOrdinaryLife, type Background } from "./ordinary.ts";
import type { Section } from "./section.ts";
import { World } from "./world.ts";

export interface BenignOptions {
  seed: number;
  background: Background;
  /** Of these all kinds of look-alikes, `each` of every one; those that begin, begin on the fourth day. */
  sections: readonly Section[];
  each: number;
  /** Hosts of each life besides. */
  lives: number;
}

const hourMs = 3_600_000;
/** Five days from a Monday on, so that a host that is only on by day has more windows than are remembered. */
const startMs = Date.UTC(2026, 0, 5);
const historyHours = 84;
const hours = 120;

/** A network in which nobody attacks; the same options give the same records. */
export function makeBenign({ seed, background, sections, each, lives }: BenignOptions): World {
  const random = new Random(seed).fork("benign").fork(background);
  const world = new World({ startMs, attackMs: startMs + historyHours * hourMs, endMs: startMs + hours * hourMs });
  addBackground(world, background, seed, lives < 10);
  let owner = 0;
  const begin = (name: string) => world.begin(++owner, random.fork(`${name} ${owner}`));
  for (const life of novelBehaviour.lives) {
    for (let i = 0; i < lives; i++) {
      begin(life);
      live(world, world.inside()(0), life);
    }
  }
  for (const { imitate } of sections) {
    for (const [kind, make] of Object.entries(imitate)) {
      for (let i = 0; i < each; i++) {
        begin(kind);
        make(world);
      }
    }
  }
  world.finish();
  world.begin(0, random.fork("ordinary life"));
  addOrdinaryLife(world, world.clients, world.random, false);
  return world;
}
