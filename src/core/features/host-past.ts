import type { MemoryCodec } from "../slots/entity-memory.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { featureCount, windowsKept, type Vector } from "./features.ts";

/** Services outside that are remembered of a host, 12 bytes each: those that it called last. */
const servicesRemembered = 64;
/** Hash, windows in which it was called, number of the last of them. */
const serviceWords = 3;

/** In V8's heap, in bytes: of a memory without its windows and services. Measured. */
const emptyBytes = 480;

/**
 * What a host did in its earlier windows: their vectors, and which services outside it called in how many of them. Arrays are
 * made anew by each window that it learns, and never written over: views of them stay what they were.
 */
export class HostPast {
  /** Number of the last window since 1970; −1 before the first. */
  last = -1;
  #levels: Vector = new Uint8Array();
  #services = new Uint32Array();

  /** Views of the vectors, the oldest first. */
  get vectors(): Vector[] {
    return Array.from({ length: this.windows }, (_, i) =>
      this.#levels.subarray(i * featureCount, (i + 1) * featureCount),
    );
  }

  get windows(): number {
    return this.#levels.length / featureCount;
  }

  /** Earlier windows in which the service (by hash) was called, as far as is remembered. */
  windowsOf(service: number): number {
    const at = this.#find(service);
    return at < 0 ? 0 : this.#services[at + 1];
  }

  learn(window: number, vector: Vector, services: Iterable<number>): void {
    this.last = window;
    const kept = this.#levels.subarray(this.windows < windowsKept ? 0 : featureCount);
    const levels = new Uint8Array(kept.length + featureCount);
    levels.set(kept);
    levels.set(vector, kept.length);
    this.#levels = levels;
    const known = new Map<number, number[]>();
    for (let at = 0; at < this.#services.length; at += serviceWords) {
      const [hash, windows, last] = this.#services.subarray(at, at + serviceWords);
      known.set(hash, [hash, windows, last]);
    }
    for (const hash of services) known.set(hash, [hash, this.windowsOf(hash) + 1, window]);
    const latest = [...known.values()].sort(([h, , a], [g, , b]) => b - a || g - h).slice(0, servicesRemembered);
    this.#services = Uint32Array.from(latest.flat());
  }

  static readonly codec: MemoryCodec<HostPast> = {
    create: () => new HostPast(),
    save: (past, writer) => past.#save(writer),
    load: (reader) => HostPast.#load(reader),
    bytes: (past) => emptyBytes + past.#levels.byteLength + past.#services.byteLength,
  };

  #find(service: number): number {
    for (let at = 0; at < this.#services.length; at += serviceWords) if (this.#services[at] === service) return at;
    return -1;
  }

  #save(writer: StateWriter): void {
    writer.f64(this.last);
    writer.block((block) => block.append(this.#levels));
    writer.words([...this.#services]);
  }

  static #load(reader: StateReader): HostPast {
    const past = new HostPast();
    past.last = reader.f64();
    past.#levels = Uint8Array.from(reader.block());
    past.#services = Uint32Array.from(reader.words());
    return past;
  }
}
