import { bucketMs } from "../flow/contacts.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";

const dayMs = 24 * 3_600_000;

/** Days of event time that are kept apart: windows are a day at most, and close within the allowance of another. */
const daysKept = 4;

interface DayCounts {
  lateRecords: number;
  evictedEntities: number;
}

/** What a slot had to leave out, by UTC day of event time: a verdict tells what concerns its own window. */
export class SlotCounts {
  readonly total: DayCounts = { lateRecords: 0, evictedEntities: 0 };
  readonly #days = new Map<number, DayCounts>();

  add(what: keyof DayCounts, bucket: number, count: number): void {
    const day = Math.floor((bucket * bucketMs) / dayMs);
    let counts = this.#days.get(day);
    if (!counts) {
      this.#days.set(day, (counts = { lateRecords: 0, evictedEntities: 0 }));
      if (this.#days.size > daysKept) this.#days.delete(Math.min(...this.#days.keys()));
    }
    counts[what] += count;
    this.total[what] += count;
  }

  /** Of the day or days of a span. */
  within(startMs: number, endMs: number): DayCounts {
    const sum = { lateRecords: 0, evictedEntities: 0 };
    for (const [day, counts] of this.#days) {
      if (day * dayMs >= endMs || (day + 1) * dayMs <= startMs) continue;
      sum.lateRecords += counts.lateRecords;
      sum.evictedEntities += counts.evictedEntities;
    }
    return sum;
  }

  save(writer: StateWriter): void {
    const rows = [...this.#days].flatMap(([day, counts]) => [day, counts.lateRecords, counts.evictedEntities]);
    writer.numbers([this.total.lateRecords, this.total.evictedEntities, ...rows]);
  }

  static load(reader: StateReader): SlotCounts {
    const counts = new SlotCounts();
    const [lateRecords, evictedEntities, ...rows] = reader.numbers();
    Object.assign(counts.total, { lateRecords, evictedEntities });
    for (let i = 0; i < rows.length; i += 3) {
      counts.#days.set(rows[i], { lateRecords: rows[i + 1], evictedEntities: rows[i + 2] });
    }
    return counts;
  }
}
