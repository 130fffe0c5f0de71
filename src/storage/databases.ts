import type { D1Database } from "@cloudflare/workers-types";
import { jurisdictions, type Jurisdiction } from "../security/tenant.ts";

/** The D1 databases: one for the platform and for tenants that may lie anywhere, and one for each jurisdiction. */
export interface Databases {
  /** Holds the directory, too. */
  readonly home: D1Database;
  /** Where a tenant's own rows lie. @throws Error where the jurisdiction has none. */
  of(jurisdiction: Jurisdiction | null): D1Database;
  has(jurisdiction: Jurisdiction): boolean;
}

/** From the bindings `DB`, and `DB_EU`, `DB_US`, `DB_FEDRAMP` as far as they are there. */
export function databasesOf(env: { DB: D1Database }): Databases {
  const bindings = env as { [binding: string]: unknown };
  const found = new Map<Jurisdiction, D1Database>();
  for (const jurisdiction of jurisdictions) {
    const database = bindings[`DB_${jurisdiction.toUpperCase()}`];
    if (database) found.set(jurisdiction, database as D1Database);
  }
  return {
    home: env.DB,
    has: (jurisdiction) => found.has(jurisdiction),
    of(jurisdiction) {
      const database = jurisdiction === null ? env.DB : found.get(jurisdiction);
      if (!database) throw new Error(`no database is bound for the jurisdiction ${jurisdiction}`);
      return database;
    },
  };
}
