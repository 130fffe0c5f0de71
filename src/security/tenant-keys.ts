import { hkdfSync } from "node:crypto";
import type { HashKey } from "../core/flow/keyed-hash.ts";
import { aesSeal, type Seal } from "./seal.ts";

/** What a tenant's secrets are for; each purpose has a key of its own. */
export interface TenantKeys {
  /** Around everything stored. */
  readonly seal: Seal;
  /** For the ids of anomalies: 32 bytes. */
  readonly anomalyId: Uint8Array;
  /** For samples and slots. */
  readonly entityHash: HashKey;
}

/** The keys of one tenant: HKDF-SHA256 (RFC 5869) of the master key, one `info` per purpose and tenant. */
export function tenantKeys(masterKey: Uint8Array, tenant: string): TenantKeys {
  const words = new DataView(derive(masterKey, "entity-hash", tenant, 8));
  return {
    seal: aesSeal(new Uint8Array(derive(masterKey, "seal", tenant, 32))),
    anomalyId: new Uint8Array(derive(masterKey, "anomaly-id", tenant, 32)),
    entityHash: [words.getUint32(0), words.getUint32(4)],
  };
}

/** `tenantKeys`, remembered: as many entries as the configuration has tenants. */
export function keyring(masterKey: Uint8Array): (tenant: string) => Promise<TenantKeys> {
  const known = new Map<string, TenantKeys>();
  return async (tenant) => {
    const keys = known.get(tenant) ?? tenantKeys(masterKey, tenant);
    known.set(tenant, keys);
    return keys;
  };
}

function derive(masterKey: Uint8Array, purpose: string, tenant: string, bytes: number): ArrayBuffer {
  return hkdfSync("sha256", masterKey, "weir/1", `${purpose}/${tenant}`, bytes);
}
