import { Assembly, framesOf } from "./frames.ts";
import { entryBytes, entryOf, type Entry, type EntryHead } from "./entry.ts";
import type { ShardStorage } from "./storage.ts";

/** An entry that a snapshot does not cover yet. */
interface LiveEntry {
  sequence: number;
  places: number[];
  bytes: number;
}

/**
 * The log of a shard: entries, numbered, in rows that are used again once snapshots cover what they say. Nothing is
 * ever deleted, since the platform bills a delete as a write.
 */
export class Journal {
  /** Of the last entry. */
  sequence = 0;
  rowsWritten = 0;
  bytesWritten = 0;
  /** Of the entries that no snapshot covers. */
  rows = 0;
  bytes = 0;
  readonly #storage: ShardStorage;
  #live: LiveEntry[] = [];
  #free: number[] = [];
  #places = 0;

  constructor(storage: ShardStorage) {
    this.#storage = storage;
  }

  /** All whole entries, in order; rows that cannot be read are set aside. */
  restore(): { entries: { sequence: number; entry: Entry }[]; rows: number; bytes: number; setAside: number } {
    const entries: { sequence: number; entry: Entry }[] = [];
    const assembly = new Assembly();
    let bytes = 0;
    let rows = 0;
    for (const blob of this.#storage.read("log")) {
      assembly.add(blob.place, blob.bytes);
      bytes += blob.bytes?.length ?? 0;
      rows++;
      this.#places = Math.max(this.#places, blob.place + 1);
    }
    for (const place of assembly.bad) this.#storage.setAside("log", place);
    for (const { number, places, bytes: text } of assembly.texts()) {
      this.sequence = Math.max(this.sequence, number);
      this.#live.push({ sequence: number, places, bytes: text.length });
      entries.push({ sequence: number, entry: entryOf(text) });
    }
    const used = new Set(this.#live.flatMap(({ places }) => places));
    this.#free = Array.from({ length: this.#places }, (_, place) => place).filter((place) => !used.has(place));
    this.#count();
    return { entries, rows, bytes, setAside: assembly.bad.length };
  }

  /** Writes an entry; returns its number. Within `atomically`. */
  append(head: EntryHead, payload: Uint8Array): number {
    const sequence = ++this.sequence;
    const frames = framesOf(sequence, entryBytes(head, payload));
    const places = frames.map((frame) => {
      const place = this.#free.pop() ?? this.#places++;
      this.#storage.write("log", place, frame);
      return place;
    });
    const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    this.#live.push({ sequence, places, bytes });
    this.rowsWritten += places.length;
    this.bytesWritten += bytes;
    this.rows += places.length;
    this.bytes += bytes;
    return sequence;
  }

  /** Everything before `sequence` is covered by snapshots: its rows may be used again. */
  release(sequence: number): void {
    const covered = this.#live.findIndex((entry) => entry.sequence >= sequence);
    const released = this.#live.splice(0, covered < 0 ? this.#live.length : covered);
    for (const { places } of released) this.#free.push(...places);
    if (released.length > 0) this.#count();
  }

  get entries(): number {
    return this.#live.length;
  }

  #count(): void {
    this.rows = this.#live.reduce((sum, { places }) => sum + places.length, 0);
    this.bytes = this.#live.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}
