import { describe, expect, it } from "vitest";
import { NetworkFacts } from "../../../src/core/slots/network-facts.ts";
import { MemoryStorage } from "../../../src/core/shard/memory-storage.ts";
import { StoredFacts } from "../../../src/core/shard/stored-facts.ts";

const dayMs = 86_400_000;

function again(facts: NetworkFacts): NetworkFacts {
  return NetworkFacts.unpacked(facts.packed());
}

describe("network facts", () => {
  it("are the most that any slot has told of the last two days", () => {
    const facts = new NetworkFacts();
    const [one, other] = [facts.ofSlot(1), facts.ofSlot(2)];
    one.addSources(7, 5, 100 * dayMs);
    other.addSources(7, 3, 100 * dayMs);
    expect([facts.sourcesOf(7), facts.sourcesOf(8)]).toEqual([5, 1]);
    other.addSources(7, 9, 101 * dayMs);
    expect(facts.sourcesOf(7)).toBe(9);
    one.addSources(9, 2, 103 * dayMs);
    expect([facts.sourcesOf(7), facts.sourcesOf(9)]).toEqual([1, 2]);
    one.addSources(7, 60, 100 * dayMs);
    expect(facts.sourcesOf(7)).toBe(1);
  });

  it("count hosts that were told one by one, though no two at once", () => {
    const facts = new NetworkFacts();
    for (let source = 0; source < 6; source++) {
      for (let time = 0; time < 2; time++) facts.ofSlot(source).addSource(7, 0x9e3779b1 * source, 100 * dayMs);
    }
    facts.ofSlot(1).addSources(7, 3, 100 * dayMs);
    expect([facts.sourcesOf(7), facts.sourcesOf(8)]).toEqual([6, 1]);
    for (let source = 0; source < 1000; source++) facts.ofSlot(1).addSource(8, 0x9e3779b1 * source, 101 * dayMs);
    expect(facts.sourcesOf(8)).toBe(64);
  });

  it("count the hosts of all slots, on the busier day", () => {
    const facts = new NetworkFacts();
    facts.ofSlot(1).addHosts(4, 100 * dayMs);
    facts.ofSlot(2).addHosts(3, 100 * dayMs);
    facts.ofSlot(2).addHosts(2, 101 * dayMs);
    expect(facts.hosts).toBe(7);
  });

  it("say the same in any order, told once or twice, and after they were saved", () => {
    const told = [
      [1, 7, 5],
      [2, 7, 8],
      [1, 9, 3],
      [2, 9, 64],
      [2, 9, 200],
    ];
    const made = (order: number[][]) => {
      const facts = new NetworkFacts();
      for (const [slot, hash, sources] of order) {
        facts.ofSlot(slot).addSources(hash, sources, 5 * dayMs);
        facts.ofSlot(slot).addSource(11, sources, 5 * dayMs);
      }
      return facts;
    };
    const [facts, other] = [made(told), made([...told.toReversed(), ...told])];
    const merged = facts.copy();
    merged.merge(again(other));
    expect(merged.revision).toBe(facts.copy().revision);
    for (const hash of [7, 9, 11]) expect(again(other).sourcesOf(hash)).toBe(facts.sourcesOf(hash));
    expect([facts.sourcesOf(9), facts.sourcesOf(11)]).toEqual([64, 4]);
  });

  it("forget the less common targets of a day beyond their bound", () => {
    const facts = new NetworkFacts();
    for (let hash = 0; hash <= 20_000; hash++) facts.ofSlot(0).addSources(hash, hash % 2 === 0 ? 2 : 5, 0);
    expect([facts.sourcesOf(1), facts.sourcesOf(2)]).toEqual([5, 1]);
  });

  it("are written where they have changed, and come back", () => {
    const storage = new MemoryStorage();
    const [facts, stored] = [new NetworkFacts(), new StoredFacts(storage)];
    stored.keep(facts);
    expect(stored.rowsWritten).toBe(0);
    facts.ofSlot(3).addSources(7, 5, 0);
    stored.keep(facts);
    stored.keep(facts);
    expect(stored.rowsWritten).toBe(1);
    const restored = new NetworkFacts();
    new StoredFacts(storage).restore(restored);
    expect(restored.sourcesOf(7)).toBe(5);
  });
});
