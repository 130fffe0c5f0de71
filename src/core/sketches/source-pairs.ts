import type { Contacts } from "../flow/contacts.ts";
import { Protocol } from "../flow/flow-batch.ts";
import { hashService } from "../flow/keyed-hash.ts";
import { serviceOf, servicePort, serviceProtocol } from "../flow/protocols.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import type { AddressWords } from "../verdict.ts";
import { ContactSeries } from "./contact-series.ts";
import { PackedStates } from "./packed-states.ts";
import { packSmall, smallRequestsMax, unpackSmall } from "./small-pair.ts";

/** One service of one target, as one source sees it. */
export interface Pair {
  target: AddressWords;
  /** Keyed hash of the target. */
  addressHash: number;
  service: number;
  series: ContactSeries;
}

/**
 * Pairs that a source keeps when its slot settles, of those that came often and of the small ones. A client talks to a few
 * dozen services a day, a gateway to 100,000; of those, the ones that were heard of last, or often. 128 take 50 KB with
 * four requests each, 210 KB with 64; 256 small ones 18 KB.
 */
export const largePairsMax = 128;
const smallPairsMax = 256;
/** New pairs that a source may have between two settlements, 72 KB: of more, those of lowest keyed hash. */
const newPairsMax = 1024;

type Key = number | string;

/** In V8's heap, in bytes: of a pair without its series, what IPv6 takes more. Measured. */
const pairBytes = 250;
const longPairBytes = 100;
/** Of a small pair: its record without the series, its place in an index; and the slack of both with its series. */
const smallPairBytes = 28;
const slack = 1.25;

/** Ten minutes for each request: implants sleep for less between their first contacts, or for much more. */
const keptBucketsPerRequest = 60;

/**
 * The services that one source called in a window. The first three requests of a pair are kept packed, without an object
 * for any of them: of most pairs that is all.
 *
 * State is the same for any order: of too many new pairs those of lowest keyed hash, of too many when its slot settles
 * those that are kept longest.
 */
export class SourcePairs {
  readonly #large = new Map<Key, Pair>();
  /** By (keyed hash of the target, service, lower half of the target), which two targets share in 2⁻³² of cases. */
  readonly #small = new PackedStates();
  #largeBytes = 0;
  #smallBytes = 0;
  /** Hashes of the pairs that came since the slot last settled, and the greatest that another new one may have. */
  #new: number[] = [];
  #hashMax = 2 ** 32;
  /** Pairs that were dropped or refused since the slot last settled. Not saved. */
  refused = 0;
  /** What `learn` last added to, where it is not small. */
  last: Pair | undefined;

  get size(): number {
    return this.#large.size + this.#small.size;
  }

  get largeSize(): number {
    return this.#large.size;
  }

  /** Memory, in bytes; without the hashes of what is new, which are gone when the slot has settled. */
  get bytes(): number {
    return this.#largeBytes + this.#smallBytes;
  }

  /** Returns whether it grew. */
  learn(contacts: Contacts, i: number, windowStartMs: number): boolean {
    const { pairs, addresses, addressHash } = contacts;
    const target = pairs.target[i];
    const service = serviceOf(pairs.port[i], pairs.protocol[i]);
    const w = 4 * target;
    const key = keyOf(addresses[w], addresses[w + 1], addresses[w + 2], addresses[w + 3], service);
    const pair = this.#large.get(key);
    this.last = pair;
    if (!pair) return this.#learnSmall(contacts, i, [addressHash[target], service], windowStartMs);
    const { series } = pair;
    const { memoryBytes } = series;
    series.add(pairs, i, windowStartMs);
    if (series.memoryBytes === memoryBytes) return false;
    this.#largeBytes += series.memoryBytes - memoryBytes;
    return true;
  }

  /** Event time has entered a new period. */
  settled(): void {
    this.#new = [];
    this.#hashMax = 2 ** 32;
    this.#small.shrink();
  }

  /** Pairs beyond what a source may have. */
  get excess(): number {
    const large = Math.max(0, this.#large.size - largePairsMax);
    return large + Math.max(0, this.#small.size - smallPairsMax) + this.refused;
  }

  trim(): void {
    this.#dropNew();
    if (this.#large.size > largePairsMax) this.#keepLatest(this.large(), largePairsMax);
    if (this.#small.size > smallPairsMax) this.#keepLatest(this.small(), smallPairsMax);
    this.refused = 0;
  }

  large(): Iterable<Pair> {
    return this.#large.values();
  }

  small(): Pair[] {
    const pairs: Pair[] = [];
    this.#small.forEach((key, saved) => pairs.push(unpackPair(key, saved())));
    return pairs;
  }

  save(writer: StateWriter): void {
    writer.words(this.#new);
    writer.f64(this.#hashMax);
    writer.u32(this.#large.size);
    for (const { target, addressHash, service, series } of this.#large.values()) {
      for (const word of target) writer.u32(word);
      writer.u32(addressHash);
      writer.u32(service);
      series.save(writer);
    }
    writer.u32(this.#small.size);
    this.#small.forEach((key, saved) => {
      for (const word of key) writer.u32(word);
      writer.block((block) => block.raw(saved()));
    });
  }

  static load(reader: StateReader): SourcePairs {
    const pairs = new SourcePairs();
    pairs.#new = reader.words();
    pairs.#hashMax = reader.f64();
    for (let left = reader.u32(); left > 0; left--) {
      const target = [reader.u32(), reader.u32(), reader.u32(), reader.u32()] as const;
      const [addressHash, service] = [reader.u32(), reader.u32()];
      pairs.#addLarge({ target, addressHash, service, series: ContactSeries.load(reader) });
    }
    for (let left = reader.u32(); left > 0; left--) {
      const key = [reader.u32(), reader.u32(), reader.u32(), reader.u32()] as const;
      pairs.#addSmall(key, reader.block());
    }
    return pairs;
  }

  #learnSmall(contacts: Contacts, i: number, [addressHash, service]: [number, number], windowStartMs: number): boolean {
    const { pairs, addresses } = contacts;
    const w = 4 * pairs.target[i];
    const key = [addressHash, service, addresses[w + 2], addresses[w + 3]] as const;
    const saved = this.#small.take(key);
    if (!saved && !this.#admit(hashService(addressHash, servicePort(service), serviceProtocol(service)))) {
      this.refused++;
      return true;
    }
    if (saved) this.#smallBytes -= smallBytesOf(saved);
    const pair = saved ? unpackPair(key, saved) : emptyPair(key, addresses[w], addresses[w + 1]);
    pair.series.add(pairs, i, windowStartMs);
    const [a, b] = pair.target;
    if (pair.series.requests <= smallRequestsMax) this.#addSmall(key, packSmall(pair.series, [a, b]));
    else this.#addLarge((this.last = pair));
    return true;
  }

  /** Whether there is room for a new pair. Where there are too many, those of highest hash go and cannot come back. */
  #admit(hash: number): boolean {
    if (hash > this.#hashMax) return false;
    this.#new.push(hash);
    if (this.#new.length >= 2 * newPairsMax) this.#dropNew();
    return hash <= this.#hashMax;
  }

  /** Of the new pairs, leaves those of lowest hash: the same ones in any order of arrival. */
  #dropNew(): void {
    if (this.#new.length <= newPairsMax) return;
    const sorted = this.#new.sort((a, b) => a - b);
    this.#hashMax = sorted[newPairsMax - 1];
    this.#new = sorted.slice(0, newPairsMax);
    this.refused += sorted.length - newPairsMax;
    const dropped = new Set(sorted.slice(newPairsMax));
    for (const pair of [...this.large(), ...this.small()]) if (dropped.has(hashOf(pair))) this.#drop(pair);
  }

  #keepLatest(pairs: Iterable<Pair>, count: number): void {
    const order = [...pairs].sort((a, b) => keptUntil(b) - keptUntil(a) || hashOf(a) - hashOf(b));
    for (const pair of order.slice(count)) this.#drop(pair);
  }

  #drop(pair: Pair): void {
    if (this.#large.delete(keyOfPair(pair))) {
      this.#largeBytes -= largeBytesOf(pair);
      return;
    }
    const saved = this.#small.take([pair.addressHash, pair.service, pair.target[2], pair.target[3]]);
    if (saved) this.#smallBytes -= smallBytesOf(saved);
  }

  #addLarge(pair: Pair): void {
    this.#large.set(keyOfPair(pair), pair);
    this.#largeBytes += largeBytesOf(pair);
  }

  #addSmall(key: AddressWords, saved: Uint8Array): void {
    this.#small.add(key, saved);
    this.#smallBytes += smallBytesOf(saved);
  }
}

export function hashOf({ addressHash, service }: Pair): number {
  return hashService(addressHash, servicePort(service), serviceProtocol(service));
}

/** Bucket of the day until which a pair is worth its room: a beacon must outlast its gaps, more so the longer it goes on. */
function keptUntil({ series }: Pair): number {
  return series.ring.latestBucket + keptBucketsPerRequest * series.requests;
}

function emptyPair([addressHash, service, c, d]: AddressWords, a: number, b: number): Pair {
  return { target: [a, b, c, d], addressHash, service, series: new ContactSeries() };
}

function unpackPair([addressHash, service, c, d]: AddressWords, saved: Uint8Array): Pair {
  const { series, high } = unpackSmall(saved);
  return { target: [high[0], high[1], c, d], addressHash, service, series };
}

function largeBytesOf({ target: [a, b, c], series }: Pair): number {
  return pairBytes + (isMapped(a, b, c) ? 0 : longPairBytes) + series.memoryBytes;
}

function smallBytesOf(saved: Uint8Array): number {
  return Math.ceil(slack * (smallPairBytes + saved.length));
}

function keyOfPair({ target: [a, b, c, d], service }: Pair): Key {
  return keyOf(a, b, c, d, service);
}

/** IPv4 with its service fits into the 53 bits of a number: 32 of address, 16 of port, 1 of protocol. */
function keyOf(a: number, b: number, c: number, d: number, service: number): Key {
  if (!isMapped(a, b, c)) return `${a},${b},${c},${d},${service}`;
  return (d * 65536 + servicePort(service)) * 2 + (serviceProtocol(service) === Protocol.Tcp ? 1 : 0);
}

function isMapped(a: number, b: number, c: number): boolean {
  return a === 0 && b === 0 && c === 0xffff;
}
