import { describe, expect, it } from "vitest";
import { c2Beacon } from "../../../src/core/detectors/c2-beacon.ts";
import type { C2BeaconSettings } from "../../../src/core/detectors/c2-beacon/settings.ts";
import type { Opinion, SlotDetector } from "../../../src/core/detectors/detector.ts";
import { explained } from "../../../src/core/detectors/explain.ts";
import { settingsOf } from "../../../src/core/detectors/thresholds.ts";
import { Outcome, Protocol } from "../../../src/core/flow/flow-batch.ts";
import { NetworkFacts } from "../../../src/core/slots/network-facts.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";
import { severities, type Finding } from "../../../src/core/verdict.ts";
import { Random } from "../../support/random.ts";
import { contactsOf, endOf, traceStartMs, wholeSlot, type TraceFlow } from "../../support/trace.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const midnightMs = traceStartMs - (traceStartMs % dayMs);
const source = "10.0.0.9";
const defaults = settingsOf(c2Beacon.thresholds);

interface Beat {
  day?: number;
  fromMs?: number;
  everyMs: number;
  contacts: number;
  jitter?: number;
  missing?: number;
}

/** Contacts from eight o'clock of a day on. */
function calls(beat: Beat, flow: Partial<TraceFlow> = {}, seed = 7): TraceFlow[] {
  const { day = 0, fromMs = 0, everyMs, contacts, jitter = 0, missing = 0 } = beat;
  const random = new Random(seed);
  const flows: TraceFlow[] = [];
  let startMs = midnightMs + day * dayMs + 8 * hourMs + fromMs;
  for (let i = 0; i < contacts; i++) {
    const sourcePort = random.int(32_768, 60_999);
    const rest = { startMs: Math.round(startMs), sourcePort, sourceBytes: 400, targetBytes: 900, ...flow };
    if (i === 0 || !random.chance(missing)) flows.push({ source, target: "198.51.100.1", targetPort: 443, ...rest });
    startMs += everyMs * (1 - jitter * random.next());
  }
  return flows;
}

/** Some sites, visited as people do, and an update check: on each of these days. */
function ordinary(days: readonly number[], from = source): TraceFlow[] {
  const random = new Random(3);
  return days.flatMap((day) => [
    ...calls(
      { day, fromMs: -6 * hourMs, everyMs: 20 * minuteMs, contacts: 48 },
      { source: from, target: "203.0.113.9" },
    ),
    ...[1, 2, 3, 4, 5].flatMap((site) =>
      Array.from({ length: 10 }, (): TraceFlow => {
        const startMs = Math.round(midnightMs + (day + 0.1 + 0.7 * random.next()) * dayMs);
        return {
          source: from,
          target: `203.0.113.${site}`,
          targetPort: 443,
          startMs,
          sourceBytes: random.int(300, 4000),
        };
      }),
    ),
  ]);
}

interface Played {
  slot: SlotDetector;
  opinions: Opinion[];
}

/** A slot that learns by the hour, and closes a day ten minutes after it has ended. */
function play(flows: readonly TraceFlow[], settings: Partial<C2BeaconSettings> = {}, facts?: NetworkFacts): Played {
  const slot = c2Beacon.create({ ...defaults, ...settings });
  const opinions: Opinion[] = [];
  const sorted = flows.toSorted((a, b) => endOf(a) - endOf(b));
  for (const hour of Map.groupBy(sorted, (flow) => Math.floor(endOf(flow) / hourMs)).values()) {
    slot.learn(wholeSlot(contactsOf(hour)));
    opinions.push(...slot.findings(endOf(hour[0]) - 10 * minuteMs, facts));
  }
  return { slot, opinions };
}

function finalOf({ slot, opinions }: Played, facts?: NetworkFacts): Finding[] {
  return [...opinions, ...slot.findings(Infinity, facts)].filter(({ final }) => final).map(({ finding }) => finding);
}

/** The final findings that someone should look at, by day. */
function alarms(flows: readonly TraceFlow[], settings: Partial<C2BeaconSettings> = {}, facts?: NetworkFacts) {
  return finalOf(play(flows, settings, facts), facts)
    .filter(({ severity }) => severities.indexOf(severity) >= severities.indexOf("medium"))
    .map((finding) => ({
      day: (finding.window.startMs - midnightMs) / dayMs,
      severity: finding.severity,
      reasons: (finding.evidence as { beacons: { reasons: string[] }[] }).beacons[0].reasons,
    }));
}

const dead = { outcome: Outcome.Unanswered, targetBytes: 0, targetPackets: 0 };
const past = ordinary([0, 1]);

describe("c2_beacon on a first day", () => {
  it.each<[string, TraceFlow[], string, string[]]>([
    [
      "an uncommon service every ten minutes",
      calls({ everyMs: 10 * minuteMs, contacts: 20 }, { targetPort: 4444 }),
      "medium",
      ["uncommon_service"],
    ],
    [
      "one size, a small answer, every minute",
      calls({ everyMs: minuteMs, contacts: 40 }),
      "medium",
      ["uniform_exchange"],
    ],
    [
      "a dead host, called again and again",
      calls({ everyMs: 2 * minuteMs, contacts: 90, jitter: 0.99 }, { targetPort: 6667, ...dead, sourceBytes: 60 }),
      "medium",
      ["unanswered"],
    ],
    [
      "three connections to each beat",
      [0, 200, 450].flatMap((fromMs) => calls({ fromMs, everyMs: minuteMs, contacts: 40 })),
      "medium",
      ["uniform_exchange"],
    ],
    [
      "half of the beats in jitter, a third missed",
      calls({ everyMs: 3 * minuteMs, contacts: 60, jitter: 0.5, missing: 0.3 }, { targetPort: 4444 }),
      "medium",
      ["uncommon_service"],
    ],
    [
      "two beats that mix",
      [47_000, 73_000].flatMap((everyMs, i) =>
        calls({ fromMs: 9000 * i, everyMs, contacts: 50 }, { targetPort: 4444 }, i),
      ),
      "high",
      ["uncommon_service", "uniform_exchange"],
    ],
    [
      "IPv6, with two reasons",
      calls(
        { everyMs: minuteMs, contacts: 40 },
        { source: "2001:db8:1::9", target: "2001:db8:bad::1", targetPort: 4444 },
      ),
      "high",
      ["uncommon_service", "uniform_exchange"],
    ],
  ])("finds %s", (_, flows, severity, reasons) => expect(alarms(flows)).toEqual([{ day: 0, severity, reasons }]));

  it.each<[string, TraceFlow[]]>([
    ["an update check", calls({ everyMs: 15 * minuteMs, contacts: 60 })],
    ["a page that is fetched every minute", calls({ everyMs: minuteMs, contacts: 200 }, { targetBytes: 40_000 })],
    ["a device's messages", calls({ everyMs: 30_000, contacts: 300 }, { targetPort: 8883 })],
    [
      "connections of half an hour, written down every minute",
      calls({ everyMs: minuteMs, contacts: 240 }, { durationMs: 59_000 }).map((flow, i) =>
        Object.assign(flow, { sourcePort: 40_000 + 977 * Math.floor(i / 30) }),
      ),
    ],
    ["a flood that ends nowhere", calls({ everyMs: 10, contacts: 4000 }, { targetPort: 4444, durationMs: 0, ...dead })],
    ["what a person does", calls({ everyMs: 10 * minuteMs, contacts: 40, jitter: 1 }, { targetPort: 4444 })],
    ["the time", calls({ everyMs: 64_000, contacts: 300 }, { targetPort: 123, protocol: Protocol.Udp, ...small(76) })],
    ["names", calls({ everyMs: 30_000, contacts: 300 }, { targetPort: 53, protocol: Protocol.Udp, ...small(70) })],
  ])("is quiet about %s", (_, flows) => expect(alarms(flows)).toEqual([]));

  it("knows that nobody can tell what is new", () => {
    const [finding] = finalOf(play(calls({ everyMs: 15 * minuteMs, contacts: 40 })));
    expect(finding).toMatchObject({ severity: "low", confidence: 0.8, evidence: { baseline_days: 0 } });
  });
});

function small(bytes: number): Partial<TraceFlow> {
  return { sourceBytes: bytes, sourcePackets: 1, targetBytes: 2 * bytes, targetPackets: 1 };
}

describe("c2_beacon on servers that fail in turn", () => {
  const turns = (more: Partial<TraceFlow> = {}, peers = 4, rounds = 6) =>
    Array.from({ length: peers }, (_, i) =>
      calls(
        { fromMs: 2 * i * minuteMs, everyMs: 2 * peers * minuteMs, contacts: rounds },
        { target: `198.51.100.${10 + i}`, targetPort: 8080, ...dead, ...more },
        i,
      ),
    ).flat();

  it("takes them for one peer", () => {
    const [finding] = finalOf(play(turns()));
    expect(finding).toMatchObject({ severity: "medium", peerCount: 4, techniques: ["T1008", "T1071"] });
    expect(finding.peers.map(({ address }) => address)).toContain("198.51.100.13");
  });

  it("is quiet about servers that answer, and about a scan", () => {
    expect(alarms(turns({ outcome: Outcome.Answered, targetBytes: 900, targetPackets: 4 }))).toEqual([]);
    expect(alarms(turns({}, 16, 1))).toEqual([]);
    expect(alarms(turns({}, 40, 6))).toEqual([]);
  });

  it("is quiet about those that were there before", () => {
    const yesterday = turns({ outcome: Outcome.Answered, targetBytes: 900, targetPackets: 4 });
    const today = turns().map((flow) => ({ ...flow, startMs: flow.startMs + dayMs }));
    expect(alarms([...yesterday, ...today])).toEqual([]);
  });
});

describe("c2_beacon on a host whose past is known", () => {
  const beacon = calls({ day: 2, everyMs: 5 * minuteMs, contacts: 30, jitter: 0.2 });
  const found = [{ day: 2, severity: "medium", reasons: ["new_peer"] }];

  it("finds a slow one on a common port", () => expect(alarms([...past, ...ordinary([2]), ...beacon])).toEqual(found));

  it.each([
    { everyMs: hourMs, contacts: 15, jitter: 0 },
    { everyMs: 15 * minuteMs, contacts: 40, jitter: 0.5, missing: 0.3 },
    { everyMs: 5 * minuteMs, contacts: 40, jitter: 0.3, missing: 0.3 },
  ])("finds one of %j", (beat) => expect(alarms([...past, ...calls({ day: 2, ...beat })])).toEqual(found));

  it("finds it within eight intervals", () => {
    const { slot } = play(past);
    slot.learn(wholeSlot(contactsOf(calls({ day: 2, everyMs: 15_000, contacts: 8, jitter: 0.2 }))));
    const severitiesFound = slot
      .findings(midnightMs + 2 * dayMs + hourMs)
      .map(({ finding, final }) => [finding.severity, final]);
    expect(severitiesFound).toContainEqual(["medium", false]);
  });

  it("finds lookups of a name server that nobody used before", () => {
    const lookups = { targetPort: 53, protocol: Protocol.Udp, ...small(70) };
    expect(alarms([...past, ...calls({ day: 2, everyMs: minuteMs, contacts: 60, jitter: 0.2 }, lookups)])).toEqual(
      found,
    );
  });

  it("is quiet about what it has always polled, even every minute", () => {
    const polls = (days: number[], more = {}) =>
      days.flatMap((day) => calls({ day, everyMs: minuteMs, contacts: 60, jitter: 0.1 }, more));
    const slow = calls({ day: 0, everyMs: 10 * minuteMs, contacts: 60 });
    expect(alarms([...past, ...slow, ...polls([1, 2])])).toEqual([]);
  });

  it("is quiet about a rhythm that has moved to another address", () => {
    const polls = [0, 1, 2].flatMap((day) =>
      calls({ day, everyMs: 5 * minuteMs, contacts: 60, jitter: 0.1 }, { target: `198.51.100.${30 + day}` }, day),
    );
    expect(alarms([...past, ...ordinary([2]), ...polls])).toEqual([]);
  });

  it("is quiet about contacts that chance may have made", () => {
    for (let seed = 0; seed < 40; seed++) {
      const visits = calls({ day: 2, everyMs: 10 * minuteMs, contacts: 10, jitter: 0.9 }, {}, seed);
      expect(alarms([...past, ...visits])).toEqual([]);
    }
  });

  it("is quiet about requests that differ, and answers that are content", () => {
    const differ = beacon.map((flow, i) => ({ ...flow, sourceBytes: 300 + ((i * 7919) % 1500) }));
    expect(alarms([...past, ...differ])).toEqual([]);
    expect(alarms([...past, ...beacon.map((flow) => ({ ...flow, targetBytes: 50_000 }))])).toEqual([]);
  });

  it("is quiet about a crowd of new peers, and about another host under the same address", () => {
    const many = Array.from({ length: 6 }, (_, i) =>
      calls({ day: 2, everyMs: 5 * minuteMs, contacts: 30, jitter: 0.2 }, { target: `198.51.100.${50 + i}` }, i),
    ).flat();
    expect(alarms([...past, ...ordinary([2]), ...many])).toEqual([]);
    const [first, second] = [many.slice(0, 30), many.slice(30, 60)];
    const visits = Array.from({ length: 5 }, (_, i) =>
      calls({ day: 2, everyMs: hourMs, contacts: 8, jitter: 1 }, { target: `192.0.2.${i}` }, i),
    ).flat();
    expect(alarms([...past, ...first, ...second, ...visits])).toEqual([]);
  });

  it("asks for a day of watching before anything is new", () => {
    const evening = ordinary([0]).filter(({ startMs }) => startMs > midnightMs + 16 * hourMs);
    const early = calls({ day: 1, everyMs: 5 * minuteMs, contacts: 30, jitter: 0.2 });
    expect(alarms([...evening, ...early])).toEqual([]);
  });

  it("goes on to say what it said: an alarm makes no habit", () => {
    const days = [0, 1, 2].flatMap((day) => calls({ day, everyMs: minuteMs, contacts: 60, jitter: 0.1 }));
    expect(alarms(days).map(({ day }) => day)).toEqual([0, 1, 2]);
  });

  it("remembers through a loss of memory", () => {
    const { slot } = play(past);
    const writer = new StateWriter();
    slot.save(writer);
    const restored = c2Beacon.create(defaults, new StateReader(writer.bytes()));
    restored.learn(wholeSlot(contactsOf(beacon)));
    const opinions = restored.findings(Infinity).filter(({ final }) => final);
    expect(opinions.map(({ finding }) => finding.severity)).toContain("medium");
  });
});

describe("c2_beacon and the network", () => {
  const minutely = calls({ everyMs: minuteMs, contacts: 60, jitter: 0.1 });
  const { addressHash } = contactsOf([minutely[0]]);
  /** As if so many of so many hosts called all of the addresses. */
  function factsOf(callers: number, hosts: number): NetworkFacts {
    const facts = new NetworkFacts();
    facts.ofSlot(1).addHosts(hosts, midnightMs);
    for (const hash of addressHash) facts.ofSlot(1).addSources(hash, callers, midnightMs);
    return facts;
  }

  it("takes what a tenth of many hosts call for a service of theirs, and says so", () => {
    const facts = factsOf(20, 100);
    expect(alarms(minutely, {}, facts)).toEqual([]);
    const [finding] = finalOf(play(minutely, {}, facts), facts);
    expect(finding.summary).toContain("called by 20 of 100 hosts");
  });

  it.each([
    [1, 100],
    [9, 100],
    [3, 4],
  ])("holds against nobody that %i of %i hosts call it", (callers, hosts) => {
    expect(alarms(minutely, {}, factsOf(callers, hosts))).toHaveLength(1);
  });

  it("tells how many hosts call outside, as they come and anew each day", () => {
    const facts = new NetworkFacts();
    const slot = c2Beacon.create(defaults);
    const hosts = (count: number, day: number) =>
      Array.from({ length: count }, (_, i) =>
        calls({ day, everyMs: 1, contacts: 1 }, { source: `10.0.1.${i}` }),
      ).flat();
    const see = (count: number, day: number) => {
      slot.learn(wholeSlot(contactsOf(hosts(count, day))));
      slot.tell!(facts.ofSlot(5), false);
      return facts.hosts;
    };
    expect([see(1, 0), see(10, 0), see(11, 0)]).toEqual([1, 10, 10]);
    slot.tell!(facts.ofSlot(5), true);
    expect(facts.hosts).toBe(11);
    slot.findings(midnightMs + dayMs);
    expect(see(4, 2)).toBe(4);
  });
});

describe("c2_beacon explains itself", () => {
  const cases = [
    calls({ everyMs: 10 * minuteMs, contacts: 20 }, { targetPort: 4444 }),
    calls({ everyMs: minuteMs, contacts: 40 }),
    [...past, ...calls({ day: 2, everyMs: 5 * minuteMs, contacts: 10, jitter: 0.2 })],
  ];

  it.each(cases.map((flows, i) => [i, flows] as const))("by values that keep it quiet: case %i", (_, flows) => {
    const { slot, opinions } = play(flows);
    const all = [...opinions, ...slot.findings(Infinity)];
    const alarm = all.find(({ finding, final }) => final && finding.severity === "medium")!;
    const { evidence } = explained(alarm.finding, defaults, c2Beacon.thresholds, alarm.judge as never);
    const { thresholds } = evidence as unknown as { thresholds: { threshold: string; quiet_at: number | null }[] };
    const said = thresholds.filter(({ quiet_at }) => quiet_at !== null);
    expect(said.length).toBeGreaterThan(0);
    for (const { threshold, quiet_at } of said) {
      const name = threshold.replaceAll(/_[a-z]/g, (letter) => letter[1].toUpperCase());
      expect(alarms(flows, { [name]: quiet_at }), threshold).toEqual([]);
    }
  });

  it("trusts sampled packets less, and says how far off they are", () => {
    const flows = calls({ everyMs: minuteMs, contacts: 40 });
    const [whole] = finalOf(play(flows));
    const [sampled] = finalOf(play(flows.map((flow) => ({ ...flow, samplingRate: 100 }))));
    expect(sampled.confidence).toBeLessThan(whole.confidence / 2);
    expect(sampled.evidence).toMatchObject({ beacons: [{ sampling_rate: 100, packets_error_percent: 18 }] });
  });
});
