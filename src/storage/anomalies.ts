import type { Anomaly, Severity, Threat } from "../core/verdict.ts";
import type { Prefix } from "../security/prefix.ts";
import type { Owner } from "../security/tenant.ts";

/** An anomaly as it lies in D1. */
export interface StoredAnomaly extends Anomaly {
  /** Rises with each write of the tenant: what followers and cursors go by. */
  storedRevision: number;
  storedAtMs: number;
}

/** What of an anomaly names addresses, or could. */
export type SealedMember = "entity" | "peers" | "peerCount" | "summary" | "techniques" | "evidence" | "models";

/** A value as it was sealed, for whoever has the key. */
export interface Ciphertext {
  ciphertext: Uint8Array;
  nonce: Uint8Array;
  tag: Uint8Array;
}

/** An anomaly that nobody has opened. */
export interface SealedAnomaly extends Omit<StoredAnomaly, SealedMember> {
  entity: Ciphertext;
  peers: Ciphertext;
  /** Of `peerCount`, `summary`, `techniques`, `evidence` and `models`. */
  evidence: Ciphertext;
  keyVersion: number;
  sealedAtMs: number;
}

/** A place in the order of (stored revision, id). */
export interface Position {
  storedRevision: number;
  id: string;
}

export interface AnomalyQuery {
  /** Any of these; empty: all. */
  threats: readonly Threat[];
  severityMin: Severity;
  /** Networks in which the entity, or any peer, has to lie. */
  entity?: Prefix | undefined;
  peer?: Prefix | undefined;
  /** Over the end of the window, half open. */
  sinceMs: number;
  untilMs: number;
  order: "newest_first" | "oldest_first";
  /** Go on behind this one. */
  behind?: Position | undefined;
  limit: number;
}

export interface AnomalyPage<T = StoredAnomaly> {
  anomalies: T[];
  /** Where the next page begins; undefined on the last. */
  next: Position | undefined;
}

/** More rows would have to be opened than one request may open. */
export class SearchTooBroad extends Error {
  override readonly name = "SearchTooBroad";
  readonly rowsMax: number;

  constructor(rowsMax: number) {
    super(`a search that would open more than ${rowsMax} rows`);
    this.rowsMax = rowsMax;
  }
}

/**
 * The verdicts of all tenants. Every method throws StorageError where the database fails, and UnknownKeyVersion where
 * keys were rotated since the tenant's were read.
 */
export interface AnomalyStore {
  /** Writes each anomaly unless its row already has the same revision or a higher one. */
  upsert(tenant: Owner, anomalies: readonly Anomaly[]): Promise<void>;
  /** @throws SearchTooBroad */
  list(tenant: Owner, query: AnomalyQuery): Promise<AnomalyPage>;
  get(tenant: Owner, id: string): Promise<StoredAnomaly | undefined>;
}

/** What keys were rotated for. */
export interface ResealedRows {
  resealed: number;
  /** Rows that could not be opened before, and cannot be now. */
  unreadable: number;
  left: number;
}

/** The same, as they lie there. */
export interface SealedAnomalyStore extends AnomalyStore {
  /** @throws SearchTooBroad */
  listSealed(tenant: Owner, query: AnomalyQuery): Promise<AnomalyPage<SealedAnomaly>>;
  getSealed(tenant: Owner, id: string): Promise<SealedAnomaly | undefined>;
  /** Seals rows, at most so many, with the newest of the tenant's keys. May be repeated until none is left. */
  reseal(tenant: Owner, rowsMax: number): Promise<ResealedRows>;
}
