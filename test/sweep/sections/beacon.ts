import { beacon as grid, type Point } from "../grid.ts";
import { product, type Planted, type Section } from "../section.ts";
import type { World } from "../world.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** An implant that calls out, after two days without it. */
export const beacon: Section = {
  id: "beacon",
  title: "C2 beacon",
  threat: "c2_beacon",
  points: product({ intervalS: grid.intervalS, jitter: grid.jitter, missing: grid.missing, port: grid.ports }),
  selection: "pairs",
  along: "intervalS",
  lines: "jitter",
  hours: 27,
  historyHours: 24 * grid.historyDays,
  batchS: 10,
  wanted: ({ intervalS }) => grid.wanted({ intervalS: Number(intervalS) }),
  plant,
  shares: grid.lookalikes,
  why: "A call an hour of which a third is left out, with half an interval of jitter, leaves a dozen contacts a day, and any of a hundred pollers looks as regular. A page that polls all day is told from a beacon by how many hosts have it open, which is known an hour late.",
  imitate: {
    "fleet agent: one service, all hosts, 60 s": (world) => fleetAgent(world, world.startMs, minuteMs),
    "update service: some hosts, 1 h, large answers at times": updateService,
    "device cloud: one host, own service, 30 s, 8883": deviceCloud,
    "mail client: 5 min, answers vary": mailClient,
    "chat keep-alive: one long connection, sliced": chat,
    "time server: 64 s to 1024 s": timeServer,
    "monitoring of an outside site: one host, 60 s, page as answer": monitoring,
    "new fleet agent: since today, all hosts, 15 s": (world) => fleetAgent(world, world.attackMs, 15_000),
    "browser tab: 30 s while people work, popular service": browserTab,
  },
};

/** Lasts 400 intervals, but at least an hour and at most a day. */
function plant(world: World, { intervalS, jitter, missing, port }: Point): Planted {
  const { random } = world;
  const [source, target] = [world.client(), world.outside()(0)];
  const intervalMs = Number(intervalS) * 1000;
  const lastsMs = Math.min(dayMs, Math.max(hourMs, 400 * intervalMs));
  const startMs = Math.round(world.attackMs + random.next() * 3 * hourMs);
  const isDns = port === 53;
  const [sent, received] = isDns
    ? [random.int(50, 120), random.int(80, 250)]
    : [random.int(180, 900), random.int(120, 1500)];
  const momentsMs: number[] = [];
  for (let at = 0; at < lastsMs; at += intervalMs * (1 - Number(jitter) * random.next())) {
    if (at > 0 && random.chance(Number(missing))) continue;
    const durationMs = isDns ? random.int(5, 60) : random.int(120, 400);
    const sizes = { sent: sent + random.int(0, 4), received: received + random.int(0, 12) };
    world.exchange({ source, target, port: Number(port), udp: isDns, startMs: startMs + at, durationMs, ...sizes });
    momentsMs.push(Math.round(startMs + at) + durationMs);
  }
  return { entities: [source], peers: [target], startMs, endMs: startMs + lastsMs, momentsMs };
}

interface Poll {
  everyMs: number;
  /** Off by so much of it, either way. */
  unrest: number;
  from?: number;
  until?: number;
  port?: number;
  udp?: boolean;
  sourcePort?: number;
  durationMs?: number;
  sent: () => number;
  received: () => number;
  /** Whether it calls at this moment. */
  isOn?: (atMs: number) => boolean;
}

function poll(world: World, source: number, target: number, options: Poll): void {
  const { random, startMs, endMs } = world;
  const {
    everyMs,
    unrest,
    from = startMs,
    until = endMs,
    port = 443,
    isOn = () => true,
    sent,
    received,
    ...rest
  } = options;
  for (let at = from + random.next() * everyMs; at < until; at += random.around(everyMs, unrest)) {
    if (!isOn(at)) continue;
    world.exchange({
      source,
      target,
      port,
      startMs: at,
      durationMs: random.int(60, 500),
      ...rest,
      sent: sent(),
      received: received(),
    });
  }
}

/** Every host of the network has it, so there is one of a kind, however many hosts are asked about it. */
function fleetAgent(world: World, from: number, everyMs: number): void {
  const { random } = world;
  world.client();
  if (!world.isFirst(`agent ${everyMs}`)) return;
  const [v4, v6] = serviceOf(world);
  const [sent, received] = [random.int(300, 900), random.int(150, 600)];
  const sizes = { sent: () => sent + random.int(0, 3), received: () => received };
  world.later(() => {
    for (const host of world.clients) {
      const target = world.textOf(host).includes(":") ? v6 : v4;
      poll(world, host, target, { everyMs, unrest: 0.02, from, ...sizes });
    }
  });
}

/** One service at two addresses, one for each family. */
function serviceOf(world: World): [v4: number, v6: number] {
  const { isV6 } = world;
  world.isV6 = false;
  const v4 = world.outside()(0);
  world.isV6 = true;
  const v6 = world.outside()(0);
  world.isV6 = isV6;
  return [v4, v6];
}

/** A third of the hosts ask it, once an hour. */
function updateService(world: World): void {
  const { random } = world;
  const mine = world.client();
  const [v4, v6] = serviceOf(world);
  const received = () => (random.chance(0.1) ? random.logNormal(3e6, 1) : random.int(900, 1500));
  world.later(() => {
    for (const host of [mine, ...world.clients.filter((other) => other !== mine && random.chance(0.3))]) {
      const target = world.textOf(host).includes(":") ? v6 : v4;
      poll(world, host, target, { everyMs: hourMs, unrest: 0.05, sent: () => random.int(700, 900), received });
    }
  });
}

function deviceCloud(world: World): void {
  const { random } = world;
  const [sent, received] = [random.int(60, 250), random.int(40, 200)];
  const sizes = { sent: () => sent + random.int(0, 8), received: () => received + random.int(0, 4) };
  poll(world, world.client(), world.outside()(0), { everyMs: 30_000, unrest: 0.01, port: 8883, ...sizes });
}

/** Asks for mail; what comes depends on what there is. */
function mailClient(world: World): void {
  const { random } = world;
  const received = () => (random.chance(0.25) ? random.logNormal(40_000, 1.5) : random.int(900, 1400));
  const options = {
    everyMs: 5 * minuteMs,
    unrest: 0.01,
    port: 993,
    durationMs: 900,
    sent: () => random.int(900, 1300),
    received,
  };
  poll(world, world.client(), world.outside()(0), options);
}

/** One connection of eight hours on each day, written every minute or every five. */
function chat(world: World): void {
  const { random } = world;
  const [source, target] = [world.client(), world.outside()(0)];
  const sliceMs = random.pick([minuteMs, 5 * minuteMs]);
  for (let day = world.startMs; day + 17 * hourMs < world.endMs; day += dayMs) {
    const startMs = day + 8 * hourMs + random.int(0, hourMs);
    const [sent, received] = [8 * 60 * 130, 8 * 60 * 150];
    world.longExchange({ source, target, port: 443, startMs, durationMs: 8 * hourMs, sent, received, sliceMs });
  }
}

function timeServer(world: World): void {
  const { random } = world;
  const everyMs = 2 ** random.int(6, 10) * 1000;
  const sizes = { sent: () => 48, received: () => 48 };
  poll(world, world.client(), world.outside()(0), {
    everyMs,
    unrest: 0.02,
    port: 123,
    sourcePort: 123,
    udp: true,
    durationMs: 20,
    ...sizes,
  });
}

function monitoring(world: World): void {
  const { random } = world;
  const page = random.int(8000, 60_000);
  const sizes = { sent: () => 420, received: () => page + random.int(0, 200) };
  poll(world, world.client(), world.outside()(0), { everyMs: minuteMs, unrest: 0.005, ...sizes });
}

/** A site that a third of the hosts use as well, without such a tab. */
function browserTab(world: World): void {
  const { random } = world;
  const host = world.client();
  const [v4, v6] = serviceOf(world);
  const isOn = (at: number) => at % dayMs > 9 * hourMs && at % dayMs < 17 * hourMs && at % hourMs < 50 * minuteMs;
  const sizes = { sent: () => random.int(600, 750), received: () => random.int(300, 2500) };
  poll(world, host, world.isV6 ? v6 : v4, { everyMs: 30_000, unrest: 0.03, isOn, ...sizes });
  world.later(() => {
    for (const other of world.clients.filter((one) => one !== host && random.chance(0.3))) {
      const target = world.textOf(other).includes(":") ? v6 : v4;
      const visits = { sent: () => random.logNormal(1500, 0.8), received: () => random.logNormal(20_000, 1.5) };
      poll(world, other, target, { everyMs: 3 * hourMs, unrest: 0.9, ...visits });
    }
  });
}
