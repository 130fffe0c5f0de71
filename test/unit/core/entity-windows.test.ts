import { describe, expect, it } from "vitest";
import { detectors } from "../../../src/core/detectors/index.ts";
import type { SlotDetector } from "../../../src/core/detectors/detector.ts";
import { c2Beacon } from "../../../src/core/detectors/c2-beacon.ts";
import { bucketMs } from "../../../src/core/flow/contacts.ts";
import { Outcome, Protocol } from "../../../src/core/flow/flow-batch.ts";
import { EntityWindows, type EntityState, type StateCodec } from "../../../src/core/slots/entity-windows.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";
import { contactsOf, slotOfDetector, traceStartMs, wholeSlot, type TraceFlow } from "../../support/trace.ts";

interface Count extends EntityState {
  count: number;
}

/** Counts; small while it has counted to one. `loads` tells how often a state was read. */
function counting() {
  const seen = { loads: 0 };
  const codec: StateCodec<Count> = {
    create: () => ({ touched: false, count: 0 }),
    save: ({ count }, writer) => writer.u32(count),
    load(reader) {
      seen.loads++;
      return { touched: false, count: reader.u32() };
    },
    bytes: ({ count }) => count,
    isSmall: ({ count }) => count <= 1,
    smallBytes: () => 10,
  };
  return { seen, codec };
}

const hourMs = 3_600_000;
const bucket = traceStartMs / bucketMs;

function addressesOf(count: number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: 4 * count }, (_, w) => [0, 0, 0xffff, w][w % 4]);
}

function see(windows: EntityWindows<Count>, addresses: Uint32Array<ArrayBuffer>, index: number): void {
  const entry = windows.at(addresses, index, bucket);
  entry.state.count++;
  windows.grew(entry);
}

describe("windows of entities", () => {
  it("close without a look at what is packed", () => {
    const { seen, codec } = counting();
    const windows = new EntityWindows(hourMs, codec);
    const addresses = addressesOf(50_000);
    for (let i = 0; i < 50_000; i++) see(windows, addresses, i);
    see(windows, addresses, 7);
    windows.settle();
    expect(windows.entities).toBe(50_000);
    expect(windows.takeClosed(traceStartMs + hourMs).map(({ state }) => state.count)).toEqual([2]);
    expect([seen.loads, windows.entities, windows.bytes]).toEqual([0, 0, 0]);
  });

  it("go on with a packed state where it was left, and say so when asked", () => {
    const { seen, codec } = counting();
    const windows = new EntityWindows(hourMs, codec);
    const addresses = addressesOf(1000);
    for (let i = 0; i < 1000; i++) see(windows, addresses, i);
    windows.settle();
    const { bytes } = windows;
    expect(windows.peek([0, 0, 0xffff, 4 * 5 + 3], traceStartMs)?.count).toBe(1);
    expect([seen.loads, windows.bytes]).toEqual([1, bytes]);
    see(windows, addresses, 6);
    expect(windows.at(addresses, 6, bucket).state.count).toBe(2);
    expect([windows.entities, seen.loads]).toEqual([1000, 2]);
  });

  it("leave the few states of a small tenant alone", () => {
    const { seen, codec } = counting();
    const windows = new EntityWindows(hourMs, codec);
    const addresses = addressesOf(16);
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 16; i++) windows.at(addresses, i, bucket);
      windows.settle();
    }
    expect(seen.loads).toBe(0);
  });

  it("save packed states as any other", () => {
    const windows = new EntityWindows(hourMs, counting().codec);
    const addresses = addressesOf(500);
    for (let i = 0; i < 500; i++) see(windows, addresses, i);
    const [loose, packed] = [new StateWriter(), new StateWriter()];
    windows.save(loose);
    windows.settle();
    windows.save(packed);
    expect(packed.bytes()).toEqual(loose.bytes());
    const again = new EntityWindows(hourMs, counting().codec);
    again.load(new StateReader(packed.bytes()));
    expect([again.bytes, again.entities]).toEqual([windows.bytes, windows.entities]);
  });
});

function learn(slot: SlotDetector, flows: readonly TraceFlow[]): void {
  slot.learn(wholeSlot(contactsOf(flows)));
}

describe("what is small", () => {
  const huge = { sourceBytes: 1e12, sourcePackets: 1e9, targetBytes: 1e12, targetPackets: 1e9 };
  const flow = { targetPort: 7, startMs: traceStartMs };

  // What is large is not small to `ddos`.
  for (const detector of detectors.filter(({ id }) => id !== "ddos")) {
    it(`has no finding of ${detector.id}, however large it is`, () => {
      const slot = slotOfDetector(detector);
      const flows = Object.values(Outcome).flatMap((outcome, o) =>
        [0, 1].flatMap((isReply): TraceFlow[] => {
          const sent = isReply ? { sourceBytes: 0, sourcePackets: 0 } : {};
          const protocol = isReply ? Protocol.Udp : Protocol.Tcp;
          const [source, target] = [`10.1.${o}.${isReply}`, `203.0.113.${2 * o + isReply}`];
          return [{ ...flow, ...huge, ...sent, protocol, source, target, outcome }];
        }),
      );
      learn(slot, flows);
      const opinions = slot.findings(0);
      expect([...opinions, ...slot.findings(Infinity)]).toEqual([]);
    });
  }

  it("does not include a flood from one source within a minute", () => {
    const ddos = detectors.find(({ id }) => id === "ddos")!;
    const slot = slotOfDetector(ddos);
    const probe = { ...flow, source: "198.51.100.1", outcome: Outcome.Unanswered, sourcePackets: 1, sourceBytes: 40 };
    const bystanders = Array.from({ length: 300 }, (_, i) => ({ ...probe, target: `10.2.${i >> 8}.${i & 255}` }));
    const flood = Array.from({ length: 2000 }, () => ({ ...probe, target: "10.0.0.1" }));
    learn(slot, [...bystanders, ...flood]);
    slot.settle(Infinity, Infinity);
    expect(slot.findings(Infinity).filter(({ final }) => final)).toHaveLength(1);
  });
});

describe("a gateway", () => {
  const call = { source: "10.0.0.1", targetPort: 443 };
  const target = (i: number) => `203.0.${i >> 8}.${i & 255}`;
  const beacon = Array.from({ length: 60 }, (_, i) => {
    return { ...call, target: target(0), targetPort: 4444, startMs: traceStartMs + i * 59_000 };
  });
  const crowd = Array.from({ length: 2000 }, (_, i) => {
    return { ...call, target: target(1 + i), startMs: traceStartMs + 3_600_000 + i };
  });

  it("keeps the pairs that were heard of often or of late when its slot settles, and counts the others", () => {
    const slot = slotOfDetector(c2Beacon);
    learn(slot, beacon);
    slot.settle(Infinity, Infinity);
    learn(slot, crowd);
    const { bytes } = slot;
    expect(slot.settle(Infinity, Infinity)).toEqual({ entities: 2000 - 256, alarmed: [] });
    expect(slot.bytes).toBeLessThan(bytes / 3);
    expect(slot.settle(Infinity, Infinity).entities).toBe(0);
    expect(slot.findings(Infinity).some(({ finding, final }) => final && finding.severity !== "low")).toBe(true);
  });

  it("keeps the same pairs, whatever came first", () => {
    const saved = [crowd, crowd.toReversed()].map((flows) => {
      const slot = slotOfDetector(c2Beacon);
      for (let from = 0; from < flows.length; from += 300) learn(slot, flows.slice(from, from + 300));
      slot.settle(Infinity, Infinity);
      learn(slot, [crowd[700], ...crowd.slice(1000, 1300)]);
      slot.settle(Infinity, Infinity);
      const writer = new StateWriter();
      slot.save(writer);
      return { length: writer.length, sum: writer.bytes().reduce((sum, byte) => sum + byte, 0), bytes: slot.bytes };
    });
    expect(saved[0]).toEqual(saved[1]);
  });
});
