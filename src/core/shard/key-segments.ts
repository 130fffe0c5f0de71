import { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { keysMax, type BatchLedger } from "./batch-ledger.ts";
import { Assembly, framesOf } from "./frames.ts";
import type { ShardStorage } from "./storage.ts";

/** Keys of a segment, 250 bytes each: a row for so many batches. A snapshot does not wait for more. */
const segmentKeys = 256;
/** Segments that are kept, and written over in turn: those of big batches hold fewer keys. */
const segmentsMax = keysMax / 32;

/** The keys of the ledger, in segments that are written over in turn. */
export class KeySegments {
  rowsWritten = 0;
  #number = 0;
  /** The log entry up to which segments hold the keys. */
  #covered = 0;
  /** The first log entry whose key is in no segment; 0 if there is none. */
  #since = 0;
  readonly #storage: ShardStorage;

  constructor(storage: ShardStorage) {
    this.#storage = storage;
  }

  restore(ledger: BatchLedger): { setAside: number; rows: number } {
    const assembly = new Assembly();
    let rows = 0;
    for (const { place, bytes } of this.#storage.read("keys")) {
      assembly.add(place, bytes);
      rows++;
    }
    for (const place of assembly.bad) this.#storage.setAside("keys", place);
    for (const { number, bytes } of assembly.texts()) {
      this.#number = number;
      const segment = new StateReader(bytes);
      this.#covered = segment.f64();
      ledger.load(segment);
    }
    return { setAside: assembly.bad.length, rows };
  }

  get covered(): number {
    return this.#covered;
  }

  touch(sequence: number): void {
    if (this.#since === 0) this.#since = sequence;
  }

  get firstNeeded(): number {
    return this.#since === 0 ? Number.POSITIVE_INFINITY : this.#since;
  }

  /** Whether there are enough for a segment. */
  isFull(ledger: BatchLedger): boolean {
    return ledger.unsaved >= segmentKeys;
  }

  /** Within `atomically`. */
  write(ledger: BatchLedger, sequence: number): void {
    this.#number++;
    this.#covered = sequence;
    const segment = new StateWriter(65_536);
    segment.f64(sequence);
    ledger.saveAdded(segment);
    const [frame] = framesOf(this.#number, segment.bytes());
    this.#storage.write("keys", this.#number % segmentsMax, frame);
    this.#since = 0;
    this.rowsWritten++;
  }
}
