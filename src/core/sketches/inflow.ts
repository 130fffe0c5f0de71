import { sourcesKept } from "../flow/contacts.ts";
import { Protocol } from "../flow/flow-batch.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { bitCount } from "./bit-count.ts";
import { BottomK } from "./bottom-k.ts";

/** Sums of one minute and one kind of traffic, by their place in a row of words. Sets are of 64 bits, in two words. */
const Word = {
  /** Minutes since 1970, times four, and the kind of traffic. */
  Key: 0,
  Flows: 1,
  Answered: 2,
  Failed: 3,
  Packets: 4,
  BytesLow: 5,
  BytesHigh: 6,
  MarksLow: 7,
  MarksHigh: 8,
  OthersLow: 9,
  OthersHigh: 10,
} as const;
const width = 11;

/** What is summed apart: a flood of datagrams is not answered by what is answered over TCP. */
export const Traffic = { Tcp: 0, Udp: 1, Icmp: 2, Other: 3 } as const;
export const trafficCount = 4;

export function trafficOf(protocol: number): number {
  if (protocol === Protocol.Tcp) return Traffic.Tcp;
  if (protocol === Protocol.Udp) return Traffic.Udp;
  return protocol === Protocol.Icmp || protocol === Protocol.Icmp6 ? Traffic.Icmp : Traffic.Other;
}

/** In V8's heap, in bytes: of an inflow without its sample, and of a row with the slack of a growing array. Measured. */
const inflowBytes = 360;
const rowBytes = 55;
/** The same, packed: of a row, and of the other side. */
const packedRowBytes = 18;
const packedOtherBytes = 40;

/**
 * What an inflow that is small may hold at most, over all its rows. Less than any threshold can be set to: it has
 * nothing to say.
 */
const small = { rows: 3, others: 1, flows: 32, packets: 20_000, bytes: 100_000_000 } as const;

const wordMax = 2 ** 32 - 1;

/**
 * What reached one entity within an hour, by minute and kind of traffic, and from whom.
 *
 * A row is a few words of one array: an object for each costs more than all its sums. Sums of counts stop at 2³² − 1,
 * which no minute reaches. State is canonical but for the order of rows.
 *
 * Bounds: 60 rows of 44 bytes for each kind of traffic, a sample of `sourcesKept`.
 */
export class Inflow {
  /** One row: the smallest typed array, on V8's own heap. */
  #rows = new Uint32Array(width);
  rowCount = 0;
  /** The other sides, over the whole hour; the label is the service concerned, the flag tells the tenant's own. */
  others = new BottomK(sourcesKept);
  /** Over all rows. */
  flows = 0;
  packets = 0;
  bytes = 0;
  /** Greatest sampling rate. */
  samplingRate = 1;
  #hasGrown = true;
  #wasSmall = true;
  /** The row last used: nearly always the one wanted. */
  #last = 0;

  /** The row of a minute and a kind of traffic, made if need be: what the methods below take. */
  row(minute: number, traffic: number): number {
    const key = minute * trafficCount + traffic;
    if (this.#last < this.rowCount && this.#rows[this.#last * width] === key) return this.#last;
    let row = this.rowCount - 1;
    while (row >= 0 && this.#rows[row * width] !== key) row--;
    return (this.#last = row < 0 ? this.#addRow(key) : row);
  }

  add(row: number, flows: number, answered: number, failed: number, packets: number, bytes: number): void {
    const rows = this.#rows;
    const at = row * width;
    rows[at + Word.Flows] = Math.min(wordMax, rows[at + Word.Flows] + flows);
    rows[at + Word.Answered] = Math.min(wordMax, rows[at + Word.Answered] + answered);
    rows[at + Word.Failed] = Math.min(wordMax, rows[at + Word.Failed] + failed);
    rows[at + Word.Packets] = Math.min(wordMax, rows[at + Word.Packets] + packets);
    const sum = this.bytesOf(row) + bytes;
    const low = sum >>> 0;
    rows[at + Word.BytesLow] = low;
    rows[at + Word.BytesHigh] = (sum - low) / 2 ** 32;
    this.flows += flows;
    this.packets += packets;
    this.bytes += bytes;
  }

  /** Adds to the set of ports, or of targets: one of 64. */
  mark(row: number, bit: number): void {
    this.#rows[row * width + (bit & 32 ? Word.MarksHigh : Word.MarksLow)] |= 1 << (bit & 31);
  }

  /** Adds to the sets of targets and of other sides what is known as sets already. */
  unite(row: number, marksLow: number, marksHigh: number, othersLow: number, othersHigh: number): void {
    const rows = this.#rows;
    const at = row * width;
    rows[at + Word.MarksLow] |= marksLow;
    rows[at + Word.MarksHigh] |= marksHigh;
    rows[at + Word.OthersLow] |= othersLow;
    rows[at + Word.OthersHigh] |= othersHigh;
  }

  /** Adds to the sample of the hour. `internal` is 1 for one of the tenant's own, and the flag of the sample. */
  addOther(hash: number, addresses: Uint32Array, index: number, service: number, internal: number): void {
    if (this.others.add(hash, addresses, index, service, internal)) this.#hasGrown = true;
  }

  sampledAt(rate: number): void {
    if (rate > this.samplingRate) this.samplingRate = rate;
  }

  minuteOf(row: number): number {
    return Math.floor(this.#rows[row * width] / trafficCount);
  }

  trafficOf(row: number): number {
    return this.#rows[row * width] % trafficCount;
  }

  flowsOf(row: number): number {
    return this.#rows[row * width + Word.Flows];
  }

  answeredOf(row: number): number {
    return this.#rows[row * width + Word.Answered];
  }

  failedOf(row: number): number {
    return this.#rows[row * width + Word.Failed];
  }

  packetsOf(row: number): number {
    return this.#rows[row * width + Word.Packets];
  }

  bytesOf(row: number): number {
    return this.#rows[row * width + Word.BytesHigh] * 2 ** 32 + this.#rows[row * width + Word.BytesLow];
  }

  /** About how many distinct ports, or targets, were seen: `setMax` stands for more. */
  marksOf(row: number): number {
    return this.#distinct(row * width + Word.MarksLow);
  }

  /** The same of other sides. */
  othersOf(row: number): number {
    return this.#distinct(row * width + Word.OthersLow);
  }

  /** Whether `memoryBytes` or `isSmall` may have changed since the last call. */
  takeGrown(): boolean {
    const hasGrown = this.#hasGrown || this.#wasSmall;
    this.#hasGrown = false;
    this.#wasSmall = this.isSmall;
    return hasGrown;
  }

  /** A few minutes, one other, hardly any traffic: a client that asked now and then, or an invented source. */
  get isSmall(): boolean {
    return (
      this.rowCount <= small.rows &&
      this.others.size <= small.others &&
      this.flows <= small.flows &&
      this.packets < small.packets &&
      this.bytes < small.bytes
    );
  }

  /** Memory, in bytes. */
  get memoryBytes(): number {
    return inflowBytes + this.rowCount * rowBytes + this.others.memoryBytes;
  }

  /** Memory of a small one, packed. */
  get packedBytes(): number {
    return this.rowCount * packedRowBytes + this.others.size * packedOtherBytes;
  }

  save(writer: StateWriter): void {
    writer.u32(this.samplingRate);
    writer.words([...this.#rows.subarray(0, this.rowCount * width)]);
    this.others.save(writer);
  }

  static load(reader: StateReader): Inflow {
    const inflow = new Inflow();
    inflow.samplingRate = reader.u32();
    const words = reader.words();
    inflow.rowCount = words.length / width;
    if (words.length > 0) inflow.#rows = Uint32Array.from(words);
    inflow.others = BottomK.load(sourcesKept, reader);
    for (let row = 0; row < inflow.rowCount; row++) {
      inflow.flows += inflow.flowsOf(row);
      inflow.packets += inflow.packetsOf(row);
      inflow.bytes += inflow.bytesOf(row);
    }
    return inflow;
  }

  #addRow(key: number): number {
    const row = this.rowCount++;
    if (this.rowCount * width > this.#rows.length) {
      const grown = new Uint32Array((this.rowCount + (this.rowCount >> 2)) * width);
      grown.set(this.#rows);
      this.#rows = grown;
    }
    this.#rows[row * width] = key;
    this.#hasGrown = true;
    return row;
  }

  #distinct(word: number): number {
    return distinctOf(bitCount(this.#rows[word]) + bitCount(this.#rows[word + 1]));
  }
}

const setBits = 64;

/** What a full set of 64 bits stands for: as many as fill all of them half the time, or more. */
export const setMax = 290;

/**
 * Members of a set of 64 bits of which so many are set: linear counting. Standard error 8 % at 40 members, 15 % at 150.
 * Source: Whang, Vander-Zanden, Taylor, ACM TODS 15(2), 1990.
 */
function distinctOf(bits: number): number {
  return bits === setBits ? setMax : Math.round(setBits * Math.log(setBits / (setBits - bits)));
}
