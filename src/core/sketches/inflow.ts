import { sourcesKept } from "../flow/contacts.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { bitCount } from "./bit-count.ts";
import { BottomK } from "./bottom-k.ts";

/** Sums of one minute, by their place in a row. Sets are of 64 bits, in two words. */
export const Column = {
  Minute: 0,
  Flows: 1,
  Answered: 2,
  Failed: 3,
  Packets: 4,
  Bytes: 5,
  PortsLow: 6,
  PortsHigh: 7,
  OthersLow: 8,
  OthersHigh: 9,
} as const;
const width = 10;

/** In V8's heap, in bytes: of an inflow without its sample, and of a row with the slack of a growing array. Measured. */
const inflowBytes = 200;
const rowBytes = 110;

/** Flows of a minute up to which nobody is alarmed, whatever the settings. */
const smallFlowsMax = 8;

/**
 * What reached one entity within an hour, minute by minute, and from whom.
 *
 * Minutes are rows of one array of numbers: an entity is seen in a few of them, and an object for each costs more
 * than all its sums. State is canonical but for the order of rows.
 *
 * Bounds: 60 rows of 10 numbers, a sample of `sourcesKept`.
 */
export class Inflow {
  #rows: number[] = [];
  /** The other sides, over the whole hour; the label is the service concerned. */
  others = new BottomK(sourcesKept);
  /** Over all minutes. */
  flows = 0;
  packets = 0;
  bytes = 0;
  #hasGrown = true;
  /** The row last used: nearly always the one wanted. */
  #last = 0;

  get rowCount(): number {
    return this.#rows.length / width;
  }

  get(row: number, column: number): number {
    return this.#rows[row * width + column];
  }

  /** The row of a minute, made if need be: what the methods below take. */
  row(minute: number): number {
    const rows = this.#rows;
    if (rows[this.#last * width] === minute) return this.#last;
    let row = this.rowCount - 1;
    while (row >= 0 && rows[row * width] !== minute) row--;
    if (row < 0) {
      row = rows.push(minute, 0, 0, 0, 0, 0, 0, 0, 0, 0) / width - 1;
      this.#hasGrown = true;
    }
    this.#last = row;
    return row;
  }

  addAnswered(row: number, answered: number): void {
    this.#rows[row * width + Column.Answered] += answered;
  }

  add(row: number, flows: number, answered: number, failed: number, packets: number, bytes: number): void {
    const rows = this.#rows;
    const at = row * width;
    rows[at + Column.Flows] += flows;
    rows[at + Column.Answered] += answered;
    rows[at + Column.Failed] += failed;
    rows[at + Column.Packets] += packets;
    rows[at + Column.Bytes] += bytes;
    if (this.flows <= smallFlowsMax) this.#hasGrown = true;
    this.flows += flows;
    this.packets += packets;
    this.bytes += bytes;
  }

  addPort(row: number, port: number): void {
    this.#rows[row * width + (port & 32 ? Column.PortsHigh : Column.PortsLow)] |= 1 << (port & 31);
  }

  /** `internal` is 1 for one of the tenant's own, and the flag of the sample. */
  addOther(row: number, hash: number, addresses: Uint32Array, index: number, service: number, internal: number): void {
    this.#rows[row * width + (hash & 32 ? Column.OthersHigh : Column.OthersLow)] |= 1 << (hash & 31);
    if (this.others.add(hash, addresses, index, service, internal)) this.#hasGrown = true;
  }

  /** How many bits of the set that begins at `column` are set; of n random members, 64 (1 − e^(−n/64)). */
  bits(row: number, column: number): number {
    return bitCount(this.get(row, column)) + bitCount(this.get(row, column + 1));
  }

  /** Whether `memoryBytes` or `isSmall` may have changed since the last call. */
  takeGrown(): boolean {
    const hasGrown = this.#hasGrown;
    this.#hasGrown = false;
    return hasGrown;
  }

  /** One minute, one other, hardly any flows: a client that asked once, or an invented source. */
  get isSmall(): boolean {
    return this.rowCount <= 1 && this.others.size <= 1 && this.flows <= smallFlowsMax;
  }

  /** Memory, in bytes. */
  get memoryBytes(): number {
    return inflowBytes + this.rowCount * rowBytes + this.others.memoryBytes;
  }

  save(writer: StateWriter): void {
    writer.numbers(this.#rows);
    this.others.save(writer);
  }

  static load(reader: StateReader): Inflow {
    const inflow = new Inflow();
    inflow.#rows = reader.numbers();
    inflow.others = BottomK.load(sourcesKept, reader);
    for (let row = 0; row < inflow.rowCount; row++) {
      inflow.flows += inflow.get(row, Column.Flows);
      inflow.packets += inflow.get(row, Column.Packets);
      inflow.bytes += inflow.get(row, Column.Bytes);
    }
    return inflow;
  }
}
