import type { D1Database, D1PreparedStatement, D1Result } from "@cloudflare/workers-types";
import type { Clock } from "../config.ts";
import type { Audit, AuditEvent } from "../security/audit.ts";
import { rotatedFamilies } from "../security/tenant-keys.ts";
import { askD1, StorageError } from "./d1.ts";
import type { DataKeyStore, KeyOwner, StoredDataKey } from "./data-keys.ts";

export interface D1DataKeysParts {
  /** That of the platform: wrapped keys lie beside the audit log, with which they change. */
  db: D1Database;
  clock: Clock;
  /** Where whoever has these may rotate. */
  audit?: Audit | undefined;
}

/** A row of the table `data_keys`, columns as in its migration. */
interface Row {
  tenant: string;
  family: string;
  version: number;
  kek_id: string;
  wrapped: string;
  created_at: number;
}

/** The family of the row that stays where keys were destroyed. */
const tombstone = "destroyed";

export function d1DataKeyStore({ db, clock, audit }: D1DataKeysParts): DataKeyStore {
  const run = ({ id }: KeyOwner, event: AuditEvent | undefined, statements: () => D1PreparedStatement[]) => {
    if (!event) return askD1(clock, () => db.batch(statements()));
    if (!audit) throw new StorageError("a change of keys without an audit log");
    return audit.withChange(id, event, statements);
  };
  const select = (id: string) => db.prepare(selectSql).bind(id);
  return {
    async read({ id }) {
      const { results } = await askD1(clock, () => select(id).all<Row>());
      return keysIn(results);
    },

    async add(owner, keys, event) {
      const rows = keys.map((key) => ({ ...key, wrapped: base64(key.bytes), bytes: undefined }));
      const add = () => db.prepare(addSql).bind(owner.id, JSON.stringify(rows));
      const results = await run(owner, event, () => [add(), select(owner.id)]);
      return keysIn((results.at(-1) as D1Result<Row>).results);
    },

    async wrappedByOthers(kekId, limit) {
      const condition = `FROM data_keys WHERE kek_id <> ?1 AND family <> '${tombstone}'`;
      const rows = db.prepare(`SELECT * ${condition} LIMIT ?2`).bind(kekId, limit);
      const count = db.prepare(`SELECT count(*) AS count ${condition}`).bind(kekId);
      const [found, counted] = await askD1(clock, () => db.batch([rows, count]));
      const keys = (found.results as Row[]).map((row) => ({ ...keyOf(row), tenant: row.tenant }));
      return { keys, count: (counted.results as { count: number }[])[0].count };
    },

    async rewrap(tenant, { family, version, kekId, bytes }, after) {
      const values = [after.kekId, base64(after.bytes), tenant, family, version, kekId, base64(bytes)];
      await askD1(clock, () =>
        db
          .prepare(rewrapSql)
          .bind(...values)
          .run(),
      );
    },

    async retire(owner, version, event) {
      await run(owner, event, () => [db.prepare(retireSql).bind(owner.id, version, JSON.stringify(rotatedFamilies))]);
    },

    async destroy(owner) {
      const nowMs = clock.nowMs();
      await run(owner, undefined, () => [
        db.prepare(`DELETE FROM data_keys WHERE tenant = ? AND family <> '${tombstone}'`).bind(owner.id),
        db
          .prepare(`INSERT INTO data_keys VALUES (?, '${tombstone}', 0, '', '', ?) ON CONFLICT DO NOTHING`)
          .bind(owner.id, nowMs),
      ]);
    },
  };
}

const selectSql = "SELECT * FROM data_keys WHERE tenant = ? ORDER BY family, version";

const addSql = `
  INSERT INTO data_keys (tenant, family, version, kek_id, wrapped, created_at)
  SELECT ?1, value ->> 'family', value ->> 'version', value ->> 'kekId', value ->> 'wrapped', value ->> 'createdAtMs'
  FROM json_each(?2)
  WHERE NOT EXISTS (SELECT 1 FROM data_keys WHERE tenant = ?1 AND family = '${tombstone}')
  ON CONFLICT DO NOTHING`;

const rewrapSql = `
  UPDATE data_keys SET kek_id = ?, wrapped = ?
  WHERE tenant = ? AND family = ? AND version = ? AND kek_id = ? AND wrapped = ?`;

const retireSql =
  "DELETE FROM data_keys WHERE tenant = ?1 AND version < ?2 AND family IN (SELECT value FROM json_each(?3))";

function keysIn(rows: readonly Row[]): StoredDataKey[] | undefined {
  return rows.some(({ family }) => family === tombstone) ? undefined : rows.map(keyOf);
}

function keyOf({ family, version, kek_id, wrapped, created_at }: Row): StoredDataKey {
  const bytes = new Uint8Array(Buffer.from(wrapped, "base64"));
  return { family, version, kekId: kek_id, bytes, createdAtMs: created_at };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
