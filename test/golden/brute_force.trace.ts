import { Outcome } from "../../src/core/flow/flow-batch.ts";
import { traceStartMs, type TraceFlow } from "../support/trace.ts";
import { Random } from "../support/random.ts";

const secondMs = 1000;
const minuteMs = 60 * secondMs;

/** One exchange that was answered; packets follow from the bytes. */
interface Exchange {
  source: string;
  target: string;
  targetPort: number;
  atMs: number;
  sent: number;
  received: number;
  durationMs: number;
}

function exchange({ atMs, sent, received, durationMs, ...ends }: Exchange): TraceFlow {
  return {
    ...ends,
    startMs: Math.round(traceStartMs + atMs),
    durationMs: Math.round(durationMs),
    sourceBytes: Math.round(sent),
    targetBytes: Math.round(received),
    sourcePackets: 6 + Math.ceil(sent / 500),
    targetPackets: 5 + Math.ceil(received / 800),
  };
}

/** Logins that fail: alike in size, `everyMs` apart or so. */
function logins(
  random: Random,
  ends: Pick<Exchange, "source" | "target" | "targetPort">,
  { count, fromMs, everyMs, sent = 2500 }: { count: number; fromMs: number; everyMs: number; sent?: number },
): TraceFlow[] {
  return Array.from({ length: count }, (_, i) =>
    exchange({
      ...ends,
      atMs: fromMs + (i + 0.5 * random.next()) * everyMs,
      sent: random.around(sent, 0.04),
      received: random.around(1.3 * sent, 0.04),
      durationMs: random.around(2500, 0.3),
    }),
  );
}

function found(random: Random): TraceFlow[] {
  const fast = { count: 120, fromMs: 5 * minuteMs, everyMs: 2 * secondMs };
  const guessed = { source: "198.51.100.30", target: "10.0.1.10", targetPort: 22 };
  const spray = Array.from({ length: 40 }, (_, host) =>
    logins(
      random,
      { source: "10.0.0.31", target: `10.0.2.${host + 1}`, targetPort: 445 },
      { count: 2, fromMs: 20 * minuteMs + host * 10 * secondMs, everyMs: 4 * secondMs, sent: 1000 },
    ),
  ).flat();
  const botnet = Array.from({ length: 20 }, (_, bot) =>
    logins(
      random,
      { source: `203.0.${bot + 20}.${bot + 1}`, target: "10.0.1.14", targetPort: 23 },
      { count: 10, fromMs: bot * 15 * secondMs, everyMs: 8 * minuteMs, sent: 160 },
    ),
  ).flat();
  const slow = { source: "198.51.100.32", target: "10.0.1.13", targetPort: 21 };
  const own = { source: "203.0.113.31", target: "10.0.1.12", targetPort: 40_022 };
  const v6 = { source: "2001:db8:bad::22", target: "2001:db8:1::22", targetPort: 3389 };
  return [
    ...logins(random, guessed, fast),
    // Then it gets in.
    exchange({ ...guessed, atMs: 12 * minuteMs, sent: 60_000, received: 90_000, durationMs: 20 * secondMs }),
    ...logins(random, v6, { ...fast, count: 60, sent: 1350 }),
    ...spray,
    ...logins(random, own, { ...fast, count: 150 }),
    ...logins(random, slow, { count: 50, fromMs: 0, everyMs: 3 * minuteMs, sent: 80 }),
    ...botnet,
  ];
}

/** What looks alike, each a little. */
function benign(random: Random): TraceFlow[] {
  const flows: TraceFlow[] = [];
  const during = 85 * minuteMs;
  const add = (ends: Omit<Exchange, "atMs">, everyMs: () => number) => {
    for (let atMs = everyMs(); atMs < during; atMs += everyMs()) flows.push(exchange({ ...ends, atMs }));
  };
  // Configuration management.
  for (let round = 0; round < 3; round++) {
    for (let host = 0; host < 40; host++) {
      const atMs = round * 30 * minuteMs + host * 2 * secondMs;
      const sizes = { sent: random.logNormal(30_000, 0.4), received: random.logNormal(12_000, 0.4) };
      const ends = { source: "10.0.0.60", target: `10.0.3.${host + 1}`, targetPort: 22 };
      flows.push(exchange({ ...ends, atMs, ...sizes, durationMs: random.int(3000, 20_000) }));
    }
  }
  // Backup each minute: every other time nothing has changed.
  for (let minute = 0; minute < 85; minute++) {
    const sent = minute % 2 === 0 ? random.int(6800, 7000) : random.logNormal(60_000, 1.5);
    const ends = { source: "10.0.0.61", target: "10.0.1.61", targetPort: 22 };
    flows.push(exchange({ ...ends, atMs: minute * minuteMs, sent, received: 5300, durationMs: 2000 }));
  }
  // A job with nothing to do, by the clock; mail; a pool of a database; a share.
  for (let minute = 0; minute < 85; minute++) {
    const ends = { source: "10.0.0.62", target: "10.0.1.62", targetPort: 21 };
    flows.push(
      exchange({ ...ends, atMs: minute * minuteMs + 300 * random.next(), sent: 100, received: 580, durationMs: 900 }),
    );
  }
  const mail = {
    source: "10.0.0.63",
    target: "10.0.1.63",
    targetPort: 993,
    sent: 2000,
    received: 6000,
    durationMs: 800,
  };
  add(mail, () => random.around(2 * minuteMs, 0.3));
  for (let i = 0; i < 600; i++) {
    const sizes = { sent: random.logNormal(1500, 0.9), received: random.logNormal(9000, 1.5) };
    const ends = { source: "10.0.0.64", target: "10.0.1.64", targetPort: 3306 };
    flows.push(exchange({ ...ends, atMs: i * 8 * secondMs, ...sizes, durationMs: 300 }));
  }
  for (let i = 0; i < 60; i++) {
    const sizes = { sent: random.logNormal(6000, 1.2), received: random.logNormal(60_000, 2) };
    const ends = { source: "10.0.0.65", target: "10.0.1.65", targetPort: 445 };
    flows.push(exchange({ ...ends, atMs: i * 80 * secondMs, ...sizes, durationMs: 3000 }));
  }
  // An interface of the web on a port of its own, and one that is none.
  for (let i = 0; i < 300; i++) {
    const ends = { source: "10.0.0.66", target: "10.0.1.66", targetPort: i % 2 === 0 ? 8443 : 7443 };
    flows.push(exchange({ ...ends, atMs: i * secondMs, sent: 900, received: 1200, durationMs: 80 }));
  }
  return flows;
}

/** Logins that never came to be, and one that goes on: slices of a session. */
function failedAndLong(): TraceFlow[] {
  const scan = Array.from({ length: 60 }, (_, i) => ({
    source: "198.51.100.67",
    target: "10.0.1.67",
    targetPort: 22,
    startMs: traceStartMs + i * secondMs,
    outcome: Outcome.Refused,
    sourcePackets: 1,
    sourceBytes: 40,
    targetPackets: 1,
    targetBytes: 40,
  }));
  const session = Array.from({ length: 80 }, (_, i) => ({
    ...exchange({
      source: "10.0.0.68",
      target: "10.0.1.68",
      targetPort: 22,
      atMs: i * minuteMs,
      sent: 2000,
      received: 3000,
      durationMs: 59_000,
    }),
    sourcePort: 50_068,
  }));
  return [...scan, ...session];
}

/** What is known by the days before is left to unit tests. */
export function trace(seed: number): TraceFlow[] {
  const random = new Random(seed).fork("brute force");
  return [...found(random), ...benign(random), ...failedAndLong()];
}

export function invented(source: string, startMs: number): TraceFlow[] {
  return [{ source, target: source.includes(":") ? "2001:db8:1::99" : "10.0.1.99", targetPort: 22, startMs }];
}
