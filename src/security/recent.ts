import type { Clock, Log } from "../config.ts";
import { StorageError } from "../storage/d1.ts";

/** How long an isolate goes by what it read, in ms: with the time a batch takes, a change is in force within 10 s. */
const freshMs = 5_000;
/** How long it goes by it while D1 fails, in ms: an outage stops nobody at once, and lets no revoked key live on. */
const lastKnownMs = 5 * 60_000;
/** How long a request waits for D1 where something is known, in ms. */
const waitMsMax = 1_000;

export interface RecentParts<T> {
  clock: Clock;
  log: Log;
  waitUntil(promise: Promise<unknown>): void;
  /** @throws StorageError */
  read(id: string): Promise<T | undefined>;
  /** Of each kind: what is there, and what is not. */
  entriesMax: number;
}

interface Known<T> {
  value: T | undefined;
  /** When it was asked for. */
  readonly askedAtMs: number;
  /** When D1 is asked again; where it did not answer in time, later than it would be. */
  askAgainAtMs: number;
}

/** Rows by id, as they were read within seconds. What is not there is remembered apart: asking for it drives out nothing. */
export class Recent<T> {
  readonly #parts: RecentParts<T>;
  readonly #there = new Map<string, Known<T>>();
  readonly #missing = new Map<string, Known<T>>();
  /** Rises with `forget`: what was asked for before it is not remembered. */
  #generation = 0;

  constructor(parts: RecentParts<T>) {
    this.#parts = parts;
  }

  /** Requests ask for themselves: none can wait for another one's I/O. @throws StorageError where nothing is known. */
  async get(id: string): Promise<T | undefined> {
    const { clock } = this.#parts;
    const nowMs = clock.nowMs();
    const known = this.#there.get(id) ?? this.#missing.get(id);
    const reading = () => this.#read(id, nowMs);
    if (!known || nowMs < known.askedAtMs || nowMs >= known.askedAtMs + lastKnownMs) return reading();
    if (nowMs < known.askAgainAtMs) return known.value;
    const asking = reading().catch((error: Error) => this.#lastKnown(known, error));
    this.#parts.waitUntil(asking);
    return Promise.race([asking, clock.wait(waitMsMax).then(() => this.#later(known))]);
  }

  forget(): void {
    this.#generation++;
    this.#there.clear();
    this.#missing.clear();
  }

  async #read(id: string, askedAtMs: number): Promise<T | undefined> {
    const generation = this.#generation;
    const value = await this.#parts.read(id);
    const before = this.#there.get(id) ?? this.#missing.get(id);
    if (generation !== this.#generation || (before && before.askedAtMs > askedAtMs)) return value;
    this.#there.delete(id);
    this.#missing.delete(id);
    const entries = value === undefined ? this.#missing : this.#there;
    entries.set(id, { value, askedAtMs, askAgainAtMs: askedAtMs + freshMs });
    if (entries.size > this.#parts.entriesMax) entries.delete(entries.keys().next().value!);
    return value;
  }

  #lastKnown(known: Known<T>, error: Error): T | undefined {
    if (!(error instanceof StorageError)) throw error;
    this.#parts.log({ level: "warn", message: "directory not read: the last known is in force", error: error.message });
    return this.#later(known);
  }

  /** What is known, without asking again for a while. */
  #later(known: Known<T>): T | undefined {
    known.askAgainAtMs = Math.max(known.askAgainAtMs, this.#parts.clock.nowMs() + freshMs);
    return known.value;
  }
}
