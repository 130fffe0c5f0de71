import type { Anomaly, Severity, Threat } from "../core/verdict.ts";
import type { Owner } from "../security/tenant.ts";

/** An anomaly as it lies in D1. */
export interface StoredAnomaly extends Anomaly {
  /** Rises with each write of the tenant: what followers and cursors go by. */
  storedRevision: number;
  storedAtMs: number;
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
  /** Tells whether an entity is asked for; undefined: all are. */
  matchesEntity?: ((entity: string) => boolean) | undefined;
  /** Over the end of the window, half open. */
  sinceMs: number;
  untilMs: number;
  order: "newest_first" | "oldest_first";
  /** Go on behind this one. */
  behind?: Position | undefined;
  limit: number;
}

export interface AnomalyPage {
  anomalies: StoredAnomaly[];
  /** Where the next page begins; undefined on the last. */
  next: Position | undefined;
}

/** The verdicts of all tenants. Every method throws StorageError where the database fails. */
export interface AnomalyStore {
  /** Writes each anomaly unless its row already has the same revision or a higher one. */
  upsert(tenant: Owner, anomalies: readonly Anomaly[]): Promise<void>;
  list(tenant: Owner, query: AnomalyQuery): Promise<AnomalyPage>;
  get(tenant: Owner, id: string): Promise<StoredAnomaly | undefined>;
}
