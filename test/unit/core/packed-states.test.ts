import * as fc from "fast-check";
import { expect, it } from "vitest";
import { PackedStates } from "../../../src/core/sketches/packed-states.ts";
import type { AddressWords } from "../../../src/core/verdict.ts";

const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
/** Few of them, so that they meet again; IPv4, IPv6, and IPv6 that differs from an IPv4 in one word. */
const address = fc.oneof(
  fc.integer({ min: 0, max: 40 }).map((n): AddressWords => [0, 0, 0xffff, n]),
  fc.integer({ min: 0, max: 40 }).map((n): AddressWords => [0, 1, 0xffff, n]),
  fc.tuple(word, word, word, word),
);
/** Mostly zeros, as saved states are. */
const saved = fc
  .array(
    fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }) }),
    {
      maxLength: 400,
    },
  )
  .map((bytes) => Uint8Array.from(bytes));

it("gives back what was put in, byte by byte, whatever was put in and taken out meanwhile", () => {
  const acts = fc.array(fc.record({ address, saved, isTaken: fc.boolean() }), { maxLength: 300 });
  fc.assert(
    fc.property(acts, (all) => {
      const packed = new PackedStates();
      const model = new Map<string, Uint8Array>();
      let mismatches = 0;
      for (const act of all) {
        const key = act.address.join();
        expect(packed.get(act.address)).toEqual(model.get(key));
        const before = model.get(key);
        if (before || act.isTaken) {
          const taken = packed.take(act.address);
          model.delete(key);
          mismatches += String(taken) === String(before) ? 0 : 1;
        } else {
          packed.add(act.address, act.saved);
          model.set(key, act.saved);
        }
        if (act.saved.length % 7 === 0) packed.shrink();
        expect(packed.size).toBe(model.size);
      }
      const seen = new Map<string, Uint8Array>();
      packed.forEach((one, bytes) => seen.set(one.join(), bytes()));
      expect(seen).toEqual(model);
      expect(mismatches).toBe(0);
    }),
    { numRuns: 50 },
  );
});

it("survives many that come and go", () => {
  const packed = new PackedStates();
  const of = (i: number): AddressWords => [0, 0, 0xffff, Math.imul(i, 0x9e3779b1) >>> 0];
  const bytesOf = (i: number) => Uint8Array.of(i & 255, 0, 0, i >>> 8);
  for (let i = 0; i < 1000; i++) packed.add(of(i), bytesOf(i));
  for (let i = 1000; i < 20_000; i++) {
    packed.add(of(i), bytesOf(i));
    expect(packed.take(of(i - 1000))).toEqual(bytesOf(i - 1000));
  }
  expect(packed.size).toBe(1000);
});
