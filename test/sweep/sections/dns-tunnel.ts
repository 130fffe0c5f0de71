import { dnsTunnel as grid, type Point } from "../grid.ts";
import { product, type Planted, type Section } from "../section.ts";
import type { World } from "../world.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const durationMs = grid.durationS * 1000;

/** An hour of queries that carry data, straight to a server outside or by way of a resolver of ours. */
export const dnsTunnel: Section = {
  id: "dns-tunnel",
  title: "DNS tunnel",
  threat: "dns_tunnel",
  points: product({ queriesPerS: grid.queriesPerS, bytesPerQuery: grid.bytesPerQuery, way: ["direct", "by resolver"] }),
  selection: "pairs",
  along: "queriesPerS",
  lines: "bytesPerQuery",
  hours: 4,
  historyHours: 0,
  batchS: 60,
  wanted: ({ queriesPerS, bytesPerQuery }) => grid.wanted({ bytesPerS: Number(queriesPerS) * Number(bytesPerQuery) }),
  plant,
  why: "Twenty queries of 80 bytes a second are below what a busy resolver's own lookups reach; the rate that is kept up starts higher.",
  imitate: {
    "resolver of the network": resolver,
    "mail server": mailServer,
    "busy browser": browser,
    "name server": nameServer,
  },
};

function plant(world: World, { queriesPerS, bytesPerQuery, way }: Point): Planted {
  const { random } = world;
  const [client, server] = [world.client(), world.outside()(0)];
  const mine = way === "direct" ? undefined : world.inside()(0);
  const startMs = world.moment(durationMs);
  const count = Number(queriesPerS) * grid.durationS;
  for (let i = 0; i < count; i++) {
    const at = startMs + ((i + random.next()) / count) * durationMs;
    const sizes = { sent: random.around(Number(bytesPerQuery), 0.1), received: random.int(90, 400) };
    ask(world, client, mine ?? server, at, sizes);
    if (mine !== undefined) ask(world, mine, server, at + 1, sizes);
  }
  return { entities: mine === undefined ? [client] : [client, mine], startMs, endMs: startMs + durationMs };
}

function ask(
  world: World,
  source: number,
  target: number,
  startMs: number,
  sizes: { sent: number; received: number },
): void {
  world.exchange({ source, target, port: 53, udp: true, startMs, durationMs: world.random.int(5, 120), ...sizes });
}

function ordinary(world: World): { sent: number; received: number } {
  return { sent: world.random.int(30, 70), received: world.random.int(60, 400) };
}

/** Sixty clients ask it; it asks two forwarders, or servers anywhere, ten times a second for two hours. */
function resolver(world: World): void {
  const { random } = world;
  const host = world.inside()(0);
  const clients = world.inside(60);
  const forwarders = world.outside(2);
  const isForwarding = random.chance(0.5);
  const startMs = world.moment(2 * hourMs);
  for (let at = 0; at < 2 * hourMs; at += random.exponential(100)) {
    const sizes = ordinary(world);
    ask(world, clients(random.int(0, 59)), host, startMs + at, sizes);
    if (random.chance(0.6))
      ask(world, host, isForwarding ? forwarders(random.int(0, 1)) : world.stranger(), startMs + at + 1, sizes);
  }
}

/** Looks up each message's sender: names, keys, block lists; some answers are long. */
function mailServer(world: World): void {
  const { random } = world;
  const host = world.client();
  const server = world.outside()(0);
  const startMs = world.moment(2 * hourMs);
  for (let at = 0; at < 2 * hourMs; at += random.exponential(4000)) {
    for (let i = random.int(3, 9); i > 0; i--) {
      ask(world, host, server, startMs + at + i * 30, {
        sent: random.int(40, 95),
        received: random.logNormal(220, 0.7),
      });
    }
  }
}

/** Pages with names by the dozen. */
function browser(world: World): void {
  const { random } = world;
  const host = world.client();
  const server = world.outside()(0);
  const startMs = world.moment(2 * hourMs);
  for (let at = 0; at < 2 * hourMs; at += random.exponential(20_000)) {
    for (let i = random.int(5, 40); i > 0; i--) ask(world, host, server, startMs + at + i * 40, ordinary(world));
  }
}

/** A name server of ours answers the world, fifteen times a second. */
function nameServer(world: World): void {
  const { random } = world;
  const host = world.inside()(0);
  const startMs = world.moment(hourMs);
  const askers = Array.from({ length: 400 }, () => world.stranger());
  for (let at = 0; at < hourMs; at += random.exponential(66)) {
    ask(world, random.pick(askers), host, startMs + at, { sent: random.int(30, 80), received: random.int(80, 1200) });
  }
}
