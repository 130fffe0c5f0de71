import { NetworkFacts } from "../slots/network-facts.ts";
import { Assembly, framesOf } from "./frames.ts";
import type { ShardStorage } from "./storage.ts";

/** Network facts as one text, written over whenever they have changed: some times an hour. */
export class StoredFacts {
  rowsWritten = 0;
  readonly #storage: ShardStorage;
  #number = 0;
  #revision = 0;

  constructor(storage: ShardStorage) {
    this.#storage = storage;
  }

  /** What was written last; nothing where it cannot be read: it will be told again. */
  restore(facts: NetworkFacts): void {
    const assembly = new Assembly();
    for (const { place, bytes } of this.#storage.read("facts")) assembly.add(place, bytes);
    for (const place of assembly.bad) this.#storage.setAside("facts", place);
    const latest = assembly.texts().at(-1);
    if (!latest) return;
    this.#number = latest.number;
    facts.merge(NetworkFacts.unpacked(latest.bytes));
    this.#revision = facts.revision;
  }

  /** Writes them if they have changed. Within `atomically`. */
  keep(facts: NetworkFacts): void {
    if (facts.revision === this.#revision) return;
    this.#revision = facts.revision;
    this.#number++;
    framesOf(this.#number, facts.packed()).forEach((frame, place) => {
      this.#storage.write("facts", place, frame);
      this.rowsWritten++;
    });
  }
}
