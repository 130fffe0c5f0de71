import type { BottomK } from "../../sketches/bottom-k.ts";
import type { Observed } from "../../verdict.ts";

type Kind = "guessing" | "spraying" | "slow" | "distributed";

/** What a finding is made of. */
export interface Case {
  kind: Kind;
  port: number;
  count: number;
  /** What is held against the threshold, and that. */
  value: number;
  threshold: number;
  alikeShare: number;
  medianBytes: number;
  /** Closed days of the same, and those of them with an alarm. */
  days: number;
  toldDays: number;
  observed: Observed[];
  others: BottomK;
  success: Success | undefined;
  /** Packets seen, and the rate at which they were sampled. */
  seen: number;
  samplingRate: number;
  evidence: Record<string, string | number | boolean | readonly unknown[]>;
}

/** A later connection that left the plateau. */
export interface Success {
  startMs: number;
  bytes: number;
  durationMs: number | undefined;
}

export function unflagged(others: BottomK): number[] {
  return Array.from({ length: others.size }, (_, i) => i).filter((i) => others.flags(i) === 0);
}

/** How many there are, beyond what is kept. */
export function countOf(others: BottomK): number {
  let kept = 0;
  for (let i = 0; i < others.size; i++) if (others.flags(i) === 0) kept++;
  return Math.round((kept * others.count()) / Math.max(1, others.size));
}

export function errorOf({ isExact, k }: BottomK): number {
  return isExact ? 0 : Math.round(100 / Math.sqrt(k - 2));
}
