import type { ChainHead, Link } from "../src/security/audit-chain.ts";

/** A row as its writer tells of it. */
export interface ToldRow extends Link {
  /** Hash of the row before. */
  previous: string;
}

/** What the Worker asks of an AuditHead; the object implements it, tests may replace it. All of it may be repeated. */
export interface AuditHeadRpc {
  /** Before rows are written: they follow one another, and the first follows a row that lies in D1. */
  announce(rows: readonly ToldRow[]): Promise<void>;
  /** After they were written. */
  confirm(rows: readonly ToldRow[]): Promise<void>;
  head(): Promise<ChainHead>;
}
