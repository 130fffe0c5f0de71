import type { ApplyRequest, ApplyResult, EndRequest, EndResult, ShardGauges } from "../src/core/shard/rpc.ts";
import type { PackedFacts } from "../src/core/slots/network-facts.ts";

/** What the Worker asks of an EntityShard; the object implements it, tests may replace it. */
export interface EntityShardRpc {
  /** Durable once it answers. May be repeated. */
  apply(request: ApplyRequest): Promise<ApplyResult>;
  /** Declares the input ended: every open window closes, every verdict becomes final or is withdrawn. */
  end(request: EndRequest): Promise<EndResult>;
  /** What it knows of the tenant's network; that of open windows only if `everything` is asked for. */
  facts(everything: boolean): Promise<{ facts: PackedFacts }>;
  gauges(): Promise<ShardGauges>;
}

/** What keys were rotated for. */
export interface ResealedBlobs {
  /** Of the key that seals from now on. */
  version: number;
  resealed: number;
  /** Blobs that do not open, and did not before. */
  unreadable: number;
  left: number;
}

/** What is asked of it when keys change. Both may be repeated. */
export interface ShardKeysRpc {
  /** Goes by the tenant's newest keys from now on, and seals a part of what it holds anew. */
  reseal(): Promise<ResealedBlobs>;
  /** Deletes all that it holds, where the tenant's keys were destroyed; else it throws. */
  destroy(): Promise<void>;
}
