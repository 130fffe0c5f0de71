import { Protocol } from "../flow/flow-batch.ts";
import type { Contacts } from "../flow/contacts.ts";
import { hashService } from "../flow/keyed-hash.ts";
import { isUncommon, serviceOf } from "../flow/protocols.ts";
import { bitCount } from "../sketches/bit-count.ts";
import { BottomRows, type RowShape } from "../sketches/bottom-rows.ts";
import type { EntityState, StateCodec } from "../slots/entity-windows.ts";
import type { StateReader } from "../slots/state-bytes.ts";

/** Sums over a window of a host. */
export const Sum = {
  Requests: 0,
  Failed: 1,
  Outside: 2,
  NotTcp: 3,
  /** Of those to the outside, to services that hosts do not usually poll. */
  Uncommon: 4,
  SentBytes: 5,
  ReceivedBytes: 6,
  Answered: 7,
  /** Requests of others that it answered. */
  Served: 8,
} as const;
const sumCount = 9;

/** Distinct things, as bitmaps of 32-bit words: linear counting tells up to some thousand, within a tenth. */
const bitmaps = { outsidePeers: [0, 16], insidePeers: [16, 8], services: [24, 8] } as const;
const bitmapWords = 32;
export type Distinct = keyof typeof bitmaps;

/** Pairs of the host with a service outside: of an hour, those of lowest hash, so that they are the same ones each hour. */
const pairsKept = 24;

/** Of a pair. Minutes are two sets of 30 bits. */
export const PairSum = {
  Requests: 0,
  Answered: 1,
  AnswerBytes: 2,
  /** Of the requests whose size is known: their number, and the sums of sizes and of their squares. */
  Sized: 3,
  Sizes: 4,
  SquaredSizes: 5,
  FirstMinutes: 6,
  LastMinutes: 7,
  AddressHash: 8,
} as const;
const pairShape: RowShape = { peers: 1, sums: 9 };
const minutesPerSet = 30;
const bucketsPerMinute = 6;

/** In V8's heap, in bytes: of a window without its pairs; of one that is packed. Measured. */
const windowBytes = 880;
const packedBytes = 24;
const packedWordBytes = 5;
/** Requests, made or answered, of a host that did about one thing. */
const smallRequests = 3;

/** What one of the tenant's own hosts did in a window: all that its vector is made of. Every part is a sum or a union. */
export class HostWindow implements EntityState {
  touched = false;
  /** Keyed hash of the host: its chance in the sample. */
  addressHash = 0;
  readonly sums = new Float64Array(sumCount);
  /** As in a pair: minutes in which it made requests. */
  readonly minutes = new Uint32Array(2);
  readonly pairs: BottomRows;
  readonly #bits = new Uint32Array(bitmapWords);

  constructor(pairs: BottomRows = new BottomRows(pairsKept, pairShape)) {
    this.pairs = pairs;
  }

  /** Learns the contact `i` of the pairs, of which the host is the source. `minute`: of the window. */
  learn(contacts: Contacts, i: number, minute: number): void {
    const { pairs, addressHash, internal } = contacts;
    const { sums } = this;
    const [target, port, protocol, requests] = [pairs.target[i], pairs.port[i], pairs.protocol[i], pairs.requests[i]];
    const hash = addressHash[target];
    sums[Sum.Requests] += requests;
    sums[Sum.Failed] += pairs.failed[i];
    sums[Sum.Answered] += pairs.answered[i];
    sums[Sum.SentBytes] += pairs.sourceBytes[i];
    sums[Sum.ReceivedBytes] += pairs.targetBytes[i];
    if (protocol !== Protocol.Tcp) sums[Sum.NotTcp] += requests;
    this.#see("services", Math.imul((port << 8) | protocol, 0x9e3779b1) >>> 0);
    this.minutes[minute < minutesPerSet ? 0 : 1] |= 1 << (minute % minutesPerSet);
    if (internal[target] === 1) return this.#see("insidePeers", hash);
    this.#see("outsidePeers", hash);
    sums[Sum.Outside] += requests;
    const service = serviceOf(port, protocol);
    if (isUncommon(service)) sums[Sum.Uncommon] += requests;
    const row = this.pairs.row(hashService(hash, port, protocol), service);
    if (row >= 0) this.#learnPair(row, contacts, i, minute);
  }

  serve(answered: number): void {
    this.sums[Sum.Served] += answered;
  }

  distinct(what: Distinct): number {
    const [at, words] = bitmaps[what];
    let set = 0;
    for (let word = at; word < at + words; word++) set += bitCount(this.#bits[word]);
    const bits = 32 * words;
    return Math.round(-bits * Math.log(Math.max(1, bits - set) / bits));
  }

  get isSmall(): boolean {
    return this.sums[Sum.Requests] + this.sums[Sum.Served] <= smallRequests;
  }

  get memoryBytes(): number {
    return windowBytes + this.pairs.memoryBytes;
  }

  get packedBytes(): number {
    const words = this.#bits.reduce((count, word) => count + (word === 0 ? 0 : 1), 0);
    return packedBytes + packedWordBytes * words + this.pairs.packedBytes;
  }

  static readonly codec: StateCodec<HostWindow> = {
    create: () => new HostWindow(),
    save: (window, writer) => {
      writer.u32(window.addressHash);
      for (const sum of window.sums) writer.f64(sum);
      for (const minutes of window.minutes) writer.u32(minutes);
      const used = [...window.#bits.keys()].filter((word) => window.#bits[word] !== 0);
      writer.u8(used.length);
      for (const word of used) {
        writer.u8(word);
        writer.u32(window.#bits[word]);
      }
      window.pairs.save(writer);
    },
    load: (reader) => HostWindow.#load(reader),
    bytes: (window) => window.memoryBytes,
    isSmall: (window) => window.isSmall,
    smallBytes: (window) => window.packedBytes,
  };

  static #load(reader: StateReader): HostWindow {
    const addressHash = reader.u32();
    const sums = Array.from({ length: sumCount }, () => reader.f64());
    const minutes = [reader.u32(), reader.u32()];
    const words: [word: number, bits: number][] = [];
    for (let left = reader.u8(); left > 0; left--) words.push([reader.u8(), reader.u32()]);
    const window = new HostWindow(BottomRows.load(pairsKept, pairShape, reader));
    window.addressHash = addressHash;
    window.sums.set(sums);
    window.minutes.set(minutes);
    for (const [word, bits] of words) window.#bits[word] = bits;
    return window;
  }

  #learnPair(row: number, { pairs, addresses, addressHash }: Contacts, i: number, minute: number): void {
    const own = this.pairs;
    const target = pairs.target[i];
    own.addPeer(row, addressHash[target], addresses, target);
    own.raise(row, PairSum.AddressHash, addressHash[target]);
    own.add(row, PairSum.Requests, pairs.requests[i]);
    own.add(row, PairSum.Answered, pairs.answered[i]);
    own.add(row, PairSum.AnswerBytes, pairs.targetBytes[i]);
    const isFirst = minute < minutesPerSet;
    own.unite(row, isFirst ? PairSum.FirstMinutes : PairSum.LastMinutes, 1 << (minute % minutesPerSet));
    // Of a contact with more starts than it keeps, which ones it has depends on how batches were cut; so may the spread.
    const end = pairs.startsAt[i] + pairs.startCount[i];
    for (let start = pairs.startsAt[i]; start < end; start++) {
      const size = pairs.startBytes[start];
      own.add(row, PairSum.Sized, 1);
      own.add(row, PairSum.Sizes, size);
      own.add(row, PairSum.SquaredSizes, size * size);
    }
  }

  #see(what: Distinct, hash: number): void {
    const [at, words] = bitmaps[what];
    // The low byte is the slot's, and the same for all that lie there.
    const bit = (hash >>> 8) % (32 * words);
    this.#bits[at + (bit >>> 5)] |= 1 << (bit & 31);
  }
}

/** Of a window that begins at `startBucket`. */
export function minuteOf(bucket: number, startBucket: number): number {
  return Math.floor((bucket - startBucket) / bucketsPerMinute);
}

export function minutesIn(first: number, last: number): number {
  return bitCount(first) + bitCount(last);
}
