import type { EndRequest, EndResult } from "../core/shard/rpc.ts";
import type { PackedFacts } from "../core/slots/network-facts.ts";
import { mergedFacts } from "./facts-exchange.ts";
import { askModels } from "./ask-models.ts";
import type { Tenant } from "../security/tenant.ts";
import { callShard, isShardFailure, shardName, shardsOf, type ShardFailure, type ShardRef } from "./shard-call.ts";
import { storeVerdicts, type ProcessParts, type StoredVerdicts } from "./store-verdicts.ts";

/** How long to wait for D1, in ms: its own limit for a query. Nobody waits for this answer but who wants the verdicts. */
const storeWaitMs = 30_000;

/** Declares a tenant's input ended, and stores what its shards say at last. */
export async function endInput(
  parts: ProcessParts,
  tenant: Tenant,
): Promise<StoredVerdicts | ShardFailure | { reason: "storage_unavailable" }> {
  const receivedAtMs = parts.clock.nowMs();
  const shards = shardsOf(tenant);
  const facts = await factsOf(parts, shards);
  if (facts && isShardFailure(facts)) return facts;
  const configuration = await parts.configurations.inForce(tenant);
  const request = { receivedAtMs, facts, configuration };
  const results = await Promise.all(shards.map((shard) => endShard(parts, shard, request)));
  const ended: EndResult[] = [];
  for (const result of results) {
    if (isShardFailure(result)) return result;
    ended.push(result);
  }
  const verdicts = ended.map((result, index) => ({ shard: shards[index], verdicts: result.verdicts }));
  const decidedAtMs = Math.max(...ended.map((result) => result.decidedAtMs));
  const candidates = ended.flatMap((result) => result.candidates);
  const second = await askModels(parts, { candidates, verdicts, configuration });
  const told = await storeVerdicts(parts, { tenant, verdicts, decidedAtMs, second }, storeWaitMs);
  return told.stored ? told : { reason: "storage_unavailable" };
}

/** What all shards know of the network; nothing to be told where there is only one. */
async function factsOf(
  parts: ProcessParts,
  shards: readonly ShardRef[],
): Promise<PackedFacts | ShardFailure | undefined> {
  if (shards.length === 1) return undefined;
  const told = await Promise.all(shards.map((shard) => callShard(parts, () => parts.shardOf(shard).facts(true))));
  const all: PackedFacts[] = [];
  for (const one of told) {
    if (isShardFailure(one)) return one;
    all.push(one.facts);
  }
  return mergedFacts(all);
}

async function endShard(
  parts: ProcessParts,
  shard: ShardRef,
  request: Omit<EndRequest, "acknowledged">,
): Promise<EndResult | ShardFailure> {
  const name = shardName(shard);
  const acknowledged = parts.acknowledgements.take(name);
  const result = await callShard(parts, () => parts.shardOf(shard).end({ ...request, acknowledged }));
  if (isShardFailure(result)) parts.acknowledgements.add(name, acknowledged);
  return result;
}
