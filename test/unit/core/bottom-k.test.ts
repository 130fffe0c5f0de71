import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BottomK } from "../../../src/core/sketches/bottom-k.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";

const addresses = Uint32Array.from({ length: 4 * 256 }, (_, i) => i);

/** Additions as (element, label, flags); the hash is a bijection of the element. */
const additions = fc.array(fc.tuple(fc.nat(255), fc.nat(9), fc.nat(7)), { maxLength: 300 });

const hashOf = (element: number) => Math.imul(element + 1, 0x9e3779b1) >>> 0;

function sketchOf(list: readonly (readonly [number, number, number])[], k: number): BottomK {
  const sketch = new BottomK(k);
  for (const [element, label, flags] of list) sketch.add(hashOf(element), addresses, element, label, flags);
  return sketch;
}

function contents(sketch: BottomK): unknown[] {
  return Array.from({ length: sketch.size }, (_, i) => [
    sketch.hash(i),
    ...sketch.address(i),
    sketch.label(i),
    sketch.flags(i),
  ]);
}

describe("BottomK", () => {
  it("keeps the elements of lowest hash, labels merged to the least, flags united", () => {
    fc.assert(
      fc.property(additions, fc.integer({ min: 2, max: 64 }), (list, k) => {
        const naive = new Map<number, [number, number, number]>();
        for (const [element, label, flags] of list) {
          const seen = naive.get(element) ?? [element, label, 0];
          naive.set(element, [element, Math.min(seen[1], label), seen[2] | flags]);
        }
        const kept = [...naive.values()].sort(([a], [b]) => hashOf(a) - hashOf(b)).slice(0, k);
        const expected = kept.map(([e, label, flags]) => [
          hashOf(e),
          4 * e,
          4 * e + 1,
          4 * e + 2,
          4 * e + 3,
          label,
          flags,
        ]);
        expect(contents(sketchOf(list, k))).toEqual(expected);
      }),
    );
  });

  it("is the same in any order and after saving", () => {
    fc.assert(
      fc.property(additions, (list) => {
        const sketch = sketchOf(list, 16);
        const writer = new StateWriter();
        sketchOf([...list].reverse(), 16).save(writer);
        const loaded = BottomK.load(16, new StateReader(writer.bytes()));
        loaded.add(hashOf(77), addresses, 77, 0, 0);
        sketch.add(hashOf(77), addresses, 77, 0, 0);
        expect(contents(loaded)).toEqual(contents(sketch));
      }),
    );
  });

  it("counts exactly below k, and within three standard errors beyond", () => {
    const few = sketchOf(
      [
        [1, 0, 0],
        [2, 0, 0],
        [1, 0, 0],
      ],
      64,
    );
    expect([few.count(), few.isExact]).toEqual([2, true]);
    const many = new BottomK(64);
    for (let i = 0; i < 10_000; i++) many.add(Math.imul(i ^ (i << 16), 0x9e3779b1) >>> 0, addresses, i % 256, 0, 0);
    expect(many.isExact).toBe(false);
    expect(Math.abs(many.count() - 10_000)).toBeLessThan(3 * 0.127 * 10_000);
  });
});
