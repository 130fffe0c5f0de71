import { StateReader, StateWriter } from "./state-bytes.ts";

/** Distinct sources of one target up to which they are told apart: beyond, it is common whatever the number. */
const sourcesMax = 64;

/** Targets of a day that are remembered, 8 bytes each and 12 where told one by one: those of most sources. */
const targetsMax = 10_000;

/** Days that are remembered, the newest: what was common last week may be an implant's today. */
const daysMax = 2;

const dayMs = 86_400_000;

/** What one slot may tell. */
export interface FactsOfSlot {
  /** So many of the tenant's own hosts called this address (by keyed hash) in a window that began at `atMs`. */
  addSources(addressHash: number, sources: number, atMs: number): void;
  /** This one of the tenant's own hosts (by keyed hash) is a source of the address on the day of `atMs`. */
  addSource(addressHash: number, sourceHash: number, atMs: number): void;
  /** So many of the slot's own hosts called somebody outside on the day of `atMs`. */
  addHosts(hosts: number, atMs: number): void;
}

interface Day {
  /** By target: the most that were told at once. */
  sources: Map<number, number>;
  /** By target: those that were told one by one. */
  callers: Map<number, Callers>;
  /** By slot. */
  hosts: Map<number, number>;
  /** Of all slots. */
  hostCount: number;
}

/** Distinct hosts as a bitmap of `sourcesMax` bits in two words: each host sets one, by its keyed hash. */
interface Callers {
  low: number;
  high: number;
}

/** Linear counting: Whang, Vander-Zanden, Taylor, ACM TODS 1990; 64 bits tell up to 64 hosts within a tenth. */
function countOf({ low, high }: Callers): number {
  const empty = sourcesMax - bitsIn(low) - bitsIn(high);
  return Math.min(sourcesMax, Math.round(-sourcesMax * Math.log(Math.max(1, empty) / sourcesMax)));
}

function bitsIn(word: number): number {
  let bits = 0;
  for (let left = word; left !== 0; left &= left - 1) bits++;
  return bits;
}

/** What `NetworkFacts.packed` made. */
export type PackedFacts = Uint8Array<ArrayBuffer>;

/** A target is rare while at most so many of the tenant's hosts call it, or this share of them: RITA's 2 %. */
const rareSourcesMax = 2;
const rareShare = 0.02;
/** From here on `sourcesMax` may stand for more. */
const toldSourcesMax = 60;

/** Whether a target that so many of the tenant's own hosts call is rare, as far as is known. */
export function isRare(sources: number, facts: NetworkFacts | undefined): boolean {
  return sources <= Math.min(Math.max(rareSourcesMax, rareShare * (facts?.hosts ?? 0)), toldSourcesMax);
}

/**
 * What is known of the tenant's network as a whole, an epoch late: slots tell what their closed windows showed, and every
 * slot is told what all have said. Given with each judgement, like a configuration; never part of a slot's state.
 *
 * Hosts that call a target at other hours than one another are only seen together where they were told one by one: each of
 * them changes the facts, and so it is done for what lasts alone.
 *
 * Telling is a maximum, or a union: any order and repetition ends in the same facts.
 */
export class NetworkFacts {
  /** Rises with each change. */
  revision = 0;
  /** By number of the day since 1970. */
  readonly #days = new Map<number, Day>();

  /** How many of the tenant's own hosts call this address, at least; 1 where no more is known. 64 stands for more. */
  sourcesOf(addressHash: number): number {
    let most = 1;
    for (const { sources, callers } of this.#days.values()) {
      const told = callers.get(addressHash);
      most = Math.max(most, sources.get(addressHash) ?? 0, told ? countOf(told) : 0);
    }
    return most;
  }

  /** The tenant's own hosts that were seen to call somebody outside, on the busiest of the last days. */
  get hosts(): number {
    let most = 0;
    for (const { hostCount } of this.#days.values()) most = Math.max(most, hostCount);
    return most;
  }

  ofSlot(slot: number): FactsOfSlot {
    return {
      addSources: (addressHash, sources, atMs) => this.#addSources(addressHash, sources, Math.floor(atMs / dayMs)),
      addSource: (addressHash, sourceHash, atMs) => {
        const bit = 1 << (sourceHash & 31);
        const isHigh = (sourceHash & 32) !== 0;
        this.#addCallers(addressHash, { low: isHigh ? 0 : bit, high: isHigh ? bit : 0 }, Math.floor(atMs / dayMs));
      },
      addHosts: (hosts, atMs) => this.#addHosts(slot, hosts, Math.floor(atMs / dayMs)),
    };
  }

  merge(other: NetworkFacts): void {
    for (const [day, { sources, callers, hosts }] of other.#days) {
      for (const [hash, count] of sources) this.#addSources(hash, count, day);
      for (const [hash, told] of callers) this.#addCallers(hash, told, day);
      for (const [slot, count] of hosts) this.#addHosts(slot, count, day);
    }
  }

  copy(): NetworkFacts {
    const copy = new NetworkFacts();
    copy.merge(this);
    return copy;
  }

  packed(): PackedFacts {
    const writer = new StateWriter(4096);
    writer.u32(this.#days.size);
    for (const [day, { sources, callers, hosts }] of this.#days) {
      writer.u32(day);
      writer.words([...sources].flat());
      writer.words([...callers].flatMap(([hash, { low, high }]) => [hash, low >>> 0, high >>> 0]));
      writer.words([...hosts].flat());
    }
    return writer.bytes().slice();
  }

  /** @throws RangeError if it is not what `packed` made. */
  static unpacked(bytes: PackedFacts): NetworkFacts {
    const reader = new StateReader(bytes);
    const facts = new NetworkFacts();
    for (let left = reader.u32(); left > 0; left--) {
      const [day, sources, callers, hosts] = [reader.u32(), reader.words(), reader.words(), reader.words()];
      for (let i = 0; i < sources.length; i += 2) facts.#addSources(sources[i], sources[i + 1], day);
      for (let i = 0; i < callers.length; i += 3) {
        facts.#addCallers(callers[i], { low: callers[i + 1], high: callers[i + 2] }, day);
      }
      for (let i = 0; i < hosts.length; i += 2) facts.#addHosts(hosts[i], hosts[i + 1], day);
    }
    return facts;
  }

  #addSources(addressHash: number, count: number, day: number): void {
    if (count < 2) return;
    const sources = this.#day(day)?.sources;
    if (!sources || (sources.get(addressHash) ?? 0) >= Math.min(count, sourcesMax)) return;
    sources.set(addressHash, Math.min(count, sourcesMax));
    this.revision++;
    if (sources.size > 2 * targetsMax) keepLargest(sources, (told) => told);
  }

  #addCallers(addressHash: number, { low, high }: Callers, day: number): void {
    const callers = this.#day(day)?.callers;
    if (!callers) return;
    const before = callers.get(addressHash) ?? { low: 0, high: 0 };
    const after = { low: (before.low | low) >>> 0, high: (before.high | high) >>> 0 };
    if (after.low === before.low && after.high === before.high) return;
    callers.set(addressHash, after);
    this.revision++;
    if (callers.size > 2 * targetsMax) keepLargest(callers, countOf);
  }

  #addHosts(slot: number, count: number, day: number): void {
    const known = this.#day(day);
    const before = known?.hosts.get(slot) ?? 0;
    if (!known || before >= count) return;
    known.hosts.set(slot, count);
    known.hostCount += count - before;
    this.revision++;
  }

  /** Undefined for a day that is over for long. */
  #day(day: number): Day | undefined {
    const known = this.#days.get(day);
    if (known) return known;
    const newest = Math.max(day, ...this.#days.keys());
    if (day <= newest - daysMax) return undefined;
    for (const old of this.#days.keys()) if (old <= newest - daysMax) this.#days.delete(old);
    const made: Day = { sources: new Map(), callers: new Map(), hosts: new Map(), hostCount: 0 };
    this.#days.set(day, made);
    return made;
  }
}

function keepLargest<T>(told: Map<number, T>, sizeOf: (one: T) => number): void {
  const dropped = [...told].sort(([x, a], [y, b]) => sizeOf(b) - sizeOf(a) || x - y).slice(targetsMax);
  for (const [hash] of dropped) told.delete(hash);
}
