import { describe, expect, it } from "vitest";
import { dnsTunnel } from "../../../src/core/detectors/dns-tunnel.ts";
import { explained } from "../../../src/core/detectors/explain.ts";
import { settingsOf } from "../../../src/core/detectors/thresholds.ts";
import { Outcome, Protocol } from "../../../src/core/flow/flow-batch.ts";
import type { Finding } from "../../../src/core/verdict.ts";
import {
  contactsOf,
  finalVerdicts,
  slotOfDetector,
  traceStartMs,
  wholeSlot,
  type TraceFlow,
} from "../../support/trace.ts";

const hourMs = 3_600_000;
const host = "10.0.0.30";
const resolver = "10.0.0.2";
const outside = "198.51.100.53";

interface Lookups {
  source?: string;
  target?: string;
  perS: number;
  /** Of a query and its answer, headers included. */
  bytes: number;
  answer?: number;
  seconds?: number;
  hour?: number;
  /** Queries in one record. */
  perRecord?: number;
  protocol?: number;
}

function lookups({ source = host, target = resolver, perS, bytes, answer = 200, seconds = 1800, ...rest }: Lookups) {
  const { hour = 0, perRecord = 1, protocol = Protocol.Udp } = rest;
  const lastsMs = (1000 * perRecord) / perS;
  return Array.from({ length: Math.round((perS * seconds) / perRecord) }, (_, i): TraceFlow => ({
    source,
    target,
    targetPort: 53,
    protocol,
    startMs: Math.floor(traceStartMs + hour * hourMs + i * lastsMs),
    durationMs: perRecord === 1 ? 20 : Math.floor(lastsMs) - 1,
    outcome: Outcome.Answered,
    sourcePackets: perRecord,
    targetPackets: perRecord,
    sourceBytes: perRecord * bytes,
    targetBytes: perRecord * answer,
  }));
}

/** What is said of the last hour, learnt and closed hour by hour. */
function lastHour(flows: readonly TraceFlow[]): Finding[] {
  const hours = Map.groupBy(flows, ({ startMs, durationMs = 0 }) => Math.floor((startMs + durationMs) / hourMs));
  const slot = slotOfDetector(dnsTunnel);
  const settings = settingsOf(dnsTunnel.thresholds);
  let said: Finding[] = [];
  for (const [hour, ofHour] of [...hours].sort(([x], [y]) => x - y)) {
    slot.learn(wholeSlot(contactsOf(ofHour)));
    said = slot
      .findings((hour + 1) * hourMs)
      .filter(({ final }) => final)
      .map(({ finding, judge }) => explained(finding, settings, dnsTunnel.thresholds, judge as never));
  }
  return said;
}

const severitiesOf = (findings: readonly Finding[]) => findings.map(({ entity, severity }) => `${entity} ${severity}`);

describe("dns_tunnel", () => {
  it.each<[string, TraceFlow[], string]>([
    ["two queries of 150 bytes a second", lookups({ perS: 2.1, bytes: 150 }), "medium"],
    ["twenty of 250", lookups({ perS: 20, bytes: 250, seconds: 300 }), "high"],
    ["one long flow of them", lookups({ perS: 5, bytes: 200, perRecord: 9000 }), "medium"],
    ["ten slices of it", lookups({ perS: 5, bytes: 200, perRecord: 900 }), "medium"],
    [
      "TCP to somebody outside",
      lookups({ target: outside, perS: 5, bytes: 400, perRecord: 300, protocol: 6 }),
      "medium",
    ],
    [
      "many small queries, as large as their answers",
      lookups({ perS: 20, bytes: 80, answer: 90, perRecord: 600 }),
      "medium",
    ],
  ])("finds a tunnel of %s", (_, flows, severity) => {
    expect(severitiesOf(lastHour(flows))).toEqual([`${host} ${severity}`]);
  });

  it("finds them over IPv6", () => {
    const ends = { source: "2001:db8:1::30", target: "2001:db8:5::53" };
    expect(severitiesOf(lastHour(lookups({ ...ends, perS: 3, bytes: 150 })))).toEqual([`${ends.source} medium`]);
    expect(lastHour(lookups({ ...ends, perS: 3, bytes: 120 }))).toEqual([]);
  });

  it.each<[string, TraceFlow[]]>([
    ["a busy browser", lookups({ perS: 0.5, bytes: 70 })],
    ["a mail server", lookups({ perS: 3, bytes: 105 })],
    ["a few long names", lookups({ perS: 2, bytes: 200, seconds: 60 })],
    ["long names now and then", lookups({ perS: 0.5, bytes: 200 })],
    ["a zone transfer", lookups({ perS: 50, bytes: 52, answer: 1400, perRecord: 1000, seconds: 120, protocol: 6 })],
    [
      "a name server that strangers ask",
      lookups({ source: outside, target: host, perS: 5, bytes: 250, perRecord: 60 }),
    ],
    ["the same on another port", lookups({ perS: 5, bytes: 250 }).map((flow) => ({ ...flow, targetPort: 5300 }))],
    [
      "a forwarder that asks what it is asked",
      [
        ...lookups({ source: "10.0.0.40", target: host, perS: 20, bytes: 70, perRecord: 600 }),
        ...lookups({ target: outside, perS: 18, bytes: 70, perRecord: 600 }),
      ],
    ],
    [
      "a resolver that asks a thousand servers",
      Array.from({ length: 1000 }, (_, i) =>
        lookups({ target: `198.18.${i >> 8}.${i & 255}`, perS: 0.05, bytes: 75, seconds: 600 }),
      ).flat(),
    ],
  ])("raises no alarm about %s", (_, flows) => {
    expect(severitiesOf(lastHour(flows)).filter((text) => text.startsWith(host) && !text.endsWith("low"))).toEqual([]);
  });

  it("holds bulk against the host's own hours, and calls what it cannot prove low", () => {
    const bulk = { perS: 20, bytes: 75, answer: 220, perRecord: 600 };
    const hours = (count: number, perS: number) =>
      Array.from({ length: count }, (_, hour) => lookups({ ...bulk, perS, hour: hour })).flat();
    expect(severitiesOf(lastHour(lookups(bulk)))).toEqual([`${host} low`]);
    const calm = lastHour([...hours(6, 1), ...lookups({ ...bulk, hour: 6 })]);
    expect(severitiesOf(calm)).toEqual([`${host} medium`]);
    expect(calm[0].evidence["baseline_hours"]).toBe(6);
    expect(severitiesOf(lastHour([...hours(3, 1), ...lookups({ ...bulk, hour: 3 })]))).toEqual([`${host} low`]);
    expect(lastHour([...hours(6, 18), ...lookups({ ...bulk, hour: 6 })])).toEqual([]);
  });

  it("does not learn its habit from an alarm", () => {
    const bulk = { perS: 20, bytes: 75, answer: 220, perRecord: 600 };
    const calm = Array.from({ length: 6 }, (_, hour) => lookups({ ...bulk, perS: 1, hour })).flat();
    const tunnel = [6, 7, 8].flatMap((hour) => lookups({ ...bulk, hour }));
    expect(severitiesOf(lastHour([...calm, ...tunnel]))).toEqual([`${host} medium`]);
  });

  it("counts the minutes of the whole hour in which a server was asked", () => {
    const [finding] = lastHour(lookups({ perS: 3, bytes: 200, seconds: 3000 }));
    expect(finding.evidence).toMatchObject({ active_seconds: 49 * 60, queries: 9000 });
  });

  it("tells of thresholds with which it would be quiet", () => {
    const [{ evidence }] = lastHour(lookups({ perS: 2.1, bytes: 150 }));
    const held = evidence["thresholds"] as { threshold: string; quiet_at: number | null }[];
    expect(held.map(({ threshold, quiet_at }) => [threshold, quiet_at])).toEqual([
      ["queries_min", 3781],
      ["query_bytes_min", 151],
      ["bytes_per_second_min", 326],
    ]);
  });

  it("asks a sample for as many packets that were seen", () => {
    const sampled = (perS: number) =>
      lastHour(lookups({ perS, bytes: 200 }).map((flow) => ({ ...flow, samplingRate: 100 })));
    expect(sampled(0.1)).toEqual([]);
    const [finding] = sampled(0.2);
    const [plain] = lastHour(lookups({ perS: 20, bytes: 200, perRecord: 100 }));
    expect(finding.evidence["bytes_error_percent"]).toBeGreaterThan(10);
    expect(finding.confidence).toBeLessThan(plain.confidence);
  });

  it("remembers over hours, at any cut and over evictions", () => {
    const bulk = { perS: 20, bytes: 75, answer: 220, perRecord: 600 };
    const flows = [1, 1, 1, 1, 1, 1, 20, 1].flatMap((perS, hour) => lookups({ ...bulk, perS, hour }));
    const whole = finalVerdicts(flows, { detectors: [dnsTunnel], cut: 1000 });
    expect(whole.map((text) => (JSON.parse(text) as Finding).severity)).toEqual(["medium"]);
    expect(finalVerdicts(flows, { detectors: [dnsTunnel], cut: 7, evict: true })).toEqual(whole);
  });
});
