import { DurableObject } from "cloudflare:workers";
import { chainStart, type Break, type ChainHead, type Link } from "../src/security/audit-chain.ts";
import type { AuditHeadRpc, ToldRow } from "./audit-head-rpc.ts";

/** Confirmed rows that it still knows, 100 bytes each: who cuts the chain has to write as many again, and one differs. */
const confirmedKept = 1_000;
/** Announced rows that are remembered, the latest: most were never written, since another writer was faster. */
const announcedMax = 2_000;
/** Breaks that are kept: the first is what matters. */
const breaksMax = 16;

interface Told extends ToldRow {
  is_confirmed: 0 | 1;
  [column: string]: SqlStorageValue;
}

/**
 * Where a tenant's audit chain ends: outside of the database, so that whoever can write to the database cannot cut the
 * chain's tail off, write it anew, or add to it.
 *
 * Named by the tenant. Writers tell of a row before they write it and again after: a row that lies in D1 was announced,
 * even if its writer died in between, and is certain as soon as a later one builds upon it. What it sees go wrong it
 * never forgets. It outlives its tenant, as the chain does.
 */
export class AuditHead extends DurableObject<Env> implements AuditHeadRpc {
  readonly #sql: SqlStorage;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec(`CREATE TABLE IF NOT EXISTS told (
      sequence INTEGER NOT NULL,
      hash TEXT NOT NULL,
      previous TEXT NOT NULL,
      is_confirmed INTEGER NOT NULL,
      PRIMARY KEY (sequence, hash)
    )`);
    this.#sql.exec("CREATE TABLE IF NOT EXISTS broken (sequence INTEGER NOT NULL, why TEXT NOT NULL)");
  }

  async announce(rows: readonly ToldRow[]): Promise<void> {
    this.ctx.storage.transactionSync(() => {
      const [first] = rows;
      this.#confirm({ sequence: first.sequence - 1, hash: first.previous, previous: "" }, "read");
      for (const { sequence, hash, previous } of rows) {
        this.#sql.exec("INSERT INTO told VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING", sequence, hash, previous);
      }
      const forgotten = "DELETE FROM told WHERE is_confirmed = 0 AND rowid <= (SELECT max(rowid) FROM told) - ?";
      this.#sql.exec(forgotten, announcedMax);
    });
  }

  async confirm(rows: readonly ToldRow[]): Promise<void> {
    this.ctx.storage.transactionSync(() => {
      for (const row of rows) this.#confirm(row, "written");
    });
  }

  async head(): Promise<ChainHead> {
    const head = this.#head();
    const announced = this.#sql.exec<{ sequence: number; hash: string }>(
      "SELECT sequence, hash FROM told WHERE sequence > ? AND is_confirmed = 0 ORDER BY sequence",
      head.sequence,
    );
    const [broken] = this.#sql.exec("SELECT sequence, why FROM broken ORDER BY sequence LIMIT 1").toArray();
    return { ...head, announced: announced.toArray(), broken: (broken as unknown as Break | undefined) ?? null };
  }

  #head(): Link {
    const [head] = this.#sql.exec<{ sequence: number; hash: string }>(
      "SELECT sequence, hash FROM told WHERE is_confirmed = 1 ORDER BY sequence DESC LIMIT 1",
    );
    return head ?? chainStart;
  }

  /** Takes for certain that a row lies in D1, since a writer wrote it there, or read it there, whoever wrote it. */
  #confirm({ sequence, hash, previous }: ToldRow, how: "read" | "written"): void {
    const head = this.#head();
    // Older than what is known here: told late, or a chain that was cut by more than that, which its end shows.
    if (sequence === 0 || sequence <= head.sequence - confirmedKept) return;
    const known = this.#told(sequence);
    const confirmed = known.find((row) => row.is_confirmed === 1);
    if (confirmed?.hash === hash) return;
    // Rows never change: another one in its place was written after it was taken away.
    if (confirmed) return this.#break({ sequence, why: "changed" });
    const announced = known.find((row) => row.hash === hash);
    if (announced) this.#confirmWithThoseBefore(announced);
    else {
      if (how === "read") this.#break({ sequence, why: "inserted" });
      this.#sql.exec("INSERT INTO told VALUES (?, ?, ?, 1)", sequence, hash, previous);
    }
    const last = Math.max(sequence, head.sequence);
    this.#sql.exec("DELETE FROM told WHERE is_confirmed = 0 AND sequence <= ?", last);
    this.#sql.exec("DELETE FROM told WHERE sequence <= ?", last - confirmedKept);
  }

  /** With all that were announced together with it, since they were written together. */
  #confirmWithThoseBefore(row: Told): void {
    for (let one: Told | undefined = row; one?.is_confirmed === 0;) {
      const { sequence, hash, previous }: Told = one;
      this.#sql.exec("UPDATE told SET is_confirmed = 1 WHERE sequence = ? AND hash = ?", sequence, hash);
      one = this.#told(sequence - 1).find((before) => before.hash === previous);
    }
  }

  #told(sequence: number): Told[] {
    return this.#sql.exec<Told>("SELECT * FROM told WHERE sequence = ?", sequence).toArray();
  }

  #break({ sequence, why }: Break): void {
    const sql = "INSERT INTO broken SELECT ?, ? WHERE (SELECT count(*) FROM broken) < ?";
    this.#sql.exec(sql, sequence, why, breaksMax);
  }
}
