import { allDetectors } from "../../src/core/detectors/index.ts";
import { FlowBatch } from "../../src/core/flow/flow-batch.ts";
import { fold } from "../../src/core/flow/fold.ts";
import { networkMatcher } from "../../src/core/flow/networks.ts";
import { orient } from "../../src/core/flow/orient.ts";
import { packContacts } from "../../src/core/flow/pack-contacts.ts";
import { MemoryStorage } from "../../src/core/shard/memory-storage.ts";
import { Shard } from "../../src/core/shard/shard.ts";
import type { BlobKind, StoredBlob } from "../../src/core/shard/storage.ts";
import { aesSeal } from "../../src/security/seal.ts";
import { Random } from "../support/random.ts";

/** What it takes to bring a full shard back, in Node: opening, reading and replaying, without SQLite. */
export interface RestoreFigures {
  entities: number;
  state_bytes: number;
  blob_bytes: number;
  log_entries: number;
  ms: number;
}

const allowanceMs = 600_000;
const batches = 400;
const flowsPerBatch = 5000;

/** A shard whose slots are full: half of its flows come from addresses that come but once, half from 40,000 hosts. */
export function restoreFigures(seed: number, startMs: number): RestoreFigures {
  const storage = new SealedStorage();
  const shard = new Shard({ storage, detectors: allDetectors });
  const random = new Random(seed);
  for (let i = 0; i < batches; i++) {
    const atMs = startMs + i * 5000;
    const key = i.toString(16).padStart(32, "0").padEnd(64, "0");
    const options = { hashKey: [1, 2], isInternal: networkMatcher(["10.0.0.0/8"]), allowanceMs } as const;
    const contacts = packContacts(fold(crowd(random, atMs), options).contacts);
    const request = { batchKey: key, part: 0, bodyDigest: key, contacts, allowanceMs, receivedAtMs: atMs, sentAtMs: 0 };
    shard.apply({ ...request, acknowledged: [] }, 0);
  }
  const gauges = shard.gauges();
  const beganMs = performance.now();
  const restored = new Shard({ storage, detectors: allDetectors });
  const ms = performance.now() - beganMs;
  if (restored.gauges().entities !== gauges.entities) throw new Error("the shard that came back is another one");
  const { entities, state_bytes } = gauges;
  return { entities, state_bytes, blob_bytes: restored.restored.bytes, log_entries: restored.restored.entries, ms };
}

function crowd(random: Random, atMs: number): FlowBatch {
  const batch = new FlowBatch(flowsPerBatch);
  for (let i = 0; i < flowsPerBatch; i++) {
    const row = batch.add();
    const isKnown = random.chance(0.5);
    const host = isKnown ? 0x0a00_0000 + random.int(0, 39_999) : random.int(0x2000_0000, 0x7fff_ffff);
    batch.source[row] = batch.addresses.intern(0, 0, 0xffff, host);
    batch.target[row] = batch.addresses.intern(0, 0, 0xffff, 0xc633_6400 + random.int(0, 255));
    batch.sourcePort[row] = random.int(1024, 65_535);
    batch.targetPort[row] = random.pick([22, 80, 443, 8080]);
    batch.protocol[row] = 6;
    batch.startMs[row] = atMs;
    batch.endMs[row] = atMs + random.int(0, 5000);
    batch.sourceBytes[row] = random.int(40, 4000);
    batch.targetBytes[row] = random.int(0, 4000);
    batch.sourcePackets[row] = 3;
    batch.targetPackets[row] = 3;
    batch.outcome[row] = 1;
    batch.initiator[row] = 1;
    batch.tcpFlags[row] = 0;
  }
  orient(batch);
  return batch;
}

/** Blobs as they lie in an object: sealed. */
class SealedStorage extends MemoryStorage {
  readonly #seal = aesSeal([{ version: 1, key: new Uint8Array(32) }]);

  override write(kind: BlobKind, place: number, bytes: Uint8Array<ArrayBuffer>): void {
    super.write(kind, place, this.#seal.seal(bytes, kind));
  }

  override *read(kind: BlobKind): Iterable<StoredBlob> {
    for (const { place, bytes } of super.read(kind)) yield { place, bytes: this.#seal.open(bytes!, kind) };
  }
}
