import type { NetworkMatcher } from "../core/flow/networks.ts";
import type { TenantKeys } from "./tenant-keys.ts";

/** Where a tenant's objects and rows must stay. */
export const jurisdictions = ["eu", "us", "fedramp"] as const;
export type Jurisdiction = (typeof jurisdictions)[number];

/** The tenant of the platform itself: that of operators, and of what belongs to no other. No tenant can be called so. */
export const platformTenant = "-";

/** What a tenant may use at most; null: no bound but those of the platform. */
interface TenantLimits {
  /** Records a second, in each isolate, over ten seconds. */
  readonly flowsPerSecond: number | null;
  readonly recordsPerBatch: number | null;
}

/** From where a tenant's keys may be used; null: no such list. */
export interface ClientNetworks {
  readonly allow: NetworkMatcher | null;
  readonly deny: NetworkMatcher | null;
}

/** Whose rows and objects something is, and what seals them. */
export interface Owner {
  readonly id: string;
  /** Null: anywhere. */
  readonly jurisdiction: Jurisdiction | null;
  readonly keys: TenantKeys;
}

/** What an operator has set for a tenant. */
export interface TenantSettings extends Omit<Owner, "keys"> {
  /** Whether an address is one of the tenant's own. */
  readonly isInternal: NetworkMatcher;
  /** Objects that share the tenant's entities. */
  readonly shards: number;
  /** Of the settings that verdicts depend on, networks and allowance: 16 hex digits. */
  readonly settingsDigest: string;
  readonly limits: TenantLimits;
  readonly networks: ClientNetworks;
}

/** A tenant as a request finds it: known, and with its keys at hand. */
export interface Tenant extends TenantSettings, Owner {}
