import type { Clock } from "../config.ts";

/** How long to wait before the only retry, in ms: long enough for a restart, short enough for an open request. */
const waitMsMin = 50;
const waitMsMax = 200;

/** Of what an object's stub threw: whether the platform says that calling again may help. */
export function isRetryable(error: unknown): boolean {
  const { retryable, overloaded } = error as { retryable?: boolean; overloaded?: boolean };
  return retryable === true && overloaded !== true;
}

/** Calls, and where `isTransient` says so of what it threw, calls once more. Only for what may be done twice. */
export async function retryOnce<T>(
  clock: Clock,
  call: () => Promise<T>,
  isTransient: (error: unknown) => boolean,
): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!isTransient(error)) throw error;
    await clock.wait(waitMsMin + clock.chance() * (waitMsMax - waitMsMin));
    return call();
  }
}
