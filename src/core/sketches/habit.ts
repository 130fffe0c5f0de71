import type { StateReader, StateWriter } from "../slots/state-bytes.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Hours that count one by one; and from so many on there is a habit. */
const recentHours = 4;
/** Of what is older, each day counts a seventh less than the next. */
const dailyShare = 6 / 7;
/** A habit is what nineteen minutes in twenty stay below. */
const usualShare = 0.95;

/** Two buckets for each doubling, from `least` on: values are known within 41 %. */
const perDoubling = 2;
const bucketsMax = 40;

/** In V8's heap, in bytes: of a habit, of a bucket, of an hour. Measured. */
const habitBytes = 500;
const numberBytes = 10;

/** One minute's value of one measure. */
export interface Minute {
  measure: number;
  value: number;
}

/**
 * How much of several measures is usual for one entity, minute by minute: the greatest of each of the last four hours,
 * and a histogram of the last week. Only minutes of more than `least` count: what is done every night is a habit, though
 * most minutes of the day are empty.
 *
 * Bounds: 40 buckets per measure, of which the busiest servers fill a dozen; four hours.
 * Source: recent hours and a P95 of seven days, as Microsoft's and Cloudflare's adaptive limits have them.
 */
export class Habit {
  /** Least value that counts, of each measure. */
  readonly #least: readonly number[];
  /** Start of the first hour; 0 before. */
  firstMs = 0;
  hours = 0;
  #day = 0;
  /** Minutes per bucket: `measure × bucketsMax + bucket`, count; ascending. */
  #buckets: number[] = [];
  /** Hours: end, then the greatest value of each measure; ascending. */
  #recent: number[] = [];

  constructor(least: readonly number[]) {
    this.#least = least;
  }

  /** Whether so much has been learnt that a habit can be told from chance. */
  get isKnown(): boolean {
    return this.hours >= recentHours;
  }

  /** From a closed hour; hours come in order. */
  learn(endMs: number, minutes: readonly Minute[]): void {
    if (this.hours++ === 0) this.firstMs = endMs - hourMs;
    this.#age(Math.floor(endMs / dayMs));
    const greatest = this.#least.map(() => 0);
    for (const { measure, value } of minutes) {
      if (value < this.#least[measure]) continue;
      greatest[measure] = Math.max(greatest[measure], value);
      this.#count(measure * bucketsMax + this.#bucketOf(measure, value));
    }
    this.#recent.push(endMs, ...greatest);
    this.#recent.splice(0, this.#recent.length - recentHours * this.#stride);
  }

  /** What is usual, at `atMs`; 0 where nothing was ever seen. */
  usual(measure: number, atMs: number): number {
    let most = this.#usualOfWeek(measure);
    for (let at = 0; at < this.#recent.length; at += this.#stride) {
      if (this.#recent[at] > atMs - recentHours * hourMs) most = Math.max(most, this.#recent[at + 1 + measure]);
    }
    return most;
  }

  get bytes(): number {
    return habitBytes + (this.#buckets.length + this.#recent.length) * numberBytes;
  }

  save(writer: StateWriter): void {
    writer.f64(this.firstMs);
    writer.u32(this.hours);
    writer.u32(this.#day);
    writer.words(this.#buckets);
    writer.numbers(this.#recent);
  }

  static load(least: readonly number[], reader: StateReader): Habit {
    const habit = new Habit(least);
    habit.firstMs = reader.f64();
    habit.hours = reader.u32();
    habit.#day = reader.u32();
    habit.#buckets = reader.words();
    habit.#recent = reader.numbers();
    return habit;
  }

  get #stride(): number {
    return 1 + this.#least.length;
  }

  #bucketOf(measure: number, value: number): number {
    return Math.min(bucketsMax - 1, Math.floor(perDoubling * Math.log2(value / this.#least[measure])));
  }

  #count(key: number): void {
    const buckets = this.#buckets;
    let at = 0;
    while (at < buckets.length && buckets[at] < key) at += 2;
    if (buckets[at] === key) buckets[at + 1]++;
    else buckets.splice(at, 0, key, 1);
  }

  #age(day: number): void {
    const share = dailyShare ** Math.max(0, day - this.#day);
    const aged: number[] = [];
    for (let at = 0; at < this.#buckets.length; at += 2) {
      const count = Math.floor(this.#buckets[at + 1] * share);
      if (count > 0) aged.push(this.#buckets[at], count);
    }
    this.#buckets = aged;
    this.#day = Math.max(day, this.#day);
  }

  /** Upper bound of the bucket that 95 % of the minutes lie in or below. */
  #usualOfWeek(measure: number): number {
    const buckets = this.#buckets;
    const isOf = (at: number) => Math.floor(buckets[at] / bucketsMax) === measure;
    let all = 0;
    for (let at = 0; at < buckets.length; at += 2) if (isOf(at)) all += buckets[at + 1];
    let below = 0;
    for (let at = 0; at < buckets.length; at += 2) {
      if (!isOf(at)) continue;
      below += buckets[at + 1];
      const bucket = buckets[at] % bucketsMax;
      if (below >= usualShare * all) return Math.round(this.#least[measure] * 2 ** ((bucket + 1) / perDoubling));
    }
    return 0;
  }
}
