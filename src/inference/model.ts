/** All models. The name is that of the API, of cards and of metrics. */
export const modelNames = ["isolation_forest", "lstm_autoencoder"] as const;
export type ModelName = (typeof modelNames)[number];

/** What `features.json` says: what the model takes, in this order. */
export interface FeatureList {
  /** Length of a window, in seconds. */
  window_s: number;
  /** Windows of a row: 1, or as many as the sequence has. */
  windows: number;
  features: readonly { name: string; unit: string; min: number; max: number }[];
}

/** How often parts of the range were seen among the benign windows: `shares[i]` lies below `edges[i]`, the last above all. */
export interface Histogram {
  edges: readonly number[];
  shares: readonly number[];
}

/** What `calibration.json` says, of benign windows that the model was not trained on. */
export interface Calibration {
  windows: number;
  /** Ascending; `at_least[i]` is the share of the windows that scored `scores[i]` or more. */
  scores: readonly number[];
  at_least: readonly number[];
  /** For drift: by feature, and of the score. Inputs are levels divided by 255. */
  drift: { score: Histogram; features: Readonly<Record<string, Histogram>> };
}

/** What `golden.json` says: inputs, and what the training framework makes of them. */
export interface Golden {
  /** Of each row, the windows one after the other, each in the order of the features: levels divided by 255. */
  rows: readonly (readonly number[])[];
  /** Of each row, 1 where there is a window and 0 where there was none yet; only for a sequence. */
  masks?: readonly (readonly number[])[];
  scores: readonly number[];
  /** Of each row, the error of each feature; only for a sequence. */
  errors?: readonly (readonly number[])[];
}

/** A version of a model, with all that is known of it. */
export interface ModelPackage {
  name: ModelName;
  /** SHA-256 of `onnx` in hex: the version's name. */
  sha256: string;
  onnx: Uint8Array<ArrayBuffer>;
  features: FeatureList;
  calibration: Calibration;
  golden: Golden;
  /** Markdown, for people. */
  card: string;
}

/** By name of input or output. */
export type Tensors = Readonly<Record<string, { dims: readonly number[]; data: Float32Array }>>;

export type { ModelOpinion } from "../core/verdict.ts";

/** The model was asked and failed: what its circuit breaker counts. */
export class ModelInferenceError extends Error {
  override readonly name = "ModelInferenceError";
}

/** Why a model did not give its opinion. */
export type NotScored =
  | "breaker_open"
  | "warming_up"
  | "missing"
  | "no_healthy_instance"
  | "timed_out"
  | "failed"
  | "queue_full";
