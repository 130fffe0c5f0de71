import { lateralMovement as grid, type Point } from "../grid.ts";
import { product, type Planted, type Section } from "../section.ts";
import type { World } from "../world.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** New logins inside, within two hours: all from one host (fan), or each from the last one reached (chain). */
export const lateralMovement: Section = {
  id: "lateral-movement",
  title: "Lateral movement",
  threat: "lateral_movement",
  points: product({ service: grid.services, hosts: grid.hosts, shape: grid.shapes }),
  selection: "all",
  along: "hosts",
  lines: "shape",
  hours: 24,
  historyHours: 24 * grid.historyDays,
  batchS: 60,
  wanted: ({ hosts }) => grid.wanted({ hosts: Number(hosts) }),
  plant,
  why: "An administrator who logs into hosts at random reaches new ones on most days, a handful of them on some.",
  imitate: {
    "administrator's host": administrator,
    "vulnerability-free inventory: once a day, all hosts": inventory,
    "new file server": fileServer,
  },
};

function plant(world: World, { service, hosts, shape }: Point): Planted {
  const { random } = world;
  const first = world.client();
  const others = Array.from({ length: Number(hosts) }, () => world.client());
  const lastsMs = 2 * hourMs;
  const startMs = world.moment(lastsMs);
  others.forEach((target, i) => {
    const source = shape === "fan" || i === 0 ? first : others[i - 1];
    const at = startMs + ((i + 0.6 * random.next()) * lastsMs) / others.length;
    addLogin(world, source, target, Number(service), at);
  });
  return { entities: shape === "fan" ? [first] : [first, ...others], startMs, endMs: startMs + lastsMs };
}

/** Somebody gets in and does some work. */
function addLogin(world: World, source: number, target: number, port: number, startMs: number): void {
  const { random } = world;
  const sizes = { sent: random.logNormal(30_000, 1), received: random.logNormal(25_000, 1) };
  world.exchange({ source, target, port, startMs, durationMs: random.logNormal(60_000, 0.8), ...sizes });
}

/** Logs in to a dozen of his forty hosts each day, and today to one that is new. */
function administrator(world: World): void {
  const { random } = world;
  const source = world.client();
  const hosts = world.inside(41);
  const port = random.pick([22, 3389, 5985]);
  for (let day = world.startMs; day < world.endMs; day += dayMs) {
    for (let i = 0; i < 12; i++) {
      addLogin(world, source, hosts(random.int(0, 39)), port, day + random.int(8 * 60, 17 * 60) * minuteMs);
    }
  }
  addLogin(world, source, hosts(40), port, world.moment(hourMs));
}

/** Asks the sixty hosts of its site for their software, at three in the morning. */
function inventory(world: World): void {
  const { random } = world;
  const source = world.client();
  const hosts = world.inside(60);
  for (let day = world.startMs; day < world.endMs; day += dayMs) {
    for (let i = 0; i < 60; i++) {
      const sizes = { sent: random.int(3000, 5000), received: random.logNormal(60_000, 0.4) };
      const startMs = day + 3 * hourMs + i * 3000 + random.int(0, 2000);
      world.exchange({ source, target: hosts(i), port: 135, startMs, durationMs: random.int(800, 4000), ...sizes });
    }
  }
}

/** Thirty clients of an old file server fetch from a new one as well, since today. */
function fileServer(world: World): void {
  const { random } = world;
  const [older, newer] = [world.inside()(0), world.client()];
  const clients = world.inside(30);
  for (let day = world.startMs; day < world.endMs; day += dayMs) {
    for (let i = 0; i < 30; i++) {
      for (const target of day < world.attackMs ? [older] : [older, newer]) {
        for (let n = random.int(1, 8); n > 0; n--) {
          const sizes = { sent: random.logNormal(6000, 1), received: random.logNormal(200_000, 2) };
          const startMs = day + random.int(8 * 60, 17 * 60) * minuteMs;
          world.exchange({
            source: clients(i),
            target,
            port: 445,
            startMs,
            durationMs: random.logNormal(8000, 1),
            ...sizes,
          });
        }
      }
    }
  }
}
