import { ModelInferenceError, type ModelPackage } from "./model.ts";
import type { ModelsInForce } from "./registry.ts";
import type { Run } from "./rows.ts";

/** How models are broken on purpose, for drills: not there, not what they were, failing, never answering. */
export const modelFaults = ["none", "missing", "corrupt", "throw", "hang"] as const;
export type ModelFault = (typeof modelFaults)[number];

/** Models of which there is none, or of which half is left. Their hashes stay: so nobody notices before they are opened. */
export function faultyModels(models: ModelsInForce, fault: ModelFault): ModelsInForce {
  if (fault !== "missing" && fault !== "corrupt") return models;
  // One object for each, as the registry has them.
  const halves = new WeakMap<ModelPackage, ModelPackage>();
  const halfOf = (pkg: ModelPackage) => {
    const half = halves.get(pkg) ?? { ...pkg, onnx: pkg.onnx.slice(0, pkg.onnx.length >> 1) };
    halves.set(pkg, half);
    return half;
  };
  return {
    async of(name) {
      const { current } = await models.of(name);
      if (fault === "missing") return { current: "missing" };
      return { current: typeof current === "string" ? current : halfOf(current) };
    },
    observe: (name, seen) => models.observe(name, seen),
  };
}

/** Away from this isolate nobody opens its halves: there, corrupt is an answer like any other failure. */
export function faultyRun(run: Run, fault: ModelFault, isInline: boolean): Run {
  if (fault === "hang") return () => new Promise(() => {});
  if (fault === "throw" || (fault === "corrupt" && !isInline))
    return () => Promise.reject(new ModelInferenceError(`the drill ${fault}`));
  return run;
}
