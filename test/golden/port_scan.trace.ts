import { Initiator, Outcome, Protocol } from "../../src/core/flow/flow-batch.ts";
import { Random } from "../support/random.ts";
import { traceStartMs, type TraceFlow } from "../support/trace.ts";

const minuteMs = 60_000;
const echo = {
  v4: { targetPort: 8 << 8, protocol: Protocol.Icmp },
  v6: { targetPort: 128 << 8, protocol: Protocol.Icmp6 },
};
const silent = { outcome: Outcome.Unanswered, sourcePackets: 1, sourceBytes: 40 };
const refused = { outcome: Outcome.Refused, sourcePackets: 1, targetPackets: 1, sourceBytes: 40, targetBytes: 40 };
const unknown = { outcome: Outcome.Unknown, sourcePackets: 1, sourceBytes: 40, targetPackets: 0 };

/** So many flows from a minute on, `everyMs` apart or so. */
function series(
  random: Random,
  { count, minute, everyMs }: { count: number; minute: number; everyMs: number },
  make: (i: number) => Omit<TraceFlow, "startMs">,
): TraceFlow[] {
  return Array.from({ length: count }, (_, i) => ({
    startMs: Math.floor(traceStartMs + minute * minuteMs + (i + 0.5 * random.next()) * everyMs),
    ...make(i),
  }));
}

function scansByOne(random: Random): TraceFlow[] {
  const block = series(random, { count: 72, minute: 3, everyMs: 4000 }, (i) => ({
    source: "10.0.0.70",
    target: `10.0.20.${1 + (i % 8)}`,
    targetPort: 8000 + Math.floor(i / 8),
    ...(i % 30 === 7 ? {} : refused),
  }));
  const pings = series(random, { count: 60, minute: 12, everyMs: 1500 }, (i) => ({
    source: "10.0.0.71",
    target: `10.0.21.${1 + i}`,
    sourcePort: 0,
    ...echo.v4,
    ...(i % 15 === 4 ? { sourcePackets: 1, targetPackets: 1 } : silent),
  }));
  const pings6 = series(random, { count: 60, minute: 14, everyMs: 1500 }, (i) => ({
    source: "2001:db8:1::71",
    target: `2001:db8:1:21::${1 + i}`,
    sourcePort: 0,
    ...echo.v6,
    ...silent,
  }));
  const dark = series(random, { count: 12, minute: 20, everyMs: 9000 }, (i) => ({
    source: "45.1.1.1",
    target: `10.0.22.${1 + i}`,
    targetPort: 3389,
    ...silent,
  }));
  const blind = series(random, { count: 70, minute: 22, everyMs: 3000 }, (i) => ({
    source: "48.3.3.3",
    target: "10.0.23.1",
    targetPort: 1 + 11 * i,
    ...unknown,
  }));
  const busy = series(random, { count: 900, minute: 25, everyMs: 1200 }, (i) => ({
    source: "10.0.0.72",
    target: i % 15 === 0 ? `10.0.24.${1 + i / 15}` : `203.0.${i >> 8}.${i & 255}`,
    targetPort: i % 15 === 0 ? 445 : 443,
    ...(i % 15 === 0 ? silent : {}),
  }));
  // From ten to four in the night, with nothing that any one day could show.
  const slow = series(random, { count: 18, minute: 14 * 60, everyMs: 20 * minuteMs }, (i) => ({
    source: "49.4.4.4",
    target: "10.0.25.1",
    targetPort: 2000 + 7 * i,
    ...silent,
  }));
  return [block, pings, pings6, dark, blind, busy, slow].flat();
}

function sharedScans(random: Random): TraceFlow[] {
  const network = series(random, { count: 50, minute: 30, everyMs: 20_000 }, (i) => ({
    source: `46.2.2.${1 + (i % 10)}`,
    target: "10.0.26.1",
    targetPort: 100 + i,
    ...silent,
  }));
  const changing = series(random, { count: 30, minute: 32, everyMs: 20_000 }, (i) => ({
    source: `2001:db8:bad:7::${(0x1000 + 37 * i).toString(16)}`,
    target: "2001:db8:1::31",
    targetPort: 300 + i,
    ...refused,
  }));
  const strangers = series(random, { count: 60, minute: 35, everyMs: 20_000 }, (i) => ({
    source: `${50 + (i % 12)}.7.7.7`,
    target: "10.0.27.1",
    targetPort: 500 + i,
    ...silent,
  }));
  return [network, changing, strangers].flat();
}

/** What looks alike and is none. */
function lookalikes(random: Random): TraceFlow[] {
  const restarted = series(random, { count: 12, minute: 21, everyMs: 9000 }, (i) => ({
    source: "45.1.1.2",
    target: `10.0.22.${40 + i}`,
    targetPort: 8443,
    ...refused,
  }));
  const noise = series(random, { count: 60, minute: 5, everyMs: 60_000 }, (i) => ({
    source: `${70 + i}.8.8.8`,
    target: "10.0.28.1",
    targetPort: 700 + i,
    ...silent,
  }));
  const peers = series(random, { count: 250, minute: 8, everyMs: 10_000 }, () => ({
    source: "10.0.0.73",
    target: `203.0.113.${random.int(1, 250)}`,
    targetPort: random.int(1025, 65_535),
    sourcePort: 6881,
    ...(random.chance(0.35) ? silent : {}),
  }));
  const answers = series(random, { count: 60, minute: 9, everyMs: 5000 }, (i) => ({
    source: "203.0.113.53",
    sourcePort: 53,
    target: "10.0.0.40",
    targetPort: 40_000 + 17 * i,
    protocol: Protocol.Udp,
    initiator: Initiator.Source,
    ...silent,
  }));
  const monitor = series(random, { count: 480, minute: 1, everyMs: 10_000 }, (i) => ({
    source: "10.0.0.74",
    target: `10.0.29.${1 + (i % 40)}`,
    targetPort: [22, 443, 9100][Math.floor(i / 40) % 3],
    ...(i % 40 < 2 ? silent : {}),
  }));
  return [restarted, noise, peers, answers, monitor].flat();
}

export function trace(seed: number): TraceFlow[] {
  const random = new Random(seed);
  return [...scansByOne(random), ...sharedScans(random), ...lookalikes(random)];
}
