import type { MemoryCodec } from "../slots/entity-memory.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { featureCount, windowsKept, type Vector } from "./features.ts";

/** Services outside that are remembered of a host, 72 bytes each: those that it called last. */
const servicesRemembered = 64;
/** Hash, windows in which it was called, number of the last of them. */
const serviceWords = 3;

/** In V8's heap, in bytes: of a memory without its windows and services. Measured. */
const emptyBytes = 420;
const serviceBytes = 72;
const vectorBytes = 120;

/** What a host did in its earlier windows: their vectors, and which services outside it called in how many of them. */
export class HostPast {
  /** Number of the last window since 1970; −1 before the first. */
  last = -1;
  #vectors: Vector[] = [];
  #services = new Map<number, { windows: number; last: number }>();

  /** The oldest first. */
  get vectors(): readonly Vector[] {
    return this.#vectors;
  }

  /** Earlier windows in which the service (by hash) was called, as far as is remembered. */
  windowsOf(service: number): number {
    return this.#services.get(service)?.windows ?? 0;
  }

  learn(window: number, vector: Vector, services: Iterable<number>): void {
    this.last = window;
    this.#vectors.push(vector);
    if (this.#vectors.length > windowsKept) this.#vectors.shift();
    for (const hash of services) {
      this.#services.set(hash, { windows: this.windowsOf(hash) + 1, last: window });
    }
    const excess = this.#services.size - servicesRemembered;
    if (excess <= 0) return;
    const oldest = [...this.#services].sort(([h, a], [g, b]) => a.last - b.last || h - g).slice(0, excess);
    for (const [hash] of oldest) this.#services.delete(hash);
  }

  static readonly codec: MemoryCodec<HostPast> = {
    create: () => new HostPast(),
    save: (past, writer) => past.#save(writer),
    load: (reader) => HostPast.#load(reader),
    bytes: (past) => emptyBytes + vectorBytes * past.#vectors.length + serviceBytes * past.#services.size,
  };

  #save(writer: StateWriter): void {
    writer.f64(this.last);
    writer.u8(this.#vectors.length);
    for (const vector of this.#vectors) writer.append(vector);
    writer.words([...this.#services].flatMap(([hash, { windows, last }]) => [hash, windows, last]));
  }

  static #load(reader: StateReader): HostPast {
    const past = new HostPast();
    past.last = reader.f64();
    for (let left = reader.u8(); left > 0; left--) {
      past.#vectors.push(Uint8Array.from({ length: featureCount }, () => reader.u8()));
    }
    const words = reader.words();
    for (let i = 0; i < words.length; i += serviceWords) {
      past.#services.set(words[i], { windows: words[i + 1], last: words[i + 2] });
    }
    return past;
  }
}
