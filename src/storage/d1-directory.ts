import type { D1Database, D1PreparedStatement, D1Result } from "@cloudflare/workers-types";
import type { Clock } from "../config.ts";
import type { ApiKey } from "../security/api-key.ts";
import type { DirectoryReader } from "../security/directory.ts";
import type { DirectorySeal, SealedText } from "../security/directory-seal.ts";
import { roles, type Permission, type Role, type View } from "../security/permissions.ts";
import { sealContext } from "../security/seal.ts";
import { tenantSettings, type TenantDescription } from "../security/tenant-settings.ts";
import { platformTenant, type Jurisdiction } from "../security/tenant.ts";
import { askD1 } from "./d1.ts";

/** A tenant that the API made. Times are ms since 1970; null: not. */
export interface StoredTenant {
  readonly tenant: string;
  readonly jurisdiction: Jurisdiction | null;
  /** Null once it was destroyed. */
  readonly description: TenantDescription | null;
  /** Rises with each change. */
  readonly version: number;
  /** The most shards that it ever had. */
  readonly shardsEver: number;
  readonly createdAtMs: number;
  /** Id of the operator's key. */
  readonly createdBy: string;
  readonly destroyedAtMs: number | null;
  /** Since then nothing of it is left. */
  readonly goneAtMs: number | null;
}

/** A key that the API made. */
export interface StoredKey extends ApiKey {
  /** Whether its permissions are those of its role, or fewer. */
  readonly isScoped: boolean;
  /** What it is for. */
  readonly label: string;
  readonly createdAtMs: number;
  readonly createdBy: string;
}

export interface D1DirectoryParts {
  db: D1Database;
  clock: Clock;
  seal: DirectorySeal;
  allowanceMs: number;
}

/** Rows of keys that are no good any more are cleared away after so long, in ms: until then they explain a refusal. */
const deadKeysKeptMs = 30 * 24 * 3_600_000;

/**
 * Tenants and keys in D1. Reads throw StorageError; changes come as statements, for one batch with their row of the
 * audit log. The first is the change, and does nothing where it finds another state than it wants; the last one reads
 * what is there then, so that a repeat of what was done before looks as if it had done it.
 */
export class D1Directory implements DirectoryReader {
  readonly #parts: D1DirectoryParts;

  constructor(parts: D1DirectoryParts) {
    this.#parts = parts;
  }

  async tenant(id: string) {
    const stored = await this.storedTenant(id);
    if (!stored?.description || stored.destroyedAtMs !== null) return undefined;
    return tenantSettings(id, { ...stored.description, jurisdiction: stored.jurisdiction }, this.#parts.allowanceMs);
  }

  key(kid: string): Promise<StoredKey | undefined> {
    return this.storedKey(kid);
  }

  async storedTenant(id: string): Promise<StoredTenant | undefined> {
    const row = await this.#first<TenantRow>(this.#prepare("SELECT * FROM tenants WHERE tenant = ?", id));
    return row ? this.#tenantOf(row) : undefined;
  }

  /** In order of their names, behind a name. */
  async tenants(behind: string, limit: number): Promise<StoredTenant[]> {
    const sql = "SELECT * FROM tenants WHERE tenant > ? ORDER BY tenant LIMIT ?";
    return (await this.#all<TenantRow>(this.#prepare(sql, behind, limit))).map((row) => this.#tenantOf(row));
  }

  async storedKey(kid: string): Promise<StoredKey | undefined> {
    const row = await this.#first<KeyRow>(this.#prepare("SELECT * FROM api_keys WHERE kid = ?", kid));
    return row ? this.#keyOf(row) : undefined;
  }

  /** The oldest first. */
  async keys(tenant: string): Promise<StoredKey[]> {
    const sql = "SELECT * FROM api_keys WHERE tenant = ? ORDER BY created_at, kid";
    return (await this.#all<KeyRow>(this.#prepare(sql, tenant))).map((row) => this.#keyOf(row));
  }

  /** Whether the row that the last statement of a change read is the wanted one. */
  keyIn(results: readonly D1Result[]): StoredKey | undefined {
    const [row] = (results.at(-1)?.results ?? []) as KeyRow[];
    return row && this.#keyOf(row);
  }

  tenantIn(results: readonly D1Result[]): StoredTenant | undefined {
    const [row] = (results.at(-1)?.results ?? []) as TenantRow[];
    return row && this.#tenantOf(row);
  }

  /** Changes nothing where the name was ever given; the key is made with it or not at all. */
  createTenant(tenant: StoredTenant, admin: StoredKey): D1PreparedStatement[] {
    const { kekId, sealed } = this.#sealed(tenant.tenant, tenant.description!);
    return [
      this.#prepare(
        `INSERT INTO tenants (tenant, jurisdiction, sealed, kek_id, version, shards_ever, created_at, created_by)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
        tenant.tenant,
        tenant.jurisdiction,
        sealed,
        kekId,
        tenant.version,
        tenant.shardsEver,
        tenant.createdAtMs,
        tenant.createdBy,
      ),
      // Known by its nonce: no other one looks the same.
      this.#insertKey(admin, "EXISTS (SELECT 1 FROM tenants WHERE tenant = ?2 AND sealed = ?17)", [sealed]),
      this.#selectKey(admin.kid),
    ];
  }

  /** Puts a description in the place of that of the version before. */
  changeTenant({ tenant, description, version, shardsEver }: StoredTenant): D1PreparedStatement[] {
    const { kekId, sealed } = this.#sealed(tenant, description!);
    return [
      this.#prepare(
        `UPDATE tenants SET sealed = ?, kek_id = ?, version = ?, shards_ever = ?
         WHERE tenant = ? AND version = ? AND destroyed_at IS NULL`,
        sealed,
        kekId,
        version,
        shardsEver,
        tenant,
        version - 1,
      ),
      this.#selectTenant(tenant),
    ];
  }

  /** Nobody gets in any more; what it was like is forgotten. */
  destroyTenant(tenant: string, atMs: number): D1PreparedStatement[] {
    return [
      this.#prepare(
        `UPDATE tenants SET destroyed_at = ?, sealed = NULL, kek_id = NULL, version = version + 1
         WHERE tenant = ? AND destroyed_at IS NULL`,
        atMs,
        tenant,
      ),
      this.#prepare("DELETE FROM api_keys WHERE tenant = ?", tenant),
      this.#selectTenant(tenant),
    ];
  }

  /** Nothing is left of a destroyed tenant but its row. */
  tenantIsGone(tenant: string, atMs: number): D1PreparedStatement[] {
    const sql = "UPDATE tenants SET gone_at = ? WHERE tenant = ? AND destroyed_at IS NOT NULL AND gone_at IS NULL";
    return [this.#prepare(sql, atMs, tenant), this.#selectTenant(tenant)];
  }

  /** Makes a key unless the tenant has `keysMax` of them; clears away what has been no good for long. */
  createKey(key: StoredKey, keysMax: number): D1PreparedStatement[] {
    return [
      this.#insertKey(
        key,
        `(SELECT count(*) FROM api_keys WHERE tenant = ?2 AND NOT ${isLongDead("?17", "?18")}) < ?19`,
        [key.createdAtMs - deadKeysKeptMs, Number.MAX_SAFE_INTEGER, keysMax],
      ),
      this.#prepare(
        `DELETE FROM api_keys WHERE tenant = ?1 AND ${isLongDead("?2", "?3")}`,
        key.tenant,
        key.createdAtMs - deadKeysKeptMs,
        Number.MAX_SAFE_INTEGER,
      ),
      this.#selectKey(key.kid),
    ];
  }

  /** Has a key that is good be followed by another one. */
  rotateKey(kid: string, graceUntilMs: number, next: StoredKey): D1PreparedStatement[] {
    return [
      this.#prepare(
        `UPDATE api_keys SET replaced_by = ?, grace_until = ?
         WHERE kid = ? AND tenant = ? AND replaced_by IS NULL AND revoked_at IS NULL`,
        next.kid,
        graceUntilMs,
        kid,
        next.tenant,
      ),
      this.#insertKey(next, "EXISTS (SELECT 1 FROM api_keys WHERE tenant = ?2 AND replaced_by = ?1)"),
      this.#selectKey(next.kid),
    ];
  }

  /** `needsAdmin`: only if another admin of the tenant keeps a key that does not end by itself. */
  revokeKey({ kid, tenant }: ApiKey, atMs: number, needsAdmin: boolean): D1PreparedStatement[] {
    return [
      this.#prepare(
        `UPDATE api_keys SET revoked_at = ?1 WHERE kid = ?2 AND tenant = ?3 AND revoked_at IS NULL
         AND (?4 = 0 OR EXISTS (SELECT 1 FROM api_keys WHERE tenant = ?3 AND kid <> ?2 AND ${isLastingAdmin}))`,
        atMs,
        kid,
        tenant,
        needsAdmin ? 1 : 0,
      ),
      this.#selectKey(kid),
    ];
  }

  /** Values that are not sealed under the current key-encryption key's child are, from now on; answers how many. */
  async reseal(limit: number): Promise<number> {
    const { seal } = this.#parts;
    const wanted = [seal.currentId, limit] as const;
    const tenants = await this.#all<TenantRow>(
      this.#prepare("SELECT * FROM tenants WHERE sealed IS NOT NULL AND kek_id <> ? LIMIT ?", ...wanted),
    );
    const keys = await this.#all<KeyRow>(
      this.#prepare("SELECT * FROM api_keys WHERE signing_sealed IS NOT NULL AND kek_id <> ? LIMIT ?", ...wanted),
    );
    const again = (value: SealedText, context: string) => seal.seal(seal.open(value, context), context);
    const statements = [
      ...tenants.map(({ tenant, sealed, kek_id, version }) => {
        const next = again({ kekId: kek_id!, sealed: sealed! }, tenantContext(tenant));
        const sql = "UPDATE tenants SET sealed = ?, kek_id = ? WHERE tenant = ? AND version = ?";
        return this.#prepare(sql, next.sealed, next.kekId, tenant, version);
      }),
      ...keys.map(({ kid, signing_sealed, kek_id }) => {
        const next = again({ kekId: kek_id!, sealed: signing_sealed! }, keyContext(kid));
        return this.#prepare(
          "UPDATE api_keys SET signing_sealed = ?, kek_id = ? WHERE kid = ?",
          next.sealed,
          next.kekId,
          kid,
        );
      }),
    ];
    if (statements.length > 0) await askD1(this.#parts.clock, () => this.#parts.db.batch(statements));
    return statements.length;
  }

  #sealed(tenant: string, description: TenantDescription): SealedText {
    return this.#parts.seal.seal(Buffer.from(JSON.stringify(description)), tenantContext(tenant));
  }

  #tenantOf(row: TenantRow): StoredTenant {
    const { seal } = this.#parts;
    const open = (sealed: string) => {
      const plain = seal.open({ kekId: row.kek_id!, sealed }, tenantContext(row.tenant));
      return JSON.parse(Buffer.from(plain).toString()) as TenantDescription;
    };
    return {
      tenant: row.tenant,
      jurisdiction: row.jurisdiction,
      description: row.sealed === null ? null : open(row.sealed),
      version: row.version,
      shardsEver: row.shards_ever,
      createdAtMs: row.created_at,
      createdBy: row.created_by,
      destroyedAtMs: row.destroyed_at,
      goneAtMs: row.gone_at,
    };
  }

  #keyOf(row: KeyRow): StoredKey {
    const { signing_sealed: sealed, kek_id: kekId } = row;
    const scope = row.permissions === null ? undefined : (JSON.parse(row.permissions) as Permission[]);
    return {
      kid: row.kid,
      tenant: row.tenant,
      role: row.role,
      permissions: new Set(scope ?? roles[row.role]),
      isScoped: scope !== undefined,
      view: row.view,
      label: row.label,
      secretSha256: new Uint8Array(Buffer.from(row.secret_sha256, "hex")),
      signingKey: sealed === null ? null : this.#parts.seal.open({ kekId: kekId!, sealed }, keyContext(row.kid)),
      notBeforeMs: row.not_before,
      expiresAtMs: row.expires_at,
      revokedAtMs: row.revoked_at,
      graceUntilMs: row.grace_until,
      replacedBy: row.replaced_by,
      createdAtMs: row.created_at,
      createdBy: row.created_by,
    };
  }

  /** `condition` may name what is inserted by its number (1 kid, 2 tenant), and `more` from 17 on. */
  #insertKey(key: StoredKey, condition: string, more: readonly (string | number)[] = []): D1PreparedStatement {
    const sealed = key.signingKey && this.#parts.seal.seal(key.signingKey, keyContext(key.kid));
    return this.#prepare(
      `INSERT INTO api_keys (kid, tenant, role, permissions, view, label, secret_sha256, signing_sealed, kek_id,
         not_before, expires_at, revoked_at, grace_until, replaced_by, created_at, created_by)
       SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16 WHERE ${condition}
       ON CONFLICT DO NOTHING`,
      key.kid,
      key.tenant,
      key.role,
      key.isScoped ? JSON.stringify([...key.permissions]) : null,
      key.view,
      key.label,
      Buffer.from(key.secretSha256).toString("hex"),
      sealed?.sealed ?? null,
      sealed?.kekId ?? null,
      key.notBeforeMs,
      key.expiresAtMs,
      key.revokedAtMs,
      key.graceUntilMs,
      key.replacedBy,
      key.createdAtMs,
      key.createdBy,
      ...more,
    );
  }

  #selectKey(kid: string): D1PreparedStatement {
    return this.#prepare("SELECT * FROM api_keys WHERE kid = ?", kid);
  }

  #selectTenant(tenant: string): D1PreparedStatement {
    return this.#prepare("SELECT * FROM tenants WHERE tenant = ?", tenant);
  }

  #prepare(sql: string, ...values: (string | number | null)[]): D1PreparedStatement {
    return this.#parts.db.prepare(sql).bind(...values);
  }

  #first<Row>(statement: D1PreparedStatement): Promise<Row | null> {
    return askD1(this.#parts.clock, () => statement.first<Row>());
  }

  async #all<Row>(statement: D1PreparedStatement): Promise<Row[]> {
    return (await askD1(this.#parts.clock, () => statement.all<Row>())).results;
  }
}

/** A key that keeps its tenant from being shut out: an admin's, whole, and without an end. */
const isLastingAdmin = `role = 'admin' AND permissions IS NULL AND revoked_at IS NULL AND grace_until IS NULL
  AND expires_at IS NULL`;

/** Parameters: before when, and a time that never comes. */
const isLongDead = (before: string, never: string) =>
  `min(coalesce(revoked_at, ${never}), coalesce(grace_until, ${never}), coalesce(expires_at, ${never})) < ${before}`;

const tenantContext = (tenant: string) => sealContext(platformTenant, "tenants", tenant, "sealed");
const keyContext = (kid: string) => sealContext(platformTenant, "api_keys", kid, "signing_sealed");

/** A row of the table `tenants`, columns as in its migration. */
interface TenantRow {
  tenant: string;
  jurisdiction: Jurisdiction | null;
  sealed: string | null;
  kek_id: string | null;
  version: number;
  shards_ever: number;
  created_at: number;
  created_by: string;
  destroyed_at: number | null;
  gone_at: number | null;
}

/** A row of the table `api_keys`. */
interface KeyRow {
  kid: string;
  tenant: string;
  role: Role;
  permissions: string | null;
  view: View;
  label: string;
  secret_sha256: string;
  signing_sealed: string | null;
  kek_id: string | null;
  not_before: number | null;
  expires_at: number | null;
  revoked_at: number | null;
  grace_until: number | null;
  replaced_by: string | null;
  created_at: number;
  created_by: string;
}
