import { describe, expect, it } from "vitest";
import { explained } from "../../../src/core/detectors/explain.ts";
import { exfiltration } from "../../../src/core/detectors/exfiltration.ts";
import { HashedRows } from "../../../src/core/sketches/hashed-rows.ts";
import { settingsOf } from "../../../src/core/detectors/thresholds.ts";
import { Protocol } from "../../../src/core/flow/flow-batch.ts";
import { NetworkFacts } from "../../../src/core/slots/network-facts.ts";
import { StateWriter } from "../../../src/core/slots/state-bytes.ts";
import { peersMax, type Finding } from "../../../src/core/verdict.ts";
import {
  contactsOf,
  finalVerdicts,
  slotOfDetector,
  traceStartMs,
  wholeSlot,
  type TraceFlow,
} from "../../support/trace.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const megabyte = 1_000_000;
/** Midnight before the traces begin. */
const firstDayMs = traceStartMs - 8 * hourMs;
const host = "10.0.0.30";
const archive = "198.51.100.10";
const stranger = "203.0.113.200";

interface Upload {
  source?: string;
  target: string;
  megabytes: number;
  /** Received for each byte sent. */
  answer?: number;
  hour?: number;
  protocol?: number;
}

/** Ten records an hour long. */
function upload(day: number, { source = host, target, megabytes, answer = 0.02, hour = 9, protocol }: Upload) {
  return Array.from({ length: 10 }, (_, i): TraceFlow => ({
    source,
    target,
    targetPort: 443,
    startMs: firstDayMs + day * dayMs + hour * hourMs + i * 60_000,
    durationMs: 30_000,
    sourceBytes: (megabytes * megabyte) / 10,
    targetBytes: (megabytes * megabyte * answer) / 10,
    sourcePackets: megabytes * 80,
    targetPackets: megabytes * 40,
    ...(protocol ? { protocol } : {}),
  }));
}

/** Reads twenty times what it sends. */
function browsing(day: number, source = host): TraceFlow[] {
  return [40, 41, 42].flatMap((end) =>
    upload(day, { source, target: `192.0.2.${end}`, megabytes: 2, answer: 20, hour: 8 + (end % 3) }),
  );
}

const history = (days: number, each: (day: number) => TraceFlow[] = browsing): TraceFlow[] =>
  Array.from({ length: days }, (_, day) => each(day)).flat();

/** What is said of the last day, learnt and closed day by day. */
function lastDay(flows: readonly TraceFlow[], facts?: NetworkFacts): Finding[] {
  const days = Map.groupBy(flows, ({ startMs }) => Math.floor(startMs / dayMs));
  const slot = slotOfDetector(exfiltration);
  let said: Finding[] = [];
  for (const [day, ofDay] of [...days].sort(([x], [y]) => x - y)) {
    slot.learn(wholeSlot(contactsOf(ofDay)));
    said = slot
      .findings((day + 1) * dayMs, facts)
      .filter(({ final }) => final)
      .map(({ finding, judge }) =>
        explained(finding, settingsOf(exfiltration.thresholds), exfiltration.thresholds, judge as never),
      );
  }
  return said;
}

const severitiesOf = (findings: readonly Finding[]) => findings.map(({ entity, severity }) => `${entity} ${severity}`);
const reasonsOf = ([finding]: readonly Finding[]) => finding.evidence["reasons"];

/** Facts that so many of 100 hosts call an address. */
function called(address: string, sources: number): NetworkFacts {
  const contacts = contactsOf([{ source: host, target: address, targetPort: 443, startMs: traceStartMs }]);
  const facts = new NetworkFacts();
  facts.ofSlot(0).addHosts(100, traceStartMs);
  facts.ofSlot(0).addSources(contacts.addressHash[contacts.pairs.target[0]], sources, traceStartMs);
  return facts;
}

describe("exfiltration", () => {
  it("finds half a gigabyte to a destination that the host never used", () => {
    const findings = lastDay([...history(3), ...upload(3, { target: stranger, megabytes: 500 })]);
    expect(severitiesOf(findings)).toEqual([`${host} medium`]);
    expect(reasonsOf(findings)).toEqual(["above_baseline", "new_destination", "turned_producer"]);
    expect(findings[0].peers[0]).toEqual({ address: stranger, port: 443, protocol: "tcp" });
  });

  it("finds the same over IPv6, in slow pieces and in all of a host's browsing", () => {
    const source = "2001:db8:1::30";
    const target = "2001:db8:5::9";
    const busy = (day: number) => upload(day, { source, target: "2001:db8:6::1", megabytes: 40, answer: 50 });
    const slow = [2, 8, 14, 20].flatMap((hour) => upload(3, { source, target, megabytes: 150, hour }));
    const findings = lastDay([...history(4, busy), ...slow]);
    expect(severitiesOf(findings)).toEqual([`${source} medium`]);
    expect(reasonsOf(findings)).toEqual(["above_baseline", "new_destination"]);
  });

  it("takes the addresses of one neighbourhood for one destination", () => {
    const shares = [1, 2, 3, 4, 5].flatMap((end) =>
      upload(3, { target: `203.0.113.${end}`, megabytes: 60, hour: end }),
    );
    const [finding] = lastDay([...history(3), ...shares]);
    expect(finding.severity).toBe("medium");
    expect(finding.peerCount).toBe(5);
    expect(finding.evidence["sent_bytes"]).toBe(300 * megabyte);
  });

  it("grows with the size, to high on two reasons", () => {
    const producer = (day: number) => [...browsing(day), ...upload(day, { target: archive, megabytes: 900 })];
    const sent = (megabytes: number) =>
      lastDay([...history(3, producer), ...upload(3, { target: stranger, megabytes })])[0].severity;
    expect([sent(500), sent(5000), sent(50_000), sent(500_000)]).toEqual(["medium", "high", "high", "high"]);
    const pure = [...history(3), ...upload(3, { target: stranger, megabytes: 20_000 })];
    expect(severitiesOf(lastDay(pure))).toEqual([`${host} critical`]);
  });

  it.each<[string, TraceFlow[]]>([
    ["a nightly backup", history(5, (day) => [...browsing(day), ...upload(day, { target: archive, megabytes: 3000 })])],
    ["50 MB of photos", [...history(3), ...upload(3, { target: stranger, megabytes: 50 })]],
    [
      "a video meeting",
      [...history(3), ...upload(3, { target: stranger, megabytes: 2000, answer: 0.8, protocol: Protocol.Udp })],
    ],
    [
      "a download from our own server",
      [...history(3), ...upload(3, { source: stranger, target: host, megabytes: 5, answer: 200 })],
    ],
    ["an upload to a group", [...history(3), ...upload(3, { target: "239.1.2.3", megabytes: 5000 })]],
  ])("says nothing about %s", (_, flows) => {
    expect(lastDay(flows)).toEqual([]);
  });

  it("calls one reason low: a backup that grew, a habit of sending to ever new ones", () => {
    const backup = (megabytes: number) => (day: number) => [
      ...browsing(day),
      ...upload(day, { target: archive, megabytes }),
    ];
    const grown = lastDay([...history(4, backup(2000)), ...backup(9000)(4)]);
    expect(severitiesOf(grown)).toEqual([`${host} low`]);
    expect(reasonsOf(grown)).toEqual(["above_baseline"]);
    const studio = (day: number) => [
      ...browsing(day),
      ...upload(day, { target: `198.51.${100 + day}.7`, megabytes: 1000 }),
    ];
    const usual = lastDay(history(6, studio));
    expect(severitiesOf(usual)).toEqual([`${host} low`]);
    expect(reasonsOf(usual)).toEqual(["new_destination"]);
  });

  it("excuses no habit beyond the ceiling", () => {
    const studio = (day: number) => upload(day, { target: `198.51.${100 + day}.7`, megabytes: 10_000 });
    const findings = lastDay([...history(5, studio), ...upload(5, { target: stranger, megabytes: 25_000 })]);
    expect(reasonsOf(findings)).toEqual(["above_baseline", "new_destination"]);
  });

  it("does not call new what much of the network calls, but what few others do", () => {
    const flows = [
      ...history(3, (day) => upload(day, { target: archive, megabytes: 500 })),
      ...upload(3, { target: stranger, megabytes: 500 }),
    ];
    expect(severitiesOf(lastDay(flows, called(stranger, 2)))).toEqual([`${host} medium`]);
    expect(severitiesOf(lastDay(flows, called(stranger, 40)))).toEqual([`${host} low`]);
    expect(severitiesOf(lastDay(upload(0, { target: stranger, megabytes: 5000 }), called(stranger, 40)))).toEqual([
      `${host} low`,
    ]);
  });

  it("knows that it knows no habit, and then asks for much, one-sided and nearly all", () => {
    const first = (...uploads: Upload[]) => lastDay(uploads.flatMap((one) => upload(0, one)))[0];
    const large = first({ target: stranger, megabytes: 3000 });
    expect([large.severity, large.evidence["baseline_days"], large.evidence["baseline_known"]]).toEqual([
      "medium",
      0,
      false,
    ]);
    const later = lastDay([...history(7), ...upload(7, { target: stranger, megabytes: 3000 })])[0];
    expect(large.confidence).toBeLessThan(later.confidence);
    expect(first({ target: stranger, megabytes: 1500 }).severity).toBe("low");
    expect(first({ target: stranger, megabytes: 3000, answer: 0.2 }).severity).toBe("low");
    const among = ["198.51.100.1", "198.51.101.1", "198.51.102.1"].map((target) => ({ target, megabytes: 3000 }));
    expect(first(...among).severity).toBe("low");
    expect(lastDay([...history(1), ...upload(1, { target: stranger, megabytes: 500 })])[0].severity).toBe("low");
  });

  it("takes the second night of a first backup for what the first one was", () => {
    const backup = (day: number) => [...browsing(day), ...upload(day, { target: archive, megabytes: 3000 })];
    expect(severitiesOf(lastDay(backup(0)))).toEqual([`${host} medium`]);
    expect(severitiesOf(lastDay(history(2, backup)))).toEqual([`${host} low`]);
    expect(lastDay(history(3, backup))).toEqual([]);
  });

  it("does not let an alarm become a habit at once", () => {
    const leak = (day: number) => [...browsing(day), ...upload(day, { target: stranger, megabytes: 800 })];
    const after = (days: number) => lastDay([...history(3), ...history(days, (day) => leak(3 + day))]);
    expect(severitiesOf(after(2))).toEqual([`${host} medium`]);
    expect(severitiesOf(after(6))).toEqual([`${host} medium`]);
    expect(reasonsOf(after(8))).not.toContain("new_destination");
  });

  it("tells of thresholds with which it would be quiet, truly", () => {
    const flows = [...history(3), ...upload(3, { target: stranger, megabytes: 500 })];
    const [{ evidence }] = lastDay(flows);
    const held = evidence["thresholds"] as { threshold: string; quiet_at: number | null }[];
    expect(held.map(({ threshold, quiet_at }) => [threshold, quiet_at])).toEqual([
      ["upload_bytes_min", 500_000_001],
      ["ratio_min", 0.962],
      ["ratio_shift_min", null],
    ]);
  });

  it("keeps the one that gets most among a thousand others, at any cut", () => {
    const crowd = Array.from({ length: 1000 }, (_, i): TraceFlow => ({
      source: host,
      target: `198.18.${i >> 8}.${i & 255}`,
      targetPort: 443,
      startMs: traceStartMs + 2 * hourMs + i * 5000,
      sourceBytes: 900,
    }));
    const flows = [...upload(0, { target: stranger, megabytes: 4000, hour: 9 }), ...crowd];
    const whole = finalVerdicts(flows, { detectors: [exfiltration], cut: 4000 });
    expect(whole.length).toBe(1);
    const { evidence } = JSON.parse(whole[0]) as Finding;
    expect(evidence["sent_bytes"]).toBe(4000 * megabyte);
    for (const cut of [100, 777]) {
      expect(finalVerdicts(flows, { detectors: [exfiltration], cut, evict: true })).toEqual(whole);
    }
  });

  it("remembers over days, at any cut and over evictions", () => {
    const flows = [...history(4), ...upload(3, { target: stranger, megabytes: 500 })].sort(
      (x, y) => x.startMs - y.startMs,
    );
    const whole = finalVerdicts(flows, { detectors: [exfiltration], cut: 1000 });
    expect(whole.map((text) => (JSON.parse(text) as Finding).evidence["baseline_days"])).toEqual([3]);
    expect(finalVerdicts(flows, { detectors: [exfiltration], cut: 7, evict: true })).toEqual(whole);
  });

  it("names at most so many peers, and says what sampling hides", () => {
    const shares = Array.from({ length: 30 }, (_, i) =>
      upload(0, { target: `203.0.113.${i}`, megabytes: 200, hour: i % 20 }),
    );
    const [finding] = lastDay(shares.flat().map((flow) => ({ ...flow, samplingRate: 10 })));
    expect(finding.peers.length).toBe(peersMax);
    expect(finding.peerCount).toBe(30);
    expect(finding.evidence["bytes_error_percent"]).toBeGreaterThan(0);
    const [plain] = lastDay(shares.flat());
    expect(finding.confidence).toBeLessThan(plain.confidence);
  });
});

describe("rows by hash", () => {
  const addresses = Uint32Array.of(0, 0, 0xffff, 7);
  const hashes = Array.from({ length: 500 }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 0) % 1_000_003);
  const columns = HashedRows.ownColumns + 1;
  const bytesOf = (rows: HashedRows) => {
    const writer = new StateWriter();
    rows.save(writer);
    return [...writer.bytes()];
  };
  const add = (rows: HashedRows, hash: number) => {
    const at = rows.at(hash, addresses, 0);
    if (at >= 0) rows.add(at, HashedRows.ownColumns, 1);
  };

  it("are those of lowest hash, whatever the order", () => {
    const [some, others] = [new HashedRows(columns, 64), new HashedRows(columns, 64)];
    for (const hash of [...hashes, ...hashes]) add(some, hash);
    for (const hash of hashes.toReversed().flatMap((one) => [one, one])) add(others, hash);
    expect(bytesOf(some)).toEqual(bytesOf(others));
    expect(some.positions().map((at) => some.hash(at))).toEqual(hashes.toSorted((x, y) => x - y).slice(0, 64));
  });

  it("stay once they are kept, however many come", () => {
    const rows = new HashedRows(columns, 64);
    for (const hash of hashes.slice(0, 50)) add(rows, hash);
    const kept = rows.positions().slice(-8);
    const last = kept.map((at) => rows.hash(at));
    rows.keep(kept);
    for (const hash of hashes) add(rows, hash);
    expect(rows.size).toBe(64 + 8);
    expect(rows.positions().map((at) => rows.hash(at))).toEqual(expect.arrayContaining(last));
  });
});
