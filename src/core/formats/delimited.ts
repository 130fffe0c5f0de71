import type { FieldReader } from "./field-values.ts";

const COMMA = 44;
const QUOTE = 34;
const SPACE = 32;

/** The columns of a delimited log, and which of them go to which slot of a `FieldReader`. */
export class Columns {
  readonly names: readonly string[];
  /** Slot of each column, -1 where nobody wants it. */
  readonly slots: Int32Array<ArrayBuffer>;
  /** 1 + the last wanted column: nothing behind it is looked at. */
  readonly wanted: number;
  /** The first slot without a column. */
  #complete = 0;

  /** A slot that several columns could fill takes the first. */
  constructor(names: readonly string[], slotOfName: (name: string) => number | undefined) {
    this.names = names;
    this.slots = new Int32Array(names.length).fill(-1);
    let wanted = 0;
    for (let column = 0; column < names.length; column++) {
      const slot = slotOfName(names[column]);
      if (slot === undefined || this.slots.includes(slot)) continue;
      this.slots[column] = slot;
      wanted = column + 1;
    }
    this.wanted = wanted;
    while (this.slots.includes(this.#complete)) this.#complete++;
  }

  /** Whether every slot below this one has a column. */
  isComplete(slot: number): boolean {
    return this.#complete >= slot;
  }

  /** Calls the fields what this log calls them. */
  nameFields(fields: FieldReader): void {
    for (let column = 0; column < this.names.length; column++) {
      if (this.slots[column] >= 0) fields.names[this.slots[column]] = this.names[column];
    }
  }
}

/** Points the fields at the columns of `bytes[start, end)` and counts the columns, at most `columnsMax`. */
export function splitFields(
  fields: FieldReader,
  columns: Columns,
  bytes: Uint8Array,
  start: number,
  end: number,
  separator: number,
  columnsMax: number,
): number {
  fields.clear(bytes);
  const { starts, ends } = fields;
  const slots = columns.slots;
  let column = 0;
  for (let from = start; column < columnsMax;) {
    let to = from;
    while (to < end && bytes[to] !== separator) to++;
    const slot = column < slots.length ? slots[column] : -1;
    if (slot >= 0) {
      starts[slot] = from;
      ends[slot] = to;
      if (separator === COMMA) trim(fields, slot);
    }
    column++;
    if (to === end) break;
    from = to + 1;
  }
  return column;
}

/** Takes padding and quotes off a field of a comma-separated log. */
function trim(fields: FieldReader, slot: number): void {
  const { bytes, starts, ends } = fields;
  let start = starts[slot];
  let end = ends[slot];
  while (start < end && bytes[start] === SPACE) start++;
  while (end > start && bytes[end - 1] === SPACE) end--;
  if (end - start >= 2 && bytes[start] === QUOTE && bytes[end - 1] === QUOTE) {
    start++;
    end--;
  }
  starts[slot] = start;
  ends[slot] = end;
}
