import type { TenantSettings } from "../security/tenant.ts";

/** What an isolate lets through at once of a tenant that was quiet, in s of its rate. */
const burstS = 10;
/** Tenants that an isolate remembers, 100 bytes each; who is forgotten starts with a full bucket. */
const tenantsMax = 10_000;

export interface QuotaExceeded {
  reason: "quota_exceeded";
  limit: { name: "flows_per_second"; value: number; unit: "records/s" };
  retryAfterS: number;
}

interface Bucket {
  /** Records that may come at once; less than none after a batch that is larger than the bucket. */
  tokens: number;
  filledAtMs: number;
}

/** Token buckets of an isolate: the records of each tenant, by the rate that it may have. */
export class Quotas {
  readonly #buckets = new Map<string, Bucket>();

  /** Takes so many, or none: then what to answer. A batch that is larger than the bucket wants it full, and owes the rest. */
  take(
    { id, limits }: Pick<TenantSettings, "id" | "limits">,
    records: number,
    nowMs: number,
  ): QuotaExceeded | undefined {
    const { flowsPerSecond: rate } = limits;
    if (rate === null) return undefined;
    const bucket = this.#filled(id, rate, nowMs);
    const missing = Math.min(records, rate * burstS) - bucket.tokens;
    if (missing <= 0) {
      bucket.tokens -= records;
      return undefined;
    }
    const limit = { name: "flows_per_second", value: rate, unit: "records/s" } as const;
    return { reason: "quota_exceeded", limit, retryAfterS: Math.ceil(missing / rate) };
  }

  #filled(tenant: string, rate: number, nowMs: number): Bucket {
    const known = this.#buckets.get(tenant);
    // A clock that steps back gives nothing, neither then nor when it comes forward again.
    const filledAtMs = Math.max(nowMs, known?.filledAtMs ?? nowMs);
    const passedS = (filledAtMs - (known?.filledAtMs ?? filledAtMs)) / 1000;
    const bucket = { tokens: Math.min(rate * burstS, (known?.tokens ?? Infinity) + passedS * rate), filledAtMs };
    // Last used, last pushed out.
    this.#buckets.delete(tenant);
    this.#buckets.set(tenant, bucket);
    if (this.#buckets.size > tenantsMax) this.#buckets.delete(this.#buckets.keys().next().value!);
    return bucket;
  }
}
