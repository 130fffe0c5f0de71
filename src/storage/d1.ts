import { retryOnce } from "./retry-once.ts";

/** D1 did not do what was asked, after one retry where that could help. */
export class StorageError extends Error {
  override readonly name = "StorageError";
}

/** What D1 says when the same statement may succeed at once. Overload, time-outs, memory and CPU are not among it. */
const transient = [
  "Network connection lost",
  "storage caused object to be reset",
  "reset because its code was updated",
];

/** @throws StorageError */
export async function askD1<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await retryOnce(call, (error) => transient.some((text) => String(error).includes(text)));
  } catch (error) {
    throw new StorageError((error as Error).message, { cause: error });
  }
}
