import { slotContacts, type SlotContacts, type SlotDetector } from "../../../src/core/detectors/detector.ts";
import { allDetectors } from "../../../src/core/detectors/index.ts";
import { settingsOf } from "../../../src/core/detectors/thresholds.ts";
import { bucketMs, periodBuckets, type Contacts } from "../../../src/core/flow/contacts.ts";
import { slotCount, slotOf } from "../../../src/core/flow/keyed-hash.ts";
import { unpackContacts } from "../../../src/core/flow/pack-contacts.ts";
import { NetworkFacts } from "../../../src/core/slots/network-facts.ts";
import { bySource } from "../../../src/core/slots/grouped.ts";

interface Share {
  slot: number;
  contacts: SlotContacts;
}

interface Body {
  contacts: Contacts;
  shares: Share[];
}

/** Buckets that windows stay open after their end. */
const allowanceBuckets = 60;

/** All detectors, and nothing of a shard: what they learn is dealt to slots beforehand. */
export class DetectorBench {
  readonly #bodies: Body[] = [];
  readonly #slots = new Map<number, SlotDetector[]>();
  /** As a shard has them: slots tell what closed, and are told what all know. */
  readonly #facts = new NetworkFacts();
  #latest = 0;

  put(packed: ArrayBuffer): void {
    const contacts = unpackContacts(packed);
    this.#bodies.push({ contacts, shares: sharesOf(contacts) });
  }

  /** Has all detectors learn all bodies, in order, and judge after each; the next run goes on in time. */
  run(): number {
    let opinions = 0;
    for (const { contacts, shares } of this.#bodies) opinions += this.#learn(latestOf(contacts), shares);
    const [first, last] = [this.#bodies[0].contacts, this.#bodies.at(-1)!.contacts];
    const span = latestOf(last) - latestOf(first) + 1;
    for (const { contacts } of this.#bodies) shift(contacts, span);
    return opinions;
  }

  #learn(latest: number, shares: readonly Share[]): number {
    const closedMs = (latest - (latest % periodBuckets) - allowanceBuckets) * bucketMs;
    const isNewPeriod = Math.floor(latest / periodBuckets) > Math.floor(this.#latest / periodBuckets);
    this.#latest = latest;
    let opinions = 0;
    for (const { slot, contacts } of shares) {
      for (const detector of this.#detectorsOf(slot)) {
        if (isNewPeriod) detector.settle(Infinity, Infinity);
        detector.learn(contacts);
        opinions += detector.findings(closedMs, this.#facts).length;
        detector.tell?.(this.#facts.ofSlot(slot), false);
      }
    }
    return opinions;
  }

  #detectorsOf(slot: number): SlotDetector[] {
    let own = this.#slots.get(slot);
    if (!own) this.#slots.set(slot, (own = allDetectors.map((kind) => kind.create(settingsOf(kind.thresholds)))));
    return own;
  }
}

function latestOf({ pairs }: Contacts): number {
  return pairs.bucket.reduce((most, bucket) => Math.max(most, bucket), 0);
}

/** The same contacts, so many buckets later. */
function shift({ pairs, targets, prefixes, sessions }: Contacts, buckets: number): void {
  for (const { bucket } of [pairs, targets, prefixes, sessions])
    for (let i = 0; i < bucket.length; i++) bucket[i] += buckets;
  for (const times of [pairs.startMs, sessions.startMs, sessions.endMs]) {
    for (let i = 0; i < times.length; i++) times[i] += buckets * bucketMs;
  }
}

function sharesOf(contacts: Contacts): Share[] {
  const { pairs, targets, prefixes, sessions, addressHash } = contacts;
  const all = (length: number) => Uint32Array.from({ length }, (_, i) => i);
  const dealt = {
    pairs: deal(bySource(pairs, addressHash.length), pairs.source, addressHash),
    targets: deal(all(targets.length), targets.target, addressHash),
    prefixes: deal(all(prefixes.length), prefixes.prefix, addressHash),
    sessions: deal(all(sessions.length), sessions.source, addressHash),
  };
  return Array.from({ length: slotCount }, (_, slot) => ({
    slot,
    contacts: slotContacts(contacts, {
      pairs: dealt.pairs[slot],
      targets: dealt.targets[slot],
      prefixes: dealt.prefixes[slot],
      sessions: dealt.sessions[slot],
    }),
  })).filter(({ contacts: own }) => own.pairs.length + own.targets.length + own.prefixes.length > 0);
}

/** Contacts by the slot of their entity, in the given order. */
function deal(order: Uint32Array, entity: Uint32Array, addressHash: Uint32Array): Uint32Array[] {
  const slots = Array.from({ length: slotCount }, () => [] as number[]);
  for (const i of order) slots[slotOf(addressHash[entity[i]])].push(i);
  return slots.map((indexes) => Uint32Array.from(indexes));
}
