import { readdirSync, readFileSync } from "node:fs";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import type { D1Database } from "@cloudflare/workers-types";
import type { Random } from "../support/random.ts";
import type { Plan } from "./plan.ts";
import type { World } from "./world.ts";

const migrations = new URL("../../src/storage/migrations/", import.meta.url);

interface Statement {
  sql: string;
  values: SQLInputValue[];
}

/** D1 as the store sees it: real SQL on real SQLite, that takes its time and fails now and then, before or after it did. */
export function simulatedD1(world: World, plan: Plan, random: Random): { db: D1Database; calm(): void } {
  const sqlite = new DatabaseSync(":memory:");
  for (const file of readdirSync(migrations).sort()) sqlite.exec(readFileSync(new URL(file, migrations), "utf8"));
  let isCalm = false;
  const failing = (kind: "failing_storage" | "slow_storage") =>
    !isCalm && plan.faults.has(kind) && random.chance(3 * plan.chance);
  const ask = async <T>(work: () => T): Promise<T> => {
    await world.delay();
    if (failing("slow_storage")) await world.sleep(random.int(300, 20_000));
    const error = new Error(random.pick(["Network connection lost", "D1 DB is overloaded"]));
    if (failing("failing_storage")) throw error;
    const result = work();
    if (failing("failing_storage")) throw error;
    await world.delay();
    return result;
  };
  const run = ({ sql, values }: Statement) => ({ results: sqlite.prepare(sql).all(...values) });
  const statement = (sql: string, values: SQLInputValue[]) => ({
    sql,
    values,
    bind: (...more: SQLInputValue[]) => statement(sql, more),
    all: () => ask(() => run({ sql, values })),
    first: () => ask(() => run({ sql, values }).results[0] ?? null),
  });
  const db: unknown = {
    prepare: (sql: string) => statement(sql, []),
    batch: (statements: Statement[]) =>
      ask(() => {
        sqlite.exec("BEGIN");
        const results = statements.map(run);
        sqlite.exec("COMMIT");
        return results;
      }),
  };
  return { db: db as D1Database, calm: () => void (isCalm = true) };
}
