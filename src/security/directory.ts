import type { Clock, Log } from "../config.ts";
import type { ApiKey } from "./api-key.ts";
import { Recent } from "./recent.ts";
import type { TenantSettings } from "./tenant.ts";

/** Who is known: the tenants and keys of the environment, then those in D1. */
export interface Directory {
  /** Undefined also for a tenant that was destroyed. @throws StorageError where D1 fails and nothing is known of it. */
  tenantOf(id: string): Promise<TenantSettings | undefined>;
  /** Whatever became of it: `isGood` tells. @throws StorageError likewise. */
  keyOf(kid: string): Promise<ApiKey | undefined>;
  /** This isolate wrote: what is remembered may be old. */
  changed(): void;
}

/** What a directory needs of D1. Both throw StorageError. */
export interface DirectoryReader {
  tenant(id: string): Promise<TenantSettings | undefined>;
  key(kid: string): Promise<ApiKey | undefined>;
}

export interface DirectoryParts {
  /** They come first. */
  environment: { apiKeys: ReadonlyMap<string, ApiKey>; tenants: ReadonlyMap<string, TenantSettings> };
  reader: DirectoryReader;
  clock: Clock;
  log: Log;
  /** Keeps the isolate alive until the promise settles. */
  waitUntil(promise: Promise<unknown>): void;
}

/** Keys and tenants that an isolate remembers, 1 KiB each; and as many that it knows not to be there. */
const rememberedMax = 10_000;

/** The directory of an isolate: what D1 said in the last seconds, and while it fails, what it said in the last minutes. */
export function directoryOf({ environment, reader, ...parts }: DirectoryParts): Directory {
  const options = { ...parts, entriesMax: rememberedMax };
  const tenants = new Recent<TenantSettings>({ ...options, read: (id) => reader.tenant(id) });
  const keys = new Recent<ApiKey>({ ...options, read: (kid) => reader.key(kid) });
  return {
    tenantOf: async (id) => environment.tenants.get(id) ?? tenants.get(id),
    keyOf: async (kid) => environment.apiKeys.get(kid) ?? keys.get(kid),
    changed() {
      tenants.forget();
      keys.forget();
    },
  };
}
