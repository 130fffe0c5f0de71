import { describe, expect, it } from "vitest";
import { lateralMovement } from "../../../src/core/detectors/lateral-movement.ts";
import { Outcome } from "../../../src/core/flow/flow-batch.ts";
import type { Verdict } from "../../../src/core/verdict.ts";
import {
  contactsOf,
  endOf,
  slotOfDetector,
  traceStartMs,
  verdictsOf,
  wholeSlot,
  type TraceFlow,
} from "../../support/trace.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const host = "10.0.0.9";
const today = 3 * dayMs;

const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

/** Ordinary life on the first `days` days and today: what makes a past. */
function life(source: string, days = 3): TraceFlow[] {
  const target = source.includes(":") ? "2001:db8:ffff::80" : "203.0.113.80";
  return times(days + 1, (day) =>
    times(20, (i) => ({
      source,
      target,
      targetPort: 443,
      startMs: traceStartMs + (3 - days + day) * dayMs + i * minuteMs,
    })),
  ).flat();
}

function login(source: string, target: string, atMs: number, targetPort = 22): TraceFlow {
  return { source, target, targetPort, startMs: traceStartMs + atMs, durationMs: 5000, sourceBytes: 20_000 };
}

function fan(source: string, prefix: string, count: number, atMs: number, port = 22): TraceFlow[] {
  return times(count, (i) => login(source, `${prefix}${i + 1}`, atMs + i * minuteMs, port));
}

/** What is said at the end of the last day. */
function verdicts(flows: TraceFlow[]): Verdict[] {
  const sorted = flows.toSorted((a, b) => endOf(a) - endOf(b));
  return verdictsOf(sorted, { detectors: [lateralMovement], cut: 300 }).filter(
    ({ state, window }) => state === "final" && window.endMs > traceStartMs + today,
  );
}

function said(flows: TraceFlow[]): string[] {
  return verdicts(flows).map(
    ({ entity, severity, evidence }) => `${entity} ${severity} ${(evidence as { kind: string }).kind}`,
  );
}

describe("a fan of new targets", () => {
  it("is medium from five on, for a host with a past", () => {
    expect(said([...life(host), ...fan(host, "10.0.5.", 4, today)])).toEqual([]);
    expect(said([...life(host), ...fan(host, "10.0.5.", 5, today)])).toEqual([`${host} medium fan_out`]);
  });

  it("is found by IPv6", () => {
    const v6 = "2001:db8:1::9";
    expect(said([...life(v6), ...fan(v6, "2001:db8:1:5::", 6, today, 3389)])).toEqual([`${v6} medium fan_out`]);
  });

  it("is low for a host without a past", () => {
    expect(said(fan(host, "10.0.5.", 12, today))).toEqual([`${host} low fan_out`]);
    expect(said([...life(host, 1), ...fan(host, "10.0.5.", 12, today)])).toEqual([`${host} low fan_out`]);
  });

  it("counts hosts, not ports", () => {
    const flows = [22, 135, 139, 445, 3389, 5985].map((port) => login(host, "10.0.5.1", today, port));
    expect(said([...life(host), ...flows])).toEqual([]);
  });

  it("is none where most of it failed: that is a scan", () => {
    const lost = fan(host, "10.0.6.", 20, today).map((flow) => ({
      ...flow,
      outcome: Outcome.Unanswered,
      targetBytes: 0,
      targetPackets: 0,
    }));
    expect(said([...life(host), ...fan(host, "10.0.5.", 6, today), ...lost])).toEqual([]);
  });

  it("is none on other ports, or outside", () => {
    const outside = times(20, (i) => login(host, `203.0.113.${i}`, today));
    expect(said([...life(host), ...fan(host, "10.0.5.", 20, today, 443), ...outside])).toEqual([]);
  });

  it("is none where it was done before", () => {
    const inventory = times(4, (day) => fan(host, "10.0.5.", 30, day * dayMs, 135)).flat();
    expect(said([...life(host), ...inventory])).toEqual([]);
  });

  it("is held against the host's habit", () => {
    const daily = times(3, (day) => fan(host, `10.0.${20 + day}.`, 6, day * dayMs)).flat();
    expect(said([...life(host), ...daily, ...fan(host, "10.0.5.", 8, today)])).toEqual([]);
    expect(said([...life(host), ...daily, ...fan(host, "10.0.5.", 14, today)])).toEqual([`${host} medium fan_out`]);
  });

  it("teaches no habit while it alarms, but its targets are known then", () => {
    const yesterday = fan(host, "10.0.5.", 12, 2 * dayMs);
    expect(said([...life(host), ...yesterday, ...fan(host, "10.0.5.", 12, today)])).toEqual([]);
    expect(said([...life(host), ...yesterday, ...fan(host, "10.0.6.", 6, today)])).toEqual([`${host} medium fan_out`]);
  });

  it("does not count new servers that everybody comes to", () => {
    const clients = times(30, (i) => `10.0.9.${i + 1}`);
    const servers = times(6, (i) => `10.0.1.${i + 1}`);
    const all = [host, ...clients].flatMap((source) =>
      servers.map((target, i) => login(source, target, today + i * minuteMs, 445)),
    );
    expect(said([...life(host), ...all]).filter((text) => text.startsWith(host))).toEqual([]);
  });
});

describe("a chain", () => {
  const visitor = "10.0.0.8";
  const lives = [...life(host), ...life(visitor)];
  const visit = (atMs: number, port = 22) => login(visitor, host, today + atMs, port);
  const step = (atMs: number, port = 22) => login(host, "10.0.5.1", today + atMs, port);

  it("is medium: reached by somebody new, then reaching somebody new", () => {
    const found = verdicts([...lives, visit(0), step(20 * minuteMs)]);
    expect(found.map(({ entity, severity }) => [entity, severity])).toEqual([[host, "medium"]]);
    expect(found[0].evidence).toMatchObject({ kind: "chain", chain: { reached_by: { address: visitor } } });
    expect(found[0].peers).toEqual([{ address: "10.0.5.1", port: 22, protocol: "tcp" }]);
  });

  it("makes a fan one level worse", () => {
    expect(said([...lives, visit(0), ...fan(host, "10.0.5.", 6, today + hourMs)])).toEqual([`${host} high fan_out`]);
  });

  it.each<[string, TraceFlow[]]>([
    ["in the other order", [step(0), visit(hourMs)]],
    ["over another port", [visit(0, 3389), step(hourMs)]],
    ["by a visitor who was refused", [{ ...visit(0), outcome: Outcome.Refused }, step(hourMs)]],
    ["after many hours", [visit(0), step(6 * hourMs)]],
    ["back to where it came from", [visit(0), login(host, visitor, today + hourMs)]],
    ["to a host that is known", [login(host, "10.0.5.1", dayMs), visit(0), step(hourMs)]],
    ["by a visitor who is known", [login(visitor, host, dayMs), visit(0), step(hourMs)]],
    [
      "of a server on its first day",
      [...times(5, (i) => login(`10.0.9.${i + 1}`, host, today)), visit(0), step(hourMs)],
    ],
  ])("is none %s", (_, flows) => {
    expect(said([...lives, ...flows])).toEqual([]);
  });

  it("is none for a host without a past, unless it spreads like a worm", () => {
    expect(said([visit(0), step(hourMs)])).toEqual([]);
    expect(said([visit(0), ...fan(host, "10.0.5.", 19, today + hourMs)])).toEqual([`${host} low fan_out`]);
    expect(said([visit(0), ...fan(host, "10.0.5.", 20, today + hourMs)])).toEqual([`${host} medium spreading`]);
  });
});

it("tells what would have kept it quiet", () => {
  const [found] = verdicts([...life(host), ...fan(host, "10.0.5.", 7, today)]);
  expect(found.evidence).toMatchObject({
    baseline_days: 3,
    thresholds: [{ threshold: "new_targets_min", in_force: 5, observed: 7, quiet_at: 8 }],
  });
});

it("keeps nothing of what strangers try", () => {
  const slot = slotOfDetector(lateralMovement);
  const scan = times(50, (i) => login("198.51.100.9", `10.0.5.${i}`, today));
  slot.learn(wholeSlot(contactsOf(scan)));
  expect(slot.entities).toBe(0);
});
