import type { AddressWords } from "../verdict.ts";
import { keyOfAddress, type Key } from "./entity-windows.ts";
import { StateReader, StateWriter } from "./state-bytes.ts";

/** How memories of one kind are made, written, read and measured. */
export interface MemoryCodec<M> {
  create(): M;
  save(memory: M, writer: StateWriter): void;
  load(reader: StateReader): M;
  /** Bytes of V8's heap, from what `save` writes. */
  bytes(memory: M): number;
}

/** One entity's memory. */
export interface Memory<M> {
  address: AddressWords;
  /** End of the last window that it learnt from. */
  windowStartMs: number;
  memory: M;
  bytes: number;
  /** Goes after what is small, before what is open. */
  interest: number;
}

/** An entry with its address and its place in a map, in bytes of V8's heap; measured on alike ones. */
const entryBytes = 260;
/** Less than any open state's that is not small. */
const memoryInterest = 0.5;

/**
 * What a detector remembers of entities beyond their windows: baselines, known peers, first sight. It learns from closed
 * windows only, in order, each once, so it is the same however records were cut. Bounded by `forgetMs` without a word
 * and by the slot's bytes.
 */
export class EntityMemory<M> {
  readonly #codec: MemoryCodec<M>;
  readonly #forgetMs: number;
  readonly #entries = new Map<Key, Memory<M>>();
  #bytes = 0;

  /** `forgetMs`: what has learnt nothing for so long is forgotten. */
  constructor(codec: MemoryCodec<M>, forgetMs: number) {
    this.#codec = codec;
    this.#forgetMs = forgetMs;
  }

  get(address: AddressWords): M | undefined {
    return this.#entries.get(keyOfAddress(address))?.memory;
  }

  /** The entity's memory as it is now, whatever it learns later. */
  copyOf(address: AddressWords): M | undefined {
    const memory = this.get(address);
    if (memory === undefined) return undefined;
    const writer = new StateWriter();
    this.#codec.save(memory, writer);
    return this.#codec.load(new StateReader(writer.bytes()));
  }

  /** Has `learn` change the entity's memory, made if need be, by a window that ended at `atMs`. */
  learn(address: AddressWords, atMs: number, learn: (memory: M) => void): void {
    const key = keyOfAddress(address);
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = { address, windowStartMs: atMs, memory: this.#codec.create(), bytes: 0, interest: memoryInterest };
      this.#entries.set(key, entry);
    }
    learn(entry.memory);
    entry.windowStartMs = Math.max(entry.windowStartMs, atMs);
    this.#measure(entry);
  }

  /** Forgets those that have learnt nothing for long, event time being `nowMs`. */
  expire(nowMs: number): void {
    if (nowMs === Number.POSITIVE_INFINITY) return;
    for (const [key, entry] of this.#entries) {
      if (entry.windowStartMs + this.#forgetMs > nowMs) continue;
      this.#bytes -= entry.bytes;
      this.#entries.delete(key);
    }
  }

  get bytes(): number {
    return this.#bytes;
  }

  get entities(): number {
    return this.#entries.size;
  }

  remembered(): Memory<M>[] {
    return [...this.#entries.values()];
  }

  forget(all: readonly Memory<M>[]): void {
    for (const { address, bytes } of all) {
      this.#entries.delete(keyOfAddress(address));
      this.#bytes -= bytes;
    }
  }

  save(writer: StateWriter): void {
    writer.u32(this.#entries.size);
    for (const { address, windowStartMs, memory } of this.#entries.values()) {
      for (const word of address) writer.u32(word);
      writer.f64(windowStartMs);
      this.#codec.save(memory, writer);
    }
  }

  load(reader: StateReader): void {
    for (let left = reader.u32(); left > 0; left--) {
      const address = [reader.u32(), reader.u32(), reader.u32(), reader.u32()] as const;
      const windowStartMs = reader.f64();
      const memory = this.#codec.load(reader);
      const entry = { address, windowStartMs, memory, bytes: 0, interest: memoryInterest };
      this.#entries.set(keyOfAddress(address), entry);
      this.#measure(entry);
    }
  }

  #measure(entry: Memory<M>): void {
    const bytes = entryBytes + this.#codec.bytes(entry.memory);
    this.#bytes += bytes - entry.bytes;
    entry.bytes = bytes;
  }
}
