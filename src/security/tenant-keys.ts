import { hkdfSync } from "node:crypto";
import type { HashKey } from "../core/flow/keyed-hash.ts";
import { blindIndex, type BlindIndex } from "./blind-index.ts";
import { aesSeal, type DataKey, type Seal } from "./seal.ts";

/** What is sealed apart: an anomaly's entity, its peers, what tells of both; and what shards keep. */
export const sealFamilies = ["source_ip", "destination_ip", "evidence", "state"] as const;
type SealFamily = (typeof sealFamilies)[number];

/** Families whose keys are replaced by newer ones, all at once: they have the same versions. */
export const rotatedFamilies = [...sealFamilies, "index"] as const;
/** `identity` is for good: with another one, the same verdict would have another id. */
export type KeyFamily = (typeof rotatedFamilies)[number] | "identity";

/** What a tenant's secrets are for; each purpose has a key of its own. */
export interface TenantKeys {
  readonly seals: { readonly [family in SealFamily]: Seal };
  readonly index: BlindIndex;
  /** For the ids of anomalies: 32 bytes. */
  readonly anomalyId: Uint8Array;
  /** For samples and slots. */
  readonly entityHash: HashKey;
}

/** 32 bytes for the ids of anomalies, 8 for samples and slots. */
export const identityBytes = 40;

/** The keys of a tenant from those that it has of each family: of `identity` one, of the others at least one. */
export function keysFrom(dataKeys: (family: KeyFamily) => readonly DataKey[]): TenantKeys {
  const [{ key: identity }] = dataKeys("identity");
  const words = new DataView(identity.buffer, identity.byteOffset, identityBytes);
  const sealOf = (family: SealFamily) => aesSeal(dataKeys(family));
  return {
    seals: {
      source_ip: sealOf("source_ip"),
      destination_ip: sealOf("destination_ip"),
      evidence: sealOf("evidence"),
      state: sealOf("state"),
    },
    index: blindIndex(dataKeys("index")),
    anomalyId: identity.subarray(0, 32),
    entityHash: [words.getUint32(32), words.getUint32(36)],
  };
}

/** Keys that follow from the master key alone, for what has no database: HKDF-SHA256 (RFC 5869), an `info` for each. */
export function tenantKeys(masterKey: Uint8Array, tenant: string): TenantKeys {
  return keysFrom((family) => {
    if (family === "identity") return [{ version: 1, key: derivedIdentity(masterKey, tenant) }];
    return [{ version: 1, key: derive(masterKey, family, tenant, 32) }];
  });
}

/** The identity that goes with these keys. */
export function derivedIdentity(masterKey: Uint8Array, tenant: string): Uint8Array {
  const [anomalyId, entityHash] = [["anomaly-id", 32] as const, ["entity-hash", 8] as const].map(([purpose, bytes]) =>
    derive(masterKey, purpose, tenant, bytes),
  );
  return new Uint8Array([...anomalyId, ...entityHash]);
}

function derive(masterKey: Uint8Array, purpose: string, tenant: string, bytes: number): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", masterKey, "weir/1", `${purpose}/${tenant}`, bytes));
}
