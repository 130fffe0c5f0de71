import { Initiator, Outcome, Protocol, Tcp } from "../../../src/core/flow/flow-batch.ts";
import { flood as grid, type Point } from "../grid.ts";
import { product, type Planted, type Section } from "../section.ts";
import type { World } from "../world.ts";

const flowKinds = grid.kinds.filter((kind) => kind !== "long_flows");
const longFlows = 20;

const points = [
  ...product({ kind: flowKinds, rate: grid.flowsPerS, sources: grid.sources }),
  ...product({ kind: ["long_flows"], rate: grid.packetsPerS, sources: grid.sources.filter((n) => n <= longFlows) }),
];

/** Two minutes against one host, or against all of a /24. `rate` is requests a second, of long flows packets. */
export const flood: Section = {
  id: "flood",
  title: "Flood",
  threat: "ddos",
  points,
  selection: "pairs",
  along: "rate",
  lines: "kind",
  hours: 4,
  historyHours: 0,
  batchS: 10,
  wanted: ({ kind, rate }) => grid.wanted({ kind: String(kind), rate: Number(rate) }),
  plant,
  why: "SYNs spread over a prefix by fewer than ten sources look like a scan, and are reported as one.",
  imitate: {
    "flash crowd": flashCrowd,
    backup,
    "speed test": speedTest,
    "video meeting": videoMeeting,
    "busy resolver": busyResolver,
    "retries to a dead server": deadServer,
  },
};

const durationMs = grid.durationS * 1000;

function plant(world: World, { kind, rate, sources }: Point): Planted {
  const { random } = world;
  const isCarpet = kind === "carpet";
  const victims = world.inside(isCarpet ? 250 : 1);
  const startMs = world.moment(durationMs);
  if (!isCarpet) addVisitors(world, victims(0), startMs - durationMs, 3 * durationMs, 0.2);
  const attackers = sourcesOf(world, Number(sources));
  if (kind === "long_flows") addLongFlows(world, attackers, victims(0), startMs, Number(rate));
  else {
    const isUdp = kind === "udp" || (isCarpet && random.chance(0.5));
    const count = Number(rate) * grid.durationS;
    for (let i = 0; i < count; i++) {
      const at = {
        source: attackers[i % attackers.length],
        sourcePort: random.int(1024, 65_535),
        target: victims(isCarpet ? random.int(0, 249) : 0),
        startMs: startMs + ((i + random.next()) / count) * durationMs,
      };
      if (isUdp) addDatagrams(world, at);
      else addSyn(world, at);
    }
  }
  const hit = Array.from({ length: isCarpet ? 250 : 1 }, (_, i) => victims(i));
  return { entities: hit, ...(isCarpet ? { orPrefix: true } : {}), startMs };
}

function sourcesOf(world: World, count: number): number[] {
  return Array.from({ length: count }, () => world.stranger());
}

interface At {
  source: number;
  sourcePort: number;
  target: number;
  startMs: number;
}

/** One in four is answered by a SYN-ACK, which nobody confirms; the victim tries three times. */
function addSyn(world: World, at: At): void {
  const { random } = world;
  if (random.chance(0.75)) world.attempt({ ...at, port: 443, outcome: "unanswered" });
  else
    world.add({
      ...at,
      port: 443,
      durationMs: 3000,
      receivedPackets: 3,
      flags: Tcp.Syn,
      outcome: Outcome.Answered,
      initiator: Initiator.Source,
    });
}

/** A few datagrams without an answer. */
function addDatagrams(world: World, at: At): void {
  const packets = world.random.int(1, 4);
  world.add({
    ...at,
    port: 80,
    protocol: Protocol.Udp,
    durationMs: 10 * packets,
    sentPackets: packets,
    sentBytes: packets * world.random.int(300, 1400),
    outcome: Outcome.Unanswered,
  });
}

/** Twenty flows, written every minute. */
function addLongFlows(
  world: World,
  attackers: readonly number[],
  target: number,
  startMs: number,
  packetsPerS: number,
): void {
  const { random } = world;
  for (let flow = 0; flow < longFlows; flow++) {
    const source = attackers[flow % attackers.length];
    const sourcePort = random.int(1024, 65_535);
    for (let at = 0; at < durationMs; at += 60_000) {
      const packets = (packetsPerS * 60) / longFlows;
      const row = { source, sourcePort, target, port: 80, startMs: startMs + at + flow, durationMs: 59_900 };
      const sizes = { sentPackets: packets, sentBytes: packets * 900 };
      world.add({ ...row, ...sizes, protocol: Protocol.Udp, outcome: Outcome.Unanswered });
    }
  }
}

/** Visits that are served, at random, `perS` of them; a share of them fails. */
function addVisitors(world: World, server: number, startMs: number, lastsMs: number, perS: number, failing = 0): void {
  const { random } = world;
  const visitors = Array.from({ length: Math.max(3, Math.ceil(perS * 20)) }, () => world.stranger());
  for (let at = random.exponential(1000 / perS); at < lastsMs; at += random.exponential(1000 / perS)) {
    const ends = { source: random.pick(visitors), target: server, port: 443, startMs: startMs + at };
    if (random.chance(failing))
      world.attempt({ ...ends, outcome: random.chance(0.5) ? "refused" : "unanswered", tries: 2 });
    else
      world.exchange({
        ...ends,
        durationMs: random.logNormal(1500, 1),
        sent: random.logNormal(1500, 0.7),
        received: random.logNormal(30_000, 1.4),
      });
  }
}

/** Thousands at once, for four minutes; one request in ten fails under the load. */
function flashCrowd(world: World): void {
  const lastsMs = 2 * durationMs;
  addVisitors(world, world.inside()(0), world.moment(lastsMs), lastsMs, world.random.pick([50, 100, 300]), 0.1);
}

/** One host sends as fast as its line allows, 20,000 to 80,000 packets a second, for ten minutes. */
function backup(world: World): void {
  const { random } = world;
  const [client, server] = [world.client(), world.inside()(0)];
  const lastsMs = 600_000;
  const sent = (lastsMs / 1000) * random.int(20_000, 80_000) * 1460;
  world.longExchange({
    source: client,
    target: server,
    port: 873,
    startMs: world.moment(lastsMs),
    durationMs: lastsMs,
    sent,
    received: 2e6,
    sliceMs: 60_000,
  });
}

/** Eight connections at once to one server: down for fifteen seconds, then up, 300 to 900 Mbit/s in all. */
function speedTest(world: World): void {
  const { random } = world;
  const [client, server] = [world.client(), world.outside()(0)];
  const startMs = world.moment(40_000);
  const bytes = (15 * random.int(300, 900) * 1e6) / 8 / 8;
  for (const [at, sent, received] of [
    [0, 50_000, bytes],
    [17_000, bytes, 50_000],
  ]) {
    for (let i = 0; i < 8; i++) {
      world.exchange({
        source: client,
        target: server,
        port: 8080,
        startMs: startMs + at + i,
        durationMs: 15_000,
        sent,
        received,
      });
    }
  }
}

/** Eight people in one meeting: 2 to 4 Mbit/s each way, written every minute. */
function videoMeeting(world: World): void {
  const { random } = world;
  const server = world.outside()(0);
  const lastsMs = 30 * 60_000;
  const startMs = world.moment(lastsMs);
  for (let i = 0; i < 8; i++) {
    const bytes = ((lastsMs / 1000) * random.int(2, 4) * 1e6) / 8;
    const sizes = { sent: bytes * random.around(1, 0.3), received: bytes };
    world.longExchange({
      source: world.client(),
      target: server,
      port: 3478,
      udp: true,
      startMs,
      durationMs: lastsMs,
      ...sizes,
      sliceMs: 60_000,
    });
  }
}

/** A hundred clients ask the network's name server, 100 to 500 times a second, for four minutes; few go unanswered. */
function busyResolver(world: World): void {
  const { random } = world;
  const server = world.inside()(0);
  const clients = world.inside(100);
  const perS = random.pick([100, 200, 500]);
  const lastsMs = 2 * durationMs;
  const startMs = world.moment(lastsMs);
  for (let i = 0; i < (perS * lastsMs) / 1000; i++) {
    const ends = {
      source: clients(random.int(0, 99)),
      target: server,
      port: 53,
      startMs: startMs + random.next() * lastsMs,
    };
    if (random.chance(0.02)) world.attempt({ ...ends, protocol: Protocol.Udp, outcome: "unanswered" });
    else
      world.exchange({
        ...ends,
        udp: true,
        durationMs: random.int(1, 60),
        sent: random.int(36, 70),
        received: random.int(80, 320),
      });
  }
}

/** Fifty clients of ours call a server of ours that is down, each every one to five seconds, for half an hour. */
function deadServer(world: World): void {
  const { random } = world;
  const server = world.inside()(0);
  const clients = world.inside(50);
  const lastsMs = 30 * 60_000;
  const startMs = world.moment(lastsMs);
  const everyMs = random.int(1000, 5000);
  for (let i = 0; i < 50; i++) {
    for (let at = random.next() * everyMs; at < lastsMs; at += random.around(everyMs, 0.2)) {
      world.attempt({ source: clients(i), target: server, port: 8443, startMs: startMs + at, outcome: "unanswered" });
    }
  }
}
