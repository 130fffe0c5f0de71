import { describe, expect, it } from "vitest";
import type { Contacts } from "../../../src/core/flow/contacts.ts";
import { fold } from "../../../src/core/flow/fold.ts";
import { slotOf } from "../../../src/core/flow/keyed-hash.ts";
import { networkMatcher } from "../../../src/core/flow/networks.ts";
import { packContacts, unpackContacts } from "../../../src/core/flow/pack-contacts.ts";
import { shardOfSlot, splitContacts } from "../../../src/core/flow/split-contacts.ts";
import { batchOf, contactsOf, sampleTrace, type TraceFlow } from "../../support/trace.ts";

const trace = sampleTrace(3).map((flow, i) => ({ ...flow, recordId: i + 1 }));

/** Columns of one value a contact. */
function columnsOf(group: { length: number }): { [name: string]: number[] } {
  const lists = ["startsAt", "sourcesAt", "sources"];
  const columns = Object.entries(group).filter(([name, column]) => {
    const isStart = name === "startBytes" || (name === "startMs" && "startsAt" in group);
    return ArrayBuffer.isView(column) && !lists.includes(name) && !isStart;
  });
  return Object.fromEntries(
    columns.map(([name, column]) => [name, [...(column as unknown as Uint32Array).subarray(0, group.length)]]),
  );
}

describe("packed contacts", () => {
  const wide: TraceFlow = { ...trace[0], sourceBytes: 2 ** 40, startMs: 12, durationMs: 5 };
  it.each([
    ["a trace", trace],
    ["nothing", []],
    ["one flow", trace.slice(0, 1)],
    ["numbers of any width", [...trace.slice(0, 50), wide, { ...wide, sourceBytes: 0 }]],
  ])("say the same: %s", (_, flows) => {
    const contacts = contactsOf(flows);
    expect(unpackContacts(packContacts(contacts))).toEqual(contacts);
  });

  /** The fold's own columns: `contactsOf` has packed already, and would not notice what packing gets wrong each time. */
  it("hold what was folded, column by column", () => {
    const long = trace.slice(0, 40).map((flow, i) => ({ ...flow, recordId: 10_000 + i, durationMs: 60_000 + i }));
    const options = { hashKey: [1, 2], isInternal: networkMatcher(["10.0.0.0/8"]), allowanceMs: 1e12 } as const;
    const { contacts } = fold(batchOf([...trace, ...long]), options);
    expect(contacts.sessions.length).toBeGreaterThanOrEqual(long.length);
    expect(contacts.prefixes.length).toBeGreaterThan(2);
    const unpacked = unpackContacts(packContacts(contacts));
    for (const group of ["pairs", "targets", "prefixes", "sessions", "records"] as const) {
      expect([group, columnsOf(unpacked[group])]).toEqual([group, columnsOf(contacts[group])]);
    }
    const startsOf = ({ pairs }: Contacts) =>
      Array.from({ length: pairs.length }, (_, i) => [
        ...pairs.startMs.subarray(pairs.startsAt[i], pairs.startsAt[i] + pairs.startCount[i]),
      ]);
    expect(startsOf(unpacked)).toEqual(startsOf(contacts));
  });

  it("take less than half of the memory of their columns", () => {
    const contacts = contactsOf(trace);
    const bytes = (group: object) =>
      Object.values(group).reduce<number>(
        (sum, column) => sum + (ArrayBuffer.isView(column) ? column.byteLength : 0),
        0,
      );
    const { pairs, targets, records, ...top } = contacts;
    const columns = bytes(pairs) + bytes(targets) + bytes(records) + bytes(top);
    expect(packContacts(contacts).byteLength).toBeLessThan(columns / 2);
  });

  it.each([
    ["too short", (bytes: ArrayBuffer) => bytes.slice(0, 20)],
    ["cut", (bytes: ArrayBuffer) => bytes.slice(0, bytes.byteLength - 8)],
    ["of another kind", (bytes: ArrayBuffer) => new ArrayBuffer(bytes.byteLength)],
  ])("are refused where they are %s", (_, mangle) => {
    expect(() => unpackContacts(mangle(packContacts(contactsOf(trace))))).toThrow(RangeError);
  });
});

describe("split contacts", () => {
  const whole = contactsOf(trace);
  const parts = splitContacts(whole, 8);

  /** Contacts by name, so that parts can be compared with the whole. */
  const named = ({ pairs, targets, addresses, records }: Contacts) => {
    const name = (index: number) => addresses.slice(4 * index, 4 * index + 4).join();
    return {
      pairs: Array.from({ length: pairs.length }, (_, i) => {
        const starts = pairs.startMs.slice(pairs.startsAt[i], pairs.startsAt[i] + pairs.startCount[i]);
        return [
          name(pairs.source[i]),
          name(pairs.target[i]),
          pairs.port[i],
          pairs.bucket[i],
          pairs.sourceBytes[i],
          ...starts,
        ].join(" ");
      }),
      targets: Array.from({ length: targets.length }, (_, i) => {
        const sources = targets.sources.slice(targets.sourcesAt[i], targets.sourcesAt[i] + targets.sourceCount[i]);
        return [name(targets.target[i]), targets.port[i], targets.bucket[i], ...Array.from(sources, name)].join(" ");
      }),
      records: Array.from({ length: records.length }, (_, i) => records.row[i]),
    };
  };

  it("give each shard what its slots learn, and nobody anything twice", () => {
    const all = parts.map((part) => named(unpackContacts(packContacts(part!))));
    expect(all.flatMap(({ pairs }) => pairs).sort()).toEqual(named(whole).pairs.sort());
    expect(all.flatMap(({ targets }) => targets).sort()).toEqual(named(whole).targets.sort());
    expect(new Set(all.flatMap(({ records }) => records)).size).toBe(trace.length);
    parts.forEach((part, shard) => {
      const { pairs, targets, addressHash } = part!;
      const learning = [...pairs.source.subarray(0, pairs.length), ...targets.target.subarray(0, targets.length)];
      const owners = learning.map((index) => shardOfSlot(slotOf(addressHash[index]), 8));
      expect(new Set(owners)).toEqual(new Set([shard]));
    });
  });

  it("leave out shards that have nothing to learn", () => {
    expect(splitContacts(contactsOf(trace.slice(0, 1)), 64).filter((part) => part !== undefined).length).toBeLessThan(
      3,
    );
    expect(splitContacts(contactsOf([]), 1)).toEqual([undefined]);
  });
});
