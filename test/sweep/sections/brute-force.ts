import { bruteForce as grid, type Point } from "../grid.ts";
import { product, type Planted, type Section } from "../section.ts";
import type { World } from "../world.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** Logins that fail, one connection each. */
export const bruteForce: Section = {
  id: "brute-force",
  title: "Brute force",
  threat: "brute_force",
  points: product({ service: grid.services, attemptsPerS: grid.attemptsPerS.map(rounded), sources: grid.sources }),
  selection: "all",
  along: "attemptsPerS",
  lines: "sources",
  hours: 25,
  historyHours: 0,
  batchS: 60,
  wanted: ({ attemptsPerS }) => grid.wanted({ perS: Number(attemptsPerS) }),
  plant,
  why: "A database's client that tries every three minutes, all alike, is as often a program with an old password.",
  imitate: {
    "configuration management: SSH to many hosts, every half hour": configuration,
    "backup over SSH, every minute": backup,
    "file share client": fileShare,
    "database pool": databasePool,
    "FTP transfers": ftp,
    "terminal work": terminal,
  },
};

/** As tables show it; down, so that two an hour stay two an hour. */
function rounded(perS: number): number {
  return Math.floor(perS * 1e6) / 1e6;
}

/** What a login that fails sends and gets, in bytes, and how long it takes, in ms. */
const logins: { [service: number]: [sent: number, received: number, ms: number] } = {
  22: [1900, 2400, 2500],
  21: [75, 210, 3000],
  23: [160, 420, 4000],
  3389: [1350, 1700, 1200],
  445: [1000, 1250, 250],
  3306: [210, 180, 60],
  902: [420, 640, 1500],
};

function plant(world: World, { service, attemptsPerS, sources: count }: Point): Planted {
  const { random } = world;
  const perMs = Number(attemptsPerS) / 1000;
  const lastsMs = Math.min(24 * hourMs, Math.max(5 * minuteMs, grid.attempts / perMs));
  const target = world.inside()(0);
  const isInside = count === 1 && random.chance(0.5);
  const sources = isInside ? [world.client()] : Array.from({ length: Number(count) }, () => world.stranger());
  const startMs = world.moment(lastsMs);
  const [sent, received, durationMs] = logins[Number(service)];
  for (let i = 0; i < lastsMs * perMs; i++) {
    world.exchange({
      source: sources[i % sources.length],
      target,
      port: Number(service),
      startMs: startMs + (i + 0.5 * random.next()) / perMs,
      durationMs: random.around(durationMs, 0.3),
      sent: random.around(sent, 0.04),
      received: random.around(received, 0.03),
    });
  }
  return { entities: sources.length > 1 ? [...sources, target] : sources, startMs };
}

/** One host does its work on forty others, for 3 to 20 seconds each. */
function configuration(world: World): void {
  const { random } = world;
  const source = world.client();
  const hosts = world.inside(40);
  for (let at = world.startMs + random.next() * 30 * minuteMs; at < world.endMs; at += 30 * minuteMs) {
    for (let host = 0; host < 40; host++) {
      const sizes = { sent: random.logNormal(30_000, 0.4), received: random.logNormal(12_000, 0.4) };
      const startMs = at + host * 2000 + random.int(0, 1000);
      world.exchange({
        source,
        target: hosts(host),
        port: 22,
        startMs,
        durationMs: random.int(3000, 20_000),
        ...sizes,
      });
    }
  }
}

/** What has changed since; often nothing has, and then the sessions are alike. */
function backup(world: World): void {
  const { random } = world;
  const [source, target] = [world.client(), world.inside()(0)];
  for (let at = world.startMs; at < world.endMs; at += minuteMs) {
    const sent = random.chance(0.5) ? random.int(6800, 7000) : random.logNormal(60_000, 1.5);
    world.exchange({
      source,
      target,
      port: 22,
      startMs: at + random.int(0, 2000),
      durationMs: random.int(700, 3000),
      sent,
      received: random.int(5200, 5400),
    });
  }
}

function fileShare(world: World): void {
  const { random } = world;
  const [source, target] = [world.client(), world.inside()(0)];
  for (let at = world.startMs; at < world.endMs; at += random.exponential(4 * minuteMs)) {
    const sizes = { sent: random.logNormal(6000, 1.2), received: random.logNormal(60_000, 2) };
    world.exchange({ source, target, port: 445, startMs: at, durationMs: random.logNormal(8000, 1.2), ...sizes });
  }
}

/** New connections every five seconds or so, each for some queries. */
function databasePool(world: World): void {
  const { random } = world;
  const [source, target] = [world.client(), world.inside()(0)];
  const startMs = world.moment(6 * hourMs);
  for (let at = 0; at < 6 * hourMs; at += random.exponential(5000)) {
    const sizes = { sent: random.logNormal(1500, 0.9), received: random.logNormal(9000, 1.5) };
    world.exchange({
      source,
      target,
      port: 3306,
      startMs: startMs + at,
      durationMs: random.logNormal(900, 1.2),
      ...sizes,
    });
  }
}

/** A program fetches a file every five minutes: a control connection like the last one, and one for the data. */
function ftp(world: World): void {
  const { random } = world;
  const [source, target] = [world.client(), world.inside()(0)];
  for (let at = world.startMs; at < world.endMs; at += 5 * minuteMs) {
    const startMs = at + random.int(0, 3000);
    const durationMs = random.int(800, 6000);
    world.exchange({
      source,
      target,
      port: 21,
      startMs,
      durationMs,
      sent: random.int(95, 110),
      received: random.int(560, 600),
    });
    world.exchange({
      source,
      target,
      port: random.int(40_000, 50_000),
      startMs: startMs + 300,
      durationMs: durationMs - 400,
      sent: 0,
      received: random.logNormal(400_000, 1),
    });
  }
}

/** Some sessions a day, to a few hosts; now and then a password is mistyped. */
function terminal(world: World): void {
  const { random } = world;
  const source = world.client();
  const hosts = world.inside(5);
  for (let i = random.int(6, 20); i > 0; i--) {
    const [target, startMs] = [hosts(random.int(0, 4)), world.moment(2 * hourMs)];
    const wrong = random.chance(0.3) ? 3 : 0;
    for (let n = 0; n < wrong; n++) {
      world.exchange({
        source,
        target,
        port: 22,
        startMs: startMs + n * 9000,
        durationMs: 7000,
        sent: 1900,
        received: 2400,
      });
    }
    const sizes = { sent: random.logNormal(20_000, 1), received: random.logNormal(120_000, 1.5) };
    world.exchange({
      source,
      target,
      port: 22,
      startMs: startMs + 30_000,
      durationMs: random.logNormal(15 * minuteMs, 1),
      ...sizes,
    });
  }
  world.attempt({ source, target: hosts(0), port: 22, startMs: world.moment(1000), outcome: "refused" });
}
