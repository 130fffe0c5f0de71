import { Initiator, Outcome, Protocol, Tcp } from "../../../src/core/flow/flow-batch.ts";
import { portScan as grid, type Point } from "../grid.ts";
import { product, type Planted, type Section } from "../section.ts";
import { echoPort, type Failure, type World } from "../world.ts";

const points = product(
  { kind: grid.kinds, ratePerS: grid.ratePerS, fanOut: grid.fanOut, outcome: grid.outcomes },
  (point) => durationOf(point) <= grid.durationMaxS,
);

/** Ports of one host, or one port of many hosts. */
export const portScan: Section = {
  id: "port-scan",
  title: "Port scan",
  threat: "port_scan",
  points,
  selection: "pairs",
  along: "fanOut",
  lines: "kind",
  hours: 25,
  historyHours: 0,
  batchS: 60,
  wanted: (point) =>
    grid.wanted({ fanOut: Number(point.fanOut), kind: String(point.kind), durationS: durationOf(point) }),
  plant,
  why: "Twenty-eight minutes of scanning that an hour's end cuts in two may leave neither half enough, and the day's threshold is higher.",
  imitate: {
    "clients of a server that is down": deadServer,
    "peer-to-peer client": peerToPeer,
    resolver,
    "monitoring probe": monitoring,
    "late replies": lateReplies,
    backscatter,
    crawler,
  },
};

function durationOf({ fanOut, ratePerS }: Point): number {
  return Number(fanOut) / Number(ratePerS);
}

/** What a scanner tries: of a host, by its number, a port. */
type Attempt = [host: number, port: number];

/** Half of the scanners are inside. One attempt in fifty meets somebody who answers. */
function plant(world: World, point: Point): Planted {
  const { random } = world;
  const [kind, fanOut] = [String(point.kind), Number(point.fanOut)];
  const gapMs = 1000 / Number(point.ratePerS);
  const attempts = random.shuffled(attemptsOf(kind, fanOut, random.int(1, 1024)));
  const targets = world.inside(1 + Math.max(...attempts.map(([host]) => host)));
  const sources = sourcesOf(world, kind, fanOut);
  const isEcho = kind === "icmp_sweep";
  const protocol = isEcho ? (world.isV6 ? Protocol.Icmp6 : Protocol.Icmp) : Protocol.Tcp;
  const echo = world.isV6 ? echoPort.v6 : echoPort.v4;
  const startMs = world.moment(fanOut * gapMs);
  const failedMs: number[] = [];
  attempts.forEach(([host, number], i) => {
    const source = sources[i % sources.length];
    const at = startMs + (i + 0.2 * random.next()) * gapMs;
    const ends = { source, target: targets(host), port: isEcho ? echo : number, startMs: at };
    if (fanOut > 5 && random.chance(0.02)) {
      if (isEcho) echoAnswered(world, ends, protocol);
      else world.exchange({ ...ends, durationMs: random.int(20, 800), sent: 80, received: random.int(60, 900) });
    } else {
      failedMs.push(world.attempt({ ...ends, protocol, outcome: point.outcome as Failure }));
    }
  });
  const hit = [...new Set(attempts.map(([host]) => targets(host)))];
  const isJoint = sources.length > 1;
  return {
    entities: isJoint ? [...sources, ...hit] : sources,
    ...(isJoint ? { orPrefix: true } : {}),
    startMs,
    ...(isJoint ? {} : { momentsMs: failedMs.sort((a, b) => a - b) }),
  };
}

function attemptsOf(kind: string, fanOut: number, firstPort: number): Attempt[] {
  const port = (i: number) => 1 + ((firstPort + i) % 65_535);
  if (kind === "vertical" || kind === "distributed") return range(fanOut).map((i) => [0, port(i)]);
  if (kind !== "block") return range(fanOut).map((i) => [i, firstPort]);
  const ports = Math.ceil(Math.sqrt(fanOut));
  return range(fanOut).map((i) => [Math.floor(i / ports), port(i % ports)]);
}

/** Of a distributed scan one for every five attempts, up to 200: from one network, or from anywhere. */
function sourcesOf(world: World, kind: string, fanOut: number): number[] {
  if (kind !== "distributed") return [world.random.chance(0.5) ? world.client() : world.outside()(0)];
  const count = Math.min(200, Math.max(2, Math.ceil(fanOut / 5)));
  const together = world.outside(count);
  return range(count).map(world.random.chance(0.5) ? together : () => world.stranger());
}

function echoAnswered(
  world: World,
  ends: { source: number; target: number; port: number; startMs: number },
  protocol: number,
): void {
  const [sentPackets, receivedPackets] = [1, 1];
  world.add({
    ...ends,
    sourcePort: 0,
    protocol,
    durationMs: 20,
    sentBytes: 28,
    sentPackets,
    receivedBytes: 28,
    receivedPackets,
    outcome: Outcome.Answered,
    initiator: Initiator.Source,
  });
}

/** A client that tries one port of one dead host again and again, for an hour or two. */
function deadServer(world: World): void {
  const { random } = world;
  const [client, server] = [world.client(), world.inside()(0)];
  const everyMs = random.int(1000, 4000);
  const startMs = world.moment(2 * hourMs);
  for (let at = 0; at < 2 * hourMs; at += random.around(everyMs, 0.3)) {
    world.attempt({
      source: client,
      target: server,
      port: 8080,
      startMs: startMs + at,
      outcome: "unanswered",
      tries: 3,
    });
  }
}

/** Some hundred peers in two hours, each on a port of its own; a third are gone or refuse. */
function peerToPeer(world: World): void {
  const { random } = world;
  const client = world.client();
  const startMs = world.moment(2 * hourMs);
  for (let i = random.int(150, 400); i > 0; i--) {
    const peer = { source: client, target: world.stranger(), port: random.int(1025, 65_535), sourcePort: 6881 };
    const at = startMs + random.next() * 2 * hourMs;
    if (random.chance(0.35)) {
      const protocol = random.chance(0.5) ? Protocol.Udp : Protocol.Tcp;
      world.attempt({
        ...peer,
        startMs: at,
        protocol,
        outcome: random.chance(0.8) ? "unanswered" : "refused",
        tries: 2,
      });
      continue;
    }
    const [durationMs, sent, received] = [
      random.logNormal(60_000, 1),
      random.logNormal(20_000, 2),
      random.logNormal(90_000, 2),
    ];
    world.exchange({ ...peer, udp: random.chance(0.5), startMs: at, durationMs, sent, received });
  }
}

/** Asks thousands of name servers; one in twenty-five does not answer. */
function resolver(world: World): void {
  const { random } = world;
  const host = world.client();
  const startMs = world.moment(2 * hourMs);
  for (let i = 0; i < 2000; i++) {
    const ends = { source: host, target: world.stranger(), port: 53, startMs: startMs + random.next() * 2 * hourMs };
    if (random.chance(0.04)) world.attempt({ ...ends, protocol: Protocol.Udp, outcome: "unanswered" });
    else
      world.exchange({
        ...ends,
        udp: true,
        durationMs: random.int(2, 200),
        sent: random.int(36, 70),
        received: random.int(80, 400),
      });
  }
}

/** Looks every minute at three ports of each of forty hosts, two of which are down, for three hours. */
function monitoring(world: World): void {
  const { random } = world;
  const probe = world.client();
  const hosts = world.inside(40);
  const startMs = world.moment(3 * hourMs);
  for (let minute = 0; minute < 180; minute += 5) {
    for (let host = 0; host < 40; host++) {
      for (const port of [22, 443, 9100]) {
        const ends = {
          source: probe,
          target: hosts(host),
          port,
          startMs: startMs + minute * minuteMs + random.int(0, 20_000),
        };
        if (host < 2) world.attempt({ ...ends, outcome: "unanswered" });
        else world.exchange({ ...ends, durationMs: random.int(5, 60), sent: 120, received: random.int(200, 3000) });
      }
    }
  }
}

/** A server whose answers come after their connections have been written off: they go to ever new ports of one client. */
function lateReplies(world: World): void {
  const { random } = world;
  const [client, server] = [world.client(), world.outside()(0)];
  const isDns = random.chance(0.5);
  const startMs = world.moment(3 * hourMs);
  for (let i = random.int(60, 400); i > 0; i--) {
    const at = { server, to: client, startMs: startMs + random.next() * 3 * hourMs };
    if (isDns) world.reply({ ...at, port: 53, bytes: random.int(80, 400), packets: 1, udp: true });
    else
      world.reply({
        ...at,
        port: 443,
        bytes: 0,
        packets: random.int(1, 3),
        flags: random.pick([Tcp.Ack, Tcp.Fin | Tcp.Ack, Tcp.Rst]),
      });
  }
}

/** A server outside is flooded in the name of many, some of them ours: its SYN-ACKs and resets arrive here. */
function backscatter(world: World): void {
  const { random } = world;
  const server = world.outside()(0);
  const hosts = world.inside(250);
  const startMs = world.moment(hourMs);
  for (let i = 0; i < 300; i++) {
    const isRefused = random.chance(0.3);
    world.reply({
      server,
      port: 80,
      to: hosts(random.int(0, 249)),
      toPort: random.int(1024, 65_535),
      startMs: startMs + random.next() * hourMs,
      bytes: 0,
      packets: isRefused ? 1 : 3,
      flags: isRefused ? Tcp.Rst | Tcp.Ack : Tcp.Syn | Tcp.Ack,
    });
  }
}

/** Fetches pages of some thousand hosts; one in twelve is down or refuses. */
function crawler(world: World): void {
  const { random } = world;
  const host = world.client();
  const startMs = world.moment(2 * hourMs);
  for (let i = random.int(500, 2000); i > 0; i--) {
    const ends = { source: host, target: world.stranger(), port: 443, startMs: startMs + random.next() * 2 * hourMs };
    if (random.chance(0.08))
      world.attempt({ ...ends, outcome: random.chance(0.7) ? "unanswered" : "refused", tries: 3 });
    else
      world.exchange({
        ...ends,
        durationMs: random.logNormal(3000, 1),
        sent: random.logNormal(1500, 0.5),
        received: random.logNormal(40_000, 1.5),
      });
  }
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
