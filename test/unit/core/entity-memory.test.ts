import { describe, expect, it } from "vitest";
import { EntityMemory, type MemoryCodec } from "../../../src/core/slots/entity-memory.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";
import type { AddressWords } from "../../../src/core/verdict.ts";

interface Days {
  days: number[];
}

const codec: MemoryCodec<Days> = {
  create: () => ({ days: [] }),
  save: ({ days }, writer) => writer.words(days),
  load: (reader) => ({ days: reader.words() }),
  bytes: ({ days }) => 8 * days.length,
};

const dayMs = 86_400_000;
const [one, two]: AddressWords[] = [
  [0, 0, 0xffff, 1],
  [0x20010db8, 0, 0, 1],
];

function memoryOf(...learnt: [address: AddressWords, day: number][]): EntityMemory<Days> {
  const memory = new EntityMemory(codec, 3 * dayMs);
  for (const [address, day] of learnt) memory.learn(address, day * dayMs, ({ days }) => days.push(day));
  return memory;
}

describe("the memory of entities", () => {
  it("knows what it learnt, by entity, and nothing of others", () => {
    const memory = memoryOf([one, 1], [one, 2], [two, 2]);
    expect([memory.get(one), memory.get(two)]).toEqual([{ days: [1, 2] }, { days: [2] }]);
    expect([memory.get([0, 0, 0xffff, 2]), memory.entities]).toEqual([undefined, 2]);
  });

  it("gives copies that know nothing of later", () => {
    const memory = memoryOf([one, 1]);
    const before = memory.copyOf(one);
    memory.learn(one, 2 * dayMs, ({ days }) => days.push(2));
    expect([before, memory.get(one)]).toEqual([{ days: [1] }, { days: [1, 2] }]);
    expect(memory.copyOf(two)).toBeUndefined();
  });

  it("forgets what learnt nothing for so long, and not before", () => {
    const memory = memoryOf([one, 1], [two, 2]);
    memory.expire(4 * dayMs - 1);
    expect(memory.entities).toBe(2);
    memory.expire(4 * dayMs);
    expect([memory.get(one), memory.get(two)]).toEqual([undefined, { days: [2] }]);
    memory.expire(5 * dayMs);
    expect([memory.entities, memory.bytes]).toEqual([0, 0]);
  });

  it("keeps its time when a window closes out of turn, and forgets nothing at the end of all input", () => {
    const memory = memoryOf([one, 5], [one, 1]);
    memory.expire(8 * dayMs - 1);
    memory.expire(Infinity);
    expect(memory.get(one)).toEqual({ days: [5, 1] });
  });

  it("counts its bytes as they grow and shrink", () => {
    const memory = memoryOf([one, 1]);
    const { bytes } = memory;
    memory.learn(one, 2 * dayMs, ({ days }) => days.push(2, 3));
    expect(memory.bytes).toBe(bytes + 16);
    memory.learn(one, 3 * dayMs, ({ days }) => days.splice(0, 2));
    expect(memory.bytes).toBe(bytes);
    const both = memoryOf([one, 1], [two, 1]);
    expect(both.bytes).toBe(2 * bytes);
    both.forget(both.remembered().filter(({ address }) => address === one));
    expect([both.bytes, both.entities, both.get(one)]).toEqual([bytes, 1, undefined]);
  });

  it("goes after what is small and before what is open", () => {
    const [{ interest, bytes, windowStartMs }] = memoryOf([one, 1]).remembered();
    expect(interest).toBeGreaterThan(0);
    expect(interest).toBeLessThan(1);
    expect([bytes > 8, windowStartMs]).toEqual([true, dayMs]);
  });

  it("is what it was, once saved and loaded", () => {
    const memory = memoryOf([one, 1], [two, 2], [one, 3]);
    const writer = new StateWriter();
    memory.save(writer);
    const again = memoryOf();
    again.load(new StateReader(writer.bytes()));
    expect(again.remembered()).toEqual(memory.remembered());
    expect(again.bytes).toBe(memory.bytes);
    again.expire(5 * dayMs);
    expect([again.get(one), again.get(two)]).toEqual([{ days: [1, 3] }, undefined]);
  });
});
