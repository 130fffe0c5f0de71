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
