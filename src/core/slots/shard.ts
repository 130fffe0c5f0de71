import type { Detector } from "../detectors/detector.ts";
import { bucketMs, Late, type Contacts, type PairContacts } from "../flow/contacts.ts";
import { slotCount, slotOf } from "../flow/keyed-hash.ts";
import type { Verdict } from "../verdict.ts";
import { closedUpToMs, Slot } from "./slot.ts";
import { StateReader, type StateWriter } from "./state-bytes.ts";

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
    const slotOfAddress = this.#slotsOf(contacts);
    const { slotOfPair, late } = this.#placePairs(contacts, slotOfAddress);
    const pairs = new Grouped(bySource(contacts.pairs, slotOfAddress.length), slotOfPair);
    const targets = new Grouped(undefined, this.#placeTargets(contacts, slotOfAddress));
    const seen = this.#advance(contacts, slotOfAddress);
    const verdicts: Verdict[] = [];
    for (let s = 0; s < slotCount; s++) {
      const slot = this.#slots[s];
      if (!slot || seen[s] === 0) continue;
      slot.learn({ contacts, pairs: pairs.of(s), targets: targets.of(s) });
      verdicts.push(...slot.verdicts(closedUpToMs(slot.watermark, this.#allowanceBuckets)));
    }
    return { verdicts, late };
  }

  /** The input has ended: closes every window. */
  end(): Verdict[] {
    return this.#slots.flatMap((slot) => slot?.verdicts(Number.POSITIVE_INFINITY) ?? []);
  }

  save(writer: StateWriter): void {
    writer.u32(magic);
    writer.u32(version);
    const used = this.#slots.flatMap((slot, s) => (slot ? [{ slot, s }] : []));
    writer.u32(used.length);
    for (const { slot, s } of used) {
      writer.u32(s);
      slot.save(writer);
    }
  }

  #load(reader: StateReader): void {
    if (reader.u32() !== magic || reader.u32() !== version) throw new RangeError("not the state of a shard");
    for (let left = reader.u32(); left > 0; left--) {
      const s = reader.u32();
      this.#slots[s] = new Slot(this.#options.detectors, reader);
    }
  }

  /** The slot of each address, made if need be; −1 where it is another shard's. */
  #slotsOf({ addressHash }: Contacts): Int16Array {
    return Int16Array.from(addressHash, (hash) => {
      const s = slotOf(hash);
      if (!this.#options.owns(s)) return -1;
      this.#slots[s] ??= new Slot(this.#options.detectors);
      return s;
    });
  }

  /** Whether a bucket lies further than the allowance below what the slot had seen before this batch. */
  #isLate(slot: number, bucket: number): boolean {
    return bucket + this.#allowanceBuckets < this.#slots[slot]!.watermark;
  }

  /** The slot that learns each pair, −1 where none does; counts the records that come too late for theirs. */
  #placePairs({ pairs }: Contacts, slotOfAddress: Int16Array): { slotOfPair: Int16Array; late: number } {
    const slotOfPair = new Int16Array(pairs.length);
    let late = 0;
    for (let i = 0; i < pairs.length; i++) {
      const slot = slotOfAddress[pairs.source[i]];
      slotOfPair[i] = slot;
      if (slot < 0) continue;
      if ((pairs.late[i] & Late.ForSource) === 0 && !this.#isLate(slot, pairs.bucket[i])) continue;
      const records = pairs.requests[i] + pairs.replies[i];
      this.#slots[slot]!.lateRecords += records;
      late += records;
      slotOfPair[i] = -1;
    }
    return { slotOfPair, late };
  }

  #placeTargets({ targets }: Contacts, slotOfAddress: Int16Array): Int16Array {
    const slotOfTarget = new Int16Array(targets.length);
    for (let i = 0; i < targets.length; i++) {
      const slot = slotOfAddress[targets.target[i]];
      slotOfTarget[i] = slot >= 0 && this.#isLate(slot, targets.bucket[i]) ? -1 : slot;
    }
    return slotOfTarget;
  }

  /** Moves watermarks on, by both ends of each pair; returns which slots the batch concerns. */
  #advance({ pairs }: Contacts, slotOfAddress: Int16Array): Uint8Array {
    const seen = new Uint8Array(slotCount);
    const see = (s: number, bucket: number) => {
      if (s < 0) return;
      seen[s] = 1;
      const slot = this.#slots[s]!;
      if (bucket > slot.watermark) slot.watermark = bucket;
    };
    for (let i = 0; i < pairs.length; i++) {
      see(slotOfAddress[pairs.source[i]], pairs.bucket[i]);
      see(slotOfAddress[pairs.target[i]], pairs.bucket[i]);
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

/** Indexes grouped by slot (a counting sort), each group in the given order or else ascending; −1 leaves one out. */
class Grouped {
  readonly #from = new Uint32Array(slotCount + 1);
  readonly #indexes: Uint32Array;

  constructor(order: Uint32Array | undefined, slotOfIndex: Int16Array) {
    for (const slot of slotOfIndex) if (slot >= 0) this.#from[slot + 1]++;
    for (let s = 0; s < slotCount; s++) this.#from[s + 1] += this.#from[s];
    const next = this.#from.slice(0, slotCount);
    this.#indexes = new Uint32Array(this.#from[slotCount]);
    for (let at = 0; at < slotOfIndex.length; at++) {
      const i = order ? order[at] : at;
      if (slotOfIndex[i] >= 0) this.#indexes[next[slotOfIndex[i]]++] = i;
    }
  }

  of(slot: number): Uint32Array {
    return this.#indexes.subarray(this.#from[slot], this.#from[slot + 1]);
  }
}
