import { bucketMs, type Contacts } from "../flow/contacts.ts";
import { hashService } from "../flow/keyed-hash.ts";
import { serviceOf } from "../flow/protocols.ts";
import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { peersMax } from "../verdict.ts";
import { BottomK } from "./bottom-k.ts";
import { ContactSeries } from "./contact-series.ts";

const binMs = 300_000;
const bins = 86_400_000 / binMs;
const binCountMax = 255;

/** In V8's heap, in bytes, without the series and the targets. Measured. */
const attemptsBytes = 760;

/** Of a small one, packed: without its starts, and of a start. */
const packedBytes = 100;
const packedStartBytes = 9;
const smallRequestsMax = 4;
const smallStartsMax = 16;

/** A record of at least `sessionMsMin`; `bytes`, which the source sent, is 0 while there was none. */
interface Session {
  bytes: number;
  startMs: number;
  durationMs: number;
}

/**
 * What a source did to one port of whatever targets in a day: sums, the latest starts, requests by five minutes, the
 * session in which it sent most, a sample of the targets that answered.
 *
 * State is a commutative monoid: sums, minima, maxima, counts that stop at 255, and the canonical forms of its parts.
 *
 * Bounds: a `ContactSeries`, 288 bytes of counts, `peersMax` targets of 28 bytes.
 */
export class LoginAttempts {
  readonly port: number;
  /** Its owner's. */
  readonly rank: number;
  series = new ContactSeries();
  answered = 0;
  targetPackets = 0;
  /** Earliest start; infinite while there is none. */
  firstMs = Number.POSITIVE_INFINITY;
  sessions = 0;
  longest: Session = { bytes: 0, startMs: 0, durationMs: 0 };
  /** Those that answered. */
  targets = new BottomK(peersMax);
  #counts = new Uint8Array(bins);

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

  #add({ pairs, addresses, addressHash }: Contacts, i: number, dayStartMs: number): void {
    this.series.add(pairs, i, dayStartMs);
    this.answered += pairs.answered[i];
    this.targetPackets += pairs.targetPackets[i];
    if (pairs.startCount[i] > 0) this.firstMs = Math.min(this.firstMs, pairs.startMs[pairs.startsAt[i]]);
    const bin = Math.floor((pairs.bucket[i] * bucketMs - dayStartMs) / binMs);
    this.#counts[bin] = Math.min(binCountMax, this.#counts[bin] + pairs.requests[i]);
    if (pairs.answered[i] === 0) return;
    const [target, port, protocol] = [pairs.target[i], pairs.port[i], pairs.protocol[i]];
    const hash = hashService(addressHash[target], port, protocol);
    this.targets.add(hash, addresses, target, serviceOf(port, protocol), 0);
  }

  addSession({ sessions }: Contacts, i: number): void {
    this.sessions++;
    const [bytes, startMs, endMs] = [sessions.sourceBytes[i], sessions.startMs[i], sessions.endMs[i]];
    const session = { bytes, startMs, durationMs: endMs - startMs };
    if (isLonger(session, this.longest)) this.longest = session;
  }

  get requests(): number {
    return this.series.requests;
  }

  /** So few requests that they are no series, or no answer to some more: a scan's. */
  get isSmall(): boolean {
    const isSilent = this.answered === 0 && this.series.ring.size <= smallStartsMax;
    return this.targets.size <= 1 && (isSilent || this.requests <= smallRequestsMax);
  }

  /** Memory of a small one, packed, in bytes. */
  get packedBytes(): number {
    return packedBytes + packedStartBytes * this.series.ring.size;
  }

  /** Answered records that are no slices of long ones. */
  get count(): number {
    return Math.max(0, Math.min(this.series.requests - this.series.failed, this.answered) - this.sessions);
  }

  /** Most requests in ten minutes that begin with five of the clock; 510 for more. */
  get busiest(): number {
    const counts = this.#counts;
    let most = 0;
    for (let bin = 0; bin < bins; bin++) most = Math.max(most, counts[bin] + (counts[bin + 1] ?? 0));
    return most;
  }

  get packetsPerRequest(): number {
    return (this.series.sourcePackets + this.targetPackets) / this.series.requests;
  }

  /** Memory, in bytes. */
  get memoryBytes(): number {
    return attemptsBytes + this.series.memoryBytes + this.targets.memoryBytes;
  }

  save(writer: StateWriter): void {
    const { bytes, startMs, durationMs } = this.longest;
    writer.u32(this.port);
    writer.u32(this.rank);
    for (const sum of [this.answered, this.targetPackets, this.firstMs, this.sessions]) writer.f64(sum);
    for (const value of [bytes, startMs, durationMs]) writer.f64(value);
    this.series.save(writer);
    writer.append(this.#counts);
    this.targets.save(writer);
  }

  static load(reader: StateReader): LoginAttempts {
    const one = new LoginAttempts(reader.u32(), reader.u32());
    one.answered = reader.f64();
    one.targetPackets = reader.f64();
    one.firstMs = reader.f64();
    one.sessions = reader.f64();
    one.longest = { bytes: reader.f64(), startMs: reader.f64(), durationMs: reader.f64() };
    one.series = ContactSeries.load(reader);
    for (let bin = 0; bin < bins; bin++) one.#counts[bin] = reader.u8();
    one.targets = BottomK.load(peersMax, reader);
    return one;
  }
}

/** By what was sent. Ties go to the earlier one, then to the longer one: never by order of arrival. */
function isLonger(a: Session, b: Session): boolean {
  if (a.bytes !== b.bytes) return a.bytes > b.bytes;
  return a.startMs < b.startMs || (a.startMs === b.startMs && a.durationMs > b.durationMs);
}
