import { blobKinds, type BlobKind, type ShardStorage, type StoredBlob } from "../src/core/shard/storage.ts";
import type { Seal } from "../src/security/seal.ts";

/** Blobs that were set aside and are kept, for a person to look at: the latest, 1 MiB each. */
const setAsideMax = 16;

/** A shard's blobs as sealed rows of an object's SQLite. */
export class SqlShardStorage implements ShardStorage {
  readonly #storage: DurableObjectStorage;
  readonly #seal: Seal;
  readonly #context: string;

  /** `context` names the object: a blob opens nowhere else. */
  constructor(storage: DurableObjectStorage, seal: Seal, context: string) {
    this.#storage = storage;
    this.#seal = seal;
    this.#context = context;
    for (const kind of blobKinds) {
      storage.sql.exec(`CREATE TABLE IF NOT EXISTS ${tables[kind]} (place INTEGER PRIMARY KEY, sealed BLOB NOT NULL)`);
    }
    storage.sql.exec(
      "CREATE TABLE IF NOT EXISTS set_aside (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, place INTEGER NOT NULL, sealed BLOB)",
    );
  }

  atomically(work: () => void): void {
    this.#storage.transactionSync(work);
  }

  *read(kind: BlobKind): Iterable<StoredBlob> {
    const rows = this.#storage.sql.exec<{ place: number; sealed: ArrayBuffer }>(`SELECT * FROM ${tables[kind]}`);
    for (const { place, sealed } of rows) yield { place, bytes: this.#open(kind, place, sealed) };
  }

  write(kind: BlobKind, place: number, bytes: Uint8Array<ArrayBuffer>): void {
    const sealed = this.#seal.seal(bytes, this.#contextOf(kind, place)).buffer;
    const sql = `INSERT INTO ${tables[kind]} (place, sealed) VALUES (?, ?)
      ON CONFLICT (place) DO UPDATE SET sealed = excluded.sealed`;
    this.#storage.sql.exec(sql, place, sealed);
  }

  setAside(kind: BlobKind, place: number): void {
    const { sql } = this.#storage;
    this.atomically(() => {
      sql.exec(
        `INSERT INTO set_aside (kind, place, sealed) SELECT ?, place, sealed FROM ${tables[kind]} WHERE place = ?`,
        kind,
        place,
      );
      sql.exec(`DELETE FROM ${tables[kind]} WHERE place = ?`, place);
      sql.exec("DELETE FROM set_aside WHERE id <= (SELECT max(id) FROM set_aside) - ?", setAsideMax);
    });
  }

  #open(kind: BlobKind, place: number, sealed: ArrayBuffer): Uint8Array<ArrayBuffer> | undefined {
    try {
      return this.#seal.open(new Uint8Array(sealed), this.#contextOf(kind, place));
    } catch {
      return undefined;
    }
  }

  #contextOf(kind: BlobKind, place: number): string {
    return `shard|${this.#context}|${kind}|${place}`;
  }
}

const tables = {
  log: "shard_log",
  state: "shard_state",
  keys: "shard_keys",
  facts: "shard_facts",
} as const satisfies Record<BlobKind, string>;
