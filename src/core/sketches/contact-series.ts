import type { PairContacts } from "../flow/contacts.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { bitCount } from "./bit-count.ts";
import { StartRing } from "./start-ring.ts";

/** In V8's heap, in bytes, without the ring. Measured. */
const seriesBytes = 210;

/**
 * What a source did towards one service of one target in a day: sums, the latest starts, and when it was active.
 *
 * State is a commutative monoid: sums, unions, maxima, and the ring's own canonical form.
 *
 * Bounds: 9 numbers and a `StartRing`.
 */
export class ContactSeries {
  requests = 0;
  failed = 0;
  sourceBytes = 0;
  targetBytes = 0;
  sourcePackets = 0;
  /** Sum of the records' lives. */
  durationMs = 0;
  /** Greatest, 1 where every packet was seen. */
  samplingRate = 1;
  /** A 64-bit set of source ports, in two words. */
  portsLow = 0;
  portsHigh = 0;
  ring = new StartRing();

  add(pairs: PairContacts, i: number, dayStartMs: number): void {
    this.requests += pairs.requests[i];
    this.failed += pairs.failed[i];
    this.sourceBytes += pairs.sourceBytes[i];
    this.targetBytes += pairs.targetBytes[i];
    this.sourcePackets += pairs.sourcePackets[i];
    this.durationMs += pairs.durationMs[i];
    if (pairs.samplingRate[i] > this.samplingRate) this.samplingRate = pairs.samplingRate[i];
    this.portsLow |= pairs.sourcePortsLow[i];
    this.portsHigh |= pairs.sourcePortsHigh[i];
    if (pairs.requests[i] > 0) this.ring.add(pairs, i, dayStartMs);
  }

  /** What several are together, with all of their starts: for a look at them. */
  static merged(all: Iterable<ContactSeries>): ContactSeries {
    const merged = new ContactSeries();
    merged.ring = new StartRing(Number.POSITIVE_INFINITY);
    for (const series of all) merged.#add(series);
    return merged;
  }

  #add(other: ContactSeries): void {
    this.requests += other.requests;
    this.failed += other.failed;
    this.sourceBytes += other.sourceBytes;
    this.targetBytes += other.targetBytes;
    this.sourcePackets += other.sourcePackets;
    this.durationMs += other.durationMs;
    this.samplingRate = Math.max(this.samplingRate, other.samplingRate);
    this.portsLow |= other.portsLow;
    this.portsHigh |= other.portsHigh;
    const { ring } = other;
    const { size } = ring;
    for (let i = 0; i < size; i++) this.ring.insert(ring.bucketAt(i), ring.timeAt(i), ring.bytesAt(i));
  }

  /** Source ports seen, modulo 64: few for many requests are records of one connection. */
  get sourcePorts(): number {
    return bitCount(this.portsLow) + bitCount(this.portsHigh);
  }

  /** Share of the requests that came to nothing, 0 to 1. */
  get unansweredShare(): number {
    return Math.min(1, this.failed / this.requests);
  }

  /** Memory, in bytes. */
  get memoryBytes(): number {
    return seriesBytes + this.ring.memoryBytes;
  }

  save(writer: StateWriter): void {
    const { requests, failed, sourceBytes, targetBytes, sourcePackets, durationMs } = this;
    writer.numbers([requests, failed, sourceBytes, targetBytes, sourcePackets, durationMs]);
    writer.words([this.samplingRate, this.portsLow, this.portsHigh]);
    this.ring.save(writer);
  }

  static load(reader: StateReader): ContactSeries {
    const series = new ContactSeries();
    const sums = reader.numbers();
    [series.requests, series.failed, series.sourceBytes, series.targetBytes, series.sourcePackets, series.durationMs] =
      sums;
    const [samplingRate, low, high] = reader.words();
    series.samplingRate = samplingRate;
    // As signed words, which is what unions make.
    series.portsLow = low | 0;
    series.portsHigh = high | 0;
    series.ring = StartRing.load(reader);
    return series;
  }
}
