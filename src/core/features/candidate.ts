import type { AddressWords, Peer } from "../verdict.ts";
import type { Vector } from "./features.ts";

/**
 * Why models look at a host: a detector has a finding on it; or it does what it did not do before; or it keeps calling a
 * peer that hardly anyone else calls; or chance (a keyed hash) chose it.
 */
export type CandidateReason = "finding" | "unlike_itself" | "rare_peer" | "sample";

/** One of the tenant's own hosts, as models are shown it. */
export interface Candidate {
  slot: number;
  entity: string;
  address: AddressWords;
  reason: CandidateReason;
  /** Of the last of the vectors. */
  window: { startMs: number; endMs: number };
  /** Whether that window can still change. */
  isClosed: boolean;
  /** Of its latest windows, at most `windowsKept`, the oldest first; the last is the one to be judged. */
  vectors: readonly Vector[];
  /** The rare peer that it called most in the window, if any. */
  peers: readonly Peer[];
  /** Of the batch that brought it. */
  receivedAtMs: number;
}
