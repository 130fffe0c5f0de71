import { blobKinds, type BlobKind, type ShardStorage, type StoredBlob } from "./storage.ts";

/** Blobs in memory: for replays, and for tests, which may look at them and mangle them. */
export class MemoryStorage implements ShardStorage {
  readonly blobs: Readonly<Record<BlobKind, Map<number, Uint8Array<ArrayBuffer>>>>;
  readonly aside: { kind: BlobKind; place: number }[] = [];

  constructor() {
    this.blobs = { log: new Map(), state: new Map(), keys: new Map(), facts: new Map() };
  }

  atomically(work: () => void): void {
    const before = blobKinds.map((kind) => new Map(this.blobs[kind]));
    try {
      work();
    } catch (error) {
      blobKinds.forEach((kind, i) => {
        this.blobs[kind].clear();
        for (const [place, bytes] of before[i]) this.blobs[kind].set(place, bytes);
      });
      throw error;
    }
  }

  read(kind: BlobKind): Iterable<StoredBlob> {
    return [...this.blobs[kind]].map(([place, bytes]) => ({ place, bytes }));
  }

  write(kind: BlobKind, place: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.blobs[kind].set(place, bytes);
  }

  setAside(kind: BlobKind, place: number): void {
    this.blobs[kind].delete(place);
    this.aside.push({ kind, place });
  }
}
