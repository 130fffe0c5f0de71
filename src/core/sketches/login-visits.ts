import { bucketMs, type Contacts } from "../flow/contacts.ts";
import { serviceOf } from "../flow/protocols.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { BottomK } from "./bottom-k.ts";

/** Sources that are kept: enough to tell many from few. */
const sourcesKept = 12;
/** Buckets of ten seconds whose sizes are kept: the latest. */
const bucketsKept = 24;

/** Bucket, requests, bytes. */
const stride = 3;

/** In V8's heap, in bytes, without the sources; and of a bucket with the slack that a growing array has. Measured. */
const visitsBytes = 330;
const bucketBytes = 30;

/** Of a small one, packed: without its sources and buckets, of a source, of a bucket. */
const packedBytes = 35;
const packedSourceBytes = 20;
const packedBucketBytes = 10;
const smallRequestsMax = 4;

/**
 * What reached one port of a target in a day: sums, sizes by bucket, a sample of the sources, flagged where they are own.
 *
 * State is a commutative monoid: sums, maxima, the latest buckets, of which one that was dropped cannot come back.
 *
 * Bounds: 24 buckets of 3 numbers, 12 sources of 28 bytes.
 */
export class LoginVisits {
  readonly port: number;
  /** Its owner's. */
  readonly rank: number;
  requests = 0;
  answered = 0;
  externalAnswered = 0;
  failed = 0;
  packets = 0;
  samplingRate = 1;
  sources = new BottomK(sourcesKept);
  /** Ascending. */
  #buckets: number[] = [];
  /** Greatest bucket of the day that was dropped, −1 while none was. */
  #floor = -1;

  constructor(port: number, rank: number) {
    this.port = port;
    this.rank = rank;
  }

  /** Returns whether it may take more memory than before, or is small no more. */
  add(contacts: Contacts, i: number, dayStartMs: number): boolean {
    const { memoryBytes, isSmall } = this;
    this.#add(contacts, i, dayStartMs);
    return this.memoryBytes !== memoryBytes || this.isSmall !== isSmall;
  }

  #add({ targets, addresses, addressHash, internal }: Contacts, i: number, dayStartMs: number): void {
    this.requests += targets.requests[i];
    this.answered += targets.answered[i];
    this.externalAnswered += targets.externalAnswered[i];
    this.failed += targets.failed[i];
    this.packets += targets.minutePackets[i];
    this.samplingRate = Math.max(this.samplingRate, targets.samplingRate[i]);
    this.#addSize(targets.bucket[i] - dayStartMs / bucketMs, targets.requests[i], targets.minuteBytes[i]);
    const service = serviceOf(targets.port[i], targets.protocol[i]);
    const end = targets.sourcesAt[i] + targets.sourceCount[i];
    for (let s = targets.sourcesAt[i]; s < end; s++) {
      const source = targets.sources[s];
      this.sources.add(addressHash[source], addresses, source, service, internal[source]);
    }
  }

  /** Answered requests from outside. */
  get count(): number {
    return Math.max(0, Math.min(this.requests - this.failed, this.externalAnswered));
  }

  /** Mean of what a request sent, bucket by bucket. */
  sizes(): number[] {
    const buckets = this.#buckets;
    const means: number[] = [];
    for (let at = 0; at < buckets.length; at += stride) {
      means.push(buckets[at + 2] / buckets[at + 1]);
    }
    return means;
  }

  /** Hardly any requests, or no answer to some from outside, whom a scan makes. */
  get isSmall(): boolean {
    return this.externalAnswered === 0 || this.requests <= smallRequestsMax;
  }

  /** Memory of a small one, packed, in bytes. */
  get packedBytes(): number {
    return packedBytes + packedSourceBytes * this.sources.size + packedBucketBytes * (this.#buckets.length / stride);
  }

  /** Memory, in bytes. */
  get memoryBytes(): number {
    return visitsBytes + (this.#buckets.length / stride) * bucketBytes + this.sources.memoryBytes;
  }

  save(writer: StateWriter): void {
    writer.u32(this.port);
    writer.u32(this.rank);
    const { requests, answered, externalAnswered, failed, packets } = this;
    for (const sum of [requests, answered, externalAnswered, failed, packets]) writer.f64(sum);
    writer.u32(this.samplingRate);
    writer.u32(this.#floor + 1);
    writer.numbers(this.#buckets);
    this.sources.save(writer);
  }

  static load(reader: StateReader): LoginVisits {
    const one = new LoginVisits(reader.u32(), reader.u32());
    one.requests = reader.f64();
    one.answered = reader.f64();
    one.externalAnswered = reader.f64();
    one.failed = reader.f64();
    one.packets = reader.f64();
    one.samplingRate = reader.u32();
    one.#floor = reader.u32() - 1;
    one.#buckets = reader.numbers();
    one.sources = BottomK.load(sourcesKept, reader);
    return one;
  }

  #addSize(bucket: number, requests: number, bytes: number): void {
    const buckets = this.#buckets;
    // A record without a request shows nothing of what was sent.
    if (requests === 0 || bucket <= this.#floor) return;
    let at = buckets.length;
    while (at > 0 && buckets[at - stride] >= bucket) at -= stride;
    if (buckets[at] === bucket) {
      buckets[at + 1] += requests;
      buckets[at + 2] += bytes;
      return;
    }
    buckets.splice(at, 0, bucket, requests, bytes);
    if (buckets.length <= bucketsKept * stride) return;
    this.#floor = buckets[0];
    buckets.splice(0, stride);
  }
}
