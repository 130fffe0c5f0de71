import { exfiltration as grid, type Point } from "../grid.ts";
import { product, type Planted, type Section } from "../section.ts";
import type { World } from "../world.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const megabyte = 1e6;

/** An upload to somebody new, after two ordinary days: half in one connection, half in many. */
export const exfiltration: Section = {
  id: "exfiltration",
  title: "Exfiltration",
  threat: "exfiltration",
  points: product({ megabytes: grid.megabytes, durationS: grid.durationS }),
  selection: "all",
  along: "megabytes",
  lines: "durationS",
  hours: 24,
  historyHours: 24 * grid.historyDays,
  batchS: 60,
  wanted: ({ megabytes }) => grid.wanted({ megabytes: Number(megabytes) }),
  plant,
  why: "The first nights of a backup are uploads without precedent; after a night or two the host's habit covers them.",
  imitate: {
    "nightly backup to a cloud": nightlyBackup,
    "video meetings": meetings,
    "code hosting": codeHosting,
    "photo upload of 50 MB": photos,
    "web server": webServer,
  },
};

function plant(world: World, { megabytes, durationS }: Point): Planted {
  const { random } = world;
  const [source, target] = [world.client(), world.outside()(0)];
  const lastsMs = Number(durationS) * 1000;
  const bytes = Number(megabytes) * megabyte;
  const startMs = world.moment(lastsMs);
  const ends = { source, target, port: 443 };
  if (random.chance(0.5)) {
    world.longExchange({
      ...ends,
      startMs,
      durationMs: lastsMs,
      sent: bytes,
      received: bytes / 80,
      sliceMs: 5 * minuteMs,
    });
  } else {
    const parts = Math.min(500, Math.max(4, Math.round(bytes / (8 * megabyte))));
    for (let i = 0; i < parts; i++) {
      const at = startMs + ((i + 0.5 * random.next()) * lastsMs) / parts;
      const durationMs = Math.min(20_000, lastsMs / parts);
      world.exchange({ ...ends, startMs: at, durationMs, sent: bytes / parts, received: bytes / parts / 60 });
    }
  }
  return { entities: [source], peers: [target], startMs, endMs: startMs + lastsMs };
}

/** Each night to the same place, 0.5 to 8 GB. */
function nightlyBackup(world: World): void {
  const { random } = world;
  const [source, target] = [world.client(), world.outside()(0)];
  const nightly = random.logNormal(2000 * megabyte, 0.6);
  for (let day = world.startMs; day + 6 * hourMs < world.endMs; day += dayMs) {
    const startMs = day + 2 * hourMs + random.int(0, 10 * minuteMs);
    const sent = random.around(nightly, 0.3);
    world.longExchange({
      source,
      target,
      port: 443,
      startMs,
      durationMs: 90 * minuteMs,
      sent,
      received: sent / 100,
      sliceMs: 5 * minuteMs,
    });
  }
}

/** Two to four a day, each by another media server: about as much comes as goes. */
function meetings(world: World): void {
  const { random } = world;
  const source = world.client();
  for (let day = world.startMs; day + 18 * hourMs < world.endMs; day += dayMs) {
    for (let i = random.int(2, 4); i > 0; i--) {
      const durationMs = random.int(25, 75) * minuteMs;
      const startMs = day + random.int(8 * 60, 16 * 60) * minuteMs;
      const sent = (durationMs / 1000) * random.int(100_000, 350_000);
      const received = sent * random.around(1.3, 0.5);
      world.longExchange({
        source,
        target: world.outside()(0),
        port: 3478,
        udp: true,
        startMs,
        durationMs,
        sent,
        received,
        sliceMs: minuteMs,
      });
    }
  }
}

/** Fetches and pushes some dozen times a day, now and then 30 MB. */
function codeHosting(world: World): void {
  const { random } = world;
  const [source, target] = [world.client(), world.outside()(0)];
  for (let at = world.startMs; at < world.endMs; at += random.exponential(40 * minuteMs)) {
    const isPush = random.chance(0.3);
    const sent = isPush ? Math.min(30 * megabyte, random.logNormal(300_000, 2)) : random.int(3000, 9000);
    const received = isPush ? random.int(4000, 9000) : random.logNormal(400_000, 2);
    world.exchange({ source, target, port: 22, startMs: at, durationMs: random.logNormal(6000, 1), sent, received });
  }
}

/** Once, to somebody new, one after the other. */
function photos(world: World): void {
  const { random } = world;
  const [source, target] = [world.client(), world.outside()(0)];
  let at = world.moment(10 * minuteMs);
  for (let i = 0; i < 10; i++) {
    const sent = random.logNormal(4.5 * megabyte, 0.4);
    const durationMs = sent / random.int(200, 600);
    world.exchange({ source, target, port: 443, startMs: at, durationMs, sent, received: random.int(2000, 9000) });
    at += durationMs + random.exponential(3000);
  }
}

/** A server of ours answers visitors, 2 to 10 GB a day; some take a gigabyte alone. */
function webServer(world: World): void {
  const { random } = world;
  const server = world.inside()(0);
  for (let at = world.startMs; at < world.endMs; at += random.exponential(2 * minuteMs)) {
    const received = random.chance(0.003) ? 1000 * megabyte : random.logNormal(500_000, 2);
    world.exchange({
      source: world.stranger(),
      target: server,
      port: 443,
      startMs: at,
      durationMs: random.logNormal(20_000, 1),
      sent: random.logNormal(2000, 0.5),
      received,
    });
  }
}
