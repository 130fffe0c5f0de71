import { describe, expect, it } from "vitest";
import { bruteForce } from "../../../src/core/detectors/brute-force.ts";
import { Outcome } from "../../../src/core/flow/flow-batch.ts";
import { fold } from "../../../src/core/flow/fold.ts";
import { LoginAttempts } from "../../../src/core/sketches/login-attempts.ts";
import { severities, type Verdict } from "../../../src/core/verdict.ts";
import { Random } from "../../support/random.ts";
import { batchOf, endOf, traceStartMs, verdictsOf, type TraceFlow } from "../../support/trace.ts";

const random = new Random(11);
const secondMs = 1000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const stranger = "198.51.100.9";
const own = "10.0.0.9";
const server = "10.0.1.9";

/** `count` exchanges, `everyMs` apart, give or take half of it. */
function exchanges(count: number, everyMs: number, make: (i: number) => Partial<TraceFlow>): TraceFlow[] {
  return Array.from({ length: count }, (_, i) => {
    const { source = stranger, target = server, targetPort = 22, startMs = 0, ...rest } = make(i);
    const sent = random.int(2400, 2600);
    return {
      source,
      target,
      targetPort,
      startMs: Math.round(traceStartMs + startMs + (i + 0.5 * random.next()) * everyMs),
      durationMs: random.int(1800, 3200),
      sourceBytes: sent,
      targetBytes: sent + 900,
      sourcePackets: 11,
      targetPackets: 10,
      ...rest,
    };
  });
}

function verdicts(flows: TraceFlow[]): Verdict[] {
  const sorted = flows.toSorted((a, b) => endOf(a) - endOf(b));
  return verdictsOf(sorted, { detectors: [bruteForce], cut: 500 }).filter(({ state }) => state === "final");
}

function alarms(flows: TraceFlow[]): Verdict[] {
  return verdicts(flows).filter(({ severity }) => severities.indexOf(severity) >= severities.indexOf("medium"));
}

const kindOf = ({ evidence }: Verdict) => (evidence as { kind: string }).kind;

describe("brute force is found", () => {
  it.each<[string, TraceFlow[], string, string]>([
    ["20 logins in three minutes", exchanges(20, 9 * secondMs, () => ({})), stranger, "guessing"],
    ["67 logins in nine seconds, at once", exchanges(67, 140, () => ({})), stranger, "guessing"],
    [
      "16 connections at once, with several logins each",
      exchanges(16, 20, () => ({ targetPort: 21 })),
      stranger,
      "guessing",
    ],
    [
      "by IPv6",
      exchanges(30, 5 * secondMs, () => ({ source: "2001:db8:bad::9", target: "2001:db8:1::9" })),
      "2001:db8:bad::9",
      "guessing",
    ],
    ["on a port of its own", exchanges(90, 3 * secondMs, () => ({ targetPort: 47_022 })), stranger, "guessing"],
    [
      "one password on many hosts",
      exchanges(40, 6 * secondMs, (i) => ({ source: own, target: `10.0.2.${i}` })),
      own,
      "spraying",
    ],
    ["20 an hour for three hours", exchanges(60, 3 * minuteMs, () => ({ targetPort: 21 })), stranger, "slow"],
    [
      "30 sources that each try six times",
      exchanges(180, 30 * secondMs, (i) => ({ source: `203.0.${i % 30}.7`, targetPort: 3389 })),
      server,
      "distributed",
    ],
  ])("%s", (_, flows, entity, kind) => {
    const found = alarms(flows);
    expect(found.map((verdict) => [verdict.entity, kindOf(verdict)])).toEqual([[entity, kind]]);
    expect(found[0].peers.length).toBeGreaterThan(0);
  });

  it("where a busy server cuts a fifth of the connections short", () => {
    const flows = exchanges(100, 2 * secondMs, (i) => (i % 5 === 0 ? { sourceBytes: 300, durationMs: 10 } : {}));
    expect(alarms(flows)).toHaveLength(1);
  });

  it("after a scan for the service", () => {
    const scan = exchanges(300, 100, (i) => ({ target: `10.0.3.${i % 250}`, ...refused, startMs: -minuteMs }));
    expect(alarms([...scan, ...exchanges(80, 2 * secondMs, () => ({}))]).map(kindOf)).toEqual(["guessing"]);
  });
});

const refused = { outcome: Outcome.Refused, sourceBytes: 40, sourcePackets: 1, targetBytes: 40, targetPackets: 1 };

describe("a scan beside it hides nothing", () => {
  const ports = [21, 22, 23, 110, 143, 445, 993, 1433, 3306, 3389, 5432, 5900, 5985, 6379, 27_017];
  const scanned = (source: string) => ports.map((targetPort) => ({ source, targetPort, ...refused }));

  it("of the same target's ports", () => {
    const scan = [
      ...scanned(stranger),
      ...Array.from({ length: 400 }, (_, i) => ({ targetPort: 7000 + i, ...refused })),
    ];
    const flows = exchanges(scan.length, 50, (i) => ({ ...scan[i], startMs: -20 * minuteMs }));
    const found = alarms([...flows, ...exchanges(40, 5 * secondMs, () => ({}))]);
    expect(found.map((verdict) => [kindOf(verdict), verdict.peers[0].port])).toEqual([["guessing", 22]]);
  });

  it("of a target that many strangers guess at", () => {
    const scans = Array.from({ length: 12 }, (_, i) => scanned(`192.0.2.${i}`)).flat();
    const flows = exchanges(scans.length, 10 * secondMs, (i) => scans[i]);
    const botnet = exchanges(180, 30 * secondMs, (i) => ({ source: `203.0.${i % 30}.7` }));
    const found = alarms([...flows, ...botnet]);
    expect(found.map((verdict) => [verdict.entity, verdict.peers[0].port])).toEqual([[server, 22]]);
  });
});

describe("no alarm about", () => {
  it.each<[string, TraceFlow[]]>([
    ["15 logins at once", exchanges(15, 20, () => ({ targetPort: 21 }))],
    ["16 at once, one on each host", exchanges(16, 20, (i) => ({ source: own, target: `10.0.2.${i}` }))],
    ["19 logins", exchanges(19, 5 * secondMs, () => ({}))],
    ["connections that were refused", exchanges(200, secondMs, () => refused)],
    ["a sliced session", exchanges(200, minuteMs, () => ({ sourcePort: 50_000, durationMs: 59_000 }))],
    [
      "slices of many sessions",
      exchanges(400, 10 * secondMs, (i) => ({ source: own, sourcePort: 50_000 + (i % 30), durationMs: 59_000 })),
    ],
    ["short slices of one connection", exchanges(200, 20 * secondMs, () => ({ sourcePort: 50_000 }))],
    ["pages and interfaces of the web", exchanges(400, secondMs, (i) => ({ targetPort: i % 2 === 0 ? 443 : 8080 }))],
    ["an agent on a port of its own", exchanges(400, secondMs, () => ({ targetPort: 7443, durationMs: 40 }))],
    [
      "one port of its own on many hosts",
      exchanges(200, secondMs, (i) => ({ targetPort: 7443, target: `10.0.4.${i}` })),
    ],
    [
      "a pool of a database",
      exchanges(400, secondMs, () => ({ source: own, targetPort: 3306, sourceBytes: random.logNormal(1500, 0.9) | 0 })),
    ],
    [
      "queries that are alike but answered with rows",
      exchanges(400, secondMs, () => ({ source: own, targetPort: 5432, targetBytes: 9000 })),
    ],
    [
      "configuration management",
      exchanges(40, 2 * secondMs, (i) => ({
        source: own,
        target: `10.0.5.${i}`,
        sourceBytes: random.logNormal(30_000, 0.4) | 0,
      })),
    ],
    ["a banner that a monitor looks at", exchanges(200, 5 * secondMs, () => ({ source: own, sourceBytes: 320 }))],
    [
      "a job that runs by the clock",
      Array.from({ length: 200 }, (_, i) =>
        exchanges(1, secondMs, () => ({ source: own, targetPort: 21, startMs: 4 * minuteMs * i })),
      ).flat(),
    ],
    ["a mail client", exchanges(200, 2 * minuteMs, () => ({ source: own, targetPort: 993 }))],
    [
      "own hosts that use a service of their own",
      exchanges(300, 30 * secondMs, (i) => ({ source: `10.0.7.${i % 60}`, targetPort: 3389 })),
    ],
    [
      "strangers who look in once",
      exchanges(300, 30 * secondMs, (i) => ({ source: `203.0.${i % 250}.${i >> 7}`, targetPort: 21 })),
    ],
  ])("%s", (_, flows) => {
    expect(alarms(flows)).toEqual([]);
  });
});

describe("a success is suspected", () => {
  const guessing = exchanges(60, 3 * secondMs, () => ({}));
  const login = exchanges(1, secondMs, () => ({ startMs: 10 * minuteMs, sourceBytes: 40_000, durationMs: 20_000 }));

  it("by a later connection that sent much more", () => {
    const [before] = alarms(guessing);
    const [after] = alarms([...guessing, ...login]);
    expect(before.evidence).toMatchObject({ success_suspected: false });
    expect(after.evidence).toMatchObject({ success_suspected: { bytes_sent: 40_000 } });
    expect(severities.indexOf(after.severity)).toBe(severities.indexOf(before.severity) + 1);
    expect(after.techniques).toContain("T1078");
  });

  it("not by one that came before", () => {
    const early = login.map((flow) => ({ ...flow, startMs: flow.startMs - 30 * minuteMs }));
    expect(alarms([...early, ...guessing])[0].evidence).toMatchObject({ success_suspected: false });
  });

  it("by the session in which the source sent most, in any order", () => {
    const flows = [5000, 90_000, 20_000].map((sourceBytes, i) => ({
      ...login[0],
      sourceBytes,
      sourcePort: 40_000 + i,
      startMs: traceStartMs + i * hourMs,
      durationMs: 80_000,
    }));
    const options = { hashKey: [1, 2] as const, isInternal: () => false, allowanceMs: 0 };
    const { contacts } = fold(batchOf(flows), options);
    const orders = [
      [0, 1, 2],
      [2, 1, 0],
    ];
    for (const order of orders) {
      const attempts = new LoginAttempts(22, 1);
      for (const i of order) attempts.addSession(contacts, i);
      expect(attempts.sessions).toBe(3);
      expect(attempts.longest).toEqual({ bytes: 90_000, startMs: traceStartMs + hourMs, durationMs: 80_000 });
    }
  });
});

describe("what is known by the days before", () => {
  const onDays = (days: number, make: (startMs: number) => TraceFlow[]) =>
    Array.from({ length: days }, (_, day) => make(day * dayMs)).flat();

  it("adds up for a stranger, and a day of it alone is silent", () => {
    const few = (startMs: number) => exchanges(16, 20 * minuteMs, () => ({ startMs }));
    expect(alarms(few(0))).toEqual([]);
    const found = alarms(onDays(3, few));
    expect(found.map(kindOf)).toEqual(["slow"]);
    expect(found[0].window.startMs).toBe(traceStartMs - 8 * hourMs + 2 * dayMs);
    expect(found[0].evidence).toMatchObject({ attempts: 16, attempts_of_earlier_days: 32, baseline_days: 2 });
  });

  it("does not add up for a host of our own", () => {
    const few = (startMs: number) => exchanges(16, 20 * minuteMs, () => ({ source: own, startMs }));
    expect(alarms(onDays(6, few))).toEqual([]);
  });

  it("is low after two days of alarm, unless it gets in", () => {
    const daily = (startMs: number) => exchanges(40, 5 * secondMs, () => ({ source: own, startMs }));
    expect(verdicts(onDays(4, daily)).map(({ severity }) => severity)).toEqual(["high", "high", "low", "low"]);
    const login = exchanges(1, 1, () => ({ source: own, startMs: 3 * dayMs + hourMs, sourceBytes: 90_000 }));
    const severitiesThen = verdicts([...onDays(4, daily), ...login]).map(({ severity }) => severity);
    expect(severitiesThen).toEqual(["high", "high", "low", "critical"]);
  });
});

it("grades by number, and by who it is", () => {
  const graded = (count: number, source: string) =>
    alarms(exchanges(count, 500, () => ({ source }))).map(({ severity }) => severity);
  expect(graded(30, stranger)).toEqual(["medium"]);
  expect(graded(300, stranger)).toEqual(["high"]);
  expect(graded(30, own)).toEqual(["high"]);
});
