import type { ApplyRequest } from "../core/shard/rpc.ts";
import { NetworkFacts, type PackedFacts } from "../core/slots/network-facts.ts";
import type { ShardRef } from "./shard-call.ts";

/** Tenants whose facts an isolate carries from shard to shard, up to 800 KB each: those it heard of last. */
const tenantsMax = 32;

interface TenantFacts {
  merged: NetworkFacts;
  /** By shard: the revision of its facts that is merged, and the revision of the merged ones that it was given. */
  heard: Map<number, number>;
  given: Map<number, number>;
}

/**
 * Carries what shards know of a tenant's network from one to the others, on the way of batches. Only tenants with several
 * shards need it; what one isolate does not carry, another one will.
 */
export class FactsExchange {
  readonly #tenants = new Map<string, TenantFacts>();

  /** What the shard has not been given yet. */
  newsFor(shard: ShardRef): Pick<ApplyRequest, "facts"> {
    const facts = this.#tenants.get(shard.tenant);
    if (!facts || facts.merged.revision === (facts.given.get(shard.index) ?? 0)) return {};
    facts.given.set(shard.index, facts.merged.revision);
    return { facts: facts.merged.packed() };
  }

  /** The shard did not take the news. */
  lost(shard: ShardRef): void {
    this.#tenants.get(shard.tenant)?.given.delete(shard.index);
  }

  /** Whether the shard knows something that is not merged yet. */
  hasNews({ tenant, index }: ShardRef, revision: number): boolean {
    return this.#tenants.get(tenant)?.heard.get(index) !== revision;
  }

  hear({ tenant, index }: ShardRef, revision: number, facts: PackedFacts): void {
    const known = this.#tenants.get(tenant) ?? { merged: new NetworkFacts(), heard: new Map(), given: new Map() };
    this.#tenants.delete(tenant);
    this.#tenants.set(tenant, known);
    if (this.#tenants.size > tenantsMax) this.#tenants.delete([...this.#tenants.keys()][0]);
    known.heard.set(index, revision);
    known.merged.merge(NetworkFacts.unpacked(facts));
  }
}

/** What several shards know, as one. */
export function mergedFacts(all: readonly PackedFacts[]): PackedFacts {
  const merged = new NetworkFacts();
  for (const facts of all) merged.merge(NetworkFacts.unpacked(facts));
  return merged.packed();
}
