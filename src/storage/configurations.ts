import type { Choice } from "../core/detectors/configuration.ts";

/** A tenant's choice as it lies in D1. */
export interface StoredConfiguration extends Choice {
  /** From 1 on, without gaps. */
  version: number;
  createdAtMs: number;
  /** Id of the key that chose it. */
  createdBy: string;
}

/** Who chooses, for the version and for the audit log. */
export interface Author {
  kid: string;
  requestId?: string | undefined;
}

/** The choices of all tenants. Every method throws StorageError where the database fails. */
export interface ConfigurationStore {
  /** Newest first, at most so many. */
  list(tenant: string, limit: number): Promise<StoredConfiguration[]>;
  /** Adds the version that follows `version`; undefined, and nothing added, where that is not the latest. */
  add(tenant: string, version: number, choice: Choice, author: Author): Promise<StoredConfiguration | undefined>;
}
