/** What a shard keeps: its log, snapshots of its slots, the keys of the batches that it applied, and network facts. */
export const blobKinds = ["log", "state", "keys", "facts"] as const;
export type BlobKind = (typeof blobKinds)[number];

/** Largest blob, in bytes: half of what the platform takes as one value, and 3 ms to write. */
export const blobBytesMax = 1024 * 1024;

export interface StoredBlob {
  place: number;
  /** Undefined where it cannot be opened. */
  bytes: Uint8Array<ArrayBuffer> | undefined;
}

/** Where a shard's blobs lie: SQLite in an object, a map in tests. Everything is synchronous. */
export interface ShardStorage {
  /** Of all that `work` writes, everything becomes durable or nothing. */
  atomically(work: () => void): void;
  read(kind: BlobKind): Iterable<StoredBlob>;
  /** Replaces what lies there. At most `blobBytesMax` bytes. */
  write(kind: BlobKind, place: number, bytes: Uint8Array<ArrayBuffer>): void;
  /** Moves a blob that is of no use out of the way, for a person to look at. */
  setAside(kind: BlobKind, place: number): void;
}
