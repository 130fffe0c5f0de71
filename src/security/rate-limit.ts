/** As the platform's binding: counts per location, over a period that its configuration names. */
export interface RateLimitBinding {
  limit(options: { key: string }): Promise<{ success: boolean }>;
}

export interface Rate {
  /** Tokens that come back. */
  perSecond: number;
  /** Tokens of a full bucket. */
  burst: number;
}

interface Bucket {
  tokens: number;
  filledAtMs: number;
}

/**
 * Token buckets of one isolate, by key, in a bounded map. A bucket that was pushed out starts full again: whoever has
 * that many keys gains a burst, and no memory.
 */
export class TokenBuckets {
  readonly #rate: Rate;
  readonly #keysMax: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: Rate, keysMax: number) {
    this.#rate = rate;
    this.#keysMax = keysMax;
  }

  /** Takes so many; 0, or else the ms after which they will be there, and then none were taken. */
  take(key: string, tokens: number, nowMs: number): number {
    const bucket = this.#filled(key, nowMs);
    if (bucket.tokens < tokens) return Math.ceil(((tokens - bucket.tokens) / this.#rate.perSecond) * 1000);
    bucket.tokens -= tokens;
    return 0;
  }

  /** Takes as many of them as there are. */
  drain(key: string, tokens: number, nowMs: number): void {
    const bucket = this.#filled(key, nowMs);
    bucket.tokens = Math.max(0, bucket.tokens - tokens);
  }

  get size(): number {
    return this.#buckets.size;
  }

  #filled(key: string, nowMs: number): Bucket {
    const { perSecond, burst } = this.#rate;
    const known = this.#buckets.get(key);
    const bucket = known ?? { tokens: burst, filledAtMs: nowMs };
    // A clock that steps back gives nothing.
    const passedMs = Math.max(0, nowMs - bucket.filledAtMs);
    bucket.tokens = Math.min(burst, bucket.tokens + (passedMs / 1000) * perSecond);
    bucket.filledAtMs = nowMs;
    // Last used, last pushed out.
    if (known) this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > this.#keysMax) this.#buckets.delete(this.#buckets.keys().next().value!);
    return bucket;
  }
}
