/** Something took longer than it may. It goes on where it is, and nobody listens. */
export class TimedOut extends Error {
  override readonly name = "TimedOut";
}

/**
 * Waits `ms` at most. No timer is left behind: an object that has one stays in memory, and is paid for.
 *
 * @throws TimedOut
 */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimedOut(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
