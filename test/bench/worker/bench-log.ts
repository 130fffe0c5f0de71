import { DurableObject } from "cloudflare:workers";
import { SqlShardStorage } from "../../../durable-objects/sql-shard-storage.ts";
import { BatchLedger } from "../../../src/core/shard/batch-ledger.ts";
import { Journal } from "../../../src/core/shard/journal.ts";
import { KeySegments } from "../../../src/core/shard/key-segments.ts";
import { SlotSet } from "../../../src/core/slots/slot-set.ts";
import { aesSeal } from "../../../src/security/seal.ts";

/** Entries that stay in the log, as in a shard of which snapshots are written now and then. */
const entriesKept = 64;

/** What durability costs by itself: log, seal and keys of packed contacts, in a real object, without learning them. */
export class BenchLog extends DurableObject {
  readonly #storage = new SqlShardStorage(
    this.ctx.storage,
    aesSeal([{ version: 1, key: new Uint8Array(32) }]),
    "bench/0",
  );
  readonly #journal = new Journal(this.#storage);
  readonly #ledger = new BatchLedger();
  readonly #keys = new KeySegments(this.#storage);
  readonly #contacts: ArrayBuffer[] = [];

  async put(contacts: ArrayBuffer): Promise<void> {
    this.#contacts.push(contacts);
  }

  /** Logs all contacts so many times; answers the number of entries. */
  async log(repeats: number): Promise<number> {
    for (let i = 0; i < repeats; i++) for (const contacts of this.#contacts) this.#append(contacts);
    return this.#journal.sequence;
  }

  #append(contacts: ArrayBuffer): void {
    const key = (this.#journal.sequence + 1).toString(16).padStart(32, "0");
    const [slots, digest, receivedAtMs] = [new SlotSet(new Uint32Array(8).fill(0xffffffff)), key.slice(16), Date.now()];
    this.#storage.atomically(() => {
      const sequence = this.#journal.append(
        {
          kind: "batch",
          key,
          digest,
          slots: [...slots.words],
          allowanceBuckets: 60,
          receivedAtMs,
          acknowledged: [],
          detectors: { port_scan: 1, ddos: 1, c2_beacon: 2 },
        },
        new Uint8Array(contacts),
      );
      this.#ledger.add({ key, digest, receivedAtMs, slots, late: 0 });
      this.#keys.touch(sequence);
      if (this.#keys.isFull(this.#ledger)) this.#keys.write(this.#ledger, sequence);
      this.#journal.release(sequence - entriesKept);
    });
  }
}
