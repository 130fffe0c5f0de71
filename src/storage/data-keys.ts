import type { AuditEvent } from "../security/audit.ts";
import type { WrappedKey } from "../security/key-provider.ts";
import type { TenantSettings } from "../security/tenant.ts";

/** Whose keys. */
export type KeyOwner = Pick<TenantSettings, "id" | "jurisdiction">;

/** A data key as it lies in D1. */
export interface StoredDataKey extends WrappedKey {
  readonly family: string;
  readonly version: number;
  readonly createdAtMs: number;
}

/** The wrapped keys of all tenants. Every method throws StorageError where the database fails. */
export interface DataKeyStore {
  /** None for whom there never were any; undefined where they were destroyed. */
  read(owner: KeyOwner): Promise<StoredDataKey[] | undefined>;
  /** Adds those that are not there, unless all were destroyed; answers what is there then. With its event, if any. */
  add(owner: KeyOwner, keys: readonly StoredDataKey[], event?: AuditEvent): Promise<StoredDataKey[] | undefined>;
  /** Keys of any tenant, at most so many, that another key-encryption key has wrapped, and how many there are. */
  wrappedByOthers(
    kekId: string,
    limit: number,
  ): Promise<{ keys: (StoredDataKey & { tenant: string })[]; count: number }>;
  /** Puts another wrapping of the same key in the place of this one. */
  rewrap(tenant: string, before: StoredDataKey, after: WrappedKey): Promise<void>;
  /** Removes rotated keys below a version. */
  retire(owner: KeyOwner, version: number, event: AuditEvent): Promise<void>;
  /** Removes all keys, for good: nothing that they sealed opens any more, and no others are made. */
  destroy(owner: KeyOwner): Promise<void>;
}
