import type { OnnxSession, OpenSession } from "../../wasm/onnx-session.ts";
import type { Log } from "../config.ts";
import type { ModelName, ModelPackage } from "./model.ts";

/** Sessions of one model: the version in force, and its shadow or the one that it replaces. */
const sessionsMax = 2;
/** Versions of which it is remembered that they did not open: more than anybody promotes while an isolate lives. */
const failedMax = 64;

export interface SessionsParts {
  log: Log;
  /** Keeps the isolate alive until the promise settles. */
  waitUntil(promise: Promise<unknown>): void;
  open: OpenSession;
}

/** One version in this isolate, or on its way. */
interface Entry {
  opening: Promise<OnnxSession>;
  session: OnnxSession | undefined;
  /** Calls that run. */
  users: number;
  /** Others took its place: it is released when nobody runs it. */
  isOver: boolean;
}

/**
 * The sessions of an isolate: one for each version, opened once, `sessionsMax` of a model at a time, those used last. What
 * is pushed out gives its memory back to the runtime, but not under a call that runs.
 */
export class Sessions {
  readonly #parts: SessionsParts;
  readonly #entries = new Map<ModelName, Map<string, Entry>>();
  /** Versions that did not open here the last time. */
  readonly #failed = new Set<string>();

  constructor(parts: SessionsParts) {
    this.#parts = parts;
  }

  /** Whether a call would find it open. */
  isOpen({ name, sha256 }: ModelPackage): boolean {
    return this.#entries.get(name)?.get(sha256)?.session !== undefined;
  }

  /** Whether it did not open the last time: who asks for it now waits, and sees why. */
  hasFailed({ sha256 }: ModelPackage): boolean {
    return this.#failed.has(sha256);
  }

  /** Opens it behind the request, unless somebody does already. `onError` hears of it where it does not open. */
  warm(pkg: ModelPackage, onError: (error: unknown) => void): void {
    if (!this.#entries.get(pkg.name)?.has(pkg.sha256)) this.#parts.waitUntil(this.#entry(pkg).opening.catch(onError));
  }

  /** Runs work on a session, which is opened if need be. Throws ModelInferenceError where it does not open. */
  async use<T>(pkg: ModelPackage, work: (session: OnnxSession) => Promise<T>): Promise<T> {
    const entry = this.#entry(pkg);
    entry.users++;
    try {
      return await work(entry.session ?? (await entry.opening));
    } finally {
      entry.users--;
      this.#releaseIfOver(entry);
    }
  }

  /** The one that is used last stands last. */
  #entry(pkg: ModelPackage): Entry {
    const { name, sha256 } = pkg;
    const entries = this.#entries.get(name) ?? new Map<string, Entry>();
    this.#entries.set(name, entries);
    const entry = entries.get(sha256) ?? this.#open(pkg, entries);
    entries.delete(sha256);
    entries.set(sha256, entry);
    if (entries.size > sessionsMax) {
      const [[oldest, over]] = entries;
      entries.delete(oldest);
      over.isOver = true;
      this.#releaseIfOver(over);
    }
    return entry;
  }

  #open({ sha256, onnx }: ModelPackage, entries: Map<string, Entry>): Entry {
    const entry: Entry = { opening: this.#parts.open(onnx), session: undefined, users: 0, isOver: false };
    const settle = async () => {
      try {
        entry.session = await entry.opening;
        this.#failed.delete(sha256);
        this.#releaseIfOver(entry);
      } catch {
        if (this.#failed.size >= failedMax) this.#failed.clear();
        this.#failed.add(sha256);
        if (entries.get(sha256) === entry) entries.delete(sha256);
      }
    };
    void settle();
    return entry;
  }

  #releaseIfOver({ session, users, isOver }: Entry): void {
    if (!isOver || users > 0 || !session) return;
    const { log } = this.#parts;
    const released = session.release();
    this.#parts.waitUntil(
      released.catch(({ message }: Error) => log({ level: "warn", message: "session not released", error: message })),
    );
  }
}
