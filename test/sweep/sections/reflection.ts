import { reflection as grid, type Point } from "../grid.ts";
import { product, type Planted, type Section } from "../section.ts";
import type { World } from "../world.ts";
import { flood } from "./flood.ts";

/** Two minutes of replies from servers that the victim never asked. */
export const reflection: Section = {
  id: "reflection",
  title: "Reflection",
  threat: "ddos",
  points: product({ service: grid.services, rate: grid.repliesPerS, reflectors: grid.reflectors }),
  selection: "pairs",
  along: "rate",
  lines: "reflectors",
  hours: 4,
  historyHours: 0,
  batchS: 10,
  wanted: ({ rate, reflectors }) => grid.wanted({ rate: Number(rate), reflectors: Number(reflectors) }),
  plant,
  imitate: {
    "busy resolver": busyResolver,
    "time server's clients": timeServer,
    "game server query": gameServer,
    "video meeting": flood.imitate["video meeting"],
  },
};

const durationMs = grid.durationS * 1000;

function plant(world: World, { service, rate, reflectors }: Point): Planted {
  const { random } = world;
  const victim = world.inside()(0);
  const servers = Array.from({ length: Number(reflectors) }, () => world.stranger());
  const startMs = world.moment(durationMs);
  const count = Number(rate) * grid.durationS;
  const toPort = random.int(1024, 65_535);
  for (let i = 0; i < count; i++) {
    const packets = random.int(1, 8);
    world.reply({
      server: servers[i % servers.length],
      port: Number(service),
      to: victim,
      toPort,
      startMs: startMs + ((i + random.next()) / count) * durationMs,
      durationMs: 2 * packets,
      bytes: packets * random.int(460, 1400),
      packets,
      udp: true,
    });
  }
  return { entities: [victim], startMs };
}

/** Our resolver asks name servers outside, 50 to 500 times a second; of the answers, one in thirty comes too late. */
function busyResolver(world: World): void {
  const { random } = world;
  const resolver = world.inside()(0);
  const servers = Array.from({ length: 300 }, () => world.stranger());
  const perS = random.pick([50, 200, 500]);
  const lastsMs = 2 * durationMs;
  const startMs = world.moment(lastsMs);
  for (let i = 0; i < (perS * lastsMs) / 1000; i++) {
    const server = random.pick(servers);
    const at = startMs + random.next() * lastsMs;
    const received = random.int(80, 500);
    if (random.chance(0.03))
      world.reply({ server, port: 53, to: resolver, startMs: at, bytes: received, packets: 1, udp: true });
    else
      world.exchange({
        source: resolver,
        target: server,
        port: 53,
        udp: true,
        startMs: at,
        durationMs: random.int(2, 200),
        sent: random.int(36, 70),
        received,
      });
  }
}

/** Our time server answers a crowd, from port 123 to port 123 as often as not. */
function timeServer(world: World): void {
  const { random } = world;
  const server = world.inside()(0);
  const clients = Array.from({ length: 1000 }, () => world.stranger());
  const perS = random.pick([20, 100, 300]);
  const lastsMs = 2 * durationMs;
  const startMs = world.moment(lastsMs);
  for (let i = 0; i < (perS * lastsMs) / 1000; i++) {
    const sourcePort = random.chance(0.5) ? 123 : random.int(1024, 65_535);
    world.exchange({
      source: random.pick(clients),
      sourcePort,
      target: server,
      port: 123,
      udp: true,
      startMs: startMs + random.next() * lastsMs,
      durationMs: 5,
      sent: 48,
      received: 48,
    });
  }
}

/** Players' programs ask our game server for its state, 20 to 100 times a second; the answers are larger. */
function gameServer(world: World): void {
  const { random } = world;
  const server = world.inside()(0);
  const players = Array.from({ length: 200 }, () => world.stranger());
  const perS = random.pick([20, 50, 100]);
  const lastsMs = 3 * durationMs;
  const startMs = world.moment(lastsMs);
  for (let i = 0; i < (perS * lastsMs) / 1000; i++) {
    world.exchange({
      source: random.pick(players),
      target: server,
      port: 27_015,
      udp: true,
      startMs: startMs + random.next() * lastsMs,
      durationMs: random.int(5, 80),
      sent: 25,
      received: random.int(200, 1300),
    });
  }
}
