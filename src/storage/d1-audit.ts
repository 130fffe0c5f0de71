import type { D1Database, D1PreparedStatement, D1Result } from "@cloudflare/workers-types";
import type { AuditHeadRpc } from "../../durable-objects/audit-head-rpc.ts";
import type { Clock, Log } from "../config.ts";
import {
  breakAgainst,
  breakIn,
  chainStart,
  continued,
  entryOf,
  type AuditEntry,
  type AuditRow,
  type Link,
} from "../security/audit-chain.ts";
import type { AuditEvent } from "../security/audit.ts";
import { AuditCounts } from "./audit-counts.ts";
import type { AuditLog, AuditQuery, CheckedPart } from "./audits.ts";
import { askD1, StorageError } from "./d1.ts";
import { isRetryable, retryOnce } from "./retry-once.ts";

export interface D1AuditParts {
  db: D1Database;
  /** Finds the object that keeps a tenant's head; a new stub with each call, since a broken one stays broken. */
  headOf(tenant: string): AuditHeadRpc;
  clock: Clock;
  log: Log;
  /** Keeps the isolate alive until the promise settles. */
  waitUntil(promise: Promise<unknown>): void;
}

/** Tries to be the one who continues a chain. Each time that one fails, another writer has succeeded. */
const attemptsMax = 16;
/** How long to wait after the first try that failed, at most, in ms; doubled with each, up to `pauseMsMax`. */
const pauseMs = 8;
const pauseMsMax = 500;

/** Rows of one write, 500 bytes each. */
const writeMax = 100;
/** Rows that could not be stored and wait for the next of their tenant: 0.5 KiB each. Above, the oldest are given up. */
const waitingMax = 1_000;

/**
 * How long an isolate waits for more before it writes what it counted in a minute that is not over, in ms. A request's
 * work may go on for 30 s behind its answer.
 */
const lingerMs = 20_000;
/** How long one who lingers does so for all, in ms. */
const lingerEveryMs = 5_000;

/**
 * Chains in the table `audit`, and their heads in objects.
 *
 * Who appends reads the last row, computes the one that follows, announces it to the object, and inserts it: the
 * primary key (tenant, sequence) lets one of those succeed that do so at once, and the others start again. A row is
 * never updated or deleted. The object is part of each write: without it nothing is appended.
 *
 * Changes inside of objects (slots that move, shards that are destroyed or sealed again) are recorded by the Worker
 * that called the object, when the call was answered. That is enough: such a call may be repeated and is repeated until
 * it is answered, so whatever was done is recorded in the end, and the intent was recorded with the change in D1 that
 * led to the call.
 *
 * Counts wait in memory: an isolate that dies takes those of a minute at most with it.
 */
export class D1Audit implements AuditLog {
  readonly #parts: D1AuditParts;
  readonly #counts = new AuditCounts();
  readonly #waiting = new Map<string, AuditEntry[]>();
  #lingering = 0;
  #lingeredAtMs = -Infinity;

  constructor(parts: D1AuditParts) {
    this.#parts = parts;
  }

  async record(tenant: string, event: AuditEvent): Promise<void> {
    const nowMs = this.#parts.clock.nowMs();
    if (event.outcome === "failure" && !this.#counts.mayRecordFailure(tenant, event.actor, nowMs)) {
      this.count(tenant, event);
      return;
    }
    await this.#store(tenant, [entryOf(event, nowMs)]);
    this.#flushOver();
  }

  count(tenant: string, event: AuditEvent, times = 1): void {
    const nowMs = this.#parts.clock.nowMs();
    this.#counts.add(tenant, event, times, nowMs);
    this.#flushOver();
    if (this.#lingering > 0 && nowMs >= this.#lingeredAtMs && nowMs < this.#lingeredAtMs + lingerEveryMs) return;
    this.#lingeredAtMs = nowMs;
    this.#lingering++;
    this.#parts.waitUntil(this.#linger());
  }

  async withChange(tenant: string, event: AuditEvent, statements: () => D1PreparedStatement[]): Promise<D1Result[]> {
    return this.#append(tenant, [entryOf(event, this.#parts.clock.nowMs())], statements);
  }

  /** Stores all that was counted. */
  async flush(): Promise<void> {
    await this.#storeAll(this.#counts.takeAll());
  }

  async list(tenant: string, query: AuditQuery): Promise<{ rows: AuditRow[]; hasMore: boolean }> {
    const { after = 0, before, action, actor, limit } = query;
    const conditions = ["tenant = ?", before === undefined ? "sequence > ?" : "sequence < ?"];
    const values: unknown[] = [tenant, before ?? after];
    for (const [column, value] of Object.entries({ action, actor })) {
      if (value === undefined) continue;
      conditions.push(`${column} = ?`);
      values.push(value);
    }
    const direction = before === undefined ? "ASC" : "DESC";
    const sql = `SELECT * FROM audit WHERE ${conditions.join(" AND ")} ORDER BY sequence ${direction} LIMIT ?`;
    const rows = await this.#select<AuditRow>(sql, ...values, limit + 1);
    return { rows: rows.slice(0, limit), hasMore: rows.length > limit };
  }

  async verify(tenant: string, after: number, limit: number): Promise<CheckedPart> {
    const [[before], found] = await Promise.all([
      after === 0 ? [chainStart] : this.#select<Link>(`${selectSql} AND sequence = ?`, tenant, after),
      this.list(tenant, { after, limit }),
    ]);
    const { rows } = found;
    // Asked for after the rows were read: whatever was read had been announced by then.
    const head = await this.#ask(tenant, (object) => object.head());
    const last = rows.at(-1)?.sequence ?? after;
    const part = { checked: rows.length, last, head };
    if (before === undefined) return { ...part, broken: { sequence: after, why: "missing" }, hasMore: false };
    const broken = breakIn(before, rows) ?? breakAgainst(head, [before, ...rows]);
    if (broken || found.hasMore) return { ...part, broken, hasMore: !broken };
    if (last >= head.sequence) return { ...part, broken: undefined, hasMore: false };
    // The head is further: by rows that were written since, or because there is nothing more.
    const hasMore = (await this.list(tenant, { after: last, limit: 1 })).rows.length > 0;
    return { ...part, broken: hasMore ? undefined : { sequence: last + 1, why: "cut_off" }, hasMore };
  }

  /** Writes what was counted in minutes that are over, behind the answer. */
  #flushOver(): void {
    const over = this.#counts.takeOver(this.#parts.clock.nowMs());
    if (over.size > 0) this.#parts.waitUntil(this.#storeAll(over));
  }

  /** The last one to linger writes what is there: nobody else may come for it. */
  async #linger(): Promise<void> {
    await this.#parts.clock.wait(lingerMs);
    const isLast = --this.#lingering === 0;
    await this.#storeAll(isLast ? this.#counts.takeAll() : this.#counts.takeOver(this.#parts.clock.nowMs()));
  }

  async #storeAll(byTenant: ReadonlyMap<string, AuditEntry[]>): Promise<void> {
    for (const [tenant, entries] of byTenant) await this.#store(tenant, entries);
  }

  /** Appends them, and those that wait; what cannot be stored waits. */
  async #store(tenant: string, entries: AuditEntry[]): Promise<void> {
    const all = [...(this.#waiting.get(tenant) ?? []), ...entries];
    this.#waiting.delete(tenant);
    for (let from = 0; from < all.length; from += writeMax) {
      try {
        await this.#append(tenant, all.slice(from, from + writeMax));
      } catch (error) {
        this.#keep(tenant, all.slice(from), error as Error);
        return;
      }
    }
  }

  #keep(tenant: string, entries: readonly AuditEntry[], { message }: Error): void {
    const waiting = [...entries, ...(this.#waiting.get(tenant) ?? [])];
    const others = [...this.#waiting].reduce((sum, [id, some]) => sum + (id === tenant ? 0 : some.length), 0);
    const kept = waiting.slice(-Math.max(1, waitingMax - others));
    this.#waiting.set(tenant, kept);
    const counts = { count: kept.length, given_up: waiting.length - kept.length };
    this.#parts.log({ level: "error", message: "audit rows not stored", tenant, ...counts, error: message });
  }

  /** @throws StorageError */
  async #append(
    tenant: string,
    entries: readonly AuditEntry[],
    change: () => D1PreparedStatement[] = () => [],
  ): Promise<D1Result[]> {
    const { clock } = this.#parts;
    for (let attempt = 1; ; attempt++) {
      const rows = continued(tenant, await this.#last(tenant), entries);
      await this.#ask(tenant, (object) => object.announce(rows.map(toldOf)));
      try {
        return await this.#write(tenant, rows, change());
      } catch (error) {
        if (!isTaken(error)) throw error;
        // By this very row: it was written, and the answer got lost.
        if (await this.#has(rows[0])) return this.#again(tenant, rows, change());
        if (attempt === attemptsMax)
          throw new StorageError("audit: other writers were always faster", { cause: error });
        await clock.wait(clock.chance() * Math.min(pauseMsMax, pauseMs * 2 ** attempt));
      }
    }
  }

  /** In one transaction: the change, the rows if it changed anything, and what follows from it. */
  async #write(tenant: string, rows: readonly AuditRow[], change: D1PreparedStatement[]): Promise<D1Result[]> {
    const { db, clock } = this.#parts;
    const [first, ...rest] = change;
    const insert = db.prepare(first ? insertIfChangedSql : insertSql).bind(JSON.stringify(rows));
    const statements = first ? [first, insert, ...rest] : [insert];
    const results = await askD1(clock, () => db.batch(statements));
    const [inserted] = results.splice(first ? 1 : 0, 1);
    if (inserted.results.length > 0) this.#confirm(tenant, rows);
    return results;
  }

  /** The results of a change that was done already. */
  async #again(tenant: string, rows: readonly AuditRow[], change: D1PreparedStatement[]): Promise<D1Result[]> {
    const { db, clock } = this.#parts;
    this.#confirm(tenant, rows);
    return change.length > 0 ? askD1(clock, () => db.batch(change)) : [];
  }

  /** Behind the answer. If it is lost, the next row's announcement says the same. */
  #confirm(tenant: string, rows: readonly AuditRow[]): void {
    const { log } = this.#parts;
    const confirming = this.#ask(tenant, (object) => object.confirm(rows.map(toldOf)));
    this.#parts.waitUntil(
      confirming.catch((error: Error) =>
        log({ level: "warn", message: "audit head not told", tenant, error: error.message }),
      ),
    );
  }

  async #last(tenant: string): Promise<Link> {
    const [last] = await this.#select<Link>(`${selectSql} ORDER BY sequence DESC LIMIT 1`, tenant);
    return last ?? chainStart;
  }

  async #has({ tenant, sequence, hash }: AuditRow): Promise<boolean> {
    const [row] = await this.#select<Link>(`${selectSql} AND sequence = ?`, tenant, sequence);
    return row?.hash === hash;
  }

  async #select<Row>(sql: string, ...values: unknown[]): Promise<Row[]> {
    const { db, clock } = this.#parts;
    const statement = db.prepare(sql).bind(...values);
    return (await askD1(clock, () => statement.all<Row>())).results;
  }

  /** @throws StorageError */
  async #ask<T>(tenant: string, call: (object: AuditHeadRpc) => Promise<T>): Promise<T> {
    try {
      return await retryOnce(this.#parts.clock, () => call(this.#parts.headOf(tenant)), isRetryable);
    } catch (error) {
      throw new StorageError(`audit head: ${(error as Error).message}`, { cause: error });
    }
  }
}

function toldOf({ sequence, hash, previous }: AuditRow) {
  return { sequence, hash, previous };
}

/** What SQLite says where another row has the sequence. */
function isTaken(error: unknown): boolean {
  return error instanceof StorageError && error.message.includes("audit.sequence");
}

const columns: readonly (keyof AuditRow)[] = [
  "tenant",
  "sequence",
  "at",
  "actor",
  "action",
  "outcome",
  "count",
  "detail",
  "request_id",
  "previous",
  "hash",
];

const selectSql = "SELECT * FROM audit WHERE tenant = ?";

/** `changes()` tells of the statement before. */
const insertOf = (condition: string) => `
  INSERT INTO audit (${columns.join(", ")})
  SELECT ${columns.map((column) => `value ->> '${column}'`).join(", ")} FROM json_each(?1) WHERE ${condition}
  RETURNING sequence`;
const insertSql = insertOf("true");
const insertIfChangedSql = insertOf("changes() > 0");
