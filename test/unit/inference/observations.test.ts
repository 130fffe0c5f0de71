import { describe, expect, it } from "vitest";
import type { Observed } from "../../../durable-objects/model-registry-rpc.ts";
import type { Clock } from "../../../src/config.ts";
import { featureCount, features, levelMax, type Vector } from "../../../src/core/features/features.ts";
import { Observations, type ObservedInput, type Seen } from "../../../src/inference/observations.ts";
import { tinyForest } from "../../support/tiny-models.ts";

const forest = tinyForest();
const shadowed = { ...forest, sha256: "5".repeat(64) };
const dayMs = 86_400_000;
const startMs = Date.UTC(2026, 10, 22, 17);

function vectorWith(name: string, level: number): Vector {
  const vector = new Uint8Array(featureCount);
  vector[features.findIndex((feature) => feature.name === name)] = level;
  return vector;
}

const sample = (vector: Vector, more: Partial<ObservedInput> = {}): ObservedInput => ({
  vectors: [new Uint8Array(featureCount), vector],
  reason: "sample",
  isClosed: true,
  ...more,
});

function opinionsOf(...pValues: number[]): Seen["opinions"] {
  return pValues.map((p_value) => ({
    model: "isolation_forest",
    version: "",
    score: 1 - p_value,
    p_value,
    contributions: [],
  }));
}

function observing() {
  const clock: Clock & { now: number } = {
    now: startMs,
    nowMs: () => clock.now,
    wait: () => Promise.resolve(),
    chance: () => 0,
  };
  const sent: Observed[] = [];
  const log: string[] = [];
  const pending: Promise<unknown>[] = [];
  let isDown = false;
  const observations = new Observations({
    clock,
    log: ({ message }) => void log.push(message),
    waitUntil: (promise) => void pending.push(promise),
    send: async (report) => {
      if (isDown) throw new Error("no object");
      sent.push(report);
    },
  });
  const add = (inputs: ObservedInput[], pValues: number[], shadow?: Seen) =>
    observations.add("isolation_forest", inputs, { package: forest, opinions: opinionsOf(...pValues) }, shadow);
  return { clock, sent, log, pending, add, fail: () => (isDown = true) };
}

const half = sample(vectorWith("requests", 127));
const high = sample(vectorWith("requests", levelMax));

describe("what an isolate sees", () => {
  it("is counted by part of the calibration's ranges: the latest window, and the score", () => {
    const { add, sent } = observing();
    add([half, high, high], [0.9, 0.2, 0.6]);
    const [{ drift, agreement }] = sent;
    expect(agreement).toEqual([]);
    expect(drift).toEqual([
      {
        day: "2026-11-22",
        model: "isolation_forest",
        sha256: forest.sha256,
        rows: 3,
        score: [2, 1],
        features: { requests: [1, 2], failed_share: [3, 0], rare_requests: [3, 0] },
      },
    ]);
  });

  it("counts for drift where chance chose it and its window is over, and nowhere else", () => {
    const { add, sent } = observing();
    const others = [
      sample(vectorWith("requests", 9), { reason: "finding" }),
      sample(vectorWith("requests", 9), { isClosed: false }),
    ];
    add([...others, half], [0.5, 0.5, 0.5]);
    expect(sent[0].drift[0].rows).toBe(1);
    const nothing = observing();
    nothing.add(others, [0.5, 0.5]);
    expect(nothing.sent).toEqual([]);
  });

  it("is held against what a shadow says of the same rows", () => {
    const { add, sent } = observing();
    const inputs = [half, half, half, half, high];
    add(inputs, [0.01, 0.5, 0.001, 0.02, 0.9], { package: shadowed, opinions: opinionsOf(0.005, 0.4, 0.3, 0.01, 0.9) });
    const { p_difference, ...counts } = sent[0].agreement[0];
    expect(counts).toEqual({
      day: "2026-11-22",
      model: "isolation_forest",
      current: forest.sha256,
      shadow: shadowed.sha256,
      rows: 5,
      both: 1,
      neither: 2,
      only_current: 1,
      only_shadow: 1,
    });
    expect(p_difference).toBeCloseTo(0.005 + 0.1 + 0.299 + 0.01, 9);
  });

  it("leaves a shadow alone that did not score all of them", () => {
    const { add, sent } = observing();
    add([half, high], [0.5, 0.5], { package: shadowed, opinions: opinionsOf(0.5) });
    expect(sent[0].agreement).toEqual([]);
  });
});

describe("reports", () => {
  it("go out once a minute at most, with all that was counted since", () => {
    const { add, sent, clock } = observing();
    for (const afterMs of [0, 1, 30_000, 59_999]) {
      clock.now = startMs + afterMs;
      add([half], [0.5]);
    }
    expect(sent.map(({ drift }) => drift[0].rows)).toEqual([1]);
    clock.now = startMs + 60_000;
    add([half], [0.5]);
    expect(sent.map(({ drift }) => drift[0].rows)).toEqual([1, 4]);
  });

  it("go out before that where 10,000 rows were counted", () => {
    const { add, sent } = observing();
    const many = Array<ObservedInput>(5_000).fill(half);
    const pValues = Array<number>(5_000).fill(0.5);
    add([half], [0.5]);
    add(many, pValues);
    expect(sent.length).toBe(1);
    add(many, pValues);
    expect(sent.map(({ drift }) => drift[0].rows)).toEqual([1, 10_000]);
  });

  it("tell days apart", () => {
    const { add, sent, clock } = observing();
    add([half], [0.5]);
    add([half], [0.5]);
    clock.now += dayMs;
    add([half, half], [0.5, 0.5]);
    expect(sent[1].drift.map(({ day, rows }) => [day, rows])).toEqual([
      ["2026-11-22", 1],
      ["2026-11-23", 2],
    ]);
  });

  it("are lost where the registry cannot be reached, and that is logged", async () => {
    const { add, sent, log, pending, fail } = observing();
    fail();
    add([half], [0.5]);
    await Promise.all(pending);
    expect([sent, log]).toEqual([[], ["observations of models lost"]]);
  });
});
