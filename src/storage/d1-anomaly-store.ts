import type { D1Database } from "@cloudflare/workers-types";
import type { Clock } from "../config.ts";
import { severities } from "../core/verdict.ts";
import type { AnomalyPage, AnomalyQuery, AnomalyStore, StoredAnomaly } from "./anomalies.ts";
import { anomalyOf, rowOf, type AnomalyRow } from "./anomaly-row.ts";
import { askD1 } from "./d1.ts";

export interface D1AnomalyStoreParts {
  db: D1Database;
  clock: Clock;
}

/** Rows that one request may open in search of an entity: about 0.2 s of CPU. */
const openedRowsMax = 10_000;
/** Rows asked for at a time in such a search: about 2 MB. */
const searchRows = 500;
/** Characters of rows in one statement; D1 takes 2 MB a parameter. */
const statementCharsMax = 1_000_000;

export function d1AnomalyStore({ db, clock }: D1AnomalyStoreParts): AnomalyStore {
  return {
    async upsert(tenant, anomalies) {
      if (anomalies.length === 0) return;
      const rows = anomalies.map((anomaly) => JSON.stringify(rowOf(anomaly, tenant.keys.seal)));
      const storedAt = clock.nowMs();
      const statements = inStatements(rows).map((json) => db.prepare(upsertSql).bind(tenant.id, json, storedAt));
      await askD1(clock, () => db.batch(statements));
    },

    async list(tenant, query) {
      const page: AnomalyPage = { anomalies: [], next: query.behind };
      const { matchesEntity } = query;
      const readMax = matchesEntity ? openedRowsMax : query.limit;
      for (let read = 0; read < readMax && page.anomalies.length < query.limit;) {
        const wanted = Math.min(readMax - read, matchesEntity ? searchRows : query.limit);
        const rows = await select(db, clock, tenant.id, { ...query, behind: page.next }, wanted);
        const hasMore = rows.length > wanted;
        for (const row of rows.slice(0, wanted)) {
          if (page.anomalies.length === query.limit) return page;
          const anomaly = anomalyOf(row, tenant.keys.seal);
          page.next = { storedRevision: row.stored_revision, id: row.id };
          if (!matchesEntity || matchesEntity(anomaly.entity)) page.anomalies.push(anomaly);
        }
        if (!hasMore) return { ...page, next: undefined };
        read += wanted;
      }
      return page;
    },

    async get(tenant, id): Promise<StoredAnomaly | undefined> {
      const statement = db.prepare("SELECT * FROM anomalies WHERE tenant = ? AND id = ?").bind(tenant.id, id);
      const row = await askD1(clock, () => statement.first<AnomalyRow>());
      return row ? anomalyOf(row, tenant.keys.seal) : undefined;
    },
  };
}

/** Rows as they come in a `rowOf`; what the write decides is named below. */
const columns: readonly (keyof ReturnType<typeof rowOf>)[] = [
  "id",
  "threat",
  "detector_version",
  "config_version",
  "severity",
  "score",
  "confidence",
  "window_start",
  "window_end",
  "state",
  "revision",
  "received_at",
  "decided_at",
  "late_records",
  "evicted_entities",
  "folded_contacts",
  "warming_up",
  "tiers",
  "sealed",
];
const updated = [...columns.filter((column) => column !== "id"), "stored_revision", "stored_at"];

/** Any number of rows by one statement: 150 times as fast as row by row. `WHERE true` tells the upsert from a join. */
const upsertSql = `
  INSERT INTO anomalies (tenant, stored_revision, stored_at, ${columns.join(", ")})
  SELECT ?1, (SELECT coalesce(max(stored_revision), 0) FROM anomalies WHERE tenant = ?1) + key + 1, ?3,
    ${columns.map((column) => `value ->> '${column}'`).join(", ")}
  FROM json_each(?2) WHERE true
  ON CONFLICT (tenant, id) DO UPDATE SET ${updated.map((column) => `${column} = excluded.${column}`).join(", ")}
  WHERE excluded.revision > anomalies.revision`;

/** JSON arrays of rows, each small enough for a parameter. */
function inStatements(rows: readonly string[]): string[] {
  const groups: string[][] = [[]];
  let chars = 0;
  for (const row of rows) {
    if (chars > 0 && chars + row.length > statementCharsMax) {
      groups.push([]);
      chars = 0;
    }
    groups[groups.length - 1].push(row);
    chars += row.length + 1;
  }
  return groups.map((group) => `[${group.join(",")}]`);
}

/** One row more than wanted, if there is one. */
async function select(
  db: D1Database,
  clock: Clock,
  tenant: string,
  query: AnomalyQuery,
  wanted: number,
): Promise<AnomalyRow[]> {
  const conditions = ["tenant = ?", "severity >= ?", "window_end >= ?", "window_end < ?"];
  const values: unknown[] = [tenant, severities.indexOf(query.severityMin), query.sinceMs, query.untilMs];
  if (query.threats.length > 0) {
    conditions.push("threat IN (SELECT value FROM json_each(?))");
    values.push(JSON.stringify(query.threats));
  }
  const isNewestFirst = query.order === "newest_first";
  if (query.behind) {
    conditions.push(`(stored_revision, id) ${isNewestFirst ? "<" : ">"} (?, ?)`);
    values.push(query.behind.storedRevision, query.behind.id);
  }
  const direction = isNewestFirst ? "DESC" : "ASC";
  const sql = `SELECT * FROM anomalies WHERE ${conditions.join(" AND ")}
    ORDER BY stored_revision ${direction}, id ${direction} LIMIT ?`;
  const { results } = await askD1(clock, () =>
    db
      .prepare(sql)
      .bind(...values, wanted + 1)
      .all<AnomalyRow>(),
  );
  return results;
}
