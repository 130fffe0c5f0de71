import type { D1Database } from "@cloudflare/workers-types";
import type { Clock } from "../config.ts";
import { severities, type Anomaly } from "../core/verdict.ts";
import { tokenHead } from "../security/blind-index.ts";
import { liesIn } from "../security/prefix.ts";
import { UnknownKeyVersion } from "../security/seal.ts";
import type { Owner } from "../security/tenant.ts";
import type { TenantKeys } from "../security/tenant-keys.ts";
import { SearchTooBroad, type AnomalyPage, type AnomalyQuery, type SealedAnomalyStore } from "./anomalies.ts";
import {
  anomalyOf,
  entityOf,
  openedOf,
  peersOf,
  rowOf,
  sealedAnomalyOf,
  sealedColumns,
  type AnomalyRow,
  type SealedColumns,
} from "./anomaly-row.ts";
import { askD1 } from "./d1.ts";

export interface D1AnomalyStoreParts {
  db: D1Database;
  clock: Clock;
}

/** Rows that one search may open: about 0.2 s of CPU. */
const openedRowsMax = 10_000;
/** Rows asked for at a time in a search: about 2 MB. */
const searchRows = 500;
/** Characters of rows in one statement; D1 takes 2 MB a parameter. */
const statementCharsMax = 1_000_000;
/** Tokens of older keys that one call removes, 100 bytes each. */
const tokensRemovedMax = 20_000;

export function d1AnomalyStore({ db, clock }: D1AnomalyStoreParts): SealedAnomalyStore {
  const get = async (tenant: Owner, id: string): Promise<AnomalyRow | undefined> => {
    const statement = db.prepare("SELECT * FROM anomalies WHERE tenant = ? AND id = ?").bind(tenant.id, id);
    return (await askD1(clock, () => statement.first<AnomalyRow>())) ?? undefined;
  };
  return {
    async upsert(tenant, anomalies) {
      if (anomalies.length === 0) return;
      const storedAt = clock.nowMs();
      const rows = anomalies.map((anomaly) =>
        JSON.stringify({ ...rowOf(anomaly, tenant.keys, storedAt), tokens: tokensOf(anomaly, tenant.keys) }),
      );
      const statements = inStatements(rows).flatMap((json) => [
        db.prepare(upsertSql).bind(tenant.id, json, storedAt),
        db.prepare(indexSql).bind(tenant.id, json),
      ]);
      await askD1(clock, () => db.batch(statements));
    },

    async list(tenant, query) {
      const { rows, next } = await find(db, clock, tenant, query);
      return { anomalies: rows.map((row) => anomalyOf(row, tenant.keys)), next };
    },

    async get(tenant, id) {
      const row = await get(tenant, id);
      return row && anomalyOf(row, tenant.keys);
    },

    async listSealed(tenant, query) {
      const { rows, next } = await find(db, clock, tenant, query);
      return { anomalies: rows.map(sealedAnomalyOf), next };
    },

    async getSealed(tenant, id) {
      const row = await get(tenant, id);
      return row && sealedAnomalyOf(row);
    },

    async reseal(tenant, rowsMax) {
      const version = tenant.keys.seals.evidence.version;
      const older = db.prepare(`SELECT * ${fromOlder} LIMIT ?`).bind(tenant.id, version, rowsMax);
      const { results } = await askD1(clock, () => older.all<AnomalyRow>());
      const resealed = results.map((row) => resealedOf(row, tenant.keys, clock.nowMs()));
      const statements = inStatements(resealed.map((row) => JSON.stringify(row))).flatMap((json) => [
        db.prepare(resealSql).bind(tenant.id, json),
        db.prepare(indexSql).bind(tenant.id, json),
      ]);
      const count = db.prepare(`SELECT count(*) AS count ${fromOlder}`).bind(tenant.id, version);
      const counted = (await askD1(clock, () => db.batch<{ count: number }>([...statements, count]))).at(-1)!;
      const [{ count: left }] = counted.results;
      const unreadable = resealed.filter(({ sealed_evidence }) => sealed_evidence === undefined).length;
      const tokensLeft = left > 0 ? 0 : await removeTokens(db, clock, tenant.id, version);
      return { resealed: resealed.length - unreadable, unreadable, left: left + tokensLeft };
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
  "key_version",
  "sealed_at",
  "sealed_entity",
  "sealed_peers",
  "sealed_evidence",
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

/** Tokens of rows, as far as these are what was stored. */
const indexSql = `
  INSERT INTO anomaly_index (tenant, token, id)
  SELECT ?1, token.value, anomalies.id
  FROM json_each(?2) AS row CROSS JOIN anomalies CROSS JOIN json_each(row.value, '$.tokens') AS token
  WHERE anomalies.tenant = ?1 AND anomalies.id = row.value ->> 'id' AND anomalies.revision = row.value ->> 'revision'
  ON CONFLICT DO NOTHING`;

const fromOlder = "FROM anomalies WHERE tenant = ? AND key_version < ?";

/** Rows that somebody has written meanwhile stay as that one wrote them. What could not be opened is only marked. */
const resealSql = `
  UPDATE anomalies SET key_version = row.value ->> 'key_version', sealed_at = row.value ->> 'sealed_at',
    ${["sealed_entity", "sealed_peers", "sealed_evidence"]
      .map((column) => `${column} = coalesce(row.value ->> '${column}', anomalies.${column})`)
      .join(", ")}
  FROM json_each(?2) AS row
  WHERE anomalies.tenant = ?1 AND anomalies.id = row.value ->> 'id' AND anomalies.revision = row.value ->> 'revision'
    AND anomalies.key_version < row.value ->> 'key_version'`;

const removeTokensSql = `
  DELETE FROM anomaly_index WHERE tenant = ?1 AND (token, id) IN
    (SELECT token, id FROM anomaly_index WHERE tenant = ?1 AND token < ?2 LIMIT ${tokensRemovedMax})`;

/** Of older keys; answers how many are left. */
async function removeTokens(db: D1Database, clock: Clock, tenant: string, version: number): Promise<number> {
  const head = tokenHead(version);
  const remove = db.prepare(removeTokensSql).bind(tenant, head);
  const count = db
    .prepare("SELECT count(*) AS count FROM anomaly_index WHERE tenant = ? AND token < ?")
    .bind(tenant, head);
  const [, counted] = await askD1(clock, () => db.batch<{ count: number }>([remove, count]));
  return counted.results[0].count;
}

function tokensOf({ entity, peers }: Pick<Anomaly, "entity" | "peers">, { index }: TenantKeys): string[] {
  const addresses = peers.map(({ address }) => address);
  return [...index.tokensOf("source_ip", [entity]), ...index.tokensOf("destination_ip", addresses)];
}

type Resealed = Pick<AnomalyRow, "id" | "revision"> & Partial<SealedColumns> & { tokens?: string[] };

/** @throws UnknownKeyVersion */
function resealedOf(row: AnomalyRow, keys: TenantKeys, nowMs: number): Resealed {
  const { tenant, id, revision } = row;
  try {
    const opened = openedOf(row, keys);
    return {
      id,
      revision,
      ...sealedColumns({ ...opened, tenant, id, revision }, keys, nowMs),
      tokens: tokensOf(opened, keys),
    };
  } catch (error) {
    if (error instanceof UnknownKeyVersion) throw error;
    return { id, revision, key_version: keys.seals.evidence.version, sealed_at: row.sealed_at };
  }
}

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

type RowPage = { rows: AnomalyRow[]; next: AnomalyPage["next"] };

/** The rows of a page. @throws SearchTooBroad, UnknownKeyVersion */
async function find(db: D1Database, clock: Clock, tenant: Owner, query: AnomalyQuery): Promise<RowPage> {
  const { entity, peer, limit } = query;
  const isSearch = entity !== undefined || peer !== undefined;
  const readMax = isSearch ? openedRowsMax : limit;
  const page: RowPage = { rows: [], next: query.behind };
  for (let read = 0; ;) {
    const wanted = Math.min(readMax - read, isSearch ? searchRows : limit);
    const rows = await select(db, clock, tenant, { ...query, behind: page.next }, wanted);
    const hasMore = rows.length > wanted;
    for (const row of rows.slice(0, wanted)) {
      if (page.rows.length === limit) return page;
      page.next = { storedRevision: row.stored_revision, id: row.id };
      if (isAskedFor(row, tenant.keys, query)) page.rows.push(row);
    }
    if (!hasMore) return { ...page, next: undefined };
    if (page.rows.length === limit) return page;
    read += wanted;
    if (read >= readMax) throw new SearchTooBroad(openedRowsMax);
  }
}

/** An index only says what may be there: prefixes in between have no tokens, and old tokens stay. */
function isAskedFor(row: AnomalyRow, keys: TenantKeys, { entity, peer }: AnomalyQuery): boolean {
  if (entity && !liesIn(entity, entityOf(row, keys))) return false;
  return !peer || peersOf(row, keys).some(({ address }) => liesIn(peer, address));
}

/** One row more than wanted, if there is one. */
async function select(
  db: D1Database,
  clock: Clock,
  tenant: Owner,
  query: AnomalyQuery,
  wanted: number,
): Promise<AnomalyRow[]> {
  const { sql, values, isByToken } = selectOf(tenant, query, wanted);
  const statements = [db.prepare(sql).bind(...values)];
  if (isByToken) statements.push(db.prepare(newestSql).bind(tenant.id));
  const [found, newest] = await askD1(clock, () => db.batch(statements));
  const [{ version = 0 } = {}] = (newest?.results ?? []) as { version?: number }[];
  const { version: known } = tenant.keys.seals.evidence;
  if (version > known) throw new UnknownKeyVersion(`rows of key ${version}, whose tokens are not known`);
  return found.results as AnomalyRow[];
}

const newestSql = "SELECT max(key_version) AS version FROM anomalies WHERE tenant = ?";

/** The statement of a page. Where tokens tell which rows may be meant, it begins with those. */
export function selectOf(
  { id, keys }: Owner,
  query: AnomalyQuery,
  wanted: number,
): { sql: string; values: unknown[]; isByToken: boolean } {
  const byToken = [
    query.entity && keys.index.tokensFor("source_ip", query.entity),
    query.peer && keys.index.tokensFor("destination_ip", query.peer),
  ].filter((tokens) => tokens !== undefined);
  const from = byToken.length > 0 ? `(${byToken.map(() => tokenSql).join(" INTERSECT ")}) AS found CROSS JOIN ` : "";
  const conditions = ["tenant = ?", "severity >= ?", "window_end >= ?", "window_end < ?"];
  const values: unknown[] = byToken.flatMap((tokens) => [id, JSON.stringify(tokens)]);
  values.push(id, severities.indexOf(query.severityMin), query.sinceMs, query.untilMs);
  if (byToken.length > 0) conditions.push("anomalies.id = found.id");
  if (query.threats.length > 0) {
    conditions.push("threat IN (SELECT value FROM json_each(?))");
    values.push(JSON.stringify(query.threats));
  }
  const isNewestFirst = query.order === "newest_first";
  if (query.behind) {
    conditions.push(`(stored_revision, anomalies.id) ${isNewestFirst ? "<" : ">"} (?, ?)`);
    values.push(query.behind.storedRevision, query.behind.id);
  }
  const direction = isNewestFirst ? "DESC" : "ASC";
  const sql = `SELECT anomalies.* FROM ${from}anomalies WHERE ${conditions.join(" AND ")}
    ORDER BY stored_revision ${direction}, anomalies.id ${direction} LIMIT ?`;
  return { sql, values: [...values, wanted + 1], isByToken: byToken.length > 0 };
}

const tokenSql = "SELECT DISTINCT id FROM anomaly_index WHERE tenant = ? AND token IN (SELECT value FROM json_each(?))";
