import type { Contacts } from "../flow/contacts.ts";
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
  /** Last word of the target, signed, so that it is no object of its own: with the key and the service it tells pairs apart. */
  word: number;
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

/** A key has 30 bits of the keyed hash of (target, service): engines make an object of a larger number at each look-up. */
const keyMask = 2 ** 30 - 1;

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
  /** By key; where two share one, the later has the next that is free. */
  readonly #large = new Map<number, Pair>();
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
    const hash = hashService(addressHash[target], pairs.port[i], pairs.protocol[i]);
    const pair = this.#find(hash, serviceOf(pairs.port[i], pairs.protocol[i]), addresses[4 * target + 3] | 0);
    this.last = pair;
    if (!pair) return this.#learnSmall(contacts, i, hash, windowStartMs);
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
      pairs.#addLarge(pairOf(target, addressHash, service, ContactSeries.load(reader)));
    }
    for (let left = reader.u32(); left > 0; left--) {
      const key = [reader.u32(), reader.u32(), reader.u32(), reader.u32()] as const;
      pairs.#addSmall(key, reader.block());
    }
    return pairs;
  }

  #learnSmall(contacts: Contacts, i: number, hash: number, windowStartMs: number): boolean {
    const { pairs, addresses, addressHash } = contacts;
    const target = pairs.target[i];
    const w = 4 * target;
    const service = serviceOf(pairs.port[i], pairs.protocol[i]);
    const key = [addressHash[target], service, addresses[w + 2], addresses[w + 3]] as const;
    const saved = this.#small.take(key);
    if (!saved && !this.#admit(hash)) {
      this.refused++;
      return true;
    }
    if (saved) this.#smallBytes -= smallBytesOf(saved);
    const high = [addresses[w], addresses[w + 1]] as const;
    const pair = saved ? unpackPair(key, saved) : pairOfKey(key, high, new ContactSeries());
    pair.series.add(pairs, i, windowStartMs);
    if (pair.series.requests <= smallRequestsMax) this.#addSmall(key, packSmall(pair.series, high));
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

  #find(hash: number, service: number, word: number): Pair | undefined {
    let key = hash & keyMask;
    let pair = this.#large.get(key);
    while (pair && (pair.service !== service || pair.word !== word)) pair = this.#large.get((key = keyAfter(key)));
    return pair;
  }

  #drop(pair: Pair): void {
    if (this.#find(hashOf(pair), pair.service, pair.word) === pair) return this.#dropLarge(pair);
    const saved = this.#small.take([pair.addressHash, pair.service, pair.target[2], pair.target[3]]);
    if (saved) this.#smallBytes -= smallBytesOf(saved);
  }

  #dropLarge(pair: Pair): void {
    this.#largeBytes -= largeBytesOf(pair);
    let key = hashOf(pair) & keyMask;
    while (this.#large.get(key) !== pair) key = keyAfter(key);
    this.#large.delete(key);
    // Those behind it may have it in their way no more.
    for (let next = this.#large.get((key = keyAfter(key))); next; next = this.#large.get((key = keyAfter(key)))) {
      this.#large.delete(key);
      this.#place(next);
    }
  }

  #addLarge(pair: Pair): void {
    this.#place(pair);
    this.#largeBytes += largeBytesOf(pair);
  }

  #place(pair: Pair): void {
    let key = hashOf(pair) & keyMask;
    while (this.#large.has(key)) key = keyAfter(key);
    this.#large.set(key, pair);
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

function keyAfter(key: number): number {
  return (key + 1) & keyMask;
}

function pairOf(target: AddressWords, addressHash: number, service: number, series: ContactSeries): Pair {
  return { target, addressHash, service, series, word: target[3] | 0 };
}

function pairOfKey([addressHash, service, c, d]: AddressWords, high: readonly [number, number], series: ContactSeries) {
  return pairOf([high[0], high[1], c, d], addressHash, service, series);
}

function unpackPair(key: AddressWords, saved: Uint8Array): Pair {
  const { series, high } = unpackSmall(saved);
  return pairOfKey(key, high, series);
}

function largeBytesOf({ target: [a, b, c], series }: Pair): number {
  return pairBytes + (isMapped(a, b, c) ? 0 : longPairBytes) + series.memoryBytes;
}

function smallBytesOf(saved: Uint8Array): number {
  return Math.ceil(slack * (smallPairBytes + saved.length));
}

function isMapped(a: number, b: number, c: number): boolean {
  return a === 0 && b === 0 && c === 0xffff;
}
