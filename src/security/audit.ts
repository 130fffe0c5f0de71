import { createHmac, hkdfSync } from "node:crypto";
import type { D1PreparedStatement, D1Result } from "@cloudflare/workers-types";

/** Facts of an event: never an address of a flow, never a secret; of a client's address only its `clientHasher`. */
export type AuditDetail = Record<string, string | number | boolean | null>;

/** Something that happened at the doors of a tenant, or to what stands behind them. */
export interface AuditEvent {
  /** Dotted words, as in `config.replace`; the list stands in `docs/security.md`. */
  action: string;
  /** Id of the key that did it; "-" where none is known. */
  actor: string;
  outcome: "success" | "failure";
  detail?: AuditDetail | undefined;
  requestId?: string | undefined;
}

/** The tenant whose chain tells of what belongs to no tenant: unknown keys, tenants that come and go. */
export const noTenant = "-";

/** Writes the chains of all tenants. */
export interface Audit {
  /**
   * Appends a row at once and resolves when it is stored. Never rejects: what cannot be stored is logged, kept, and
   * tried again with the next row of the tenant. Failures beyond so many a minute are counted instead.
   */
  record(tenant: string, event: AuditEvent): Promise<void>;
  /** Adds to the row of this minute for (tenant, action, actor, outcome): what machines do by the thousand. */
  count(tenant: string, event: AuditEvent, times?: number): void;
  /**
   * A change and its row, both or neither, in one D1 transaction; answers the results of the statements.
   *
   * The first statement is the change: where it changes no row of its table (a lost compare-and-set, a conflict that
   * does nothing), nothing is recorded. Without statements, the change is one that has happened elsewhere, and the row is
   * recorded all the same. All of it may run twice, where an answer got lost: the second time has to be
   * harmless, and to answer what the caller judges by.
   * @throws StorageError Neither was done, as far as is known.
   */
  withChange(tenant: string, event: AuditEvent, statements: () => D1PreparedStatement[]): Promise<D1Result[]>;
}

/** Bytes of a client's hash: two clients in 10^9 share one by chance of 3 %. */
const clientHashBytes = 8;

/**
 * Tells clients apart in a chain without naming them: 16 hex digits, HMAC-SHA256 of tenant and address under a key of
 * its own, so that neither a reader of the table nor another tenant learns an address by trying all there are.
 */
export function clientHasher(masterKey: Uint8Array): (tenant: string, address: string) => string {
  const key = new Uint8Array(hkdfSync("sha256", masterKey, "weir/1", "audit-client", 32));
  return (tenant, address) =>
    createHmac("sha256", key)
      .update(JSON.stringify([tenant, address]))
      .digest("hex")
      .slice(0, 2 * clientHashBytes);
}
