import type { Seal } from "../src/security/seal.ts";

/** Bytes of one stored part: half of what SQLite in an object takes as one value. */
const partBytes = 1_000_000;

/** A shard's state as sealed blobs, replaced as a whole within one transaction. */
export class SnapshotStore {
  readonly #storage: DurableObjectStorage;
  readonly #seal: Seal;
  readonly #context: string;

  /** `context` names the object: a snapshot opens nowhere else. */
  constructor(storage: DurableObjectStorage, seal: Seal, context: string) {
    this.#storage = storage;
    this.#seal = seal;
    this.#context = context;
    storage.sql.exec("CREATE TABLE IF NOT EXISTS snapshot (part INTEGER PRIMARY KEY, sealed BLOB NOT NULL)");
  }

  /** @throws Error if a part was changed, or sealed for another object. */
  read(): Uint8Array | undefined {
    const rows = this.#storage.sql.exec<{ part: number; sealed: ArrayBuffer }>("SELECT * FROM snapshot ORDER BY part");
    const parts = [...rows].map(({ part, sealed }) => this.#seal.open(new Uint8Array(sealed), this.#contextOf(part)));
    if (parts.length === 0) return undefined;
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  write(bytes: Uint8Array): void {
    this.#storage.transactionSync(() => {
      const parts = Math.ceil(bytes.length / partBytes);
      for (let part = 0; part < parts; part++) {
        const plain = bytes.subarray(part * partBytes, (part + 1) * partBytes);
        const sealed = this.#seal.seal(plain, this.#contextOf(part));
        this.#storage.sql.exec("INSERT OR REPLACE INTO snapshot (part, sealed) VALUES (?, ?)", part, sealed.buffer);
      }
      this.#storage.sql.exec("DELETE FROM snapshot WHERE part >= ?", parts);
    });
  }

  #contextOf(part: number): string {
    return `snapshot|${this.#context}|${part}`;
  }
}
