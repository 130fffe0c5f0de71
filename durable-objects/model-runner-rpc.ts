import type { Checked } from "../src/inference/instances.ts";
import type { ModelName, Tensors } from "../src/inference/model.ts";

/** At most `rowsMax` rows for one version of a model, which the runner finds by its hash. */
export interface RunRequest {
  model: ModelName;
  /** Of the ONNX file. */
  sha256: string;
  inputs: Tensors;
}

export type RunResult = { outputs: Tensors } | { error: string };

/** What is asked of a ModelRunner. Failures of the model are values: errors lose their class on the way. */
export interface ModelRunnerRpc {
  run(request: RunRequest): Promise<RunResult>;
  /** Runs the golden rows of the version in force. */
  check(model: ModelName): Promise<Checked>;
}
