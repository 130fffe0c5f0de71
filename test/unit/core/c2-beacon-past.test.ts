import { describe, expect, it } from "vitest";
import { KnownPeers, type Habit } from "../../../src/core/sketches/known-peers.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";

const habit: Habit = { service: 443, gapMs: 60_000, requestBytes: 500 };

describe("known peers", () => {
  it("know when they were first called, and on how many calm days", () => {
    const past = new KnownPeers();
    past.learn(10, 5000, [{ hash: 1, habit }], false);
    past.learn(
      12,
      9000,
      [
        { hash: 1, habit },
        { hash: 2, habit: undefined },
      ],
      false,
    );
    expect([past.days, past.firstMs, past.size]).toEqual([2, 5000, 2]);
    expect(past.get(1)).toEqual({ firstDay: 10, lastDay: 12, calmDays: 2 });
    expect(past.get(2)).toEqual({ firstDay: 12, lastDay: 12, calmDays: 1 });
    expect(past.get(3)).toBeUndefined();
  });

  it("learn neither calm nor a habit from what is regular on a day of alarm, unless it was there before", () => {
    const past = new KnownPeers();
    past.learn(
      10,
      0,
      [
        { hash: 1, habit },
        { hash: 2, habit: undefined },
      ],
      true,
    );
    expect([past.get(1)?.calmDays, past.get(2)?.calmDays, past.hasHabit(habit)]).toEqual([0, 1, false]);
    past.learn(11, 0, [{ hash: 1, habit }], false);
    past.learn(12, 0, [{ hash: 1, habit: { ...habit, gapMs: 90_000 } }], true);
    expect([past.get(1)?.calmDays, past.hasHabit(habit), past.hasHabit({ ...habit, gapMs: 90_000 })]).toEqual([
      1,
      true,
      true,
    ]);
  });

  it("know a rhythm again that is off by less than a tenth", () => {
    const past = new KnownPeers();
    past.learn(10, 0, [{ hash: 1, habit }], false);
    const others = [
      { gapMs: 64_000 },
      { requestBytes: 540 },
      { gapMs: 70_000 },
      { requestBytes: 400 },
      { service: 80 },
    ];
    expect(others.map((other) => past.hasHabit({ ...habit, ...other }))).toEqual([true, true, false, false, false]);
  });

  it("forget what was not heard of for a month, and the oldest where there are too many", () => {
    const past = new KnownPeers();
    past.learn(10, 0, [{ hash: 1, habit }], false);
    past.learn(40, 0, [{ hash: 2, habit: undefined }], false);
    expect([past.size, past.hasHabit(habit)]).toEqual([2, true]);
    past.learn(41, 0, [{ hash: 2, habit: undefined }], false);
    expect([past.size, past.hasHabit(habit), past.forgotDay]).toEqual([1, false, 0]);
    past.learn(
      42,
      0,
      Array.from({ length: 70 }, (_, i) => ({ hash: 100 + i, habit: undefined })),
      false,
    );
    expect([past.size, past.forgotDay, past.get(2), past.get(169)?.firstDay]).toEqual([64, 42, undefined, 42]);
  });

  it("come back from what they saved", () => {
    const past = new KnownPeers();
    past.learn(
      10,
      7,
      [
        { hash: 4_000_000_000, habit },
        { hash: 2, habit: undefined },
      ],
      false,
    );
    const writer = new StateWriter();
    past.save(writer);
    const restored = KnownPeers.load(new StateReader(writer.bytes()));
    expect(restored).toEqual(past);
    expect(restored.bytes).toBe(past.bytes);
  });
});
