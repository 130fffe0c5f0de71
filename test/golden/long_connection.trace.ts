import { Outcome, Protocol } from "../../src/core/flow/flow-batch.ts";
import { Random } from "../support/random.ts";
import { traceStartMs, type TraceFlow } from "../support/trace.ts";

const minuteMs = 60_000;

interface Held {
  source: string;
  target: string;
  port: number;
  sourcePort?: number;
  protocol?: number;
  /** From eight in the morning on. */
  hours: number;
  /** Of a record; one for all where it is 0. */
  sliceMinutes: number;
  /** Per minute. */
  sent: number;
  received: number;
}

function held(random: Random, connection: Held): TraceFlow[] {
  const { source, target, port, sourcePort = 50_123, protocol = Protocol.Tcp, hours, sent, received } = connection;
  const slice = connection.sliceMinutes || hours * 60;
  return Array.from({ length: Math.ceil((hours * 60) / slice) }, (_, i) => ({
    source,
    target,
    targetPort: port,
    sourcePort,
    protocol,
    startMs: Math.floor(traceStartMs + i * slice * minuteMs + 500 * random.next()),
    durationMs: slice * minuteMs - 1000,
    outcome: Outcome.Answered,
    sourceBytes: Math.round(random.around(slice * sent, 0.1)),
    targetBytes: Math.round(random.around(slice * received, 0.1)),
    sourcePackets: 2 * slice,
    targetPackets: 2 * slice,
  }));
}

/** Connections of a host's first day, whole and sliced; midnight, habits and the rest of the network: unit tests. */
export function trace(seed: number): TraceFlow[] {
  const random = new Random(seed).fork("long_connection");
  const trickle = { sent: 120, received: 130 };
  const outside = "198.51.100.20";
  return [
    ...held(random, { source: "10.0.0.100", target: outside, port: 4444, hours: 13, sliceMinutes: 10, ...trickle }),
    ...held(random, { source: "10.0.0.101", target: outside, port: 23, hours: 2, sliceMinutes: 0, ...trickle }),
    ...held(random, {
      source: "2001:db8:1::102",
      target: "2001:db8:ffff::20",
      port: 9001,
      hours: 6,
      sliceMinutes: 10,
      sent: 200_000,
      received: 5000,
    }),
    // Below: a VPN, a chat, an hour of telnet, a database inside, two visits from one port, a crowd of peers.
    ...held(random, {
      source: "10.0.0.103",
      target: outside,
      port: 51_820,
      protocol: Protocol.Udp,
      hours: 14,
      sliceMinutes: 30,
      sent: 90_000,
      received: 400_000,
    }),
    ...held(random, { source: "10.0.0.104", target: outside, port: 443, hours: 14, sliceMinutes: 30, ...trickle }),
    ...held(random, { source: "10.0.0.105", target: outside, port: 23, hours: 1, sliceMinutes: 1, ...trickle }),
    ...held(random, { source: "10.0.0.106", target: "10.0.0.6", port: 5432, hours: 14, sliceMinutes: 30, ...trickle }),
    ...twice(
      held(random, { source: "10.0.0.107", target: outside, port: 4444, hours: 1, sliceMinutes: 10, ...trickle }),
    ),
    ...Array.from({ length: 8 }, (_, i) =>
      held(random, {
        source: "10.0.0.108",
        target: `198.18.${i}.9`,
        port: 20_000 + i,
        hours: 8,
        sliceMinutes: 60,
        ...trickle,
      }),
    ).flat(),
  ];
}

/** The same again ten hours later. */
function twice(flows: readonly TraceFlow[]): TraceFlow[] {
  return [...flows, ...flows.map((flow) => ({ ...flow, startMs: flow.startMs + 600 * minuteMs }))];
}

/** One record of a minute. */
export function invented(source: string, startMs: number): TraceFlow[] {
  const target = source.includes(":") ? "2001:db8:2::7" : "203.0.113.7";
  return [{ source, target, targetPort: 443, sourcePort: 40_001, startMs, durationMs: minuteMs }];
}
