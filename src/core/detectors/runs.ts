import { bucketMs, type PairContacts } from "../flow/contacts.ts";

/**
 * Where the run of contacts ends that begins at `from`: those of one source in the window of that length that begins at
 * `windowStartMs`. Contacts come by source, so that a run needs one look-up, where each contact would need its own.
 */
export function endOfRun(
  { source, bucket }: Pick<PairContacts, "source" | "bucket">,
  indexes: Uint32Array,
  from: number,
  windowStartMs: number,
  lengthMs: number,
): number {
  const own = source[indexes[from]];
  const firstBucket = windowStartMs / bucketMs;
  const endBucket = firstBucket + lengthMs / bucketMs;
  let end = from + 1;
  while (end < indexes.length && source[indexes[end]] === own) {
    const at = bucket[indexes[end]];
    if (at < firstBucket || at >= endBucket) break;
    end++;
  }
  return end;
}
