import type { D1Database } from "@cloudflare/workers-types";
import type { Owner } from "../security/tenant.ts";
import type { SealedAnomalyStore } from "./anomalies.ts";
import type { Databases } from "./databases.ts";

/** Every tenant's anomalies in the database of its jurisdiction. */
export function anomaliesByJurisdiction(
  databases: Databases,
  storeIn: (db: D1Database) => SealedAnomalyStore,
): SealedAnomalyStore {
  const stores = new Map<Owner["jurisdiction"], SealedAnomalyStore>();
  const storeOf = ({ jurisdiction }: Owner) => {
    const store = stores.get(jurisdiction) ?? storeIn(databases.of(jurisdiction));
    stores.set(jurisdiction, store);
    return store;
  };
  return {
    upsert: async (tenant, anomalies) => storeOf(tenant).upsert(tenant, anomalies),
    list: async (tenant, query) => storeOf(tenant).list(tenant, query),
    get: async (tenant, id) => storeOf(tenant).get(tenant, id),
    listSealed: async (tenant, query) => storeOf(tenant).listSealed(tenant, query),
    getSealed: async (tenant, id) => storeOf(tenant).getSealed(tenant, id),
    reseal: async (tenant, rowsMax) => storeOf(tenant).reseal(tenant, rowsMax),
  };
}
