import { Refused } from "./contacts.ts";
import type { FlowBatch } from "./flow-batch.ts";
import type { KnownRecord } from "../slots/slots.ts";

const everywhere = Refused.KnownToSource | Refused.KnownToTarget | Refused.KnownToPrefix;

/** Which rows of a batch its slots have learnt before, as `FoldOptions.known` wants it. */
export class KnownRows {
  /** Per row, union of `Refused`; undefined while none is known. */
  rows: Uint8Array | undefined;
  readonly #length: number;

  /** Rows that repeat another of the same batch are known from the beginning. */
  constructor(batch: FlowBatch) {
    this.#length = batch.length;
    const seen = new Set<number>();
    for (let row = 0; row < batch.length; row++) {
      if (batch.recordIdHigh[row] === 0 && batch.recordIdLow[row] === 0) continue;
      // 53 of the 64 bits: of 200,000 records two are taken for one once in 400,000 batches.
      const id = (batch.recordIdHigh[row] & 0x1f_ffff) * 2 ** 32 + batch.recordIdLow[row];
      if (seen.has(id)) this.add([{ row, known: everywhere }]);
      seen.add(id);
    }
  }

  add(records: readonly KnownRecord[]): void {
    this.rows ??= new Uint8Array(this.#length);
    for (const { row, known } of records) this.rows[row] |= known;
  }

  /** How many the slots of their sources know: those are duplicates to whoever sent them. */
  get duplicates(): number {
    return this.rows?.reduce((count, known) => count + (known & Refused.KnownToSource ? 1 : 0), 0) ?? 0;
  }
}
