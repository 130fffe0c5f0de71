import { bucketMs } from "../flow/contacts.ts";
import type { AddressWords } from "../verdict.ts";
import type { StateReader, StateWriter } from "./state-bytes.ts";

/** What one entity did in one window; `touched` since it was last looked at. */
export interface EntityState {
  touched: boolean;
}

/** How the states of one kind are made, written and read. */
export interface StateCodec<S extends EntityState> {
  create(): S;
  save(state: S, writer: StateWriter): void;
  load(reader: StateReader): S;
}

export interface Entry<S> {
  address: AddressWords;
  windowStartMs: number;
  state: S;
}

/** IPv4 by its number, IPv6 by its words as text. */
type Key = number | string;

/** States by window and entity, for windows aligned to their length. */
export class EntityWindows<S extends EntityState> {
  readonly lengthMs: number;
  readonly #codec: StateCodec<S>;
  readonly #windows = new Map<number, Map<Key, Entry<S>>>();
  /** The window last touched: nearly always the next one too. */
  #lastStartMs = -1;
  #lastWindow = new Map<Key, Entry<S>>();
  /** The entry last returned: contacts come by source, so it is often wanted again. */
  #lastAddresses: Uint32Array | undefined;
  #lastIndex = -1;
  #lastEntry: Entry<S> | undefined;
  /** End of the window that closes first. */
  #firstEndMs = Number.POSITIVE_INFINITY;
  #touched: Entry<S>[] = [];

  constructor(lengthMs: number, codec: StateCodec<S>) {
    this.lengthMs = lengthMs;
    this.#codec = codec;
  }

  /** The entity's state in the window of `bucket`, made if need be. */
  at(addresses: Uint32Array, index: number, bucket: number): Entry<S> {
    const atMs = bucket * bucketMs;
    const windowStartMs = atMs - (atMs % this.lengthMs);
    if (windowStartMs !== this.#lastStartMs) this.#open(windowStartMs);
    else if (index === this.#lastIndex && addresses === this.#lastAddresses) return this.#lastEntry!;
    const window = this.#lastWindow;
    const w = index * 4;
    const key = keyOf(addresses, w);
    let entry = window.get(key);
    if (!entry) {
      const address = [addresses[w], addresses[w + 1], addresses[w + 2], addresses[w + 3]] as const;
      window.set(key, (entry = { address, windowStartMs, state: this.#codec.create() }));
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

  /** The entity's state in the window that begins at `windowStartMs`, if there is one. */
  peek([a, b, c, d]: AddressWords, windowStartMs: number): S | undefined {
    return this.#windows.get(windowStartMs)?.get(keyOf(Uint32Array.of(a, b, c, d), 0))?.state;
  }

  /** Entities touched since the last call. */
  takeTouched(): Entry<S>[] {
    const touched = this.#touched;
    this.#touched = [];
    for (const entry of touched) entry.state.touched = false;
    return touched;
  }

  /** Forgets the windows that end at or before `closedMs` and returns their entities, in order of time. */
  takeClosed(closedMs: number): Entry<S>[] {
    if (closedMs < this.#firstEndMs) return [];
    const closed = [...this.#windows.keys()]
      .filter((startMs) => startMs + this.lengthMs <= closedMs)
      .sort((x, y) => x - y);
    const entries: Entry<S>[] = [];
    for (const startMs of closed) {
      for (const entry of this.#windows.get(startMs)!.values()) entries.push(entry);
      this.#windows.delete(startMs);
    }
    this.#touched = this.#touched.filter((entry) => entry.windowStartMs + this.lengthMs > closedMs);
    this.#lastStartMs = -1;
    this.#lastAddresses = undefined;
    this.#firstEndMs = this.lengthMs + Math.min(...this.#windows.keys());
    return entries;
  }

  #open(windowStartMs: number): void {
    let window = this.#windows.get(windowStartMs);
    if (!window) this.#windows.set(windowStartMs, (window = new Map()));
    this.#lastStartMs = windowStartMs;
    this.#lastWindow = window;
    this.#lastEntry = undefined;
    this.#lastIndex = -1;
    this.#firstEndMs = Math.min(this.#firstEndMs, windowStartMs + this.lengthMs);
  }

  save(writer: StateWriter): void {
    writer.u32(this.#windows.size);
    for (const [windowStartMs, window] of this.#windows) {
      writer.f64(windowStartMs);
      writer.u32(window.size);
      for (const { address, state } of window.values()) {
        for (const word of address) writer.u32(word);
        this.#codec.save(state, writer);
      }
    }
  }

  load(reader: StateReader): void {
    for (let windows = reader.u32(); windows > 0; windows--) {
      const windowStartMs = reader.f64();
      const window = new Map<Key, Entry<S>>();
      for (let entities = reader.u32(); entities > 0; entities--) {
        const address = [reader.u32(), reader.u32(), reader.u32(), reader.u32()] as const;
        window.set(keyOf(Uint32Array.from(address), 0), { address, windowStartMs, state: this.#codec.load(reader) });
      }
      this.#windows.set(windowStartMs, window);
      this.#firstEndMs = Math.min(this.#firstEndMs, windowStartMs + this.lengthMs);
    }
  }
}

function keyOf(words: Uint32Array, w: number): Key {
  if (words[w] === 0 && words[w + 1] === 0 && words[w + 2] === 0xffff) return words[w + 3];
  return `${words[w]},${words[w + 1]},${words[w + 2]},${words[w + 3]}`;
}
