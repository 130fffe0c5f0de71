import { describe, expect, it } from "vitest";
import { allDetectors } from "../../../src/core/detectors/index.ts";
import type { Detector } from "../../../src/core/detectors/detector.ts";
import { Outcome } from "../../../src/core/flow/flow-batch.ts";
import { BatchLedger } from "../../../src/core/shard/batch-ledger.ts";
import { Assembly, framesOf } from "../../../src/core/shard/frames.ts";
import { MemoryStorage } from "../../../src/core/shard/memory-storage.ts";
import { Shard, type ShardOptions } from "../../../src/core/shard/shard.ts";
import { acknowledgementOf } from "../../../src/core/slots/slot.ts";
import { RecordIds } from "../../../src/core/slots/record-ids.ts";
import { SlotSet } from "../../../src/core/slots/slot-set.ts";
import { applyRequest, contactsOf, traceStartMs, type TraceFlow } from "../../support/trace.ts";

/** Ports of one host, tried by one source: half a scan is none. */
const probes = (from: number, to: number): TraceFlow[] =>
  Array.from({ length: to - from }, (_, i) => ({
    source: "198.51.100.7",
    target: "10.0.0.5",
    targetPort: from + i,
    startMs: traceStartMs + (from + i) * 1000,
    outcome: Outcome.Refused,
    targetPackets: 1,
  }));

const ended = { receivedAtMs: 0, acknowledged: [] };
const log = { rowsMax: 8, bytesMax: 1 << 20 };

function shardOn(storage: MemoryStorage, more: Partial<ShardOptions> = {}): Shard {
  return new Shard({ storage, detectors: allDetectors, log, ...more });
}

/** What is said at last about the one scan, whatever its revision. */
function scanOf(shard: Shard) {
  const final = shard.end(ended).filter(({ verdict }) => verdict.state === "final");
  return final.map(({ verdict }) => ({
    ports: verdict.evidence["ports_failed_on_one_target"],
    warming: verdict.completeness.warming_up,
    revision: verdict.revision,
  }));
}

function posted(shard: Shard, from: number, to: number): void {
  for (let port = from; port < to; port++) {
    const { status } = shard.apply(applyRequest(`batch ${port}`, contactsOf(probes(port, port + 1))), 0);
    expect(status).toBe("applied");
  }
}

describe("frames", () => {
  const text = Uint8Array.from({ length: 2_500_000 }, (_, i) => (i * 31) & 255);
  const assembled = (frames: Uint8Array<ArrayBuffer>[]) => {
    const assembly = new Assembly();
    frames.forEach((frame, place) => assembly.add(place, frame));
    return { texts: assembly.texts(), bad: assembly.bad };
  };

  it("come together again, in any order", () => {
    const frames = framesOf(7, text);
    expect(frames.length).toBe(3);
    const [whole] = assembled(frames.reverse()).texts;
    expect(whole).toMatchObject({ number: 7, places: [0, 1, 2] });
    expect(Buffer.compare(whole.bytes, text)).toBe(0);
  });

  it.each([0, 5, 8, 12, 20, 27, 31, 40, 1000])("are bad where byte %i is another one", (at) => {
    const frames = framesOf(1, text.slice(0, 2000));
    frames[0][at] ^= 1;
    expect(assembled(frames)).toEqual({ texts: [], bad: [0] });
  });

  it("are no text while a part is missing", () => {
    expect(assembled(framesOf(1, text).slice(1))).toEqual({ texts: [], bad: [] });
  });
});

describe("a shard", () => {
  it("comes back from log and snapshots as it was, and writes no more rows than it must", () => {
    const storage = new MemoryStorage();
    const shard = shardOn(storage);
    posted(shard, 1, 61);
    const { rows_written: rows } = shard.gauges();
    expect(rows.log).toBe(60);
    expect(rows.state + rows.keys).toBeLessThan(24);
    expect(storage.blobs.log.size).toBeLessThanOrEqual(log.rowsMax + 1);
    const again = shardOn(storage);
    expect(again.restored).toMatchObject({ setAside: 0, lost: [] });
    expect(again.apply(applyRequest("batch 30", contactsOf(probes(30, 31))), 0).status).toBe("duplicate");
    const [[first], [second]] = [scanOf(shard), scanOf(again)];
    expect(second).toEqual({ ...first, revision: second.revision });
  });

  it("outranks after a restart what it said before, and still waits for what nobody saw stored", () => {
    const storage = new MemoryStorage();
    const shard = shardOn(storage, { log: { rowsMax: 100, bytesMax: 1 << 20 } });
    posted(shard, 1, 40);
    const [provisional] = shard.pending();
    const acknowledged = [acknowledgementOf(provisional)];
    shard.apply({ ...applyRequest("batch 40", contactsOf(probes(40, 41))), acknowledged }, 0);
    const said = Math.max(...shard.end(ended).map(({ verdict }) => verdict.revision));
    const again = shardOn(storage);
    const final = again.pending().filter(({ verdict }) => verdict.state === "final");
    expect(final).toHaveLength(1);
    expect(final[0].verdict.revision).toBeGreaterThan(said);
    // One that is late for the shard of before is none for that of now.
    again.acknowledge(acknowledged);
    expect(again.pending()).toContainEqual(final[0]);
    again.acknowledge([acknowledgementOf(final[0])]);
    expect(again.pending()).not.toContainEqual(final[0]);
  });

  it("goes on from the log where a snapshot is damaged, and says that it lost its past", () => {
    const storage = new MemoryStorage();
    const before = shardOn(storage);
    posted(before, 1, 61);
    const published = Math.max(...before.pending().map(({ verdict }) => verdict.revision));
    for (const bytes of storage.blobs.state.values()) bytes[bytes.length >> 1] ^= 1;
    const shard = shardOn(storage);
    expect(storage.aside.every(({ kind }) => kind === "state")).toBe(true);
    expect(shard.restored.setAside).toBeGreaterThan(0);
    expect(shard.restored.lost.length).toBeGreaterThan(0);
    posted(shard, 61, 90);
    const [scan] = scanOf(shard);
    expect(scan.ports).toBeGreaterThan(28);
    expect(scan.ports).toBeLessThan(60);
    expect(scan.warming).toBe(true);
    expect(scan.revision).toBeGreaterThan(published);
  });

  it("outranks what it said, restore after restore, once state was lost", () => {
    const storage = new MemoryStorage();
    posted(shardOn(storage), 1, 30);
    for (const bytes of storage.blobs.state.values()) bytes[40] ^= 1;
    const greatest = [100, 200, 300].map((from) => {
      const shard = shardOn(storage);
      posted(shard, from, from + 20);
      return Math.max(...shard.pending().map(({ verdict }) => verdict.revision));
    });
    expect(greatest[0]).toBeGreaterThan(1e9);
    expect(greatest[1]).toBeGreaterThan(greatest[0]);
    expect(greatest[2]).toBeGreaterThan(greatest[1]);
  });

  it("has a detector of another version read the state of the old one if it can, and else warm up", () => {
    const next = (migrate?: Detector["migrate"]) =>
      allDetectors.map((kind) => ({ ...kind, version: kind.version + 1, ...(migrate && { migrate }) }));
    const restored = [next((saved) => saved), next()].map((kinds) => {
      const storage = new MemoryStorage();
      posted(shardOn(storage), 1, 61);
      const shard = shardOn(storage, { detectors: kinds });
      posted(shard, 61, 90);
      return scanOf(shard)[0];
    });
    expect(restored[0]).toMatchObject({ ports: expect.any(Number), warming: false });
    expect(restored[1]).toMatchObject({ warming: true });
    expect(restored[1].ports).toBeLessThan(restored[0].ports as number);
  });

  it("changes nothing where only a part of what belongs together can be written", () => {
    class FullStorage extends MemoryStorage {
      isFull = false;
      override write(...blob: Parameters<MemoryStorage["write"]>): void {
        if (this.isFull && blob[0] === "state") throw new Error("disk full");
        super.write(...blob);
      }
    }
    const storage = new FullStorage();
    const failing = shardOn(storage, { log: { rowsMax: 1, bytesMax: 1 << 20 } });
    posted(failing, 1, 20);
    const before = new Map(storage.blobs.log);
    storage.isFull = true;
    expect(() => failing.apply(applyRequest("batch 20", contactsOf(probes(20, 21))), 0)).toThrow("disk full");
    expect(new Map(storage.blobs.log)).toEqual(before);
    storage.isFull = false;
    expect(shardOn(storage).apply(applyRequest("batch 20", contactsOf(probes(20, 21))), 0).status).toBe("applied");
  });

  it("takes no more once too many verdicts wait for D1", () => {
    const shard = shardOn(new MemoryStorage());
    Object.defineProperty(shard, "pendingCount", { value: 10_000 });
    expect(shard.apply(applyRequest("a", contactsOf(probes(1, 2))), 0)).toEqual({ status: "overloaded" });
    expect(shard.gauges().log_rows).toBe(0);
  });

  it("recognises records by their ids, for each of their slots, until they would be late", () => {
    const shard = shardOn(new MemoryStorage());
    const flows = probes(1, 4).map((flow, i) => ({ ...flow, recordId: i + 1 }));
    shard.apply(applyRequest("a", contactsOf(flows)), 0);
    const again = shard.apply(applyRequest("b", contactsOf([flows[1], { ...flows[2], recordId: 9 }])), 0);
    expect(again).toEqual({ status: "known_records", records: [{ row: 0, known: 4 | 8 | 32 }] });
    const later = { ...flows[0], startMs: flows[0].startMs + 1_300_000, recordId: 77 };
    shard.apply(applyRequest("c", contactsOf([later])), 0);
    expect(shard.apply(applyRequest("d", contactsOf([flows[1]])), 0)).toMatchObject({ status: "applied", late: 1 });
  });
});

describe("the ledger", () => {
  const batch = (i: number, receivedAtMs: number) => ({
    key: `key ${i}`,
    digest: "d",
    receivedAtMs,
    slots: new SlotSet([i, 0, 0, 0, 0, 0, 0, 0]),
    late: 1,
  });

  it("adds the slots of what it knows", () => {
    const ledger = new BatchLedger();
    ledger.add(batch(1, 0));
    ledger.add({ ...batch(1, 0), slots: new SlotSet([6, 0, 0, 0, 0, 0, 0, 0]) });
    expect(ledger.find("key 1")).toMatchObject({ late: 2, slots: new SlotSet([7, 0, 0, 0, 0, 0, 0, 0]) });
  });

  it("forgets after two hours, and counts what it forgets before", () => {
    const ledger = new BatchLedger();
    ledger.add(batch(1, 0));
    ledger.add(batch(2, 7_200_001));
    expect([ledger.find("key 1"), ledger.size, ledger.forgotten]).toEqual([undefined, 1, 0]);
    for (let i = 3; i < 32_780; i++) ledger.add(batch(i, 7_200_001));
    expect([ledger.size, ledger.forgotten]).toEqual([32_768, 10]);
  });
});

describe("record ids", () => {
  it("stay bounded where event time stands still: the oldest minutes go, and are counted", () => {
    const ids = new RecordIds();
    for (let i = 1; i <= 40_000; i++) ids.add(0, i, i < 10_000 ? 0 : 60);
    expect(ids.count).toBeLessThanOrEqual(4 * 4096);
    expect(ids.count + ids.forgotten).toBe(40_000);
    expect([ids.has(0, 1, 0), ids.has(0, 40_000, 60)]).toEqual([false, true]);
  });
});
