import type { Detector } from "../detectors/detector.ts";
import { bucketMs, Late, type Contacts, type PairContacts } from "../flow/contacts.ts";
import { slotCount, slotOf } from "../flow/keyed-hash.ts";
import type { Verdict } from "../verdict.ts";
import { closedUpToMs, Slot } from "./slot.ts";
import { StateReader, StateWriter } from "./state-bytes.ts";

export interface ShardOptions {
  detectors: readonly Detector[];
  /** As in the fold of every batch. */
  allowanceMs: number;
  /** Which slots are this shard's; contacts of the others are passed over. */
  owns: (slot: number) => boolean;
}

/** Names the bytes of `Shard.save`, and their version. */
const magic = 0x57_45_49_52;
const version = 1;

/** The slots of one shard: sorts a batch's contacts into them, and collects what they have to say. */
export class Shard {
  readonly #options: ShardOptions;
  readonly #allowanceBuckets: number;
  readonly #slots: (Slot | undefined)[] = Array.from({ length: slotCount });

  /** @throws RangeError if `saved` is not what `save` wrote. */
  constructor(options: ShardOptions, saved?: Uint8Array) {
    this.#options = options;
    this.#allowanceBuckets = Math.ceil(options.allowanceMs / bucketMs);
    if (saved) this.#load(new StateReader(saved));
  }

  /** Learns one batch, once: whoever calls sees to that. Returns new verdicts, and how many records came too late. */
  apply(contacts: Contacts): { verdicts: Verdict[]; late: number } {
    const late = this.#countLate(contacts);
    const pairs = this.#sortPairs(contacts);
    const targets = this.#sortTargets(contacts);
    const seen = this.#advance(contacts);
    const verdicts: Verdict[] = [];
    for (let s = 0; s < slotCount; s++) {
      const slot = this.#slots[s];
      if (!slot || seen[s] === 0) continue;
      const [pairIndexes, targetIndexes] = [pairs.of(s), targets.of(s)];
      if (pairIndexes.length + targetIndexes.length > 0) {
        slot.learn({ contacts, pairs: pairIndexes, targets: targetIndexes });
      }
      verdicts.push(...slot.verdicts(closedUpToMs(slot.watermark, this.#allowanceBuckets)));
    }
    return { verdicts, late };
  }

  /** The input has ended: closes every window. */
  end(): Verdict[] {
    return this.#slots.flatMap((slot) => slot?.verdicts(Number.POSITIVE_INFINITY) ?? []);
  }

  save(): Uint8Array<ArrayBuffer> {
    const writer = new StateWriter();
    writer.u32(magic);
    writer.u32(version);
    const used = this.#slots.map((slot, s) => ({ slot, s })).filter(({ slot }) => slot);
    writer.u32(used.length);
    for (const { slot, s } of used) {
      writer.u32(s);
      slot!.save(writer);
    }
    return writer.bytes();
  }

  #load(reader: StateReader): void {
    if (reader.u32() !== magic || reader.u32() !== version) throw new RangeError("not the state of a shard");
    for (let left = reader.u32(); left > 0; left--) {
      const s = reader.u32();
      this.#slots[s] = new Slot(this.#options.detectors, reader);
    }
  }

  #slotOf(addressHash: number): Slot | undefined {
    const s = slotOf(addressHash);
    if (!this.#options.owns(s)) return undefined;
    return (this.#slots[s] ??= new Slot(this.#options.detectors));
  }

  /** Whether a bucket lies further than the allowance below what the slot had seen before this batch. */
  #isLate(slot: Slot, bucket: number): boolean {
    return bucket + this.#allowanceBuckets < slot.watermark;
  }

  #countLate({ pairs, addressHash }: Contacts): number {
    let late = 0;
    for (let i = 0; i < pairs.length; i++) {
      const slot = this.#slotOf(addressHash[pairs.source[i]]);
      if (!slot || !((pairs.late[i] & Late.ForSource) !== 0 || this.#isLate(slot, pairs.bucket[i]))) continue;
      const records = pairs.requests[i] + pairs.replies[i];
      slot.lateRecords += records;
      late += records;
    }
    return late;
  }

  /** By slot, and within a slot by source: its states are looked up once. */
  #sortPairs({ pairs, addressHash }: Contacts): Sorted {
    return new Sorted(bySource(pairs, addressHash.length), (i) => {
      const slot = this.#slotOf(addressHash[pairs.source[i]]);
      const isKept = slot && (pairs.late[i] & Late.ForSource) === 0 && !this.#isLate(slot, pairs.bucket[i]);
      return isKept ? slotOf(addressHash[pairs.source[i]]) : -1;
    });
  }

  #sortTargets({ targets, addressHash }: Contacts): Sorted {
    return new Sorted(
      Uint32Array.from({ length: targets.length }, (_, i) => i),
      (i) => {
        const slot = this.#slotOf(addressHash[targets.target[i]]);
        return slot && !this.#isLate(slot, targets.bucket[i]) ? slotOf(addressHash[targets.target[i]]) : -1;
      },
    );
  }

  /** Moves watermarks on; returns which slots the batch concerns. */
  #advance({ pairs, addressHash }: Contacts): Uint8Array {
    const seen = new Uint8Array(slotCount);
    for (let i = 0; i < pairs.length; i++) {
      for (const address of [pairs.source[i], pairs.target[i]]) {
        const slot = this.#slotOf(addressHash[address]);
        if (!slot) continue;
        seen[slotOf(addressHash[address])] = 1;
        if (pairs.bucket[i] > slot.watermark) slot.watermark = pairs.bucket[i];
      }
    }
    return seen;
  }
}

/** The indexes of the pairs, by source (a counting sort). */
function bySource(pairs: PairContacts, addressCount: number): Uint32Array {
  const next = new Uint32Array(addressCount + 1);
  for (let i = 0; i < pairs.length; i++) next[pairs.source[i] + 1]++;
  for (let a = 0; a < addressCount; a++) next[a + 1] += next[a];
  const order = new Uint32Array(pairs.length);
  for (let i = 0; i < pairs.length; i++) order[next[pairs.source[i]]++] = i;
  return order;
}

/** Indexes grouped by slot, each group in the given order (a counting sort); −1 leaves one out. */
class Sorted {
  readonly #from = new Uint32Array(slotCount + 1);
  readonly #indexes: Uint32Array;

  constructor(order: Uint32Array, slotAt: (i: number) => number) {
    const slots = new Int16Array(order.length);
    for (const i of order) {
      slots[i] = slotAt(i);
      if (slots[i] >= 0) this.#from[slots[i] + 1]++;
    }
    for (let s = 0; s < slotCount; s++) this.#from[s + 1] += this.#from[s];
    const next = this.#from.slice(0, slotCount);
    this.#indexes = new Uint32Array(this.#from[slotCount]);
    for (const i of order) if (slots[i] >= 0) this.#indexes[next[slots[i]]++] = i;
  }

  of(slot: number): Uint32Array {
    return this.#indexes.subarray(this.#from[slot], this.#from[slot + 1]);
  }
}
