import type { Candidate } from "../../src/core/features/candidate.ts";
import { everyWindow } from "../../src/core/features/training-rows.ts";
import type { FlowBatch } from "../../src/core/flow/flow-batch.ts";
import { play } from "./play.ts";

/** Every closed window of every host of these networks, those of one host in order of time. */
export function windowsOf(flows: FlowBatch, internal: readonly string[]): Candidate[] {
  const { shown } = play([flows], { internal, spanMs: () => 300_000, configuration: everyWindow });
  return shown.map(({ candidate }) => candidate).filter(({ isClosed }) => isClosed);
}
