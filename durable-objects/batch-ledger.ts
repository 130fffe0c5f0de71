/** How long a batch key is remembered: the longest a shipper repeats a request (Firehose), in ms. */
const rememberedMs = 2 * 3_600_000;

/** Keys remembered at most, 200 bytes each: 4 MB of the object's 128 MB. Beyond, the oldest are forgotten first. */
const keysMax = 20_000;

export interface AppliedBatch {
  digest: string;
  receivedAtMs: number;
}

/** Which batches were applied, so that a repeat changes nothing. Insertion order is order of receipt. */
export class BatchLedger {
  readonly #applied: Map<string, AppliedBatch>;

  constructor(saved: Iterable<[string, AppliedBatch]> = []) {
    this.#applied = new Map(saved);
  }

  find(batchKey: string): AppliedBatch | undefined {
    return this.#applied.get(batchKey);
  }

  add(batchKey: string, batch: AppliedBatch): void {
    this.#applied.set(batchKey, batch);
    for (const [key, { receivedAtMs }] of this.#applied) {
      if (this.#applied.size <= keysMax && receivedAtMs >= batch.receivedAtMs - rememberedMs) break;
      this.#applied.delete(key);
    }
  }

  entries(): [string, AppliedBatch][] {
    return [...this.#applied];
  }
}
