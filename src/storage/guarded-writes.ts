import type { Breakers } from "../inference/breaker.ts";
import type { SealedAnomalyStore } from "./anomalies.ts";
import { StorageError } from "./d1.ts";

/**
 * The same store, but that D1 is not asked to write while its circuit breaker is open: nobody waits for what will fail.
 * Shards keep what is not stored, and write it later. Who reads is told what D1 says. @throws StorageError likewise
 */
export function guardedWrites(store: SealedAnomalyStore, breakers: Breakers): SealedAnomalyStore {
  return {
    ...store,
    async upsert(tenant, anomalies) {
      const breaker = breakers.of(tenant.jurisdiction === null ? "d1" : `d1/${tenant.jurisdiction}`);
      const written = await breaker.call(() => store.upsert(tenant, anomalies), isStorageError);
      if (!written.ran) throw new StorageError("not asked: its circuit breaker is open");
    },
  };
}

function isStorageError(error: unknown): boolean {
  return error instanceof StorageError;
}
