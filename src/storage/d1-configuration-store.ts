import type { D1Database } from "@cloudflare/workers-types";
import type { Clock } from "../config.ts";
import type { Choice } from "../core/detectors/configuration.ts";
import type { Audit } from "../security/audit.ts";
import type { ConfigurationStore, StoredConfiguration } from "./configurations.ts";
import { askD1 } from "./d1.ts";

/** Versions of a tenant that are kept, 4 KiB each at most: what an anomaly of the last weeks names can be looked up. */
const versionsKept = 1000;

/** A row of the table `configurations`, columns as in its migration. */
interface Row {
  version: number;
  json: string;
  created_at: number;
  created_by: string;
}

export interface D1ConfigurationStoreParts {
  db: D1Database;
  clock: Clock;
  audit: Pick<Audit, "withChange">;
}

export function d1ConfigurationStore({ db, clock, audit }: D1ConfigurationStoreParts): ConfigurationStore {
  return {
    async list(tenant, limit) {
      const statement = db.prepare(`${selectSql} ORDER BY version DESC LIMIT ?`).bind(tenant, limit);
      const { results } = await askD1(clock, () => statement.all<Row>());
      return results.map(configurationOf);
    },

    async add(tenant, version, choice, { kid: createdBy, requestId }) {
      const next = version + 1;
      const [json, createdAtMs] = [JSON.stringify(choice), clock.nowMs()];
      const detail = { version: next, preset: choice.preset };
      const event = { action: "config.replace", actor: createdBy, outcome: "success", detail, requestId } as const;
      const [, , found] = await audit.withChange(tenant, event, () => [
        db.prepare(addSql).bind(tenant, next, json, createdAtMs, createdBy),
        db.prepare("DELETE FROM configurations WHERE tenant = ? AND version <= ?").bind(tenant, next - versionsKept),
        db.prepare(`${selectSql} AND version = ?`).bind(tenant, next),
      ]);
      // Not what the insert says of itself: a first try whose answer got lost may have done it.
      const [row] = found.results as Row[];
      const isOurs = row?.json === json && row.created_at === createdAtMs && row.created_by === createdBy;
      return isOurs ? configurationOf(row) : undefined;
    },
  };
}

const selectSql = "SELECT version, json, created_at, created_by FROM configurations WHERE tenant = ?";

const addSql = `
  INSERT INTO configurations (tenant, version, json, created_at, created_by)
  SELECT ?1, ?2, ?3, ?4, ?5
  WHERE (SELECT coalesce(max(version), 0) FROM configurations WHERE tenant = ?1) = ?2 - 1`;

function configurationOf({ version, json, created_at, created_by }: Row): StoredConfiguration {
  return { ...(JSON.parse(json) as Choice), version, createdAtMs: created_at, createdBy: created_by };
}
