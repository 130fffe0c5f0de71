import { describe, expect, it } from "vitest";
import { ddos } from "../../../src/core/detectors/ddos.ts";
import type { DdosSettings } from "../../../src/core/detectors/ddos/settings.ts";
import type { SlotDetector } from "../../../src/core/detectors/detector.ts";
import { explained } from "../../../src/core/detectors/explain.ts";
import { settingsOf } from "../../../src/core/detectors/thresholds.ts";
import { Initiator, Outcome, Protocol } from "../../../src/core/flow/flow-batch.ts";
import { NetworkFacts } from "../../../src/core/slots/network-facts.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";
import { severities, type Finding } from "../../../src/core/verdict.ts";
import { Random } from "../../support/random.ts";
import { contactsOf, endOf, traceStartMs, verdictsOf, wholeSlot, type TraceFlow } from "../../support/trace.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const random = new Random(11);
const victim = "10.0.0.9";
const lost = { outcome: Outcome.Unanswered, targetPackets: 0, targetBytes: 0 };
const syn = { ...lost, targetPort: 443, durationMs: 0, sourcePackets: 1, sourceBytes: 40 };
const replyOnly = { sourcePackets: 0, sourceBytes: 0, outcome: Outcome.Unknown, protocol: Protocol.Udp };
/** Of a log that shows one direction. */
const oneWay = { outcome: Outcome.Unknown, initiator: Initiator.Unknown, targetPackets: 0, targetBytes: 0 };

function times<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

/** `count` flows within most of a minute. */
function within(minute: number, count: number, make: (i: number) => Omit<TraceFlow, "startMs">): TraceFlow[] {
  return times(count, (i) => ({
    ...make(i),
    startMs: Math.floor(traceStartMs + (minute + (0.95 * i) / count) * minuteMs),
  }));
}

function stranger(i: number): string {
  return `198.18.${(i >> 8) & 255}.${i & 255}`;
}

const defaults = settingsOf(ddos.thresholds);

function slotWith(settings: Partial<DdosSettings> = {}): SlotDetector {
  return ddos.create({ ...defaults, ...settings });
}

function learn(slot: SlotDetector, flows: readonly TraceFlow[]): void {
  const sorted = flows.toSorted((a, b) => endOf(a) - endOf(b));
  for (let from = 0; from < sorted.length; from += 10_000) {
    slot.learn(wholeSlot(contactsOf(sorted.slice(from, from + 10_000))));
  }
}

function found(flows: readonly TraceFlow[], settings: Partial<DdosSettings> = {}): Finding[] {
  const slot = slotWith(settings);
  learn(slot, flows);
  return slot.findings(Infinity).flatMap(({ finding, final }) => (final ? [finding] : []));
}

function isAlarm({ severity }: Finding): boolean {
  return severities.indexOf(severity) >= severities.indexOf("medium");
}

function kindsOf(findings: readonly Finding[]): string[] {
  return findings.filter(isAlarm).map(({ entity, evidence }) => `${entity} ${evidence["kind"] as string}`);
}

const longFlow = { targetPort: 80, protocol: Protocol.Udp, durationMs: 59_000, ...lost };

describe("ddos finds", () => {
  it.each<[string, TraceFlow[], string[]]>([
    [
      "a flood of SYNs by one source on one port",
      within(1, 1200, () => ({ ...syn, source: stranger(1), target: victim })),
      [`${victim} unanswered`],
    ],
    [
      "a flood through which visitors are served",
      [
        ...within(1, 1200, (i) => ({ ...syn, source: stranger(i), target: victim })),
        ...within(1, 500, (i) => ({ source: stranger(2000 + i), target: victim, targetPort: 443 })),
      ],
      [`${victim} unanswered`],
    ],
    [
      "300 SYNs a minute that last for twenty minutes",
      times(20, (minute) => minute).flatMap((minute) =>
        within(minute, 300, (i) => ({ ...syn, source: stranger(i), target: victim })),
      ),
      [`${victim} sustained`],
    ],
    [
      "datagrams by a single source, logged each minute",
      within(1, 20, (i) => ({
        ...longFlow,
        source: stranger(1),
        sourcePort: 5000 + i,
        target: victim,
        sourcePackets: 100_000,
        sourceBytes: 9e7,
      })),
      [`${victim} volume`],
    ],
    [
      "as many from twelve sources, in a log that shows one direction",
      within(1, 24, (i) => ({
        ...longFlow,
        ...oneWay,
        source: stranger(i % 12),
        target: victim,
        sourcePackets: 60_000,
        sourceBytes: 6e7,
      })),
      [`${victim} volume`],
    ],
    [
      "a gigabit from twenty sources in large packets",
      within(1, 20, (i) => ({
        ...longFlow,
        source: stranger(i),
        target: victim,
        sourcePackets: 55_000,
        sourceBytes: 4e8,
      })),
      [`${victim} volume`],
    ],
    [
      "one memcached server's answers, a gigabit of them",
      within(1, 10, () => ({
        ...replyOnly,
        source: victim,
        target: "203.0.113.50",
        targetPort: 11_211,
        targetPackets: 600_000,
        targetBytes: 8.4e8,
      })),
      [`${victim} reflection`],
    ],
    [
      "SYN+ACKs of a thousand servers",
      within(1, 1200, (i) => ({
        ...replyOnly,
        protocol: Protocol.Tcp,
        source: victim,
        target: stranger(i),
        targetPort: 443,
        targetPackets: 2,
        targetBytes: 88,
      })),
      [`${victim} reflection`],
    ],
    [
      "replies to a resolver of a log that shows requests and replies apart",
      [
        ...within(0, 3000, (i) => ({ ...lookup(i), ...oneWay })),
        ...within(0, 2950, (i) => ({ ...lookup(i), ...replyOnly, targetPackets: 1, targetBytes: 200 })),
        ...within(12, 1500, (i) => ({ ...lookup(i + 7), ...replyOnly, targetPackets: 2, targetBytes: 3000 })),
      ],
      [`${victim} reflection`],
    ],
    [
      "SYNs from forty sources over a prefix",
      within(1, 2400, (i) => ({ ...syn, source: stranger(i % 40), target: `10.0.3.${random.int(1, 250)}` })),
      ["10.0.3.0/24 carpet"],
    ],
    [
      "the same over a /48",
      within(1, 2400, (i) => ({
        ...syn,
        source: `2001:db8:bad::${(i % 40).toString(16)}`,
        target: `2001:db8:1:3::${random.int(1, 250).toString(16)}`,
      })),
      ["2001:db8:1::/48 carpet"],
    ],
    [
      "many packets to each host of a prefix, too few for any one",
      within(1, 200, (i) => ({
        ...longFlow,
        source: stranger(i % 30),
        target: `10.0.3.${1 + i}`,
        sourcePackets: 8000,
        sourceBytes: 8e6,
      })),
      ["10.0.3.0/24 carpet"],
    ],
    [
      "hosts of ours that flood somebody, though each sends little",
      within(1, 2400, (i) => ({ ...syn, source: `10.0.5.${i % 10}`, target: "203.0.113.9" })),
      ["203.0.113.9 unanswered"],
    ],
  ])("%s", (_, flows, expected) => expect(kindsOf(found(flows))).toEqual(expected));
});

function lookup(i: number): Omit<TraceFlow, "startMs"> {
  return { source: victim, target: `203.0.113.${1 + (i % 90)}`, targetPort: 53, protocol: Protocol.Udp };
}

const upload = { durationMs: 59_000, sourcePackets: 4_000_000, sourceBytes: 5e9, targetPackets: 2e6, targetBytes: 8e7 };

describe("ddos is silent about", () => {
  it.each<[string, TraceFlow[]]>([
    [
      "a crowd of whom one in eight is turned away",
      within(1, 9000, (i) => ({
        source: stranger(i),
        target: victim,
        targetPort: 443,
        ...(i % 8 === 0 ? { ...lost, sourcePackets: 2 } : {}),
      })),
    ],
    ["a backup", within(1, 1, () => ({ source: "10.0.0.3", target: victim, targetPort: 873, ...upload }))],
    [
      "what branches send to a server of ours, and a little noise later",
      [
        ...within(1, 12, (i) => ({ source: stranger(i), target: victim, targetPort: 873, ...upload })),
        ...within(3, 600, (i) => ({ ...syn, source: stranger(i), target: victim })),
      ],
    ],
    [
      "uploads and downloads of ours",
      [
        ...within(1, 8, (i) => ({ source: victim, target: "203.0.113.4", targetPort: 8080 + i, ...upload })),
        ...within(1, 8, (i) => ({
          source: victim,
          target: "203.0.113.5",
          targetPort: 8080 + i,
          ...upload,
          targetPackets: 4_000_000,
          targetBytes: 5e9,
        })),
      ],
    ],
    [
      "an upload over UDP in a log that shows one direction",
      within(1, 4, (i) => ({
        ...longFlow,
        ...oneWay,
        source: victim,
        target: "203.0.113.4",
        sourcePort: 5000 + i,
        targetPort: 443,
        sourcePackets: 1_000_000,
        sourceBytes: 1.2e9,
      })),
    ],
    [
      "a meeting",
      within(1, 40, (i) => ({
        source: `10.0.0.${i}`,
        target: "203.0.113.8",
        targetPort: 3478,
        protocol: Protocol.Udp,
        durationMs: 59_000,
        sourcePackets: 60_000,
        sourceBytes: 3e7,
        targetPackets: 60_000,
        targetBytes: 3e7,
      })),
    ],
    [
      "our own clients' retries, to a dead server of ours and to one outside, for ten minutes",
      times(10, (minute) => minute).flatMap((minute) => [
        ...within(minute, 1500, (i) => ({ ...syn, source: `10.0.6.${i % 50}`, target: victim })),
        ...within(minute, 1500, (i) => ({ ...syn, source: `10.0.7.${i % 50}`, target: "203.0.113.6" })),
      ]),
    ],
    [
      "one host's scan of a prefix, and one of all ports of a host",
      [
        ...within(1, 5000, (i) => ({ ...syn, source: stranger(1), target: `10.0.3.${i % 250}`, targetPort: i >> 8 })),
        ...within(2, 5000, (i) => ({ ...syn, source: stranger(2), target: victim, targetPort: 1 + i })),
      ],
    ],
    [
      "noise of the internet on a prefix: three packets a minute for each host",
      times(10, (minute) => minute).flatMap((minute) =>
        within(minute, 750, (i) => ({ ...syn, source: stranger(random.int(0, 400)), target: `10.0.3.${i % 250}` })),
      ),
    ],
    [
      "late replies to a resolver, and requests and replies that are logged apart",
      [
        ...within(0, 9000, (i) => lookup(i)),
        ...within(0, 400, (i) => ({ ...lookup(i), ...replyOnly, targetPackets: 1, targetBytes: 200 })),
        ...within(20, 4000, (i) => ({ ...lookup(i), ...oneWay })),
        ...within(21, 3950, (i) => ({ ...lookup(i), ...replyOnly, targetPackets: 1, targetBytes: 200 })),
      ],
    ],
    [
      "pages in a log that shows what comes in only",
      within(1, 3000, (i) => ({
        ...replyOnly,
        protocol: Protocol.Tcp,
        source: victim,
        target: stranger(i),
        targetPort: 443,
        targetPackets: 20,
        targetBytes: 25_000,
      })),
    ],
    [
      "a stream to a group of hosts",
      within(1, 20, (i) => ({
        ...longFlow,
        source: `10.0.0.${i}`,
        target: "239.1.2.3",
        sourcePackets: 400_000,
        sourceBytes: 5e8,
      })),
    ],
    ["five SYNs a second", within(1, 300, (i) => ({ ...syn, source: stranger(i), target: victim }))],
  ])("%s", (_, flows) => expect(kindsOf(found(flows))).toEqual([]));
});

/** What somebody does every hour, and then in the last one. */
function afterHabit(hours: number, habit: (hour: number) => TraceFlow[], last: TraceFlow[]): Finding[] {
  const slot = slotWith();
  for (let hour = 0; hour < hours; hour++) {
    learn(slot, shifted(habit(hour), hour));
    slot.findings(traceStartMs + (hour + 1) * hourMs);
  }
  learn(slot, shifted(last, hours));
  return slot.findings(Infinity).flatMap(({ finding, final }) => (final ? [finding] : []));
}

function shifted(flows: readonly TraceFlow[], hours: number): TraceFlow[] {
  return flows.map((flow) => ({ ...flow, startMs: flow.startMs + hours * hourMs }));
}

const synsPerMinute = (count: number) => within(1, count, (i) => ({ ...syn, source: stranger(i), target: victim }));

describe("with a habit, ddos", () => {
  it("finds less than without one", () => {
    expect(kindsOf(found(synsPerMinute(700)))).toEqual([]);
    const [finding] = afterHabit(4, () => synsPerMinute(30), synsPerMinute(700));
    expect(finding.evidence).toMatchObject({ baseline_known: true, baseline_per_minute: 32, threshold: 500 });
    expect(isAlarm(finding)).toBe(true);
  });

  it("needs four hours to have one", () => {
    expect(afterHabit(3, () => synsPerMinute(30), synsPerMinute(700))).toEqual([]);
  });

  it("is silent below the tolerance, and finds what exceeds it", () => {
    const usual = () => synsPerMinute(800);
    expect(afterHabit(6, usual, synsPerMinute(2300)).filter(isAlarm)).toEqual([]);
    const [finding] = afterHabit(6, usual, synsPerMinute(3600));
    expect(finding.evidence).toMatchObject({ baseline_per_minute: 1024 });
    expect(finding.observed?.map(({ threshold }) => threshold)).toEqual(["tolerance", "unansweredMin"]);
  });

  it("finds what exceeds the ceiling, whatever the habit", () => {
    const slot = slotWith({ flowsCeiling: 1500 });
    for (let hour = 0; hour < 5; hour++) {
      learn(slot, shifted(synsPerMinute(900), hour));
      expect(slot.findings(traceStartMs + (hour + 1) * hourMs).some(({ final }) => final)).toBe(false);
    }
    learn(slot, shifted(synsPerMinute(1600), 5));
    const [{ finding }] = slot.findings(Infinity).filter(({ final }) => final);
    expect(finding.observed).toEqual([{ threshold: "flowsCeiling", value: 1600 }]);
  });

  it("learns nothing from hours with an alarm", () => {
    const flooded = (hour: number) => synsPerMinute(hour < 4 ? 30 : 4000);
    const findings = afterHabit(8, flooded, synsPerMinute(4000));
    expect(findings[0].evidence).toMatchObject({ threshold: 500 });
  });

  it("is less sure and less alarmed without one", () => {
    const [cold] = found(synsPerMinute(1500));
    const [warm] = afterHabit(4, () => synsPerMinute(30), synsPerMinute(1500));
    expect(cold.evidence).toMatchObject({ baseline_known: false, baseline_days: 0 });
    expect(cold.confidence).toBeLessThan(warm.confidence);
    expect(severities.indexOf(cold.severity)).toBeLessThan(severities.indexOf(warm.severity));
  });

  it("adds up only what exceeds the habit", () => {
    const steady = (count: number) =>
      times(25, (minute) => minute).flatMap((minute) =>
        within(minute, count, (i) => ({ ...syn, source: stranger(i), target: victim })),
      );
    expect(kindsOf(afterHabit(5, () => steady(130).slice(0, 1300), steady(300)))).toEqual([`${victim} sustained`]);
    expect(
      kindsOf(
        afterHabit(5, () => within(1, 180, (i) => ({ ...syn, source: stranger(i), target: victim })), steady(185)),
      ),
    ).toEqual([]);
  });
});

describe("what ddos says", () => {
  const cases: [string, TraceFlow[]][] = [
    ["unanswered", synsPerMinute(2200)],
    [
      "volume",
      within(1, 20, () => ({
        ...longFlow,
        source: stranger(1),
        target: victim,
        sourcePackets: 90_000,
        sourceBytes: 9e7,
      })),
    ],
    ["carpet", within(1, 2400, (i) => ({ ...syn, source: stranger(i % 40), target: `10.0.3.${1 + (i % 250)}` }))],
    ["reflection", within(1, 1500, (i) => ({ ...lookup(i), ...replyOnly, targetPackets: 2, targetBytes: 3000 }))],
  ];

  it.each(cases)("is no longer said with a threshold at its quiet_at: %s", (kind, flows) => {
    const [finding] = found(flows);
    expect(finding.evidence["kind"]).toBe(kind);
    const told = explained(finding, defaults, ddos.thresholds, (settings) => found(flows, settings)[0]);
    const [held] = told.evidence["thresholds"] as { quiet_at: number | null }[];
    const { threshold } = finding.observed![0];
    expect(held.quiet_at).not.toBeNull();
    expect(found(flows, { [threshold]: held.quiet_at! }).filter(isAlarm)).toEqual([]);
    expect(found(flows, { [threshold]: held.quiet_at! * 0.98 }).filter(isAlarm).length).toBe(1);
  });

  it("has an error bar and less confidence where the log is sampled", () => {
    const flows = times(40, (i) => ({
      ...longFlow,
      startMs: traceStartMs,
      source: stranger(i),
      target: victim,
      sourcePackets: 90,
      sourceBytes: 9e4,
    }));
    const [whole] = found(flows.map((flow) => ({ ...flow, sourcePackets: 90_000, sourceBytes: 9e7 })));
    const [sampled] = found(flows.map((flow) => ({ ...flow, samplingRate: 1000 })));
    expect(sampled.evidence).toMatchObject({
      packets_per_minute: 3_600_000,
      sampling_rate: 1000,
      packets_error_percent: 3.267,
    });
    expect(sampled.confidence).toBeLessThan(whole.confidence);
  });

  it("comes with the batch that crosses the threshold", () => {
    const flows = synsPerMinute(1100);
    const slot = slotWith();
    learn(slot, flows.slice(0, 999));
    expect(slot.findings(0)).toEqual([]);
    learn(slot, flows.slice(999, 1000));
    expect(slot.findings(0).map(({ finding }) => finding.entity)).toEqual([victim]);
  });

  it("names our own hosts as peers of a flood that leaves us", () => {
    const [finding] = found(
      within(1, 1500, (i) => ({ ...syn, source: `10.0.5.${1 + (i % 2)}`, target: "203.0.113.9" })),
    );
    expect(finding.evidence).toMatchObject({ direction: "outbound" });
    expect(finding.peers.map(({ address }) => address).sort()).toEqual(["10.0.5.1", "10.0.5.2"]);
    expect(finding.severity).toBe("high");
  });

  it("is the same of half a flow log and the other half", () => {
    const flows = cases.flatMap(([, all]) => all).sort((a, b) => endOf(a) - endOf(b));
    const whole = verdictsOf(flows, { detectors: [ddos] });
    const cut = verdictsOf(flows, { detectors: [ddos], cut: 700 });
    const finals = (verdicts: typeof whole) =>
      verdicts
        .filter(({ state }) => state === "final")
        .map((verdict) => JSON.stringify({ ...verdict, revision: 0 }))
        .sort();
    expect(finals(cut)).toEqual(finals(whole));
  });

  it("tells how many of our own call a host outside: of closed hours once, of open ones when asked for everything", () => {
    const target = "203.0.113.77";
    const flows = within(1, 60, (i) => ({ source: `10.0.9.${i % 30}`, target, targetPort: 443 }));
    const contacts = contactsOf(flows);
    const hash = contacts.addressHash[contacts.targets.target[0]];
    const slot = slotWith();
    slot.learn(wholeSlot(contacts));
    const told = (everything: boolean) => {
      const facts = new NetworkFacts();
      slot.tell!(facts.ofSlot(0), everything);
      return facts.sourcesOf(hash);
    };
    expect(told(false)).toBe(1);
    expect(told(true)).toBe(30);
    slot.findings(traceStartMs + hourMs);
    expect(told(false)).toBe(30);
    expect(told(true)).toBe(1);
  });

  it("remembers a habit when it is restored", () => {
    const slot = slotWith();
    for (let hour = 0; hour < 4; hour++) {
      learn(slot, shifted(synsPerMinute(30), hour));
      slot.findings(traceStartMs + (hour + 1) * hourMs);
    }
    const writer = new StateWriter();
    slot.save(writer);
    const restored = ddos.create(defaults, new StateReader(writer.bytes()));
    learn(restored, shifted(synsPerMinute(700), 4));
    expect(restored.findings(Infinity).some(({ finding }) => isAlarm(finding))).toBe(true);
  });
});
