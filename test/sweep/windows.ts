import { unconfigured, type Configuration } from "../../src/core/detectors/configuration.ts";
import type { Vector } from "../../src/core/features/features.ts";
import type { FlowBatch } from "../../src/core/flow/flow-batch.ts";
import { play, type ShownAt } from "./play.ts";

/** A closed window of a host, as models see it. */
export interface WindowRow {
  host: string;
  startMs: number;
  vector: Vector;
}

/** Models look at every window. */
export const allWindows: Configuration = {
  ...unconfigured,
  version: 1,
  name: "all windows",
  thresholds: { anomaly: { sample_share: 1 } },
};

/** Every closed window of every host of these networks, those of one host in order of time. */
export function windowsOf(flows: FlowBatch, internal: readonly string[]): WindowRow[] {
  return closedOf(play([flows], { internal, spanMs: () => 300_000, configuration: allWindows }).shown);
}

function closedOf(shown: readonly ShownAt[]): WindowRow[] {
  return shown
    .filter(({ candidate }) => candidate.isClosed)
    .map(({ candidate: { entity, window, vectors } }) => ({
      host: entity,
      startMs: window.startMs,
      vector: vectors.at(-1)!,
    }));
}
