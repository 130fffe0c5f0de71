import { describe, expect, it } from "vitest";
import type { SlotContacts, SlotDetector } from "../../../src/core/detectors/detector.ts";
import { windowed, type Windowed } from "../../../src/core/detectors/windowed.ts";
import { formatEntity } from "../../../src/core/flow/prefixes.ts";
import type { EntityState, EntityWindows, Entry } from "../../../src/core/slots/entity-windows.ts";
import { NetworkFacts } from "../../../src/core/slots/network-facts.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";
import type { Finding } from "../../../src/core/verdict.ts";
import { contactsOf, traceStartMs, wholeSlot } from "../../support/trace.ts";

const hourMs = 3_600_000;

/** Counts the requests of a source in an hour, and remembers its greatest hour. */
interface Count extends EntityState {
  requests: number;
}
interface Peak {
  hours: number;
  peak: number;
}
interface Settings {
  requestsMin: number;
}

type Kind = Windowed<Count, Peak, Settings>;

const kind: Kind = {
  lengthMs: hourMs,
  codec: {
    create: () => ({ touched: false, requests: 0 }),
    save: ({ requests }, writer) => writer.u32(requests),
    load: (reader) => ({ touched: false, requests: reader.u32() }),
    bytes: () => 100,
    isSmall: ({ requests }) => requests <= 1,
    smallBytes: () => 10,
  },
  memory: {
    create: () => ({ hours: 0, peak: 0 }),
    save({ hours, peak }, writer) {
      writer.u32(hours);
      writer.u32(peak);
    },
    load: (reader) => ({ hours: reader.u32(), peak: reader.u32() }),
    bytes: () => 20,
  },
  forgetMs: 24 * hourMs,
  learn({ contacts, pairs: indexes }: SlotContacts, windows: EntityWindows<Count>) {
    const { pairs, addresses } = contacts;
    for (const i of indexes) {
      const entry = windows.at(addresses, pairs.source[i], pairs.bucket[i]);
      entry.state.requests += pairs.requests[i];
      windows.touch(entry);
      windows.grew(entry);
    }
  },
  judge({ address, state, windowStartMs }: Entry<Count>, { requestsMin }, known): Finding | undefined {
    if (state.requests < requestsMin) return undefined;
    const { hours, peak } = known.memoryOf(address) ?? { hours: 0, peak: 0 };
    return {
      threat: "port_scan",
      detectorVersion: 1,
      entity: formatEntity(address),
      window: { startMs: windowStartMs, endMs: windowStartMs + hourMs },
      score: Math.min(1, state.requests / 100),
      confidence: 1,
      severity: state.requests >= 10 ? "medium" : "low",
      techniques: ["T1046"],
      summary: "so many requests within an hour",
      peers: [],
      peerCount: 0,
      evidence: { requests: state.requests, hours, peak, hosts: known.facts?.hosts ?? -1 },
      observed: [{ threshold: "requestsMin", value: state.requests }],
    };
  },
  interest: ({ requests }) => 1 + requests,
  remember({ state }, memory) {
    memory.hours++;
    memory.peak = Math.max(memory.peak, state.requests);
  },
  isRemembered: ({ state }) => state.requests > 1,
};

function made(change: Partial<Kind> = {}, saved?: StateReader): SlotDetector {
  return windowed({ ...kind, ...change }, { requestsMin: 3 }, saved);
}

/** So many requests of a source in an hour of the trace. */
function learn(slot: SlotDetector, hour: number, requests: number, source = "10.0.0.1"): void {
  const flow = { source, target: "203.0.113.1", targetPort: 443, durationMs: 0 };
  const startMs = traceStartMs + hour * hourMs;
  slot.learn(wholeSlot(contactsOf(Array.from({ length: requests }, (_, i) => ({ ...flow, startMs: startMs + i })))));
}

const evidenceOf = (slot: SlotDetector, closedMs: number) =>
  slot.findings(closedMs).map(({ finding, final }) => ({ ...finding.evidence, final }));

function restored(slot: SlotDetector): SlotDetector {
  const writer = new StateWriter();
  slot.save(writer);
  return made({}, new StateReader(writer.bytes()));
}

const endOf = (hour: number) => traceStartMs + (hour + 1) * hourMs;

describe("a windowed detector", () => {
  it("speaks of what was touched, then of what has closed, once", () => {
    const slot = made();
    learn(slot, 0, 5);
    expect(evidenceOf(slot, 0)).toMatchObject([{ requests: 5, final: false }]);
    expect(slot.findings(endOf(0) - 1)).toEqual([]);
    expect(evidenceOf(slot, endOf(0))).toMatchObject([{ requests: 5, final: true }]);
    expect([slot.findings(Infinity), slot.entities]).toEqual([[], 1]);
  });

  it("remembers closed windows only, in order, each once, and judges by what was before", () => {
    const slot = made();
    for (const [hour, requests] of [
      [1, 7],
      [0, 5],
      [2, 3],
    ])
      learn(slot, hour, requests);
    expect(evidenceOf(slot, 0)).toMatchObject([{ hours: 0 }, { hours: 0 }, { hours: 0 }]);
    expect(evidenceOf(slot, Infinity)).toMatchObject([
      { requests: 5, hours: 0, peak: 0 },
      { requests: 7, hours: 1, peak: 5 },
      { requests: 3, hours: 2, peak: 7 },
    ]);
  });

  it("judges a closed window by other settings as it was judged, whatever was learnt since", () => {
    const slot = made();
    learn(slot, 0, 5);
    learn(slot, 1, 7);
    const [first, second] = slot.findings(Infinity).filter(({ final }) => final);
    expect(first.judge?.({ requestsMin: 4 })?.evidence).toMatchObject({ hours: 0, peak: 0 });
    expect(second.judge?.({ requestsMin: 4 })?.evidence).toMatchObject({ hours: 1, peak: 5 });
    expect([first.judge?.({ requestsMin: 6 }), second.judge?.({ requestsMin: 8 })]).toEqual([undefined, undefined]);
  });

  it("tells its memory of alarms, not of what wakes nobody", () => {
    const seen: boolean[] = [];
    const slot = made({ remember: (_entry, _memory, isAlarm) => void seen.push(isAlarm) });
    for (const [hour, requests] of [
      [0, 2],
      [1, 9],
      [2, 10],
    ])
      learn(slot, hour, requests);
    slot.findings(Infinity);
    expect(seen).toEqual([false, false, true]);
  });

  it("remembers none that is not worth it, and forgets in time", () => {
    const slot = made();
    learn(slot, 0, 1);
    learn(slot, 0, 2, "10.0.0.2");
    slot.findings(endOf(0));
    expect(slot.entities).toBe(1);
    learn(slot, 24, 2, "10.0.0.3");
    slot.findings(endOf(24));
    expect(slot.entities).toBe(1);
  });

  it("has no memory unless told, and judges all the same", () => {
    const bare = { ...kind };
    for (const part of ["memory", "remember", "isRemembered"] as const) delete bare[part];
    const slot = windowed(bare, { requestsMin: 3 });
    learn(slot, 0, 5);
    expect(slot.findings(Infinity).map(({ final }) => final)).toEqual([false, true]);
    expect([slot.entities, slot.bytes]).toEqual([0, 0]);
  });

  it("is given the facts that its slot has", () => {
    const facts = new NetworkFacts();
    facts.ofSlot(3).addHosts(12, traceStartMs);
    const slot = made();
    learn(slot, 0, 5);
    expect(slot.findings(Infinity, facts).map(({ finding }) => finding.evidence["hosts"])).toEqual([12, 12]);
  });

  it("takes other settings from the next look on", () => {
    const slot = made();
    learn(slot, 0, 5);
    slot.configure({ requestsMin: 6 });
    expect(slot.findings(0)).toEqual([]);
    slot.configure({ requestsMin: 5 });
    expect(evidenceOf(slot, Infinity)).toMatchObject([{ requests: 5, final: true }]);
  });

  it("is what it was, once saved and loaded: windows and memories", () => {
    const slot = made();
    learn(slot, 0, 5);
    slot.findings(endOf(0));
    learn(slot, 1, 7);
    learn(slot, 1, 4, "2001:db8:1::1");
    const again = restored(slot);
    expect([again.bytes, again.entities]).toEqual([slot.bytes, slot.entities]);
    const finals = (one: SlotDetector) => evidenceOf(one, Infinity).filter(({ final }) => final);
    expect(finals(again)).toEqual(finals(slot));
  });

  it("settles by forgetting what is small first, then memories, then what is open, alarms last", () => {
    const slot = made();
    learn(slot, 0, 2, "10.0.0.9");
    slot.findings(endOf(0));
    learn(slot, 1, 12);
    learn(slot, 1, 4, "10.0.0.2");
    learn(slot, 1, 1, "10.0.0.3");
    const entities = [4, 3, 2, 1].map((left) => {
      const one = restored(slot);
      // Just little enough for so many to stay, since what is forgotten leaves a quarter free.
      for (let bytesMax = one.bytes; one.entities > left; bytesMax -= 5) one.settle(bytesMax, Infinity);
      return one
        .findings(Infinity)
        .filter(({ final }) => final)
        .map(({ finding }) => finding.evidence["requests"]);
    });
    expect(entities).toEqual([[12, 4], [12, 4], [12, 4], [12]]);
    expect(restored(slot).settle(0, Infinity)).toEqual({ entities: 3, alarmed: [] });
    const { entities: all, alarmed } = restored(slot).settle(0, 0);
    expect([all, alarmed.map(({ evidence }) => evidence["requests"])]).toEqual([4, [12]]);
  });
});
