import { FlowBatch } from "./flow-batch.ts";

/** Rows and addresses of the largest batch that is kept: 3 MB. */
const rowsMax = 32_768;
/** Batches kept: as many as an isolate usually reads at a time. */
const batchesMax = 4;

/** Batches to use again: their columns cost more to make than to fill. One that is never given back is no loss. */
export class BatchPool {
  readonly #spare: FlowBatch[] = [];

  take(): FlowBatch {
    return this.#spare.pop() ?? new FlowBatch();
  }

  /** Nobody may use the batch after this. */
  giveBack(batch: FlowBatch): void {
    if (batch.capacity > rowsMax || this.#spare.length === batchesMax) return;
    batch.clear();
    this.#spare.push(batch);
  }
}
