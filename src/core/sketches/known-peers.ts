import type { StateReader, StateWriter } from "../slots/state-bytes.ts";

/** Services of one source that are remembered, 32 bytes each: those that it called last. Gateways call more. */
const knownMax = 64;
/** Rhythms that are remembered, 32 bytes each: an ordinary host has a handful. */
const habitsMax = 16;
/** Days without a call after which a service, or a rhythm, is new again. */
const daysMax = 30;
/** Two gaps or sizes are alike within this factor: clients differ by a name and a timer's slack. */
const likeFactor = 1.1;

/** More of them change nothing. */
const calmDaysMax = 255;

/** In V8's heap, in bytes: without its lists; of a number in them, with their slack. */
const memoryBytes = 200;
const numberBytes = 9;

/** What one source is known to call, by hash of (target, service). */
export interface KnownPeer {
  /** Days since 1970. */
  firstDay: number;
  lastDay: number;
  /** Days on which it was called while nothing about the source was alarming, up to 255. */
  calmDays: number;
}

/** A rhythm that a source has towards some target: whole ms and bytes. */
export interface Habit {
  service: number;
  gapMs: number;
  requestBytes: number;
}

/** A pair of a closed day, as it is remembered. */
export interface DayPair {
  hash: number;
  /** Where it was regular. */
  habit: Habit | undefined;
}

/** In the lists: hash, first day, last day, calm days; service, gap, size, last day. */
const knownStride = 4;
const habitStride = 4;

/**
 * What a source did on earlier days: which services it called, and in which rhythms. A vendor's servers change addresses;
 * the rhythm of his client stays.
 *
 * Plain lists of numbers: an object for each costs four times as much.
 *
 * Bounds: 64 services and 16 rhythms, 3 KB.
 */
export class KnownPeers {
  /** Days that it learnt from. */
  days = 0;
  /** Event time from which on the source was seen, in ms. */
  firstMs = Number.POSITIVE_INFINITY;
  /** Last day on which services had to be forgotten for lack of room: what is unknown since may be old. */
  forgotDay = 0;
  /** Those heard of last stand last. */
  #known: number[] = [];
  #habits: number[] = [];

  get(hash: number): KnownPeer | undefined {
    const at = this.#find(hash);
    if (at < 0) return undefined;
    const [firstDay, lastDay, calmDays] = this.#known.slice(at + 1, at + knownStride);
    return { firstDay, lastDay, calmDays };
  }

  get size(): number {
    return this.#known.length / knownStride;
  }

  /** Whether it has had such a rhythm on an earlier day, towards whomever. */
  hasHabit(habit: Habit): boolean {
    for (let at = 0; at < this.#habits.length; at += habitStride) if (this.#isLike(at, habit)) return true;
    return false;
  }

  /**
   * A day that has closed, its pairs in an order of their own. What is regular on an alarming day becomes known, but
   * neither calm nor a habit.
   */
  learn(day: number, firstMs: number, pairs: readonly DayPair[], isAlarm: boolean): void {
    this.days++;
    this.firstMs = Math.min(this.firstMs, firstMs);
    for (const { hash, habit } of pairs) {
      const { firstDay = day, calmDays = 0 } = this.get(hash) ?? {};
      const isCalm = !isAlarm || habit === undefined;
      const at = this.#find(hash);
      if (at >= 0) this.#known.splice(at, knownStride);
      this.#known.push(hash, firstDay, day, Math.min(calmDaysMax, calmDays + (isCalm ? 1 : 0)));
      if (habit && (isCalm || calmDays > 0)) this.#addHabit(habit, day);
    }
    this.#forget(day);
  }

  /** Memory, in bytes. */
  get bytes(): number {
    return memoryBytes + numberBytes * (this.#known.length + this.#habits.length);
  }

  save(writer: StateWriter): void {
    writer.u32(this.days);
    writer.f64(this.firstMs);
    writer.u32(this.forgotDay);
    writer.words(this.#known);
    writer.words(this.#habits);
  }

  static load(reader: StateReader): KnownPeers {
    const peers = new KnownPeers();
    peers.days = reader.u32();
    peers.firstMs = reader.f64();
    peers.forgotDay = reader.u32();
    peers.#known = reader.words();
    peers.#habits = reader.words();
    return peers;
  }

  #find(hash: number): number {
    const known = this.#known;
    for (let at = 0; at < known.length; at += knownStride) if (known[at] === hash) return at;
    return -1;
  }

  #isLike(at: number, { service, gapMs, requestBytes }: Habit): boolean {
    const habits = this.#habits;
    return habits[at] === service && isLike(habits[at + 1], gapMs) && isLike(habits[at + 2], requestBytes);
  }

  #addHabit(habit: Habit, day: number): void {
    for (let at = this.#habits.length - habitStride; at >= 0; at -= habitStride) {
      if (this.#isLike(at, habit)) this.#habits.splice(at, habitStride);
    }
    this.#habits.push(habit.service, habit.gapMs, habit.requestBytes, day);
  }

  #forget(day: number): void {
    this.#known = keptOf(this.#known, knownStride, 2, day);
    this.#habits = keptOf(this.#habits, habitStride, 3, day);
    if (this.size > knownMax) this.forgotDay = day;
    this.#known = this.#known.slice(-knownMax * knownStride);
    this.#habits = this.#habits.slice(-habitsMax * habitStride);
  }
}

/** What was heard of in the last `daysMax` days, by the day in column `dayAt`. */
function keptOf(list: readonly number[], stride: number, dayAt: number, day: number): number[] {
  return list.filter((_, i) => list[i - (i % stride) + dayAt] + daysMax >= day);
}

function isLike(a: number, b: number): boolean {
  return a <= likeFactor * b && b <= likeFactor * a;
}
