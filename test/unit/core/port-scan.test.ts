import { describe, expect, it } from "vitest";
import { portScan } from "../../../src/core/detectors/port-scan.ts";
import { Initiator, Outcome, Protocol } from "../../../src/core/flow/flow-batch.ts";
import { severities, type Verdict } from "../../../src/core/verdict.ts";
import { Random } from "../../support/random.ts";
import { endOf, traceStartMs, verdictsOf, type TraceFlow } from "../../support/trace.ts";

const minute = 60_000;
const hour = 60 * minute;
const times = (count: number, make: (i: number) => TraceFlow): TraceFlow[] =>
  Array.from({ length: count }, (_, i) => make(i));
const at = (ms: number) => traceStartMs + Math.floor(ms);
const silent = { outcome: Outcome.Unanswered, sourcePackets: 1, sourceBytes: 40 };
const refused = { outcome: Outcome.Refused, sourcePackets: 1, targetPackets: 1, sourceBytes: 40, targetBytes: 40 };
const unknown = { outcome: Outcome.Unknown, sourcePackets: 1, sourceBytes: 40, targetPackets: 0 };
const inside = "10.0.0.9";
const outside = "203.0.113.9";
const echo = { targetPort: 8 << 8, sourcePort: 0, protocol: Protocol.Icmp };

function said(flows: TraceFlow[], cut = 500): Verdict[] {
  const sorted = flows.toSorted((a, b) => endOf(a) - endOf(b));
  return verdictsOf(sorted, { detectors: [portScan], cut });
}

function finals(flows: TraceFlow[]): Verdict[] {
  return said(flows).filter(({ state }) => state === "final");
}

function isAlert({ severity }: Verdict): boolean {
  return severities.indexOf(severity) >= severities.indexOf("medium");
}

/** Who is found at medium and above, as what. */
function found(flows: TraceFlow[]): string[] {
  return finals(flows)
    .filter(isAlert)
    .map(({ entity, evidence }) => `${entity} ${evidence["kind"] as string}`)
    .sort();
}

function sweep(source: string, count: number, outcome: Partial<TraceFlow>, everyMs = 1000): TraceFlow[] {
  return times(count, (i) => ({
    source,
    target: `10.1.${i >> 8}.${i & 255}`,
    targetPort: 3389,
    startMs: at(i * everyMs),
    ...outcome,
  }));
}

describe("a block scan", () => {
  const block = (hosts: number, ports: number, outcome: Partial<TraceFlow>) =>
    times(hosts * ports, (i) => ({
      source: inside,
      target: `10.1.0.${i % hosts}`,
      targetPort: 8000 + Math.floor(i / hosts),
      startMs: at(i * 2000),
      ...outcome,
    }));

  it("is counted over hosts and ports, though neither would do", () => {
    const [verdict, ...rest] = finals(block(7, 7, refused));
    expect(rest).toEqual([]);
    expect(verdict.evidence).toMatchObject({ kind: "block", attempts_failed: 49, targets_tried: 7, services_tried: 7 });
    expect(verdict.summary).toBe("49 different ports of 7 hosts tried, on 7 services within an hour, 0 answered");
    expect(verdict.peerCount).toBe(7);
  });

  it("is one still where the sample holds a small part of it", () => {
    const [verdict] = finals(block(60, 50, refused));
    expect(verdict.evidence["kind"]).toBe("block");
    expect(Number(verdict.evidence["attempts_failed"])).toBeGreaterThan(1000);
  });

  it("lists the ports that it found open", () => {
    const [verdict] = finals([
      ...block(8, 9, silent),
      { source: inside, target: "10.1.0.3", targetPort: 8004, startMs: at(200_000) },
    ]);
    expect(verdict.evidence["open_ports"]).toEqual(["10.1.0.3 8004/tcp"]);
  });

  it("is none of many hosts that share no port", () => {
    const random = new Random(3);
    const peers = times(160, (i) => ({
      source: inside,
      target: `203.0.${i >> 6}.${i & 63}`,
      targetPort: random.int(1025, 65_535),
      protocol: i % 2 ? Protocol.Tcp : Protocol.Udp,
      startMs: at(i * 20_000),
      ...silent,
    }));
    expect(found(peers)).toEqual([]);
  });
});

describe("a sweep", () => {
  it("of echoes is said to be one", () => {
    const [verdict] = finals(sweep(inside, 50, { ...silent, ...echo }));
    expect(verdict.evidence).toMatchObject({ kind: "icmp_sweep", targets_failed_on_one_port: 50 });
    expect(verdict.summary).toBe("50 hosts pinged that did not answer within an hour, 0 answered");
  });

  it("of echoes that most hosts answer is a monitor's", () => {
    const flows = sweep(inside, 90, { ...echo }).map((flow, i) => (i % 3 ? flow : { ...flow, ...silent }));
    expect(found(flows)).toEqual([]);
  });

  it("needs fewer hosts where they never send anything", () => {
    expect(found(sweep(outside, 12, silent))).toEqual([`${outside} horizontal`]);
    expect(found(sweep(inside, 18, silent))).toEqual([`${inside} horizontal`]);
    expect(found(sweep(outside, 12, refused))).toEqual([]);
    expect(found(sweep(inside, 12, silent))).toEqual([]);
  });

  it("is no worse for the dark where it would be found by day", () => {
    const [dark] = finals(sweep(outside, 100, silent));
    const [lit] = finals(sweep(outside, 100, refused));
    expect(dark.severity).toBe(lit.severity);
    expect(dark.score).toBe(lit.score);
  });

  it("of hosts outside is not dark", () => {
    const flows = sweep(inside, 20, silent).map((flow, i) => ({ ...flow, target: `198.51.100.${i}` }));
    expect(found(flows)).toEqual([]);
  });

  it("is found beside thousands of calls that are answered", () => {
    const busy = times(5000, (i) => ({
      source: inside,
      target: `203.${i >> 8}.0.${i & 255}`,
      targetPort: 443,
      startMs: at(i * 600),
    }));
    expect(found([...busy, ...sweep(inside, 50, silent)])).toEqual([`${inside} horizontal`]);
    const crawler = busy.map((flow, i) => (i % 12 ? flow : { ...flow, ...silent }));
    expect(found(crawler)).toEqual([]);
  });

  it("is none of few hosts, however few of many attempts are in the sample", () => {
    const random = new Random(11);
    const peers = times(560, (i) => ({
      source: inside,
      target: `203.0.${i >> 8}.${i & 255}`,
      targetPort: i % 20 === 0 ? 6881 : random.int(1025, 65_535),
      protocol: Protocol.Udp,
      startMs: at(i * 6000),
      ...silent,
    }));
    const keys = Array.from({ length: 40 }, (_, i) => [Math.imul(i + 1, 0x9e3779b1) >>> 0, i] as const);
    const verdicts = keys.flatMap((hashKey) => verdictsOf(peers, { detectors: [portScan], foldOptions: { hashKey } }));
    expect(verdicts.filter(isAlert)).toEqual([]);
  });
});

describe("a vertical scan", () => {
  const ports = (count: number, everyMs: number, outcome: Partial<TraceFlow>) =>
    times(count, (i) => ({
      source: outside,
      target: inside,
      targetPort: 1 + 7 * i,
      startMs: at(i * everyMs),
      ...outcome,
    }));

  it("is said in the batch that crosses the threshold", () => {
    const [verdict] = said(ports(15, 1000, silent), 15);
    expect(verdict).toMatchObject({ state: "provisional", severity: "medium", score: 0.5 });
    expect(said(ports(9, 1000, silent), 9)).toEqual([]);
  });

  it("is found in a log without outcomes, if it is four times as large, and with less confidence", () => {
    expect(found(ports(36, 1000, unknown))).toEqual([]);
    const [verdict] = finals(ports(70, 1000, unknown));
    expect(verdict).toMatchObject({ severity: "medium", confidence: 0.3 });
    expect(verdict.evidence).toMatchObject({ outcomes_known_percent: 0, attempts_failed: 0 });
    expect(verdict.evidence["thresholds"]).toContainEqual(expect.objectContaining({ threshold: "unknown_factor" }));
  });

  it("is surer of everything than of a sample", () => {
    const [whole] = finals(ports(40, 1000, silent));
    const [sampled] = finals(ports(40, 1000, { ...silent, samplingRate: 100 }));
    expect(sampled.confidence).toBeLessThan(whole.confidence);
    expect(sampled.evidence).toMatchObject({ sampling_rate: 100, sampling_error_percent: 30.99 });
    expect(whole.evidence).not.toHaveProperty("sampling_rate");
  });

  it("of one port in five minutes is found within a day, though midnight cuts it in two", () => {
    const late = { ...silent, startMs: 0 };
    const begin = Date.UTC(2026, 0, 5, 23, 15);
    const flows = ports(18, 0, late).map((flow, i) => ({ ...flow, startMs: begin + i * 5 * minute }));
    const [verdict, ...rest] = finals(flows).filter(isAlert);
    expect(rest).toEqual([]);
    expect(verdict.evidence).toMatchObject({
      window: "day",
      attempts_failed: 18,
      counted_from: "2026-01-05T12:00:00.000Z",
    });
    expect(verdict.window.startMs).toBe(Date.UTC(2026, 0, 6));
  });

  it("does not count what lies more than a day back", () => {
    const days = times(16, (i) => ({
      source: outside,
      target: inside,
      targetPort: 1 + i,
      startMs: Date.UTC(2026, 0, 5, i < 8 ? 9 : 33, i),
      ...silent,
    }));
    expect(found(days)).toEqual([]);
  });

  it("does not count what lies two midnights back, even before the day between has closed", () => {
    const day = (date: number, hours: number, count: number, first: number) =>
      times(count, (i) => ({
        source: outside,
        target: inside,
        targetPort: first + i,
        startMs: Date.UTC(2026, 0, date, hours, i / 4),
        ...silent,
      }));
    expect(said([...day(5, 20, 8, 1), ...day(6, 5, 1, 30), ...day(7, 0, 8, 50)], 1)).toEqual([]);
  });

  it("is not said twice, by an hour and by its day", () => {
    const spread = ports(60, 6 * minute, silent);
    expect(found([...ports(20, 1000, silent), ...spread])).toEqual([`${outside} vertical`]);
  });
});

describe("answers that come late", () => {
  const answers = (ends: Partial<TraceFlow>) =>
    times(80, (i) => ({
      source: outside,
      target: inside,
      targetPort: 20_000 + 31 * i,
      startMs: at(i * 2000),
      initiator: Initiator.Source,
      protocol: Protocol.Udp,
      ...silent,
      ...ends,
    }));

  it("are no scan, as long as they come from a service", () => {
    for (const sourcePort of [53, 443, 853]) expect(found(answers({ sourcePort }))).toEqual([]);
    expect(found(answers({ sourcePort: 51_000 }))).toEqual([`${outside} vertical`]);
  });

  it("are no scan over TCP, unless they are bare SYNs", () => {
    const tcp = { protocol: Protocol.Tcp, sourcePort: 443 };
    expect(found(answers({ ...tcp, ...unknown }))).toEqual([]);
    expect(found(answers(tcp))).toEqual([`${outside} vertical`]);
  });

  it("do not hide a scan whose source ports are many", () => {
    expect(found(times(80, (i) => ({ ...answers({})[i], sourcePort: 1024 + 37 * i })))).toEqual([
      `${outside} vertical`,
    ]);
  });
});

describe("a scan that is shared", () => {
  const shared = (sourceOf: (i: number) => string, count: number, everyMs = 30_000) =>
    times(count, (i) => ({
      source: sourceOf(i),
      target: inside,
      targetPort: 1 + 5 * i,
      startMs: at(i * everyMs),
      ...silent,
    }));
  const network = (addresses: number) => (i: number) => `198.51.100.${1 + (i % addresses)}`;

  it("by addresses of one network is found as the network's", () => {
    const verdicts = finals(shared(network(8), 48)).filter(isAlert);
    expect(verdicts.map(({ entity }) => entity)).toEqual(["198.51.100.0/24"]);
    expect(verdicts[0].evidence).toMatchObject({ kind: "distributed", shape: "vertical", sources: 8 });
    expect(verdicts[0].summary).toContain("8 addresses of the network: 48 ports of 10.0.0.9 tried");
    expect(verdicts[0].peers).toEqual([{ address: inside, port: 0, protocol: "tcp" }]);
  });

  it("is not said of a network of which one address is found by itself", () => {
    const flows = [
      ...shared(network(8), 48),
      ...times(20, (i) => ({
        source: "198.51.100.77",
        target: "10.0.0.8",
        targetPort: i,
        startMs: at(i * 1000),
        ...silent,
      })),
    ];
    expect(found(flows)).toEqual(["198.51.100.77 vertical"]);
    const early = said(flows, 40).filter(({ entity }) => entity.includes("/"));
    expect(early.filter(({ state }) => state !== "withdrawn")).toEqual([]);
  });

  it("is low where the addresses of a network try one or two things each", () => {
    const verdicts = finals(shared(network(40), 60)).filter(({ entity }) => entity.includes("/"));
    expect(verdicts.map(({ severity }) => severity)).toEqual(["low"]);
  });

  it("needs three addresses", () => {
    expect(found(shared(network(2), 18, (4 * hour) / 18))).toEqual([]);
  });

  it("by one who changes his IPv6 address is found as the /64's", () => {
    const flows = times(20, (i) => ({
      source: `2001:db8:bad:1::${(4096 + 97 * i).toString(16)}`,
      target: "2001:db8:1::5",
      targetPort: 20 + i,
      startMs: at(i * 1000),
      ...silent,
    }));
    expect(found(flows)).toEqual(["2001:db8:bad:1::/64 distributed"]);
    const apart = flows.map((flow, i) => ({ ...flow, source: `2001:db8:bad:${i.toString(16)}::1` }));
    expect(found(apart)).toEqual([]);
  });

  it("by many strangers is found at its target, if each does a part", () => {
    const parts = (sources: number, ports: number) => shared((i) => `${20 + (i % sources)}.1.2.3`, ports);
    expect(found(parts(12, 60))).toEqual([`${inside} distributed`]);
    expect(found(parts(6, 48))).toEqual([]);
    expect(found(parts(12, 36))).toEqual([]);
    expect(finals(parts(60, 60)).map(({ entity, severity }) => [entity, severity])).toEqual([[inside, "low"]]);
  });

  it("is none of a server that many reach, nor of a flood on random ports", () => {
    const served = shared((i) => `${20 + (i % 12)}.1.2.3`, 60).map((flow, i) =>
      i % 2 ? flow : { ...flow, ...silent, outcome: Outcome.Answered },
    );
    expect(found(served)).toEqual([]);
    const flood = shared((i) => `${20 + (i % 150)}.${i >> 8}.${i & 255}.3`, 3000, 10);
    expect(found(flood)).toEqual([]);
  });
});
