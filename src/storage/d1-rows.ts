import type { Clock } from "../config.ts";
import type { TenantSettings } from "../security/tenant.ts";
import { askD1 } from "./d1.ts";
import type { Databases } from "./databases.ts";

/** Rows that one statement deletes, 2 KiB each: well within D1's time for one. */
const rowsMax = 2_000;
/** Statements of one call, of which an invocation may have 1,000. */
const statementsMax = 50;

interface TenantTable {
  readonly table: string;
  /** Columns that name a row among the tenant's own. */
  readonly row: string;
  /** Whether it is in the platform's database, wherever the tenant's own one is: what is audited with its changes. */
  readonly isHome?: boolean;
}

/** What a destroyed tenant leaves, beside its keys and what stays for good: its row in `tenants`, and its audit log. */
export const tablesOfTenants: readonly TenantTable[] = [
  { table: "anomaly_index", row: "token, id" },
  { table: "anomalies", row: "id" },
  { table: "configurations", row: "version", isHome: true },
];

/** Deletes rows of a tenant, as many as one request may; answers whether none is left. @throws StorageError */
export async function deleteRows(
  { databases, clock }: { databases: Databases; clock: Clock },
  { id, jurisdiction }: Pick<TenantSettings, "id" | "jurisdiction">,
): Promise<boolean> {
  let statements = 0;
  for (const { table, row, isHome } of tablesOfTenants) {
    const db = isHome ? databases.home : databases.of(jurisdiction);
    const sql = `DELETE FROM ${table} WHERE tenant = ?1 AND (${row}) IN
      (SELECT ${row} FROM ${table} WHERE tenant = ?1 LIMIT ${rowsMax})`;
    for (let deleted = rowsMax; deleted > 0;) {
      if (statements++ === statementsMax) return false;
      deleted = (await askD1(clock, () => db.prepare(sql).bind(id).run())).meta.changes;
    }
  }
  return true;
}
