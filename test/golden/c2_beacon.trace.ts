import { Outcome, Protocol } from "../../src/core/flow/flow-batch.ts";
import { Random } from "../support/random.ts";
import { traceStartMs, type TraceFlow } from "../support/trace.ts";

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** Contacts at a beat, from `fromMs` on; each but the first may be missed. */
interface Series {
  source: string;
  target: string;
  port: number;
  fromMs: number;
  everyMs: number;
  contacts: number;
  jitter?: number;
  missing?: number;
  more?: Partial<TraceFlow>;
}

function series(random: Random, { source, target, port, fromMs, everyMs, contacts, ...options }: Series): TraceFlow[] {
  const { jitter = 0, missing = 0, more = {} } = options;
  const flows: TraceFlow[] = [];
  let startMs = traceStartMs + fromMs;
  for (let i = 0; i < contacts; i++) {
    if (i === 0 || !random.chance(missing)) {
      const sizes = { sourceBytes: 420 + random.int(0, 4), targetBytes: 900 };
      const sourcePort = random.int(32_768, 60_999);
      flows.push({ source, target, targetPort: port, startMs: Math.round(startMs), sourcePort, ...sizes, ...more });
    }
    startMs += everyMs * (1 - jitter * random.next());
  }
  return flows;
}

/** Twelve hours of each of three days: an update check, and some sites that are visited now and then. */
function ordinary(random: Random, source: string, targets: readonly string[]): TraceFlow[] {
  const [vendor, ...sites] = targets;
  return [0, 1, 2].flatMap((day) => [
    ...series(random, { source, target: vendor, port: 443, fromMs: day * dayMs, everyMs: 15 * minuteMs, contacts: 48 }),
    ...sites.flatMap((target) =>
      Array.from({ length: 9 }, (): TraceFlow => {
        const startMs = Math.round(traceStartMs + day * dayMs + random.next() * 12 * 60 * minuteMs);
        return { source, target, targetPort: 443, startMs, sourceBytes: random.int(300, 4000) };
      }),
    ),
  ]);
}

const sites = [50, 51, 52, 53].map((host) => `203.0.113.${host}`);
const sites6 = [50, 51, 52, 53].map((host) => `2001:db8:80::${host}`);
const failed = { outcome: Outcome.Unanswered, targetBytes: 0, targetPackets: 0, sourceBytes: 180 };

/** Peers that are new on the third day, for two hosts whose past is known: with jitter and missed beats. */
function newPeers(random: Random): TraceFlow[] {
  const beacon = { port: 443, fromMs: 2 * dayMs + 20 * minuteMs, everyMs: 5 * minuteMs, contacts: 40, jitter: 0.2 };
  return [
    ...ordinary(random, "10.0.1.10", sites),
    ...series(random, { ...beacon, source: "10.0.1.10", target: "198.51.100.77", missing: 0.1 }),
    ...ordinary(random, "2001:db8:1::10", sites6),
    ...series(random, { ...beacon, source: "2001:db8:1::10", target: "2001:db8:bad::77", port: 8443, jitter: 0.5 }),
  ];
}

/** Dead servers and one that lives, in turn: over port 8080, the source's only calls but for a few pages. */
function failingOver(random: Random): TraceFlow[] {
  const servers = [60, 61, 62, 63].map((host) => `198.51.100.${host}`);
  return servers.flatMap((target, turn) => {
    const more = turn === 3 ? {} : failed;
    const at = { port: 8080, fromMs: turn * 2 * minuteMs, everyMs: 8 * minuteMs, contacts: 8 };
    return series(random, { ...at, source: "10.0.1.13", target, more });
  });
}

/** Two beats to one uncommon service: neither the gaps nor a single beat show them. */
function twoBeats(random: Random): TraceFlow[] {
  const to = { source: "10.0.1.17", target: "198.51.100.78", port: 4443, contacts: 60 };
  return [
    ...series(random, { ...to, fromMs: 0, everyMs: 47_000 }),
    ...series(random, { ...to, fromMs: 9000, everyMs: 73_000, contacts: 40 }),
  ];
}

/** What looks alike: a vendor whose address changes, an old poller, device messages, the time, one sliced connection. */
function lookalikes(random: Random): TraceFlow[] {
  const vendors = ["203.0.113.40", "203.0.113.40", "203.0.113.41"];
  const check = { source: "10.0.1.12", port: 443, everyMs: 10 * minuteMs, contacts: 60 };
  const hourly = { source: "10.0.1.15", target: "203.0.113.42", port: 443, everyMs: 60 * minuteMs, contacts: 12 };
  const device = { source: "10.0.1.14", target: "203.0.113.43", port: 8883, everyMs: 30_000, contacts: 120 };
  const time = { source: "10.0.1.15", target: "203.0.113.44", port: 123, everyMs: 64_000, contacts: 80 };
  const packet = { protocol: Protocol.Udp, sourceBytes: 76, sourcePackets: 1, targetBytes: 76, targetPackets: 1 };
  const sliced = { source: "10.0.1.16", target: "203.0.113.45", port: 7000, everyMs: minuteMs, contacts: 90 };
  return [
    ...ordinary(random, "10.0.1.12", sites.toReversed()),
    ...vendors.flatMap((target, day) => series(random, { ...check, target, fromMs: day * dayMs + minuteMs })),
    ...[0, 1, 2].flatMap((day) => series(random, { ...hourly, fromMs: day * dayMs })),
    ...series(random, { ...device, fromMs: 0 }),
    ...series(random, { ...time, fromMs: 0, more: packet }),
    ...series(random, { ...sliced, fromMs: 0, more: { sourcePort: 50_123, durationMs: 59_000 } }),
  ];
}

export function trace(seed: number): TraceFlow[] {
  const random = new Random(seed);
  return [...newPeers(random), ...failingOver(random), ...twoBeats(random), ...lookalikes(random)];
}
