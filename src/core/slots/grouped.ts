import type { PairContacts } from "../flow/contacts.ts";
import { slotCount } from "../flow/keyed-hash.ts";

/** The indexes of the pairs, by source (a counting sort): who is looked up for one pair is at hand for the next. */
export function bySource(pairs: PairContacts, addressCount: number): Uint32Array {
  const next = new Uint32Array(addressCount + 1);
  for (let i = 0; i < pairs.length; i++) next[pairs.source[i] + 1]++;
  for (let a = 0; a < addressCount; a++) next[a + 1] += next[a];
  const order = new Uint32Array(pairs.length);
  for (let i = 0; i < pairs.length; i++) order[next[pairs.source[i]]++] = i;
  return order;
}

/** Indexes of contacts by slot (a counting sort), each group in the given order or else ascending; −1 leaves one out. */
export class Grouped {
  readonly #from = new Uint32Array(slotCount + 1);
  readonly #indexes: Uint32Array;
  readonly #period: Uint32Array;

  /** `period` of each contact: what its slot had reached when it came. */
  constructor(order: Uint32Array | undefined, slotOfIndex: Int16Array, period: Uint32Array) {
    this.#period = period;
    for (const slot of slotOfIndex) if (slot >= 0) this.#from[slot + 1]++;
    for (let s = 0; s < slotCount; s++) this.#from[s + 1] += this.#from[s];
    const next = this.#from.slice(0, slotCount);
    this.#indexes = new Uint32Array(this.#from[slotCount]);
    for (let at = 0; at < slotOfIndex.length; at++) {
      const i = order ? order[at] : at;
      if (slotOfIndex[i] >= 0) this.#indexes[next[slotOfIndex[i]]++] = i;
    }
  }

  /** The first period behind `period` in which contacts of the slot came; infinite if there is none. */
  periodAfter(slot: number, period: number): number {
    let next = Infinity;
    for (let at = this.#from[slot]; at < this.#from[slot + 1]; at++) {
      const one = this.#period[this.#indexes[at]];
      if (one > period && one < next) next = one;
    }
    return next;
  }

  all(slot: number): Uint32Array {
    return this.#indexes.subarray(this.#from[slot], this.#from[slot + 1]);
  }

  /** Those that came when the slot had reached one of these periods. */
  between(slot: number, first: number, last: number): Uint32Array {
    const all = this.all(slot);
    const some = new Uint32Array(all.length);
    let count = 0;
    for (const i of all) if (this.#period[i] >= first && this.#period[i] <= last) some[count++] = i;
    return some.subarray(0, count);
  }
}
