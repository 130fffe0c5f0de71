import { Protocol } from "../../../src/core/flow/flow-batch.ts";
import { novelBehaviour as grid, type Point } from "../grid.ts";
import { live, meet, openPage, work, type Life } from "../lives.ts";
import { product, type Planted, type Section } from "../section.ts";
import type { World } from "../world.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const megabyte = 1e6;

/** What hosts begin to do one day, after a life of their own; any threat may tell of it. */
export const novelBehaviour: Section = {
  id: "novel-behaviour",
  title: "Novel behaviour",
  threat: "anomaly",
  isAnyThreat: true,
  points: product({ kind: Object.keys(grid.kinds), strength: grid.strengths, life: grid.lives }),
  selection: "pairs",
  along: "strength",
  lines: "kind",
  hours: grid.hours,
  historyHours: grid.historyHours,
  batchS: 60,
  wanted: ({ kind, strength }) => grid.wanted({ kind: String(kind), strength: String(strength) }),
  plant,
  shares: grid.lookalikes,
  imitate: {
    "new backup to one cloud": newBackup,
    "a day of video meetings": dayOfMeetings,
    "software update day": updateDay,
    "new registry and code hosting": newProject,
    "new regular poller: one host, 60 s": newPoller,
    "new heavy browser": heavyBrowser,
    "guest device": guest,
    "printer that is used more": printer,
    "night shift": nightShift,
    "nothing new": (world) => void liver(world, world.random.pick(grid.lives)),
  },
};

/** A host of that life, from the first day on. */
function liver(world: World, life: Life): number {
  const host = world.inside()(0);
  live(world, host, life);
  return host;
}

interface Doing {
  source: number;
  /** How much, in the unit of the kind. */
  amount: number;
  startMs: number;
  endMs: number;
}

/** Does it, and returns with whom. */
const doings: Record<keyof typeof grid.kinds, (world: World, doing: Doing) => number[]> = {
  beacon_exponential: callAtRandom,
  relay,
  spam_bot: sendMail,
  spread_upload: spreadUpload,
  p2p_bot: gossip,
  miner: mine,
  new_server: serveInside,
};

function plant(world: World, { kind, strength, life }: Point): Planted {
  const source = liver(world, life as Life);
  const name = kind as keyof typeof grid.kinds;
  const amount = grid.kinds[name].values[grid.strengths.indexOf(strength as (typeof grid.strengths)[number])];
  const startMs = beginning(world);
  const endMs = startMs + (name === "spread_upload" ? 3 : grid.lastsHours) * hourMs;
  return { entities: [source], peers: doings[name](world, { source, amount, startMs, endMs }), startMs, endMs };
}

function beginning({ attackMs, random }: World): number {
  return Math.round(attackMs + random.next() * grid.beginWithinHours * hourMs);
}

/** Moments that come at random, so many an hour. */
function* moments({ random }: World, { startMs, endMs }: { startMs: number; endMs: number }, anHour: number) {
  for (let at = startMs; at < endMs; at += random.exponential(hourMs / anHour)) yield at;
}

function callAtRandom(world: World, { source, amount, startMs, endMs }: Doing): number[] {
  const { random } = world;
  const target = world.outside()(0);
  const port = random.pick([443, 8443, 4444]);
  const [sent, received] = [random.int(180, 900), random.int(120, 1500)];
  for (const at of moments(world, { startMs, endMs }, 60 / amount)) {
    const sizes = { sent: sent + random.int(0, 4), received: received + random.int(0, 12) };
    world.exchange({ source, target, port, startMs: at, durationMs: random.int(120, 400), ...sizes });
  }
  return [target];
}

/** One peer gives the orders, over a connection of which there is a record each five minutes: what it got goes out. */
function relay(world: World, { source, amount, startMs, endMs }: Doing): number[] {
  const { random } = world;
  const gateway = world.outside()(0);
  const peers = [gateway];
  const spanMs = 5 * minuteMs;
  const sums = Array.from({ length: Math.ceil((endMs - startMs) / spanMs) }, () => ({ out: 0, in: 0 }));
  for (const at of moments(world, { startMs, endMs }, amount)) {
    const target = world.stranger();
    const [sent, received] = [random.logNormal(2500, 1), random.logNormal(15_000, 1.4)];
    const port = random.chance(0.85) ? 443 : 80;
    world.exchange({ source, target, port, startMs: at, durationMs: random.logNormal(3000, 1), sent, received });
    peers.push(target);
    const sum = sums[Math.floor((at - startMs) / spanMs)];
    sum.out += received;
    sum.in += sent;
  }
  const ends = { source, target: gateway, port: 443 };
  for (const [i, sum] of sums.entries()) {
    const sizes = { sent: 300 + sum.out, received: 300 + sum.in };
    world.exchange({ ...ends, startMs: startMs + i * spanMs, durationMs: spanMs - 1000, ...sizes });
  }
  return peers;
}

function sendMail(world: World, { source, amount, startMs, endMs }: Doing): number[] {
  const { random } = world;
  return [...moments(world, { startMs, endMs }, amount)].map((at) => {
    const target = world.stranger();
    const sizes = { sent: random.logNormal(4000, 0.4), received: random.int(400, 900) };
    world.exchange({ source, target, port: 25, startMs: at, durationMs: random.logNormal(2500, 0.7), ...sizes });
    return target;
  });
}

function spreadUpload(world: World, { source, amount, startMs, endMs }: Doing): number[] {
  const { random } = world;
  const each = Math.min(20, Math.max(5, amount / 60));
  const count = Math.round(amount / each);
  return Array.from({ length: count }, (_, i) => {
    const target = world.stranger();
    const sent = random.around(each, 0.2) * megabyte;
    const at = startMs + ((i + 0.5 * random.next()) * (endMs - startMs)) / count;
    const durationMs = sent / random.int(1000, 4000);
    world.exchange({ source, target, port: 443, startMs: at, durationMs, sent, received: sent / 60 });
    return target;
  });
}

function gossip(world: World, { source, amount, startMs, endMs }: Doing): number[] {
  const { random } = world;
  const sourcePort = random.int(10_000, 60_000);
  return [...moments(world, { startMs, endMs }, amount)].map((at) => {
    const ends = { source, sourcePort, target: world.stranger(), port: random.int(10_000, 65_000), startMs: at };
    const sizes = { sent: random.int(60, 400), received: random.int(60, 400) };
    if (random.chance(0.5)) world.exchange({ ...ends, udp: true, durationMs: random.int(20, 900), ...sizes });
    else {
      const { sent } = sizes;
      world.add({ ...ends, protocol: Protocol.Udp, sentBytes: sent });
    }
    return ends.target;
  });
}

/** Shares come and go while a connection lasts; each ends when the pool, or the miner, has had enough. */
function mine(world: World, { source, amount, startMs, endMs }: Doing): number[] {
  const { random } = world;
  const target = world.outside()(0);
  const port = random.pick([3333, 5555, 14_444, 45_700]);
  for (let at = startMs, lastsMs = 0; at < endMs; at += lastsMs) {
    lastsMs = random.around(amount, 0.7) * minuteMs;
    const bytes = 600 + (lastsMs / 1000) * random.around(12, 0.2);
    const sizes = { sent: bytes, received: bytes * random.around(1.1, 0.1) };
    world.exchange({ source, target, port, startMs: at, durationMs: 0.97 * lastsMs, ...sizes });
  }
  return [target];
}

function serveInside(world: World, { source: server, amount, startMs, endMs }: Doing): number[] {
  const { random } = world;
  const port = random.pick([8080, 8000, 445, 3000]);
  const clients = world.inside(20);
  const count = Math.min(20, 1 + Math.ceil(amount / 10));
  for (const at of moments(world, { startMs, endMs }, amount)) {
    const sizes = { sent: random.logNormal(1500, 0.8), received: random.logNormal(30_000, 1.5) };
    const source = clients(random.int(0, count - 1));
    world.exchange({ source, target: server, port, startMs: at, durationMs: random.logNormal(800, 1), ...sizes });
  }
  return Array.from({ length: count }, (_, i) => clients(i));
}

/** Half a gigabyte or some, once. */
function newBackup(world: World): void {
  const { random } = world;
  const source = liver(world, random.pick(["office", "server"]));
  const sent = random.logNormal(1200 * megabyte, 0.6);
  const durationMs = random.int(40, 120) * minuteMs;
  const ends = { source, target: world.outside()(0), port: 443 };
  const sliceMs = 5 * minuteMs;
  world.longExchange({ ...ends, startMs: beginning(world), durationMs, sent, received: sent / 100, sliceMs });
}

/** From noon to evening, and the next morning. */
function dayOfMeetings(world: World): void {
  const host = liver(world, "office");
  for (const hours of [0.2, 1.6, 3.1, 4.4, 20.8, 22.2]) {
    meet(world, host, world.attackMs + (hours + 0.2 * world.random.next()) * hourMs);
  }
}

/** Gigabytes in pieces, from the usual places. */
function updateDay(world: World): void {
  const { random } = world;
  const source = liver(world, random.pick(grid.lives));
  const mirrors = world.outside(3);
  const startMs = beginning(world);
  for (let i = random.int(40, 200); i > 0; i--) {
    const received = random.logNormal(8 * megabyte, 1.2);
    world.exchange({
      source,
      target: mirrors(random.int(0, 2)),
      port: random.pick([443, 80]),
      startMs: startMs + random.next() * hourMs,
      durationMs: 200 + received / 5000,
      sent: random.int(800, 2000),
      received,
    });
  }
}

/** A developer: packages and images from places that are new, pushes at times; until evening and the next morning. */
function newProject(world: World): void {
  const { random, attackMs } = world;
  const source = liver(world, "office");
  const places = world.outside(5);
  for (const [from, until] of [
    [0.3, 5.5],
    [21, 24],
  ]) {
    for (const at of moments(world, { startMs: attackMs + from * hourMs, endMs: attackMs + until * hourMs }, 25)) {
      const isPush = random.chance(0.15);
      const sent = isPush ? random.logNormal(200_000, 1.5) : random.int(1500, 6000);
      const received = isPush ? random.int(4000, 9000) : random.logNormal(600_000, 2);
      const [target, port] = [places(random.int(0, 4)), isPush ? 22 : 443];
      world.exchange({ source, target, port, startMs: at, durationMs: random.logNormal(5000, 1), sent, received });
    }
  }
}

function newPoller(world: World): void {
  const { random } = world;
  const source = liver(world, random.pick(["office", "server"]));
  const target = world.outside()(0);
  const [sent, received] = [random.int(300, 900), random.int(150, 600)];
  for (let at = beginning(world); at < world.endMs; at += random.around(minuteMs, 0.02)) {
    const sizes = { sent: sent + random.int(0, 3), received };
    world.exchange({ source, target, port: 443, startMs: at, durationMs: random.int(60, 500), ...sizes });
  }
}

/** A page a minute, afternoon and morning. */
function heavyBrowser(world: World): void {
  const host = liver(world, "office");
  const { attackMs } = world;
  const span = (from: number, until: number) => ({
    startMs: attackMs + from * hourMs,
    endMs: attackMs + until * hourMs,
  });
  for (const at of [...moments(world, span(0.3, 5.5), 60), ...moments(world, span(21, 24), 60)])
    openPage(world, host, at);
}

/** Nobody saw it before. */
function guest(world: World): void {
  const { random, attackMs } = world;
  const fromMs = attackMs + random.next() * 3 * hourMs;
  work(world, world.inside()(0), { fromMs, untilMs: fromMs + random.int(2, 5) * hourMs }, 4 * minuteMs, 0);
}

/** Some pages a day for three days, then a hundred an hour, from a dozen hosts. */
function printer(world: World): void {
  const { random, startMs, attackMs } = world;
  const target = liver(world, "device");
  const clients = world.inside(12);
  const begin = attackMs + random.next() * 2 * hourMs;
  const print = (at: number) => {
    const sizes = { sent: random.logNormal(400_000, 1.2), received: random.int(300, 2000) };
    const source = clients(random.int(0, 11));
    world.exchange({ source, target, port: 9100, startMs: at, durationMs: random.logNormal(9000, 0.8), ...sizes });
  };
  for (const at of moments(world, { startMs, endMs: attackMs }, 0.5)) print(at);
  for (const at of moments(world, { startMs: begin, endMs: begin + 4 * hourMs }, 40)) print(at);
}

/** Works by day on the first days, and then from eight in the evening to four. */
function nightShift(world: World): void {
  const { random, attackMs } = world;
  const host = liver(world, "office");
  const fromMs = attackMs + (8 + random.next()) * hourMs;
  work(world, host, { fromMs, untilMs: fromMs + 8 * hourMs }, 8 * minuteMs, 0);
}
