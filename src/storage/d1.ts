import type { Clock } from "../config.ts";
import type { FailureKind } from "../core/retry.ts";
import { retryOnce } from "./retry-once.ts";

/** D1 did not do what was asked, after one retry where that could help. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly kind: FailureKind;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = [...transient, ...passing].some((text) => message.includes(text)) ? "transient" : "permanent";
  }
}

/** What passes, but not at once: nothing to try again while a request is open. */
const passing = ["overloaded", "timeout", "memory limit", "CPU"];

/** What D1 says when the same statement may succeed at once. Overload, time-outs, memory and CPU are not among it. */
const transient = [
  "Network connection lost",
  "storage caused object to be reset",
  "reset because its code was updated",
];

/** @throws StorageError */
export async function askD1<T>(clock: Clock, call: () => Promise<T>): Promise<T> {
  try {
    return await retryOnce(clock, call, (error) => transient.some((text) => String(error).includes(text)));
  } catch (error) {
    throw new StorageError((error as Error).message, { cause: error });
  }
}
