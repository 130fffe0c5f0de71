import { bucketMs } from "../flow/contacts.ts";
import { PackedStates } from "../sketches/packed-states.ts";
import type { AddressWords } from "../verdict.ts";
import { StateReader, StateWriter } from "./state-bytes.ts";

/** What one entity did in one window; `touched` since it was last looked at. */
export interface EntityState {
  touched: boolean;
}

/** How the states of one kind are made, written, read and measured. */
export interface StateCodec<S extends EntityState> {
  create(): S;
  save(state: S, writer: StateWriter): void;
  load(reader: StateReader): S;
  /** Memory of a state that is not small, in bytes, in O(1): from what `save` writes, never from capacities. */
  bytes(state: S): number;
  /** Whether the entity did about one thing, from what `save` writes. Such a state can never have a finding. */
  isSmall(state: S): boolean;
  /** Memory of a small state, in bytes: as if packed, whether it is or not. */
  smallBytes(state: S): number;
  /** Parts of the state beyond what one may hold, in O(1); none unless told. */
  excess?(state: S): number;
  /** Drops these parts. */
  trim?(state: S): void;
  /** Event time has entered a new period; called for states that grew since the last one. */
  settled?(state: S): void;
}

export interface Entry<S> {
  address: AddressWords;
  windowStartMs: number;
  state: S;
  /** As last counted. */
  bytes: number;
  isSmall: boolean;
  /** Grew, maybe, since it was last counted. */
  isDirty: boolean;
  /** Settlements before it last grew or was unpacked. */
  period: number;
}

/** One entity in one window, packed or not: small ones show no state. */
export interface Remembered<S> {
  address: AddressWords;
  windowStartMs: number;
  bytes: number;
  entry: Entry<S> | undefined;
}

/** IPv4 by its number, IPv6 by its words as text. */
export type Key = number | string;

/** An entry, its address and its place in a map, in bytes of V8's heap; measured. */
const entryBytes = 260;
/** What IPv6 takes more: its key is text. */
const longKeyBytes = 100;
/** The same of a packed state. */
const longAddressBytes = 12;

/** Small states of a detector's slot from which they are packed: fewer are not worth it. */
const smallKept = 16;
/** Small states, unpacked at 1 KB each, beyond which even those that came a moment ago are packed: invented sources. */
const recentKept = 32;

/** The states of one window: by entity, and the small ones packed. */
class Window<S> {
  readonly entries = new Map<Key, Entry<S>>();
  readonly packed = new PackedStates();
  /** Of all of them, as last counted. */
  bytes = 0;

  get size(): number {
    return this.entries.size + this.packed.size;
  }
}

/**
 * States by window and entity, for windows aligned to their length.
 *
 * `bytes` and what is small follow from the states alone, so that what is forgotten for lack of room does too: packing
 * changes neither. Counting and packing wait until they are asked for: detectors only note what grew.
 */
export class EntityWindows<S extends EntityState> {
  readonly lengthMs: number;
  readonly #lengthBuckets: number;
  readonly #codec: StateCodec<S>;
  readonly #windows = new Map<number, Window<S>>();
  /** The window last touched: nearly always the next one too. */
  #lastStartMs = -1;
  #lastWindow = new Window<S>();
  #lastEntries = this.#lastWindow.entries;
  /** The entry last returned: contacts come by source, so it is often wanted again. */
  #lastAddresses: Uint32Array | undefined;
  #lastIndex = -1;
  #lastEntry: Entry<S> | undefined;
  /** End of the window that closes first. */
  #firstEndMs = Number.POSITIVE_INFINITY;
  #touched: Entry<S>[] = [];
  #bytes = 0;
  #dirty: Entry<S>[] = [];
  #overfull = new Set<Entry<S>>();
  /** Grew since the last settlement; only kept for a codec that wants to know. */
  #grown = new Set<Entry<S>>();
  #period = 0;
  /** Small states that are not packed, and how many there may be before they are looked through. */
  #smallCount = 0;
  #smallMax = smallKept;

  constructor(lengthMs: number, codec: StateCodec<S>) {
    this.lengthMs = lengthMs;
    this.#lengthBuckets = lengthMs / bucketMs;
    this.#codec = codec;
  }

  /**
   * The entity's state in the window of `bucket`, made if need be. Who passes the same `addresses` and index again gets the
   * same entity: an array must not be written over between calls.
   */
  at(addresses: Uint32Array, index: number, bucket: number): Entry<S> {
    // In buckets: the rest of a division of numbers beyond 32 bits costs as much as looking the entity up.
    const windowStartMs = Math.floor(bucket / this.#lengthBuckets) * this.lengthMs;
    if (windowStartMs !== this.#lastStartMs) this.#open(windowStartMs);
    else if (index === this.#lastIndex && addresses === this.#lastAddresses) return this.#lastEntry!;
    const w = index * 4;
    const key = keyOf(addresses, w);
    let entry = this.#lastEntries.get(key);
    if (!entry) {
      const window = this.#lastWindow;
      const address = [addresses[w], addresses[w + 1], addresses[w + 2], addresses[w + 3]] as const;
      entry = this.#unpack(window, address, windowStartMs, key);
      if (!entry) window.entries.set(key, (entry = entryOf(address, windowStartMs, this.#codec.create())));
      this.grew(entry);
    }
    this.#lastAddresses = addresses;
    this.#lastIndex = index;
    this.#lastEntry = entry;
    return entry;
  }

  /** Has the entry among those that `takeTouched` returns next. */
  touch(entry: Entry<S>): void {
    if (entry.state.touched) return;
    entry.state.touched = true;
    this.#touched.push(entry);
  }

  /** What the codec says of the entry's size may have changed: it is counted again before anyone asks. */
  grew(entry: Entry<S>): void {
    if (entry.isDirty) return;
    entry.isDirty = true;
    this.#dirty.push(entry);
  }

  /** The entity's state in the window that begins at `windowStartMs`, if there is one. */
  peek(address: AddressWords, windowStartMs: number): S | undefined {
    const window = this.#windows.get(windowStartMs);
    if (!window) return undefined;
    const key = keyOfAddress(address);
    return (window.entries.get(key) ?? this.#unpack(window, address, windowStartMs, key))?.state;
  }

  /** Whether `takeTouched` or `takeClosed` have anything to give, or to do. */
  hasNews(closedMs: number): boolean {
    return this.#touched.length > 0 || closedMs >= this.#firstEndMs || this.#isFlooded;
  }

  /** So many have come that those which are small are to be packed at once. */
  get #isFlooded(): boolean {
    return this.#dirty.length + this.#smallCount > 2 * recentKept;
  }

  /** Entities touched since the last call. Of those that were packed meanwhile it shows what they were then. */
  takeTouched(): Entry<S>[] {
    const touched = this.#touched;
    this.#touched = [];
    for (const entry of touched) entry.state.touched = false;
    if (this.#isFlooded) this.#packFlood();
    return touched;
  }

  /**
   * Forgets the windows that end at or before `closedMs` and returns their entities, in order of time; but for the
   * packed ones, which have nothing to say.
   */
  takeClosed(closedMs: number): Entry<S>[] {
    if (closedMs < this.#firstEndMs) return [];
    const closed = [...this.#windows.keys()]
      .filter((startMs) => startMs + this.lengthMs <= closedMs)
      .sort((x, y) => x - y);
    const entries: Entry<S>[] = [];
    for (const startMs of closed) {
      const window = this.#windows.get(startMs)!;
      for (const entry of window.entries.values()) {
        if (entry.isSmall) this.#smallCount--;
        entries.push(entry);
      }
      this.#bytes -= window.bytes;
      this.#windows.delete(startMs);
    }
    for (const entry of this.#overfull) if (!this.#windows.has(entry.windowStartMs)) this.#overfull.delete(entry);
    this.#smallMax = smallKept;
    this.#touched = this.#touched.filter((entry) => entry.windowStartMs + this.lengthMs > closedMs);
    this.#lastStartMs = -1;
    this.#lastAddresses = undefined;
    this.#firstEndMs = this.lengthMs + Math.min(...this.#windows.keys());
    return entries;
  }

  /** Memory of all states, in bytes: an estimate from the states alone. */
  get bytes(): number {
    if (this.#dirty.length > 0) this.#count();
    return this.#bytes;
  }

  /** Windows by their start, and how many entities each holds. */
  *sizes(): Iterable<[windowStartMs: number, entities: number]> {
    for (const [windowStartMs, window] of this.#windows) yield [windowStartMs, window.size];
  }

  has(windowStartMs: number): boolean {
    return this.#windows.has(windowStartMs);
  }

  /** Entities remembered, over all windows. */
  get entities(): number {
    let entities = 0;
    for (const window of this.#windows.values()) entities += window.size;
    return entities;
  }

  /** Trims what outgrew its bounds and packs what is small; returns how many parts of states were dropped. */
  settle(): number {
    if (this.#dirty.length > 0) this.#count();
    let dropped = 0;
    if (this.#overfull.size > 0) dropped = this.#trim();
    for (const { state } of this.#grown) this.#codec.settled!(state);
    this.#grown.clear();
    if (this.#smallCount > this.#smallMax) this.#pack();
    this.#period++;
    return dropped;
  }

  /** Every entity of every window. */
  remembered(): Remembered<S>[] {
    this.#count();
    const all: Remembered<S>[] = [];
    for (const [windowStartMs, window] of this.#windows) {
      for (const entry of window.entries.values()) {
        const { address, bytes } = entry;
        all.push({ address, windowStartMs, bytes, entry: entry.isSmall ? undefined : entry });
      }
      window.packed.forEach((address, saved) => {
        all.push({ address, windowStartMs, bytes: this.#packedBytes(address, saved()), entry: undefined });
      });
    }
    return all;
  }

  /** One entity in the windows that begin from `fromMs` on and before `toMs`. */
  within(address: AddressWords, fromMs: number, toMs: number): Remembered<S>[] {
    this.#count();
    const found: Remembered<S>[] = [];
    for (const [windowStartMs, window] of this.#windows) {
      if (windowStartMs < fromMs || windowStartMs >= toMs) continue;
      const entry = window.entries.get(keyOfAddress(address));
      if (entry) found.push({ address, windowStartMs, bytes: entry.bytes, entry: entry.isSmall ? undefined : entry });
      const saved = entry ? undefined : window.packed.get(address);
      if (saved) found.push({ address, windowStartMs, bytes: this.#packedBytes(address, saved), entry: undefined });
    }
    return found;
  }

  /** As if these had never been seen. */
  forget(all: readonly Remembered<S>[]): void {
    for (const { address, windowStartMs, bytes } of all) {
      const window = this.#windows.get(windowStartMs)!;
      const key = keyOfAddress(address);
      const entry = window.entries.get(key);
      window.bytes -= bytes;
      this.#bytes -= bytes;
      if (!entry) {
        window.packed.take(address);
        continue;
      }
      window.entries.delete(key);
      entry.state.touched = false;
      if (entry.isSmall) this.#smallCount--;
    }
    this.#touched = this.#touched.filter(({ state }) => state.touched);
    for (const window of this.#windows.values()) window.packed.shrink();
    this.#lastAddresses = undefined;
  }

  #open(windowStartMs: number): void {
    let window = this.#windows.get(windowStartMs);
    if (!window) this.#windows.set(windowStartMs, (window = new Window()));
    this.#lastStartMs = windowStartMs;
    this.#lastWindow = window;
    this.#lastEntries = window.entries;
    this.#lastEntry = undefined;
    this.#lastIndex = -1;
    this.#firstEndMs = Math.min(this.#firstEndMs, windowStartMs + this.lengthMs);
  }

  /** Counts anew what may have changed. */
  #count(): void {
    const codec = this.#codec;
    let windowStartMs = -1;
    let window: Window<S> | undefined;
    for (const entry of this.#dirty) {
      entry.isDirty = false;
      if (entry.windowStartMs !== windowStartMs) window = this.#windows.get((windowStartMs = entry.windowStartMs));
      if (!window) continue;
      const isSmall = codec.isSmall(entry.state);
      if (isSmall !== entry.isSmall) this.#smallCount += isSmall ? 1 : -1;
      const bytes = isSmall ? this.#smallBytes(entry) : largeBytes(entry.address) + codec.bytes(entry.state);
      window.bytes += bytes - entry.bytes;
      this.#bytes += bytes - entry.bytes;
      entry.bytes = bytes;
      entry.isSmall = isSmall;
      entry.period = this.#period;
      if (codec.settled) this.#grown.add(entry);
      if (codec.excess && codec.excess(entry.state) > 0) this.#overfull.add(entry);
    }
    this.#dirty = [];
  }

  #smallBytes({ address, state }: { address: AddressWords; state: S }): number {
    return this.#codec.smallBytes(state) + (isLong(address) ? longAddressBytes : 0);
  }

  #packedBytes(address: AddressWords, saved: Uint8Array): number {
    return this.#smallBytes({ address, state: this.#codec.load(new StateReader(saved)) });
  }

  #trim(): number {
    const codec = this.#codec;
    let dropped = 0;
    for (const entry of this.#overfull) {
      dropped += codec.excess!(entry.state);
      codec.trim!(entry.state);
      this.grew(entry);
    }
    this.#overfull.clear();
    this.#count();
    return dropped;
  }

  /** Those that did not come or grow since the last settlement; all, where that leaves many. */
  #pack(): void {
    this.#packUpTo(this.#period - 1);
    if (this.#smallCount > recentKept) this.#packUpTo(this.#period);
    this.#smallMax = smallKept + 2 * this.#smallCount;
    this.#lastAddresses = undefined;
  }

  /** Between two settlements, memory would otherwise be what invented sources make of it. */
  #packFlood(): void {
    // What is packed cannot be told that event time went on.
    if (this.#codec.settled) return;
    this.#count();
    if (this.#smallCount <= recentKept) return;
    this.#packUpTo(this.#period);
    this.#lastAddresses = undefined;
  }

  #packUpTo(period: number): void {
    const writer = new StateWriter(256);
    for (const window of this.#windows.values()) {
      for (const [key, entry] of window.entries) {
        if (!entry.isSmall || entry.period > period) continue;
        writer.length = 0;
        this.#codec.save(entry.state, writer);
        window.packed.add(entry.address, writer.bytes());
        window.entries.delete(key);
        this.#smallCount--;
      }
    }
  }

  #unpack(window: Window<S>, address: AddressWords, windowStartMs: number, key: Key): Entry<S> | undefined {
    if (window.packed.size === 0) return undefined;
    const saved = window.packed.take(address);
    if (!saved) return undefined;
    const entry = entryOf(address, windowStartMs, this.#codec.load(new StateReader(saved)));
    entry.bytes = this.#smallBytes(entry);
    entry.isSmall = true;
    entry.period = this.#period;
    this.#smallCount++;
    window.entries.set(key, entry);
    return entry;
  }

  save(writer: StateWriter): void {
    writer.u32(this.#windows.size);
    for (const [windowStartMs, window] of this.#windows) {
      writer.f64(windowStartMs);
      writer.u32(window.size);
      for (const { address, state } of window.entries.values()) {
        for (const word of address) writer.u32(word);
        this.#codec.save(state, writer);
      }
      window.packed.forEach((address, saved) => {
        for (const word of address) writer.u32(word);
        writer.raw(saved());
      });
    }
  }

  load(reader: StateReader): void {
    for (let windows = reader.u32(); windows > 0; windows--) {
      const windowStartMs = reader.f64();
      const window = new Window<S>();
      this.#windows.set(windowStartMs, window);
      this.#firstEndMs = Math.min(this.#firstEndMs, windowStartMs + this.lengthMs);
      for (let entities = reader.u32(); entities > 0; entities--) {
        const address = [reader.u32(), reader.u32(), reader.u32(), reader.u32()] as const;
        const entry = entryOf(address, windowStartMs, this.#codec.load(reader));
        window.entries.set(keyOfAddress(address), entry);
        this.grew(entry);
        // Packed as it comes: not all of them need to fit unpacked.
        if (this.#dirty.length < recentKept) continue;
        this.#count();
        if (this.#smallCount > recentKept) this.#packUpTo(this.#period);
      }
    }
    this.#count();
  }
}

function entryOf<S>(address: AddressWords, windowStartMs: number, state: S): Entry<S> {
  return { address, windowStartMs, state, bytes: 0, isSmall: false, isDirty: false, period: 0 };
}

function largeBytes(address: AddressWords): number {
  return isLong(address) ? entryBytes + longKeyBytes : entryBytes;
}

function isLong([a, b, c]: AddressWords): boolean {
  return a !== 0 || b !== 0 || c !== 0xffff;
}

export function keyOfAddress([a, b, c, d]: AddressWords): Key {
  return a === 0 && b === 0 && c === 0xffff ? d : `${a},${b},${c},${d}`;
}

function keyOf(words: Uint32Array, w: number): Key {
  if (words[w] === 0 && words[w + 1] === 0 && words[w + 2] === 0xffff) return words[w + 3];
  return `${words[w]},${words[w + 1]},${words[w + 2]},${words[w + 3]}`;
}
