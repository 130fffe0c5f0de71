import { bucketMs, type PairContacts } from "../flow/contacts.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { bitCount } from "./bit-count.ts";
import { StartRing } from "./start-ring.ts";

/** Ten-minute bins of a day, one bit each, 24 in a number. */
const binMs = 600_000;
const binsPerWord = 24;
const binWords = 6;

/** In V8's heap, in bytes, without the ring. Measured. */
const seriesBytes = 250;

/**
 * What a source did towards one service of one target in a day: sums, the latest starts, and when it was active.
 *
 * State is a commutative monoid: sums, unions, and the ring's own canonical form.
 *
 * Bounds: 20 numbers and a `StartRing`.
 */
export class ContactSeries {
  requests = 0;
  failed = 0;
  sourceBytes = 0;
  targetBytes = 0;
  sourcePackets = 0;
  ring = new StartRing();
  /** A 64-bit set of source ports, in two words. */
  #portsLow = 0;
  #portsHigh = 0;
  #bins: number[] = Array<number>(binWords).fill(0);

  add(pairs: PairContacts, i: number, dayStartMs: number): void {
    this.requests += pairs.requests[i];
    this.failed += pairs.failed[i];
    this.sourceBytes += pairs.sourceBytes[i];
    this.targetBytes += pairs.targetBytes[i];
    this.sourcePackets += pairs.sourcePackets[i];
    this.#portsLow |= pairs.sourcePortsLow[i];
    this.#portsHigh |= pairs.sourcePortsHigh[i];
    if (pairs.requests[i] === 0) return;
    const bin = Math.floor((pairs.bucket[i] * bucketMs - dayStartMs) / binMs);
    this.#bins[Math.floor(bin / binsPerWord)] |= 1 << (bin % binsPerWord);
    this.ring.add(pairs, i, dayStartMs);
  }

  /** Source ports seen, modulo 64: few for many requests are records of one connection. */
  get sourcePorts(): number {
    return bitCount(this.#portsLow) + bitCount(this.#portsHigh);
  }

  /** Share of the requests that came to nothing, 0 to 1. */
  get unansweredShare(): number {
    return Math.min(1, this.failed / this.requests);
  }

  /** How many ten-minute bins had requests, and how many of them in a row at most. */
  activity(): { active: number; longestRun: number } {
    let active = 0;
    let run = 0;
    let longestRun = 0;
    for (let bin = 0; bin < binsPerWord * binWords; bin++) {
      const isActive = (this.#bins[Math.floor(bin / binsPerWord)] & (1 << (bin % binsPerWord))) !== 0;
      run = isActive ? run + 1 : 0;
      if (isActive) active++;
      if (run > longestRun) longestRun = run;
    }
    return { active, longestRun };
  }

  /** Memory, in bytes. */
  get memoryBytes(): number {
    return seriesBytes + this.ring.memoryBytes;
  }

  save(writer: StateWriter): void {
    const { requests, failed, sourceBytes, targetBytes, sourcePackets } = this;
    writer.numbers([requests, failed, sourceBytes, targetBytes, sourcePackets]);
    writer.words([this.#portsLow, this.#portsHigh, ...this.#bins]);
    this.ring.save(writer);
  }

  static load(reader: StateReader): ContactSeries {
    const series = new ContactSeries();
    [series.requests, series.failed, series.sourceBytes, series.targetBytes, series.sourcePackets] = reader.numbers();
    [series.#portsLow, series.#portsHigh, ...series.#bins] = reader.words();
    series.ring = StartRing.load(reader);
    return series;
  }
}
