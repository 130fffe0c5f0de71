/** Whether trying again may help: the network, a restart, an overload that passes; or not: what was asked is wrong. */
export type FailureKind = "transient" | "permanent";

/** How often, and how long apart, something is tried again outside of a request. */
const retryPolicy = { baseMs: 1000, capMs: 60_000, retriesMax: 3 } as const;

/**
 * How long to wait before the given retry, counted from 1: doubling from `baseMs`, after `retriesMax` always `capMs`;
 * after a permanent failure, which only a person can mend, at once `capMs`. Half of it is left to chance, so that many
 * do not come back at once. `chance` is 0 to 1, from outside.
 */
export function retryDelayMs(retry: number, kind: FailureKind, chance: number): number {
  const { baseMs, capMs, retriesMax } = retryPolicy;
  const fullMs = retry > retriesMax || kind === "permanent" ? capMs : Math.min(capMs, baseMs * 2 ** (retry - 1));
  return fullMs * (0.5 + 0.5 * chance);
}
