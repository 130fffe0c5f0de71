/** Failures in a row that open a breaker. */
export const failuresMax = 5;
/** How long an open breaker lets nobody through after the last failure, in ms. */
export const recoveryMs = 60_000;
/** How long the one that probes may take before another one may, in ms: longer than any call should, and it may be lost. */
export const leaseMs = 30_000;
/** After so long without a failure a breaker is as new, in ms: a day, since a dependency may be gone for good. */
export const forgottenMs = 24 * 3_600_000;

/**
 * A circuit breaker as a value. CLOSED lets every call through; `failuresMax` failures in a row open it; OPEN lets nobody
 * through for `recoveryMs`; HALF_OPEN lets one probe through, which holds a lease: its success closes the breaker, its
 * failure opens it again, and if it is never heard of, the next one probes.
 *
 * Source: M. Nygard, Release It!, 2nd ed., chapter 5. The lease is ours: there are many callers, and any of them may die.
 */
export interface BreakerState {
  readonly state: "closed" | "open" | "half_open";
  /** Since the last success. */
  readonly failures: number;
  /** ms since 1970; 0: there was none. */
  readonly lastFailureMs: number;
  /** Number of the latest lease: they count up from 1. */
  readonly lease: number;
  /** Until when it holds, in ms since 1970. */
  readonly leaseUntilMs: number;
}

/** Number of the lease of a call that has none. */
export const noLease = 0;

export const newBreaker: BreakerState = {
  state: "closed",
  failures: 0,
  lastFailureMs: 0,
  lease: noLease,
  leaseUntilMs: 0,
};

/** Whether a call may be made, or, half open, is the probe that holds the lease. */
export type Permission = "call" | "probe" | "refused";

/** Asks for a call. A probe's lease is that of the state. */
export function asked(breaker: BreakerState, nowMs: number): { breaker: BreakerState; permission: Permission } {
  if (breaker.state === "closed") return { breaker, permission: "call" };
  if (!mayProbe(breaker, nowMs)) return { breaker, permission: "refused" };
  const leased = { lease: breaker.lease + 1, leaseUntilMs: nowMs + leaseMs };
  return { breaker: { ...breaker, state: "half_open", ...leased }, permission: "probe" };
}

/** Whether nobody is kept out any longer, or probing. */
export function mayProbe({ state, lastFailureMs, leaseUntilMs }: BreakerState, nowMs: number): boolean {
  return state === "open" ? nowMs - lastFailureMs > recoveryMs : state === "half_open" && nowMs >= leaseUntilMs;
}

/** A call failed. One that was let through before the breaker was half open proves nothing about now. */
export function failed(breaker: BreakerState, nowMs: number, lease: number): BreakerState {
  if (breaker.state === "half_open" && lease !== breaker.lease) return breaker;
  const failures = breaker.failures + 1;
  const lastFailureMs = Math.max(nowMs, breaker.lastFailureMs);
  return { ...breaker, state: failures < failuresMax ? "closed" : "open", failures, lastFailureMs, leaseUntilMs: 0 };
}

/** A call succeeded. Where the breaker is not closed, only the probe's success counts. */
export function succeeded(breaker: BreakerState, lease: number): BreakerState {
  if (breaker.state === "open" || (breaker.state === "half_open" && lease !== breaker.lease)) return breaker;
  return { ...breaker, state: "closed", failures: 0, leaseUntilMs: 0 };
}

/** Whether nobody needs to remember it. */
export function isForgotten({ lastFailureMs, leaseUntilMs }: BreakerState, nowMs: number): boolean {
  return nowMs - Math.max(lastFailureMs, leaseUntilMs) >= forgottenMs;
}
