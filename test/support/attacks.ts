import { answered, ephemeralPort, probe, type Connection, type PlantedEvent } from "./connection.ts";
import type { Random } from "./random.ts";

export interface Attack {
  connections: Connection[];
  event: PlantedEvent;
}

interface Span {
  random: Random;
  startMs: number;
  durationMs: number;
}

/** One source knocks on `ports` ports of one host; `outcome` is what becomes of nearly all knocks. */
export function verticalScan(
  at: Span & { source: string; target: string; ports: number; outcome: "refused" | "blocked" | "unanswered" },
): Attack {
  const { random, startMs, durationMs, source, target, ports, outcome } = at;
  const sourcePort = ephemeralPort(random);
  const connections = portsOf(random, ports).map((targetPort, i) =>
    probe({ source, sourcePort, target, targetPort, outcome, startMs: startMs + spread(random, i, ports, durationMs) }),
  );
  const event = {
    threat: "port_scan",
    entity: [source],
    peer: [target],
    basis: `${ports} ports of one host, ${outcome}, in ${seconds(durationMs)}`,
  };
  return { connections, event };
}

/** One source knocks on one port of many hosts, once each; every `answeredEvery`th answers. */
export function horizontalScan(
  at: Span & { source: string; targets: readonly string[]; port: number; tries?: number; answeredEvery?: number },
): Attack {
  const { random, startMs, durationMs, source, targets, port, tries = 1, answeredEvery = 25 } = at;
  const connections = random.shuffled(targets).map((target, i) => {
    const when = startMs + spread(random, i, targets.length, durationMs);
    const ends = { source, sourcePort: ephemeralPort(random), target, targetPort: port, startMs: when };
    return i % answeredEvery === answeredEvery - 1
      ? answered({ ...ends, durationMs: 400, sentBytes: 300, receivedBytes: 500 })
      : probe({ ...ends, outcome: i % 3 === 0 ? "refused" : "unanswered", tries });
  });
  const event = {
    threat: "port_scan",
    entity: [source],
    port,
    basis: `port ${port} of ${targets.length} hosts in ${seconds(durationMs)}`,
  };
  return { connections, event };
}

/** SYNs from invented sources; a share of them is answered by a SYN-ACK that nobody confirms. */
export function synFlood(
  at: Span & { target: string; port: number; flows: number; spoofed: () => string; answeredShare: number },
): Attack {
  const { random, startMs, durationMs, target, port, flows, spoofed, answeredShare } = at;
  const connections = Array.from({ length: flows }, (_, i) =>
    probe({
      source: spoofed(),
      sourcePort: random.int(1024, 65535),
      target,
      targetPort: port,
      startMs: startMs + spread(random, i, flows, durationMs),
      outcome: random.chance(answeredShare) ? "half-open" : "unanswered",
    }),
  );
  const event = {
    threat: "ddos",
    entity: [target],
    port,
    basis: `${flows} SYNs from as many sources in ${seconds(durationMs)}`,
  };
  return { connections, event };
}

/** Servers answer, at great length, questions that were asked in the victim's name. */
export function reflection(
  at: Span & { victim: string; reflectors: readonly string[]; port: number; packetsEach: number; packetBytes: number },
): Attack {
  const { random, startMs, durationMs, victim, reflectors, port, packetsEach, packetBytes } = at;
  const connections = reflectors.map((reflector): Connection => {
    const packets = Math.round(random.around(packetsEach, 0.3));
    return {
      source: victim,
      sourcePort: random.int(1024, 65535),
      target: reflector,
      targetPort: port,
      protocol: "udp",
      startMs: startMs + random.int(0, 2000),
      endMs: startMs + durationMs - random.int(0, 2000),
      outcome: "reflected",
      sent: { bytes: 0, packets: 0 },
      received: { bytes: packets * packetBytes, packets },
    };
  });
  const event = {
    threat: "ddos",
    entity: [victim],
    basis: `${reflectors.length} reflectors send from UDP port ${port} for ${seconds(durationMs)}`,
  };
  return { connections, event };
}

/** A host of the own network floods a port of another one with UDP. */
export function udpFlood(
  at: Span & { source: string; target: string; port: number; flows: number; packetsEach: number },
): Attack {
  const { random, startMs, durationMs, source, target, port, flows, packetsEach } = at;
  const connections = Array.from({ length: flows }, (_, i): Connection => {
    const start = startMs + spread(random, i, flows, durationMs);
    return {
      source,
      sourcePort: ephemeralPort(random),
      target,
      targetPort: port,
      protocol: "udp",
      startMs: start,
      endMs: start + 500,
      outcome: "unanswered",
      sent: { bytes: packetsEach * 1000, packets: packetsEach },
      received: { bytes: 0, packets: 0 },
    };
  });
  const event = {
    threat: "ddos",
    entity: [target, source],
    port,
    basis: `${flows} UDP flows in ${seconds(durationMs)}, outbound`,
  };
  return { connections, event };
}

/** Calls home every `everyMs`, off by up to `jitter` of it either way; nobody answers where `dead`. */
export function beacon(
  at: Span & { source: string; target: string; port: number; everyMs: number; jitter: number; dead?: boolean },
): Attack {
  const { random, startMs, durationMs, source, target, port, everyMs, jitter, dead = false } = at;
  const connections: Connection[] = [];
  for (let when = startMs; when < startMs + durationMs; when += random.around(everyMs, jitter)) {
    const ends = { source, sourcePort: ephemeralPort(random), target, targetPort: port, startMs: when };
    connections.push(
      dead
        ? probe({ ...ends, outcome: "unanswered", tries: 3 })
        : answered({
            ...ends,
            durationMs: random.int(120, 400),
            sentBytes: random.int(318, 322),
            receivedBytes: random.int(556, 564),
          }),
    );
  }
  const event = {
    threat: "c2_beacon",
    entity: [source],
    peer: [target],
    port,
    basis: `every ${everyMs / 1000} s ± ${jitter * 100} %, ${connections.length} times${dead ? ", unanswered" : ""}`,
  };
  return { connections, event };
}

/** Distinct ports, low ones most of them, in the order of a scanner that shuffles. */
function portsOf(random: Random, count: number): number[] {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(random.chance(0.7) ? random.int(1, 10000) : random.int(10001, 65535));
  return [...ports];
}

/** The `i`th of `count` moments, evenly spread with some unrest. */
function spread(random: Random, i: number, count: number, durationMs: number): number {
  return Math.round(((i + random.next()) / count) * durationMs);
}

function seconds(ms: number): string {
  return ms < 600_000 ? `${ms / 1000} s` : `${(ms / 3_600_000).toFixed(1)} h`;
}
