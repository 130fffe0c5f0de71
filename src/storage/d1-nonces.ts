import type { D1Database } from "@cloudflare/workers-types";
import type { Clock } from "../config.ts";
import { StorageError } from "./d1.ts";

/** What was signed once. */
export interface NonceStore {
  /** Whether it is used for the first time. Kept until then; what is older is refused for its age. @throws StorageError */
  use(nonce: { kid: string; nonce: string; expiresAtMs: number }): Promise<boolean>;
}

/** Rows that one request clears away: more than it adds, so that the table shrinks again after a flood. */
const clearedMax = 10;

export function d1NonceStore({ db, clock }: { db: D1Database; clock: Clock }): NonceStore {
  return {
    async use({ kid, nonce, expiresAtMs }) {
      const statements = [
        db.prepare(useSql).bind(kid, nonce, expiresAtMs),
        db.prepare(clearSql).bind(clock.nowMs(), clearedMax),
      ];
      try {
        // Not tried again: a second try could not tell its own first one from a replay.
        const [used] = await db.batch<{ kid: string }>(statements);
        return used.results.length === 1;
      } catch (error) {
        throw new StorageError((error as Error).message, { cause: error });
      }
    },
  };
}

const useSql = "INSERT INTO nonces (kid, nonce, expires_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING kid";

const clearSql = `
  DELETE FROM nonces WHERE (kid, nonce) IN
    (SELECT kid, nonce FROM nonces WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`;
