import { describe, expect, it } from "vitest";
import { failuresMax, recoveryMs } from "../../../src/inference/breaker-state.ts";
import { callsMax } from "../../../src/inference/inference.ts";
import { ModelInferenceError, type Tensors } from "../../../src/inference/model.ts";
import type { Run } from "../../../src/inference/rows.ts";
import { scoreRows } from "../../../src/inference/rows.ts";
import { candidates, forest, inferenceOf, instance } from "../../support/inference-parts.ts";
import { runTinyForest, withBytes } from "../../support/tiny-models.ts";

const expected = (count: number) => scoreRows(forest, candidates(count), runTinyForest);

/** A session's run that can be watched and broken. */
function watched(how: { run: Run } = { run: runTinyForest }) {
  const runs: Tensors[] = [];
  const open = async () => ({
    run: (inputs: Tensors) => (runs.push(inputs), how.run(inputs)),
    release: async () => {},
  });
  return { runs, open, how };
}

const throwing: Run = () => Promise.reject(new ModelInferenceError("ERROR_CODE: 1"));
const hanging: Run = () => new Promise(() => {});

describe("a model call", () => {
  it("answers opinions in the order of the candidates, and says who ran it", async () => {
    const { score, warm } = inferenceOf();
    await warm();
    expect(await score(7)).toEqual({ ran: true, opinions: await expected(7), instance: "inline" });
  });

  it("is not waited for while the session opens in a cold isolate", async () => {
    let go: (() => void) | undefined;
    const opened: Uint8Array[] = [];
    const open = async (onnx: Uint8Array) => {
      opened.push(onnx);
      await new Promise<void>((resolve) => (go = resolve));
      return { run: runTinyForest, release: async () => {} };
    };
    const { score, settled } = inferenceOf({ open });
    for (let i = 0; i < 3; i++) expect(await score()).toEqual({ ran: false, reason: "warming_up" });
    go!();
    await settled();
    expect(await score()).toMatchObject({ ran: true });
    expect(opened).toHaveLength(1);
  });

  it("says what the registry says where there is no model at hand", async () => {
    const { score, inForce, opened } = inferenceOf();
    inForce.current = "warming_up";
    expect(await score()).toEqual({ ran: false, reason: "warming_up" });
    inForce.current = "missing";
    for (let i = 0; i < failuresMax; i++) expect(await score()).toEqual({ ran: false, reason: "missing" });
    expect(await score()).toEqual({ ran: false, reason: "breaker_open" });
    inForce.current = forest;
    expect(await score()).toEqual({ ran: false, reason: "warming_up" });
    expect(opened).toHaveLength(1);
  });

  it(`is refused while ${callsMax} of its model are in flight, and not longer`, async () => {
    const waiting: (() => void)[] = [];
    const slow: Run = async (inputs) => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return runTinyForest(inputs);
    };
    const { open, runs } = watched({ run: slow });
    const { score, warm, inference } = inferenceOf({ open });
    await warm();
    const inFlight = Array.from({ length: callsMax }, () => score());
    expect(await score()).toEqual({ ran: false, reason: "queue_full" });
    while (runs.length < callsMax || waiting.length < callsMax) await new Promise((resolve) => setTimeout(resolve));
    expect(inference.inFlight("inline")).toBe(callsMax);
    for (const go of waiting) go();
    expect((await Promise.all(inFlight)).every(({ ran }) => ran)).toBe(true);
    expect(inference.inFlight("inline")).toBe(0);
    const last = score();
    while (waiting.length === callsMax) await new Promise((resolve) => setTimeout(resolve));
    waiting.at(-1)!();
    expect(await last).toMatchObject({ ran: true });
  });

  it.each([
    ["throws", throwing, "failed"],
    ["hangs", hanging, "timed_out"],
    [
      "gives NaN",
      async (inputs: Tensors) => ({
        score: {
          dims: [inputs["features"].dims[0], 1],
          data: new Float32Array(inputs["features"].dims[0]).fill(Number.NaN),
        },
      }),
      "failed",
    ],
    ["gives too few rows", async () => ({ score: { dims: [1, 1], data: new Float32Array(1) } }), "failed"],
  ] as const)(
    "that %s opens the breaker at the fifth failure; none is made while it is open; it recovers",
    async (_, run, reason) => {
      const { open, runs, how } = watched();
      const { score, warm, settled, clock, limits } = inferenceOf({ open });
      await warm();
      expect(await score()).toMatchObject({ ran: true });
      runs.length = 0;
      how.run = run;
      if (run === hanging) limits.timeoutMs = 20;
      for (let i = 0; i < failuresMax; i++) expect(await score()).toMatchObject({ ran: false, reason });
      await settled();
      for (let i = 0; i < 10; i++) expect(await score()).toEqual({ ran: false, reason: "breaker_open" });
      clock.now += recoveryMs;
      expect(await score()).toEqual({ ran: false, reason: "breaker_open" });
      expect(runs).toHaveLength(failuresMax);
      // Still broken: one probe, and shut again.
      clock.now += 1;
      expect(
        (await Promise.all([score(), score(), score()])).filter((one) => !one.ran && one.reason === reason),
      ).toHaveLength(1);
      await settled();
      expect(runs).toHaveLength(failuresMax + 1);
      expect(await score()).toEqual({ ran: false, reason: "breaker_open" });
      Object.assign(how, { run: runTinyForest });
      limits.timeoutMs = 60_000;
      clock.now += recoveryMs + 1;
      expect(await score()).toMatchObject({ ran: true });
      expect(await score()).toMatchObject({ ran: true });
    },
  );

  it("that does not open counts as often as it is tried", async () => {
    const opened: Uint8Array[] = [];
    const open = (onnx: Uint8Array) => (opened.push(onnx), Promise.reject(new ModelInferenceError("ERROR_CODE: 7")));
    const { score, settled } = inferenceOf({ open });
    expect(await score()).toEqual({ ran: false, reason: "warming_up" });
    await settled();
    for (let i = 1; i < failuresMax; i++)
      expect(await score()).toEqual({ ran: false, reason: "failed", detail: "ERROR_CODE: 7" });
    expect(await score()).toEqual({ ran: false, reason: "breaker_open" });
    expect(opened).toHaveLength(failuresMax);
  });

  it("that probes is waited for in a cold isolate, and says how it went", async () => {
    const { open, how } = watched({ run: throwing });
    const first = inferenceOf({ open });
    await first.warm();
    for (let i = 0; i < failuresMax; i++) await first.score();
    await first.settled();
    const { clock, objects } = first;
    const cold = inferenceOf({ open, beside: { clock, objects } });
    expect(await cold.score()).toEqual({ ran: false, reason: "breaker_open" });
    clock.now += recoveryMs + 1;
    how.run = runTinyForest;
    expect(await cold.score()).toMatchObject({ ran: true });
    await cold.settled();
    expect(await first.score()).toMatchObject({ ran: true });
  });

  it("that shows a bug is told of, and opens nothing", async () => {
    const { open, runs, how } = watched();
    const { score, warm, events } = inferenceOf({ open });
    await warm();
    how.run = () => Promise.reject(new TypeError("undefined is not a function"));
    for (let i = 0; i <= failuresMax; i++) expect(await score()).toMatchObject({ ran: false, reason: "failed" });
    expect(runs).toHaveLength(failuresMax + 1);
    expect(events.every(({ level }) => level === "error")).toBe(true);
  });

  it("of a version that mends what broke is not shut out by the one before", async () => {
    const { open, how } = watched({ run: throwing });
    const { score, warm, inForce, settled } = inferenceOf({ open });
    await warm();
    for (let i = 0; i < failuresMax; i++) await score();
    expect(await score()).toEqual({ ran: false, reason: "breaker_open" });
    how.run = runTinyForest;
    inForce.current = withBytes(forest, new Uint8Array([...forest.onnx, 0]));
    await score();
    await settled();
    expect(await score()).toMatchObject({ ran: true });
  });
});

describe("drills", () => {
  it.each(["throw", "hang", "corrupt"] as const)("%s breaks what runs elsewhere, too", async (fault) => {
    const { score, limits } = inferenceOf({ fault, list: [instance("aside", { kind: "runner" })] });
    if (fault === "hang") limits.timeoutMs = 20;
    expect(await score()).toMatchObject({ ran: false, reason: fault === "hang" ? "timed_out" : "failed" });
  });
});

describe("among instances", () => {
  const remote = (id: string, more = {}) => instance(id, { kind: "remote", url: `https://${id}.example`, ...more });
  const runner = (id: string, more = {}) => instance(id, { kind: "runner", ...more });

  it("calls go by weight, and not to those that are unhealthy or run another version", async () => {
    const list = [
      instance("inline", { weight: 1 }),
      runner("aside", { weight: 3 }),
      runner("ill", { weight: 9, health: "unhealthy" }),
      remote("old", { weight: 9, verified: "0".repeat(64) }),
      remote("unknown", { weight: 9, verified: null }),
      runner("off", { weight: 0 }),
    ];
    const { score, warm } = inferenceOf({ list });
    // Opens the session, and takes a whole round.
    for (let i = 0; i < 4; i++) await warm();
    const ids: string[] = [];
    for (let i = 0; i < 40; i++) {
      const scored = await score();
      ids.push(scored.ran ? scored.instance : scored.reason);
    }
    expect(ids.filter((id) => id === "inline")).toHaveLength(10);
    expect(ids.filter((id) => id === "aside")).toHaveLength(30);
  });

  it("none that is healthy is a reason of its own", async () => {
    const list = [runner("ill", { health: "unhealthy" }), remote("old", { verified: null })];
    const { score, objects } = inferenceOf({ list });
    expect(await score()).toEqual({ ran: false, reason: "no_healthy_instance" });
    expect(objects.told).toEqual([]);
  });

  it("one that fails is left out while its breaker is open, and the others go on", async () => {
    let asked = 0;
    const fetch = (async () => (asked++, new Response("busy", { status: 500 }))) as typeof globalThis.fetch;
    const list = [remote("far"), runner("aside")];
    const { score, settled, clock } = inferenceOf({ list, fetch });
    const outcomes: string[] = [];
    for (let i = 0; i < 30; i++) {
      const scored = await score();
      outcomes.push(scored.ran ? scored.instance : scored.reason);
      await settled();
    }
    expect(outcomes.filter((one) => one === "failed")).toHaveLength(failuresMax);
    expect(outcomes.filter((one) => one === "aside")).toHaveLength(30 - failuresMax);
    expect(asked).toBe(failuresMax);
    clock.now += recoveryMs + 1;
    await Promise.all([score(), score(), score(), score()]);
    expect(asked).toBe(failuresMax + 1);
  });

  it("a remote one is sent its key", async () => {
    const sent: (string | null)[] = [];
    const fetch = (async (_url: string, init: RequestInit) => {
      sent.push(new Headers(init.headers).get("Authorization"));
      return Response.json({ outputs: [{ name: "score", datatype: "FP32", shape: [3, 1], data: [0.1, 0.2, 0.3] }] });
    }) as unknown as typeof globalThis.fetch;
    const bearer = { kekId: "k1", sealed: "" };
    const { score } = inferenceOf({ list: [remote("far", { bearer }), remote("open")], fetch });
    expect([await score(), await score()]).toMatchObject([
      { ran: true, instance: "far" },
      { ran: true, instance: "open" },
    ]);
    expect(sent).toEqual(["Bearer opened", null]);
  });

  it("a runner that cannot be reached, or says no, has failed", async () => {
    const answers = [() => Promise.reject(new Error("Network connection lost")), async () => ({ error: "no version" })];
    for (const run of answers) {
      const { score, objects, settled } = inferenceOf({ list: [runner("aside")], runnerOf: () => ({ run }) });
      expect(await score()).toMatchObject({ ran: false, reason: "failed" });
      await settled();
      expect(objects.told).toContain("failed model/isolation_forest/aside");
    }
  });

  it("under load the less loaded one is called", async () => {
    const list = [runner("full", { load: 9 }), runner("free")];
    const { score, clock } = inferenceOf({ list });
    for (const drawn of [0, 0.3, 0.6, 0.9]) {
      clock.drawn = drawn;
      expect(await score()).toMatchObject({ ran: true, instance: "free" });
    }
  });
});

describe("a shadow", () => {
  const shadow = withBytes(forest, new Uint8Array([...forest.onnx, 0]));

  it("is asked behind the answer and told of beside it", async () => {
    const { score, warm, settled, seen, inForce } = inferenceOf();
    inForce.shadow = shadow;
    await warm();
    expect(await score(4)).toEqual({ ran: true, opinions: await expected(4), instance: "inline" });
    expect(seen).toEqual([]);
    await settled();
    expect(seen).toMatchObject([{ current: { sha256: forest.sha256 }, shadow: { sha256: shadow.sha256 } }]);
    expect(seen[0].shadow!.opinions.map(({ version }) => version)).toEqual(
      Array.from({ length: 4 }, () => shadow.sha256.slice(0, 12)),
    );
  });

  it("that fails changes nothing, however often", async () => {
    const open = async (onnx: Uint8Array) => {
      if (onnx.length === shadow.onnx.length) throw new ModelInferenceError("ERROR_CODE: 7");
      return { run: runTinyForest, release: async () => {} };
    };
    const { score, warm, settled, seen, inForce, objects } = inferenceOf({ open });
    inForce.shadow = shadow;
    await warm();
    for (let i = 0; i < 2 * failuresMax; i++) {
      expect(await score()).toEqual({ ran: true, opinions: await expected(3), instance: "inline" });
      await settled();
    }
    expect(objects.told.filter((one) => one.startsWith("failed"))).toEqual([]);
    expect(seen).toHaveLength(2 * failuresMax);
    expect(seen.every((one) => one.shadow === undefined)).toBe(true);
  });
});
