import type { Peer } from "../verdict.ts";
import type { Vector } from "./features.ts";

/**
 * Why models look at a host: a detector has a finding on it; or it does what it did not do before; or it keeps calling a
 * peer that hardly anyone else calls; or chance (a keyed hash) chose it.
 */
const candidateReasons = ["finding", "unlike_itself", "rare_peer", "sample"] as const;
export type CandidateReason = (typeof candidateReasons)[number];

/** One of the tenant's own hosts, as models are shown it. */
export interface Candidate extends Shown {
  slot: number;
  /** Of the batch that brought it. */
  receivedAtMs: number;
}

/** The same, as its slot's memory shows it. */
export interface Shown {
  entity: string;
  reason: CandidateReason;
  /** Of the last of the vectors. */
  window: { startMs: number; endMs: number };
  /** Whether that window can still change. */
  isClosed: boolean;
  /** Of its latest windows, at most `windowsKept`, the oldest first; the last is the one to be judged. */
  vectors: readonly Vector[];
  /** The rare peer that it called most in the window, if any. */
  peers: readonly Peer[];
}

/** Candidates of one answer of a shard: as many as may wait for models at a time. Those of the first reasons go first. */
export const candidatesMax = 1000;

export function byReason(a: Shown, b: Shown): number {
  return candidateReasons.indexOf(a.reason) - candidateReasons.indexOf(b.reason);
}
