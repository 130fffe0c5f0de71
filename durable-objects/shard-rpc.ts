import type { Contacts } from "../src/core/flow/contacts.ts";
import type { Verdict } from "../src/core/verdict.ts";

/** One batch for one shard. */
export interface ApplyRequest {
  /** Names the batch: 64 hex digits, over tenant, principal and the shipper's own id or the decoded body. */
  batchKey: string;
  /** SHA-256 of the decoded body in hex: the same key with another body is a conflict. */
  bodyDigest: string;
  contacts: Contacts;
  receivedAtMs: number;
}

export type ApplyResult =
  | {
      status: "applied";
      /** Records whose end lay further than the allowance below their source slot's watermark; not learnt. */
      late: number;
      /** New revisions since the last call. */
      verdicts: Verdict[];
      decidedAtMs: number;
    }
  /** The batch was applied before: nothing changed. */
  | { status: "duplicate" }
  /** The key was used for another body: nothing changed. */
  | { status: "conflict" };

export interface EndResult {
  verdicts: Verdict[];
  decidedAtMs: number;
}

/** What the Worker asks of an EntityShard; the object implements it, tests may replace it. */
export interface EntityShardRpc {
  apply(request: ApplyRequest): Promise<ApplyResult>;
  /** Declares the input ended: every open window closes, every verdict becomes final or is withdrawn. */
  end(): Promise<EndResult>;
}
