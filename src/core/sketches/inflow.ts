import { sourcesKept } from "../flow/contacts.ts";
import { Protocol } from "../flow/flow-batch.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { bitCount } from "./bit-count.ts";
import { BottomK } from "./bottom-k.ts";

/** Sums of one minute and one kind of traffic, by their place in a row of words. Sets are of 64 bits, in two words. */
const Word = {
  Flows: 0,
  Answered: 1,
  Failed: 2,
  Packets: 3,
  BytesLow: 4,
  BytesHigh: 5,
  MarksLow: 6,
  MarksHigh: 7,
  OthersLow: 8,
  OthersHigh: 9,
} as const;
const width = 10;
/** Of a row and its key: minutes since 1970, times four, and the kind of traffic. */
const savedWidth = width + 1;

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

/** Rows that an inflow of more than one gets room for at a time, at least. */
const roomStep = 4;

/** Others that an inflow of more than one row knows by heart, two words each: a power of two. */
const knownOthers = 8;

const wordMax = 2 ** 32 - 1;

/**
 * What reached one entity within an hour, by minute and kind of traffic, and from whom.
 *
 * All is in few words of one array, since what costs time is memory that is not at hand: first the others last added,
 * then the keys of all rows, then the rows. An object for each row costs more than all its sums. Sums of counts stop at
 * 2³² − 1, which no minute reaches. State is canonical but for the order of rows.
 *
 * Bounds: 60 rows of 44 bytes for each kind of traffic, a sample of `sourcesKept`.
 */
export class Inflow {
  /** Room for one row and no others: the smallest typed array, on V8's own heap. */
  #words = new Uint32Array(savedWidth);
  /** Where keys begin and where rows do. */
  #keysAt = 0;
  #rowsAt = 1;
  rowCount = 0;
  /** Flows beyond twice the answered ones, over all rows: of those that are mostly answered, none. */
  excess = 0;
  /** The greatest of any row: where it is less than asked for, no row need be looked at. */
  mostFlows = 0;
  /** Greatest sampling rate. */
  samplingRate = 1;
  #hasGrown = true;
  #wasSmall = true;
  /** As `mostFlows`, but 0 for what a small inflow may hold. */
  mostPackets = 0;
  mostBytes = 0;
  /** The other sides, over the whole hour; the label is the service concerned, the flag tells the tenant's own. */
  others = new BottomK(sourcesKept);

  /** The row of a minute and a kind of traffic, made if need be: what the methods below take. */
  row(minute: number, traffic: number): number {
    const key = minute * trafficCount + traffic;
    const words = this.#words;
    const first = this.#keysAt;
    // The latest ones are nearly always wanted.
    let at = first + this.rowCount - 1;
    while (at >= first && words[at] !== key) at--;
    return at < first ? this.#addRow(key) : at - first;
  }

  add(row: number, flows: number, answered: number, failed: number, packets: number, bytes: number): void {
    const words = this.#words;
    const at = this.#at(row);
    const excess = excessAt(words, at);
    addAt(words, at + Word.Flows, flows);
    addAt(words, at + Word.Answered, answered);
    addAt(words, at + Word.Failed, failed);
    addAt(words, at + Word.Packets, packets);
    const sum = this.bytesOf(row) + bytes;
    const low = sum >>> 0;
    words[at + Word.BytesLow] = low;
    words[at + Word.BytesHigh] = (sum - low) / 2 ** 32;
    this.excess += excessAt(words, at) - excess;
    this.#noteMost(row);
  }

  /** Adds to the set of ports, or of targets: one of 64. */
  mark(row: number, bit: number): void {
    this.#words[this.#at(row) + (bit & 32 ? Word.MarksHigh : Word.MarksLow)] |= 1 << (bit & 31);
  }

  /** Adds to the sets of targets and of other sides what is known as sets already. */
  unite(row: number, marksLow: number, marksHigh: number, othersLow: number, othersHigh: number): void {
    const words = this.#words;
    const at = this.#at(row);
    words[at + Word.MarksLow] |= marksLow;
    words[at + Word.MarksHigh] |= marksHigh;
    words[at + Word.OthersLow] |= othersLow;
    words[at + Word.OthersHigh] |= othersHigh;
  }

  /** Adds to the sample of the hour. `internal` is 1 for one of the tenant's own, and the flag of the sample. */
  addOther(hash: number, addresses: Uint32Array, index: number, service: number, internal: number): void {
    if (this.#knowsOther(hash, 2 * service + internal + 1)) return;
    if (this.others.add(hash, addresses, index, service, internal)) this.#hasGrown = true;
  }

  sampledAt(rate: number): void {
    if (rate > this.samplingRate) this.samplingRate = rate;
  }

  minuteOf(row: number): number {
    return Math.floor(this.#words[this.#keysAt + row] / trafficCount);
  }

  trafficOf(row: number): number {
    return this.#words[this.#keysAt + row] % trafficCount;
  }

  flowsOf(row: number): number {
    return this.#words[this.#at(row) + Word.Flows];
  }

  answeredOf(row: number): number {
    return this.#words[this.#at(row) + Word.Answered];
  }

  failedOf(row: number): number {
    return this.#words[this.#at(row) + Word.Failed];
  }

  packetsOf(row: number): number {
    return this.#words[this.#at(row) + Word.Packets];
  }

  bytesOf(row: number): number {
    return this.#words[this.#at(row) + Word.BytesHigh] * 2 ** 32 + this.#words[this.#at(row) + Word.BytesLow];
  }

  /** About how many distinct ports, or targets, were seen: `setMax` stands for more. */
  marksOf(row: number): number {
    return this.#distinct(this.#at(row) + Word.MarksLow);
  }

  /** The same of other sides. */
  othersOf(row: number): number {
    return this.#distinct(this.#at(row) + Word.OthersLow);
  }

  /** Over all rows, by looking at each. */
  get flows(): number {
    return this.#sum(Word.Flows);
  }

  get packets(): number {
    return this.#sum(Word.Packets);
  }

  get bytes(): number {
    return this.#sum(Word.BytesHigh) * 2 ** 32 + this.#sum(Word.BytesLow);
  }

  /** Whether `memoryBytes` or `isSmall` may have changed since the last call. */
  takeGrown(): boolean {
    const hasGrown = this.#hasGrown || this.#wasSmall;
    this.#hasGrown = false;
    // What has outgrown it is never small again.
    if (this.#wasSmall) this.#wasSmall = this.isSmall;
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
    const saved: number[] = [];
    for (let row = 0; row < this.rowCount; row++) {
      const at = this.#at(row);
      saved.push(this.#words[this.#keysAt + row], ...this.#words.subarray(at, at + width));
    }
    writer.words(saved);
    this.others.save(writer);
  }

  static load(reader: StateReader): Inflow {
    const inflow = new Inflow();
    inflow.samplingRate = reader.u32();
    const saved = reader.words();
    const rowCount = saved.length / savedWidth;
    if (rowCount > 1) inflow.#makeRoom(rowCount);
    for (let from = 0; from < saved.length; from += savedWidth) inflow.#loadRow(saved, from);
    inflow.others = BottomK.load(sourcesKept, reader);
    return inflow;
  }

  #loadRow(saved: readonly number[], from: number): void {
    const row = this.#addRow(saved[from]);
    const at = this.#at(row);
    for (let word = 0; word < width; word++) this.#words[at + word] = saved[from + 1 + word];
    this.excess += excessAt(this.#words, at);
    this.#noteMost(row);
  }

  #at(row: number): number {
    return this.#rowsAt + row * width;
  }

  #sum(word: number): number {
    let sum = 0;
    for (let row = 0; row < this.rowCount; row++) sum += this.#words[this.#at(row) + word];
    return sum;
  }

  #noteMost(row: number): void {
    const flows = this.flowsOf(row);
    const packets = this.packetsOf(row);
    const bytes = this.bytesOf(row);
    if (flows > this.mostFlows) this.mostFlows = flows;
    if (packets >= small.packets && packets > this.mostPackets) this.mostPackets = packets;
    if (bytes >= small.bytes && bytes > this.mostBytes) this.mostBytes = bytes;
  }

  /**
   * Whether this one was among the last to be added, just so: once more changes nothing. From now on it is. Most of
   * what comes has come a moment ago, and the sample is memory that is not at hand.
   */
  #knowsOther(hash: number, label: number): boolean {
    if (this.#keysAt === 0) return false;
    const words = this.#words;
    const at = 2 * (hash & (knownOthers - 1));
    if (words[at] === hash && words[at + 1] === label) return true;
    words[at] = hash;
    words[at + 1] = label;
    return false;
  }

  #addRow(key: number): number {
    const row = this.rowCount;
    if (row === this.#rowsAt - this.#keysAt) this.#makeRoom(row + Math.max(roomStep, row >> 1));
    this.#words[this.#keysAt + row] = key;
    this.rowCount++;
    this.#hasGrown = true;
    return row;
  }

  /** For so many rows, of which there is more than one. */
  #makeRoom(rows: number): void {
    const keysAt = 2 * knownOthers;
    const rowsAt = keysAt + rows;
    const words = new Uint32Array(rowsAt + rows * width);
    const { rowCount } = this;
    words.set(this.#words.subarray(0, this.#keysAt));
    words.set(this.#words.subarray(this.#keysAt, this.#keysAt + rowCount), keysAt);
    words.set(this.#words.subarray(this.#rowsAt, this.#at(rowCount)), rowsAt);
    this.#words = words;
    this.#keysAt = keysAt;
    this.#rowsAt = rowsAt;
  }

  #distinct(word: number): number {
    return distinctOf(bitCount(this.#words[word]) + bitCount(this.#words[word + 1]));
  }
}

function addAt(words: Uint32Array, at: number, count: number): void {
  const sum = words[at] + count;
  words[at] = sum < wordMax ? sum : wordMax;
}

/** Flows of the row at `at` beyond twice the answered ones. */
function excessAt(words: Uint32Array, at: number): number {
  const excess = words[at + Word.Flows] - 2 * words[at + Word.Answered];
  return excess > 0 ? excess : 0;
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
