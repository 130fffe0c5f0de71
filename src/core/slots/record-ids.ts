import type { StateReader, StateWriter } from "./state-bytes.ts";

/**
 * How long a record is recognised at least when it comes again, in minutes of event time; where later ones are accepted,
 * as long as they are: what comes after that is late, and counts no more than if it were known.
 */
const rememberedMinutesMin = 10;

/** Ids that a slot remembers after it settled, 16 bytes each; beyond, the oldest minutes are forgotten, and counted. */
const idsMax = 4096;

/** The same while event time stands still, or rushes on, before the slot settles. */
const idsHardMax = 4 * idsMax;

/** Buckets of a minute. */
const minuteBuckets = 6;

/** Pairs of words, open addressing; at most half full. No id is (0, 0). */
interface IdTable {
  words: Uint32Array<ArrayBuffer>;
  count: number;
}

/** The records that a slot learnt of late, by the minute of their end: the same record ends in the same minute. */
export class RecordIds {
  /** Forgotten before their time, since the slot was made. */
  forgotten = 0;
  count = 0;
  readonly #minutes = new Map<number, IdTable>();

  has(high: number, low: number, bucket: number): boolean {
    const table = this.#minutes.get(Math.floor(bucket / minuteBuckets));
    return table !== undefined && isAt(table, placeOf(table, high, low), high, low);
  }

  add(high: number, low: number, bucket: number): void {
    const minute = Math.floor(bucket / minuteBuckets);
    let table = this.#minutes.get(minute);
    if (!table) this.#minutes.set(minute, (table = { words: new Uint32Array(32), count: 0 }));
    if (insert(table, high, low)) this.count++;
    if (this.count > idsHardMax) this.#forgetOldest();
  }

  /** Forgets what is too old once event time is in `bucket`, then, beyond the bound, the oldest. */
  settle(bucket: number, allowanceBuckets: number): void {
    const minute = Math.floor(bucket / minuteBuckets);
    const remembered = Math.max(rememberedMinutesMin, Math.ceil(allowanceBuckets / minuteBuckets));
    for (const old of this.#minutes.keys()) if (old < minute - remembered) this.#drop(old);
    if (this.count > idsMax) this.#forgetOldest();
  }

  /** Down to the bound. */
  #forgetOldest(): void {
    for (const oldest of [...this.#minutes.keys()].sort((a, b) => a - b)) {
      if (this.count <= idsMax) return;
      this.forgotten += this.#minutes.get(oldest)!.count;
      this.#drop(oldest);
    }
  }

  save(writer: StateWriter): void {
    writer.f64(this.forgotten);
    writer.u32(this.#minutes.size);
    for (const [minute, { words }] of this.#minutes) {
      writer.u32(minute);
      writer.words(Array.from(words));
    }
  }

  static load(reader: StateReader): RecordIds {
    const ids = new RecordIds();
    ids.forgotten = reader.f64();
    for (let left = reader.u32(); left > 0; left--) {
      const minute = reader.u32();
      const words = Uint32Array.from(reader.words());
      let count = 0;
      for (let at = 0; at < words.length; at += 2) if (words[at] !== 0 || words[at + 1] !== 0) count++;
      ids.#minutes.set(minute, { words, count });
      ids.count += count;
    }
    return ids;
  }

  #drop(minute: number): void {
    this.count -= this.#minutes.get(minute)!.count;
    this.#minutes.delete(minute);
  }
}

function isAt({ words }: IdTable, at: number, high: number, low: number): boolean {
  return words[at] === high && words[at + 1] === low;
}

/** Where the id stands, or would. */
function placeOf({ words }: IdTable, high: number, low: number): number {
  let at = (low * 2) & (words.length - 1);
  while ((words[at] !== 0 || words[at + 1] !== 0) && (words[at] !== high || words[at + 1] !== low)) {
    at = (at + 2) & (words.length - 1);
  }
  return at;
}

/** Whether it was new. */
function insert(table: IdTable, high: number, low: number): boolean {
  const at = placeOf(table, high, low);
  if (isAt(table, at, high, low)) return false;
  table.words[at] = high;
  table.words[at + 1] = low;
  table.count++;
  if (table.count * 4 > table.words.length) grow(table);
  return true;
}

function grow(table: IdTable): void {
  const old = table.words;
  table.words = new Uint32Array(2 * old.length);
  for (let i = 0; i < old.length; i += 2) {
    if (old[i] === 0 && old[i + 1] === 0) continue;
    const at = placeOf(table, old[i], old[i + 1]);
    table.words[at] = old[i];
    table.words[at + 1] = old[i + 1];
  }
}
