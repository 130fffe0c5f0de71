import { createHash } from "node:crypto";
import type { KVNamespace, R2Bucket } from "@cloudflare/workers-types";
import type { Clock, Log } from "../config.ts";
import { TtlLru } from "./ttl-lru.ts";

/** In an isolate: entries, and how long one stays that nobody asks for, in ms. */
const memoryEntriesMax = 1_000;
const memoryTtlMs = 300_000;
/** An isolate has 128 MB for all there is; this holds both models, their shadows and what they replaced. */
const memoryBytesMax = 32 * 1024 * 1024;
/** How long KV has a value, in seconds: cron puts those in force again before that. */
const kvTtlS = 3_600;
/** After which another request may load what one has begun to, in ms: what a request does behind its answer ends by then. */
const loadMsMax = 30_000;
/** How long what could not be loaded is not asked for again, in ms. */
const failedMs = 5_000;

export interface ModelCacheParts<T> {
  kv: Pick<KVNamespace, "get" | "put">;
  bucket: Pick<R2Bucket, "get" | "put">;
  clock: Clock;
  log: Log;
  /** Keeps the isolate alive until the promise settles. */
  waitUntil(promise: Promise<unknown>): void;
  /** Of bytes whose hash was found right. */
  decode(bytes: Uint8Array<ArrayBuffer>): T;
}

/** How far a value is. */
export type Cached<T> = { value: T } | "warming_up" | "missing";

/** What was begun for a key: a load until `untilMs`, or a failure that is not asked about again until then. */
interface Attempt {
  state: "warming_up" | "missing";
  untilMs: number;
}

/**
 * Values by the SHA-256 of their bytes: in the isolate's memory, else in KV, else in R2, which has all of them.
 *
 * Nobody who scores waits for a load. The first who misses a value leads: the load goes on behind its answer
 * (`waitUntil`), while it and all others are told "warming_up". Bytes are held against their hash whenever they come
 * from outside; what differs is reported and not served, and a copy in KV is replaced by R2's.
 */
export class ModelCache<T> {
  readonly #parts: ModelCacheParts<T>;
  readonly #memory = new TtlLru<T>({
    entriesMax: memoryEntriesMax,
    bytesMax: memoryBytesMax,
    ttlMs: memoryTtlMs,
  });
  readonly #attempts = new Map<string, Attempt>();

  constructor(parts: ModelCacheParts<T>) {
    this.#parts = parts;
  }

  /** What is in memory; else begins to load it behind the request. */
  get(sha256: string): Cached<T> {
    const nowMs = this.#parts.clock.nowMs();
    const value = this.#memory.get(sha256, nowMs);
    if (value !== undefined) return { value };
    const attempt = this.#attempts.get(sha256);
    if (attempt && nowMs < attempt.untilMs) return attempt.state;
    this.#parts.waitUntil(this.load(sha256));
    return "warming_up";
  }

  /** For who cannot go on without it: memory, KV, R2. Undefined where none has it as its hash says. Never rejects. */
  async load(sha256: string): Promise<T | undefined> {
    const { clock } = this.#parts;
    const known = this.#memory.get(sha256, clock.nowMs());
    if (known !== undefined) return known;
    this.#begin(sha256, { state: "warming_up", untilMs: clock.nowMs() + loadMsMax });
    const fromKv = await this.#fetch("kv", sha256);
    const bytes = fromKv ?? (await this.#fetch("r2", sha256));
    const value = bytes && this.#decoded(sha256, bytes);
    if (!bytes || value === undefined) {
      this.#begin(sha256, { state: "missing", untilMs: clock.nowMs() + failedMs });
      return undefined;
    }
    this.#attempts.delete(sha256);
    this.#memory.set(sha256, value, bytes.length, clock.nowMs());
    if (!fromKv) await this.#putInKv(sha256, bytes);
    return value;
  }

  /** Puts R2's bytes into KV for another hour; answers whether R2 has them as their hash says. Never rejects. */
  async warm(sha256: string): Promise<boolean> {
    const bytes = await this.#fetch("r2", sha256);
    if (bytes) await this.#putInKv(sha256, bytes);
    return bytes !== undefined;
  }

  /** For good; answers their SHA-256. Rejects where R2 fails. */
  async store(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
    const sha256 = sha256Of(bytes);
    await this.#parts.bucket.put(keyOf(sha256), bytes);
    this.#attempts.delete(sha256);
    return sha256;
  }

  #begin(sha256: string, attempt: Attempt): void {
    const nowMs = this.#parts.clock.nowMs();
    for (const [key, { untilMs }] of this.#attempts) if (nowMs >= untilMs) this.#attempts.delete(key);
    this.#attempts.set(sha256, attempt);
  }

  #decoded(sha256: string, bytes: Uint8Array<ArrayBuffer>): T | undefined {
    try {
      return this.#parts.decode(bytes);
    } catch (error) {
      this.#parts.log({ level: "error", message: "model not readable", sha256, error: (error as Error).message });
      return undefined;
    }
  }

  /** Undefined where it is not there, cannot be read, or is not what its hash says. */
  async #fetch(from: "kv" | "r2", sha256: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { kv, bucket, log } = this.#parts;
    try {
      const found =
        from === "kv"
          ? await kv.get(keyOf(sha256), "arrayBuffer")
          : await (await bucket.get(keyOf(sha256)))?.arrayBuffer();
      if (!found) {
        if (from === "r2") log({ level: "error", message: "model missing", from, sha256 });
        return undefined;
      }
      const bytes = new Uint8Array(found);
      const actual = sha256Of(bytes);
      if (actual === sha256) return bytes;
      log({ level: "error", message: "model is not what its hash says", from, sha256, actual, bytes: bytes.length });
    } catch (error) {
      log({ level: "warn", message: "model not read", from, sha256, error: (error as Error).message });
    }
    return undefined;
  }

  /** What cannot be put there comes from R2 again. */
  async #putInKv(sha256: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    try {
      await this.#parts.kv.put(keyOf(sha256), bytes, { expirationTtl: kvTtlS });
    } catch (error) {
      this.#parts.log({ level: "warn", message: "model not cached", sha256, error: (error as Error).message });
    }
  }
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function keyOf(sha256: string): string {
  return `models/${sha256}`;
}
