import type { AuditRow, Break, ChainHead } from "../security/audit-chain.ts";
import type { Audit } from "../security/audit.ts";

/** Which rows of a chain. */
export interface AuditQuery {
  /** Those behind this sequence, oldest first… */
  after?: number | undefined;
  /** …or else those before this one, newest first. */
  before?: number | undefined;
  action?: string | undefined;
  actor?: string | undefined;
  limit: number;
}

/** What became of checking a part of a chain. */
export interface CheckedPart {
  /** The first row that is not what was written. */
  broken: Break | undefined;
  /** Rows that were checked. */
  checked: number;
  /** The last of them; what the next part has to come after, if `hasMore`. */
  last: number;
  hasMore: boolean;
  head: ChainHead;
}

/** The chains of all tenants, to write and to read. Reading throws StorageError where database or object fails. */
export interface AuditLog extends Audit {
  list(tenant: string, query: AuditQuery): Promise<{ rows: AuditRow[]; hasMore: boolean }>;
  /** Checks the rows behind `after`, of which what lies before was checked already, and the end against the head. */
  verify(tenant: string, after: number, limit: number): Promise<CheckedPart>;
}
