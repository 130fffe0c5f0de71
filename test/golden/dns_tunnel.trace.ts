import { Outcome, Protocol } from "../../src/core/flow/flow-batch.ts";
import { Random } from "../support/random.ts";
import { traceStartMs, type TraceFlow } from "../support/trace.ts";

const minuteMs = 60_000;

interface Lookups {
  source: string;
  target: string;
  count: number;
  /** Of a query and of its answer. */
  bytes: number;
  answerBytes: number;
  minutes: number;
  /** Queries in one record. */
  perRecord?: number;
  protocol?: number;
}

/** Lookups from twenty past on, evenly over some minutes. */
function lookups(random: Random, at: Lookups): TraceFlow[] {
  const { source, target, count, bytes, answerBytes, minutes, perRecord = 1, protocol = Protocol.Udp } = at;
  const everyMs = (minutes * minuteMs) / count;
  return Array.from({ length: Math.ceil(count / perRecord) }, (_, i) => ({
    source,
    target,
    targetPort: 53,
    protocol,
    startMs: Math.floor(traceStartMs + 20 * minuteMs + i * perRecord * everyMs),
    durationMs: perRecord === 1 ? 20 : Math.floor(perRecord * everyMs) - 1,
    outcome: Outcome.Answered,
    sourcePackets: perRecord,
    targetPackets: perRecord,
    sourceBytes: Math.round(random.around(perRecord * bytes, 0.1)),
    targetBytes: Math.round(random.around(perRecord * answerBytes, 0.1)),
  }));
}

/** Tunnels of large queries, in records and in few long flows, and of many small ones; and who asks a lot without one. */
export function trace(seed: number): TraceFlow[] {
  const random = new Random(seed).fork("dns_tunnel");
  const small = { bytes: 75, answerBytes: 220, minutes: 30 };
  const large = { bytes: 240, answerBytes: 150 };
  const sampled = { source: "10.0.0.97", target: "198.51.100.53", count: 900, minutes: 30, perRecord: 30, ...large };
  return [
    ...lookups(random, { source: "10.0.0.90", target: "10.0.0.53", count: 1200, minutes: 10, ...large }),
    ...lookups(random, {
      source: "2001:db8:1::91",
      target: "2001:db8:53::1",
      count: 12_000,
      minutes: 20,
      perRecord: 600,
      ...large,
    }),
    ...lookups(random, {
      source: "10.0.0.92",
      target: "198.51.100.53",
      count: 60_000,
      bytes: 80,
      answerBytes: 90,
      minutes: 30,
      perRecord: 2000,
    }),
    ...lookups(random, sampled).map((flow) => ({ ...flow, samplingRate: 10 })),
    // Below: a browser, a mail server, a crawler, our name server that strangers ask, our resolvers.
    ...lookups(random, { source: "10.0.0.93", target: "10.0.0.53", count: 300, ...small }),
    ...lookups(random, { source: "10.0.0.94", target: "198.51.100.53", count: 300, ...small, bytes: 110 }),
    ...lookups(random, { source: "10.0.0.95", target: "198.51.100.53", count: 40_000, perRecord: 2000, ...small }),
    ...lookups(random, {
      source: "203.0.113.44",
      target: "10.0.0.55",
      count: 2000,
      perRecord: 100,
      ...small,
      ...large,
    }),
    ...lookups(random, { source: "10.0.0.96", target: "10.0.0.54", count: 50_000, perRecord: 2000, ...small }),
    ...lookups(random, { source: "10.0.0.54", target: "198.51.100.54", count: 45_000, perRecord: 2000, ...small }),
    ...resolver(random),
  ];
}

/** Asks 200 servers. */
function resolver(random: Random): TraceFlow[] {
  return Array.from({ length: 200 }, (_, i) =>
    lookups(random, {
      source: "10.0.0.53",
      target: `198.18.${i}.53`,
      count: 400,
      bytes: 75,
      answerBytes: 220,
      minutes: 30,
      perRecord: 200,
    }),
  ).flat();
}

/** One query. */
export function invented(source: string, startMs: number): TraceFlow[] {
  const target = source.includes(":") ? "2001:db8:2::7" : "203.0.113.7";
  return [{ source, target, targetPort: 53, protocol: Protocol.Udp, startMs, sourceBytes: 70, sourcePackets: 1 }];
}
