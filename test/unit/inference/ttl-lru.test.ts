import { describe, expect, it } from "vitest";
import { TtlLru } from "../../../src/inference/ttl-lru.ts";

const lru = (more = {}) => new TtlLru<string>({ entriesMax: 3, bytesMax: 100, ttlMs: 300_000, ...more });

describe("values of an isolate", () => {
  it("stay as long as they are asked for, and vanish 300 s after the last time", () => {
    const values = lru();
    values.set("a", "A", 1, 0);
    for (const nowMs of [299_999, 599_998, 899_997]) expect(values.get("a", nowMs)).toBe("A");
    expect(values.get("a", 899_997 + 300_000)).toBeUndefined();
    expect([values.size, values.bytes]).toEqual([0, 0]);
  });

  it("give way to newer ones, the least lately used first", () => {
    const values = lru();
    for (const key of ["a", "b", "c"]) values.set(key, key.toUpperCase(), 1, 0);
    values.get("a", 1);
    values.set("d", "D", 1, 2);
    expect(["a", "b", "c", "d"].map((key) => values.get(key, 3))).toEqual(["A", undefined, "C", "D"]);
  });

  it("keep to their bytes, also where one takes another's place", () => {
    const values = lru();
    values.set("a", "A", 60, 0);
    values.set("b", "B", 30, 0);
    values.set("b", "B2", 40, 0);
    expect([values.size, values.bytes]).toEqual([2, 100]);
    values.set("c", "C", 1, 0);
    expect([values.get("a", 0), values.get("b", 0), values.bytes]).toEqual([undefined, "B2", 41]);
    values.set("d", "D", 101, 0);
    expect([values.size, values.bytes]).toEqual([0, 0]);
  });

  it("are a thousand at most, if so many are allowed", () => {
    const values = lru({ entriesMax: 1000, bytesMax: Infinity });
    for (let i = 0; i < 1500; i++) values.set(`${i}`, "", 1, i);
    expect([values.size, values.get("499", 1500), values.get("500", 1500)]).toEqual([1000, undefined, ""]);
  });
});
