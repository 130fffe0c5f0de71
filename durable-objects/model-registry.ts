import { DurableObject } from "cloudflare:workers";
import { addedAgreement, addedDrift, type AgreementCounts, type DriftCounts } from "../src/inference/drift.ts";
import { modelNames, type ModelName } from "../src/inference/model.ts";
import { builtIn, changed, firstPointers, type PointerChange, type Pointers } from "../src/inference/pointers.ts";
import type {
  AgreementReport,
  ChangedBy,
  DriftReport,
  InForce,
  ModelRegistryRpc,
  Observed,
  PointResult,
  RegistryContents,
  StoredVersion,
  UnrecordedChange,
  VersionRef,
} from "./model-registry-rpc.ts";

/** Versions of a model that are remembered, 10 to 80 KiB each: above, the oldest that plays no part is forgotten. */
const versionsMax = 100;
/** UTC days of counts that are kept, 2 KiB for each version in force. */
const daysKept = 31;
/** Versions, or pairs of them, that are counted on one day of one model: promotions by hand, not by a loop. */
const countedMax = 8;

const schema = [
  // `request_id`: of the request that made this revision.
  "CREATE TABLE IF NOT EXISTS registry (revision INTEGER NOT NULL, request_id TEXT NOT NULL)",
  `CREATE TABLE IF NOT EXISTS pointers (
    model TEXT PRIMARY KEY, current TEXT NOT NULL, previous TEXT, shadow TEXT
  )`,
  `CREATE TABLE IF NOT EXISTS versions (
    number INTEGER PRIMARY KEY, model TEXT NOT NULL, sha256 TEXT NOT NULL,
    package_sha256 TEXT NOT NULL, json TEXT NOT NULL, card TEXT NOT NULL,
    UNIQUE (model, sha256)
  )`,
  // Of agreement with a shadow; of drift where `shadow` is "".
  `CREATE TABLE IF NOT EXISTS counts (
    day TEXT NOT NULL, model TEXT NOT NULL, current TEXT NOT NULL, shadow TEXT NOT NULL, json TEXT NOT NULL,
    PRIMARY KEY (day, model, current, shadow)
  )`,
  "CREATE TABLE IF NOT EXISTS unrecorded (id INTEGER PRIMARY KEY AUTOINCREMENT, json TEXT NOT NULL)",
];

/**
 * Which version of each model is in force, for the whole deployment: there is one object.
 *
 * Versions never change; three pointers of each model do, compared and set by the revision of the registry. Each change
 * is kept together with what the audit log has to be told of it, until somebody has told it. What isolates saw of drift
 * and agreement is added up by day.
 */
export class ModelRegistry extends DurableObject<Env> implements ModelRegistryRpc {
  readonly #sql: SqlStorage;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    for (const statement of schema) this.#sql.exec(statement);
    this.#sql.exec("INSERT INTO registry SELECT 0, '' WHERE NOT EXISTS (SELECT * FROM registry)");
  }

  async inForce(): Promise<InForce> {
    const refs = (model: ModelName) => {
      const { current, shadow } = this.#pointers(model);
      // What is pointed at is there: only what plays no part is forgotten.
      return { current: this.#ref(model, current)!, shadow: shadow === null ? null : this.#ref(model, shadow)! };
    };
    return { revision: this.#registry().revision, models: byModel(refs) };
  }

  async contents(): Promise<RegistryContents> {
    const sql = "SELECT json FROM versions WHERE model = ? ORDER BY number DESC";
    const models = byModel((model) => ({
      pointers: this.#pointers(model),
      versions: this.#json<StoredVersion>(sql, model),
    }));
    return { revision: this.#registry().revision, models };
  }

  async version(model: ModelName, sha256: string): Promise<(StoredVersion & { card: string }) | null> {
    const [row] = this.#sql.exec<{ json: string; card: string }>(
      "SELECT json, card FROM versions WHERE model = ? AND sha256 = ?",
      model,
      sha256,
    );
    return row ? { ...(JSON.parse(row.json) as StoredVersion), card: row.card } : null;
  }

  async add(version: StoredVersion, card: string, by: ChangedBy): Promise<"added" | "known" | "differs"> {
    const { model, sha256, packageSha256, bytes } = version;
    const known = this.#ref(model, sha256);
    if (known) return known !== builtIn && known.packageSha256 === packageSha256 ? "known" : "differs";
    this.ctx.storage.transactionSync(() => {
      const sql = "INSERT INTO versions (model, sha256, package_sha256, json, card) VALUES (?, ?, ?, ?, ?)";
      this.#sql.exec(sql, model, sha256, packageSha256, JSON.stringify(version), card);
      this.#forgetVersions(model);
      this.#note("models.upload", by, { model, sha256, bytes });
    });
    return "added";
  }

  async point(model: ModelName, revision: number, change: PointerChange, by: ChangedBy): Promise<PointResult> {
    const now = this.#registry();
    if (revision === now.revision - 1 && by.requestId === now.request_id)
      return { done: true, contents: await this.contents() };
    if (revision !== now.revision) return { done: false, refusal: "stale" };
    const wanted = change.to === "rollback" ? null : change.version;
    if (wanted !== null && !this.#ref(model, wanted)) return { done: false, refusal: "unknown_version" };
    const before = this.#pointers(model);
    const after = changed(before, change);
    if (typeof after === "string") return { done: false, refusal: after };
    this.ctx.storage.transactionSync(() => {
      const sql = "INSERT OR REPLACE INTO pointers VALUES (?, ?, ?, ?)";
      this.#sql.exec(sql, model, after.current, after.previous, after.shadow);
      this.#sql.exec("UPDATE registry SET revision = revision + 1, request_id = ?", by.requestId);
      const detail = { model, revision: revision + 1, before: before.current, current: after.current };
      this.#note(`models.${change.to}`, by, { ...detail, shadow: after.shadow });
    });
    return { done: true, contents: await this.contents() };
  }

  async observe({ drift, agreement }: Observed): Promise<void> {
    this.ctx.storage.transactionSync(() => {
      for (const { day, model, sha256, ...counts } of drift)
        this.#add({ day, model, current: sha256, shadow: "" }, counts, addedDrift);
      for (const { day, model, current, shadow, ...counts } of agreement)
        this.#add({ day, model, current, shadow }, counts, addedAgreement);
      this.#sql.exec(`DELETE FROM counts WHERE day <= (SELECT date(max(day), '-${daysKept} days') FROM counts)`);
    });
  }

  async observed(): Promise<Observed> {
    const rows = this.#sql.exec<Key & { json: string }>("SELECT * FROM counts ORDER BY day DESC, model");
    const drift: DriftReport[] = [];
    const agreement: AgreementReport[] = [];
    for (const { day, model, current, shadow, json } of rows) {
      if (shadow === "") drift.push({ day, model, sha256: current, ...(JSON.parse(json) as DriftCounts) });
      else agreement.push({ day, model, current, shadow, ...(JSON.parse(json) as AgreementCounts) });
    }
    return { drift, agreement };
  }

  async unrecorded(): Promise<UnrecordedChange[]> {
    const rows = this.#sql.exec<{ id: number; json: string }>("SELECT * FROM unrecorded ORDER BY id LIMIT 100");
    return [...rows].map(({ id, json }) => ({ ...(JSON.parse(json) as Omit<UnrecordedChange, "id">), id }));
  }

  async recorded(id: number): Promise<void> {
    this.#sql.exec("DELETE FROM unrecorded WHERE id <= ?", id);
  }

  #registry(): { revision: number; request_id: string } {
    return this.#sql.exec<{ revision: number; request_id: string }>("SELECT * FROM registry").one();
  }

  #pointers(model: ModelName): Pointers {
    const sql = "SELECT current, previous, shadow FROM pointers WHERE model = ?";
    const [row] = this.#sql.exec<Pointers & Record<string, SqlStorageValue>>(sql, model);
    return row ?? firstPointers;
  }

  #ref(model: ModelName, version: string): VersionRef | typeof builtIn | undefined {
    if (version === builtIn) return builtIn;
    const sql = "SELECT package_sha256 FROM versions WHERE model = ? AND sha256 = ?";
    const [row] = this.#sql.exec<{ package_sha256: string }>(sql, model, version);
    return row && { sha256: version, packageSha256: row.package_sha256 };
  }

  #forgetVersions(model: ModelName): void {
    const { current, previous, shadow } = this.#pointers(model);
    const sql = `DELETE FROM versions WHERE number IN (
      SELECT number FROM versions WHERE model = ?1 AND sha256 NOT IN (?2, ?3, ?4) ORDER BY number
      LIMIT max(0, (SELECT count(*) FROM versions WHERE model = ?1) - ${versionsMax}))`;
    this.#sql.exec(sql, model, current, previous ?? "", shadow ?? "");
  }

  #note(action: string, { kid: actor, requestId, nowMs }: ChangedBy, detail: UnrecordedChange["detail"]): void {
    const change = { action, actor, requestId, detail: { ...detail, changed_at: nowMs } };
    this.#sql.exec("INSERT INTO unrecorded (json) VALUES (?)", JSON.stringify(change));
  }

  /** What exceeds `countedMax` is not counted. */
  #add<T>({ day, model, current, shadow }: Key, counts: T, added: (before: T | undefined, more: T) => T): void {
    const sql = "SELECT json FROM counts WHERE day = ? AND model = ? AND current = ? AND shadow = ?";
    const [before] = this.#json<T>(sql, day, model, current, shadow);
    const alike = "SELECT count(*) AS n FROM counts WHERE day = ? AND model = ? AND (shadow = '') = (? = '')";
    const { n } = this.#sql.exec<{ n: number }>(alike, day, model, shadow).one();
    if (before === undefined && n >= countedMax) return;
    const json = JSON.stringify(added(before, counts));
    this.#sql.exec("INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?, ?)", day, model, current, shadow, json);
  }

  #json<T>(sql: string, ...values: string[]): T[] {
    return [...this.#sql.exec<{ json: string }>(sql, ...values)].map(({ json }) => JSON.parse(json) as T);
  }
}

interface Key {
  day: string;
  model: ModelName;
  current: string;
  shadow: string;
  [column: string]: SqlStorageValue;
}

function byModel<T>(of: (model: ModelName) => T): Record<ModelName, T> {
  return Object.fromEntries(modelNames.map((name) => [name, of(name)])) as Record<ModelName, T>;
}
