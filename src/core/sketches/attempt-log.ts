import type { StateReader, StateWriter } from "../slots/state-bytes.ts";
import { sourcesKept } from "../flow/contacts.ts";
import { AnsweredCounts } from "./answered-counts.ts";
import { SampleKind, StratifiedSample } from "./stratified-sample.ts";

/** What is known of an attempt, that is of a distinct (target, port, protocol). */
export const Attempt = {
  /** The source has sent what may be a probe. */
  Sent: 1,
  Failed: 2,
  Answered: 4,
  /** The target has sent something, if only a refusal. */
  Replied: 8,
  /** It came from a port of a service, and from another one: told of targets' ports that are no service's. */
  FromService: 16,
  FromOther: 32,
  /** The target is one of the tenant's own. */
  Inside: 64,
} as const;

const kind = new SampleKind(sourcesKept, [
  { flag: Attempt.Failed, k: sourcesKept },
  { flag: Attempt.Answered, k: 16 },
]);

/** In V8's heap, in bytes: of a log without its sample. */
const logBytes = 60;

/**
 * What one source tried: a sample of its attempts in which those that failed, and some that were answered, are sampled
 * by themselves; and, where there are too many to know all of them, how many were answered by service and by target.
 */
export class AttemptLog {
  readonly sample = new StratifiedSample(kind);
  /** Once the sample is no longer all of them, unless none was answered. */
  #answered: AnsweredCounts | undefined;

  /** Whether anything changed. */
  add(hash: number, addresses: Uint32Array, index: number, service: number, flags: number): boolean {
    const wasExact = this.sample.isExact;
    const isNews = this.sample.add(hash, addresses, index, service, flags);
    if (this.sample.isExact) return isNews;
    if (wasExact) this.#answered = answeredOf(this.sample);
    if ((flags & Attempt.Answered) === 0) return isNews;
    this.#answered ??= new AnsweredCounts();
    return this.#answered.add(hash, service, keyOfWords(addresses, index * 4)) || isNews;
  }

  /** All that both were told. */
  static union(one: AttemptLog, other: AttemptLog): AttemptLog {
    const union = new AttemptLog();
    for (const { sample } of [one, other]) union.sample.merge(sample);
    if (union.sample.isExact) return union;
    for (const log of [one, other]) {
      const answered = log.sample.isExact ? answeredOf(log.sample) : log.#answered;
      if (answered) (union.#answered ??= new AnsweredCounts()).merge(answered);
    }
    return union;
  }

  /** Of how many attempts one that is in the sample stands for. */
  get scale(): number {
    return this.sample.isExact ? 1 : this.sample.count() / this.sample.k;
  }

  /** The same of those that failed, and of those that were answered. */
  get failedScale(): number {
    const kept = this.sample.keptOf(0);
    return kept === 0 ? 1 : this.sample.countOf(0) / kept;
  }

  get failed(): number {
    return this.sample.countOf(0);
  }

  /** The most that can have been answered of those on a service; of a log that is not exact. */
  answeredOfService(service: number): number {
    return this.#answered?.ofService(service) ?? 0;
  }

  /** The same of those at the address of element `at`. */
  answeredAt(at: number): number {
    return this.#answered?.ofTarget(keyOf(this.sample, at)) ?? 0;
  }

  get memoryBytes(): number {
    return logBytes + this.sample.memoryBytes + (this.#answered ? AnsweredCounts.memoryBytes : 0);
  }

  save(writer: StateWriter): void {
    this.sample.save(writer);
    if (this.sample.isExact) return;
    writer.u8(this.#answered ? 1 : 0);
    this.#answered?.save(writer);
  }

  static load(reader: StateReader): AttemptLog {
    const log = new AttemptLog();
    log.sample.load(reader);
    if (!log.sample.isExact && reader.u8() === 1) log.#answered = AnsweredCounts.load(reader);
    return log;
  }
}

/** Of a sample that has all attempts; undefined if none was answered. */
function answeredOf(sample: StratifiedSample): AnsweredCounts | undefined {
  let counts: AnsweredCounts | undefined;
  for (let i = 0; i < sample.headSize; i++) {
    if ((sample.flags(i) & Attempt.Answered) === 0) continue;
    (counts ??= new AnsweredCounts()).add(sample.hash(i), sample.label(i), keyOf(sample, i));
  }
  return counts;
}

function keyOf(sample: StratifiedSample, i: number): number {
  return keyOfWords(sample.address(i), 0);
}

function keyOfWords(words: ArrayLike<number>, w: number): number {
  return words[w] ^ Math.imul(words[w + 1], 3) ^ Math.imul(words[w + 2], 5) ^ words[w + 3];
}
