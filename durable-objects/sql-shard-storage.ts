import { blobKinds, type BlobKind, type ShardStorage, type StoredBlob } from "../src/core/shard/storage.ts";
import { headOf, sealContext, type Seal } from "../src/security/seal.ts";
import type { ResealedBlobs } from "./shard-rpc.ts";

/** Blobs that were set aside and are kept, for a person to look at: the latest, 1 MiB each. */
const setAsideMax = 16;

/** A shard's blobs as sealed rows of an object's SQLite. */
export class SqlShardStorage implements ShardStorage {
  readonly #storage: DurableObjectStorage;
  #seal: Seal;
  readonly #tenant: string;
  readonly #index: string;

  /** `name` is the object's, `tenant/index`: a blob opens nowhere else. */
  constructor(storage: DurableObjectStorage, seal: Seal, name: string) {
    this.#storage = storage;
    this.#seal = seal;
    const slash = name.lastIndexOf("/");
    this.#tenant = name.slice(0, slash);
    this.#index = name.slice(slash + 1);
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
    for (const { place, sealed } of rows) yield { place, bytes: this.#open(this.#seal, kind, place, sealed) };
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

  /**
   * Goes on with a seal that has newer keys, and seals with the newest what older ones had sealed: as many blobs as
   * make so many bytes, all of them or none. May be repeated until none is left.
   */
  reseal(seal: Seal, bytesMax: number): ResealedBlobs {
    const result = { version: seal.version, resealed: 0, unreadable: 0, left: 0 };
    let bytes = 0;
    this.atomically(() => {
      for (const blob of this.#older(seal.version)) {
        if (bytes >= bytesMax) result.left++;
        else if (this.#resealOne(seal, blob)) {
          result.resealed++;
          bytes += blob.bytes;
        } else result.unreadable++;
      }
    });
    this.#seal = seal;
    return result;
  }

  #older(version: number): OlderBlob[] {
    const select = (table: string, id: string, kind: string, place: string) => {
      const sql = `SELECT '${table}' AS tableName, '${id}' AS idName, ${id} AS id, ${kind} AS kind, ${place} AS place,
        length(sealed) AS bytes FROM ${table} WHERE substr(sealed, 1, ?1) <> ?2`;
      const head = headOf(version);
      return this.#storage.sql.exec<OlderBlob>(sql, head.length, head.buffer).toArray();
    };
    const live = blobKinds.flatMap((kind) => select(tables[kind], "place", `'${kind}'`, "place"));
    return [...live, ...select("set_aside", "id", "kind", "place")];
  }

  /** Answers whether it could be opened. */
  #resealOne(seal: Seal, { tableName, idName, id, kind, place }: OlderBlob): boolean {
    const { sql } = this.#storage;
    const where = `WHERE ${idName} = ?`;
    const { sealed } = sql.exec<{ sealed: ArrayBuffer }>(`SELECT sealed FROM ${tableName} ${where}`, id).one();
    const bytes = this.#open(seal, kind, place, sealed);
    if (!bytes) return false;
    const anew = seal.seal(bytes, this.#contextOf(kind, place)).buffer;
    sql.exec(`UPDATE ${tableName} SET sealed = ? ${where}`, anew, id);
    return true;
  }

  #open(seal: Seal, kind: BlobKind, place: number, sealed: ArrayBuffer): Uint8Array<ArrayBuffer> | undefined {
    try {
      return seal.open(new Uint8Array(sealed), this.#contextOf(kind, place));
    } catch {
      return undefined;
    }
  }

  #contextOf(kind: BlobKind, place: number): string {
    return sealContext(this.#tenant, tables[kind], `${this.#index}/${place}`, "sealed");
  }
}

interface OlderBlob extends Record<string, SqlStorageValue> {
  tableName: string;
  idName: string;
  id: number;
  kind: BlobKind;
  place: number;
  bytes: number;
}

const tables = {
  log: "shard_log",
  state: "shard_state",
  keys: "shard_keys",
  facts: "shard_facts",
} as const satisfies Record<BlobKind, string>;
