import { unconfigured, type Configuration } from "../detectors/configuration.ts";
import type { Shown } from "./candidate.ts";

/** Every host is in the sample: so slots show every window that closes. */
export const everyWindow: Configuration = {
  ...unconfigured,
  version: 1,
  name: "every window",
  thresholds: { anomaly: { sample_share: 1 } },
};

export type Label = "benign" | "attack" | null;

/** A line of a training file. `source` names the network; the lines of one host are its sequence. */
export function trainingRow({ entity, window, vectors }: Shown, source: string, label: Label) {
  return { source, host: entity, window_start_ms: window.startMs, vector: [...vectors.at(-1)!], label };
}
