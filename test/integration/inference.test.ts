import { describe, expect, it } from "vitest";
import { breakerObject } from "../../durable-objects/model-breaker-rpc.ts";
import { env } from "cloudflare:test";
import { openSession } from "../../wasm/onnx-runtime.ts";
import { failuresMax, recoveryMs } from "../../src/inference/breaker-state.ts";
import { builtInModels } from "../../src/inference/built-in.ts";
import { faultyModels, type ModelFault } from "../../src/inference/fault.ts";
import { ModelInference, type InferenceParts } from "../../src/inference/inference.ts";
import { firstInstances, Instances } from "../../src/inference/instances.ts";
import { modelNames, type ModelName } from "../../src/inference/model.ts";
import type { ModelsInForce, SeenByModels } from "../../src/inference/registry.ts";
import { Sessions } from "../../src/inference/sessions.ts";
import { candidates } from "../support/inference-parts.ts";
import { age } from "./breaker-objects.ts";
import { breakersOf, clock, instancesObject } from "./harness.ts";

const builtIn = builtInModels();

/** An isolate with the real runtime, the real models and the real objects. Calls that reach a model are counted. */
function isolate(fault: ModelFault, more: Partial<InferenceParts> = {}) {
  const pending: Promise<unknown>[] = [];
  const seen: SeenByModels[] = [];
  const outside = { clock, log: () => {}, waitUntil: (promise: Promise<unknown>) => void pending.push(promise) };
  const models: ModelsInForce = {
    of: async (name) => ({ current: builtIn.get(name)! }),
    observe: (_, one) => void seen.push(one),
  };
  const count = { opened: 0 };
  const inference = new ModelInference({
    ...outside,
    models: faultyModels(models, fault),
    breakers: breakersOf(outside),
    instances: new Instances({ ...outside, object: instancesObject }),
    sessions: new Sessions({ ...outside, open: (onnx) => (count.opened++, openSession(onnx)) }),
    runnerOf: (id) => env.MODEL_RUNNER.get(env.MODEL_RUNNER.idFromName(id)),
    openBearer: () => "",
    fetch,
    timeoutMs: fault === "hang" ? 20 : 60_000,
    fault,
    ...more,
  });
  const settled = async () => {
    while (pending.length > 0) await pending.shift();
  };
  const score = async (name: ModelName, rows = 3) => {
    const scored = await inference.score(name, candidates(rows));
    await settled();
    return scored;
  };
  return { score, settled, count, seen, inference };
}

const versionOf = (name: ModelName) => builtIn.get(name)!.sha256.slice(0, 12);
const breakerOf = (name: string) => breakerObject(env.MODEL_BREAKER, name);

describe.each(modelNames)("%s", (name) => {
  const inlineBreaker = `model/${name}/${versionOf(name)}`;

  it("scores with the runtime and the built-in model, after the batches that came while it warmed up", async () => {
    const { score, seen, count } = isolate("none");
    expect(await score(name)).toEqual({ ran: false, reason: "warming_up" });
    const scored = await score(name, 300);
    expect(scored).toMatchObject({ ran: true, instance: `${name}-inline` });
    expect(scored.ran && scored.opinions).toHaveLength(300);
    expect(count.opened).toBe(1);
    expect(seen).toMatchObject([{ current: { sha256: builtIn.get(name)!.sha256 } }]);
  });

  it.each([
    { fault: "missing", first: "missing", later: "missing", breaker: `model/${name}/missing`, opened: 0 },
    { fault: "corrupt", first: "warming_up", later: "failed", breaker: inlineBreaker, opened: failuresMax },
    { fault: "throw", first: "warming_up", later: "failed", breaker: inlineBreaker, opened: 1 },
    { fault: "hang", first: "warming_up", later: "timed_out", breaker: inlineBreaker, opened: 1 },
  ] as const)(
    "$fault: the breaker opens at the fifth failure, for all isolates; nothing is asked while it is open; it recovers",
    async ({ fault, first, later, breaker, opened }) => {
      const broken = isolate(fault);
      expect(await broken.score(name)).toMatchObject({ ran: false, reason: first });
      const before = (await breakerOf(breaker).standing()).failures;
      for (let failures = before + 1; failures <= failuresMax; failures++) {
        expect((await breakerOf(breaker).standing()).state).toBe("closed");
        expect(await broken.score(name)).toMatchObject({ ran: false, reason: later });
        expect(await breakerOf(breaker).standing()).toMatchObject({ failures });
      }
      expect((await breakerOf(breaker).standing()).state).toBe("open");
      for (let i = 0; i < 5; i++) expect(await broken.score(name)).toEqual({ ran: false, reason: "breaker_open" });
      expect(broken.count.opened).toBe(opened);

      // Another isolate, which has a model that works, and does not ask it.
      const other = isolate(fault === "missing" ? "missing" : "none");
      expect(await other.score(name)).toEqual({ ran: false, reason: "breaker_open" });
      expect(other.count.opened).toBe(0);

      // A minute later one of two isolates probes; with it, all go on.
      await age(breaker, recoveryMs + 1);
      clock.now += recoveryMs + 1;
      const mended = isolate("none");
      expect(await mended.score(name)).toMatchObject(fault === "missing" ? { reason: "warming_up" } : { ran: true });
      expect(await mended.score(name)).toMatchObject({ ran: true });
      if (fault === "missing") return;
      expect(await breakerOf(breaker).standing()).toMatchObject({ state: "closed", failures: 0 });
      await other.score(name);
      expect(await other.score(name)).toMatchObject({ ran: true });
    },
  );

  it("says the same from a runner's isolate as from this one, and goes there by weight", async () => {
    const list = [
      { ...firstInstances.find(({ model }) => model === name)! },
      { ...firstInstances[0], id: `${name}-aside`, model: name, kind: "runner" as const },
    ];
    const { score } = isolate("none", { instances: { of: async () => list } });
    await score(name);
    await score(name);
    const scored = [await score(name, 20), await score(name, 20)];
    const [a, b] = scored.map((one) => (one.ran ? one.opinions : []));
    expect(a).toHaveLength(20);
    expect(b).toEqual(a);
    expect(new Set(scored.map((one) => (one.ran ? one.instance : one.reason)))).toEqual(
      new Set([`${name}-inline`, `${name}-aside`]),
    );
  });
});
