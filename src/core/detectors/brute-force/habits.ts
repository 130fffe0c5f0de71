import type { MemoryCodec } from "../../slots/entity-memory.ts";
import { codec, habitAttemptsMin, type LoginState } from "./login-state.ts";
import { alikeWidth, isTimed, plateauOf, visitSizes } from "./plateau.ts";
import { dayMs } from "./settings.ts";

/** What an entity is known for by its closed days: rows of a service, its median size, and days of it. */
export type Habits = number[];
/** Told are days of alarm; the attempts are those of all days. */
export const HabitColumn = { Service: 0, Bytes: 1, Days: 2, Told: 3, Attempts: 4 } as const;
export const habitColumns = 5;
/** Services that a source is known for, at most: the first ones. */
const habitsMax = 6;
/** A guesser that pauses longer is a new one. */
export const forgetMs = 14 * dayMs;

/** In V8's heap, in bytes: of an entity's habits, and of a number of them. */
const habitsBytes = 100;
const habitNumberBytes = 10;

export const habitsCodec: MemoryCodec<Habits> = {
  create: () => [],
  save: (habits, writer) => writer.numbers(habits),
  load: (reader) => reader.numbers(),
  bytes: (habits) => habitsBytes + habitNumberBytes * habits.length,
};

export function habitKey(port: number, isTarget: boolean): number {
  return port + (isTarget ? 65_536 : 0);
}

/** Position of the row of that service and about that size; −1 where there is none. */
export function habitOf(habits: Habits, key: number, medianBytes: number): number {
  for (let row = 0; row < habits.length; row += habitColumns) {
    const isAlike = Math.abs(habits[row + HabitColumn.Bytes] - medianBytes) <= alikeWidth * medianBytes;
    if (habits[row + HabitColumn.Service] === key && isAlike) return row;
  }
  return -1;
}

export function daysOf(habits: Habits, row: number): { days: number; toldDays: number } {
  if (row < 0) return { days: 0, toldDays: 0 };
  return { days: habits[row + HabitColumn.Days], toldDays: habits[row + HabitColumn.Told] };
}

/** A day's attempts of one kind that were alike, for later days. */
interface DayOfAttempts {
  key: number;
  medianBytes: number;
  count: number;
}

/** Share of sizes alike from which a day is remembered, whatever the settings. */
const habitShareMin = 0.7;

export function plateausOf(state: LoginState): DayOfAttempts[] {
  if (codec.isSmall(state)) return [];
  const days: DayOfAttempts[] = [];
  for (const one of state.attempts.values()) {
    const plateau = plateauOf(one, habitAttemptsMin);
    if (!plateau || plateau.alikeShare < habitShareMin) continue;
    // What a timer paces is remembered, but adds up to nothing.
    const count = isTimed(plateau.atMs) ? 0 : plateau.count;
    days.push({ key: habitKey(one.port, false), medianBytes: plateau.medianBytes, count });
  }
  for (const one of state.visits.values()) {
    const { medianBytes, alikeShare } = visitSizes(one);
    if (alikeShare < habitShareMin || one.sources.size < 2) continue;
    days.push({ key: habitKey(one.port, true), medianBytes, count: one.externalAnswered });
  }
  return days.sort((a, b) => a.key - b.key);
}

export function rememberDay(habits: Habits, { key, medianBytes, count }: DayOfAttempts, isAlarm: boolean): void {
  const told = isAlarm ? 1 : 0;
  const row = habitOf(habits, key, medianBytes);
  if (row >= 0) {
    habits[row + HabitColumn.Days]++;
    habits[row + HabitColumn.Told] += told;
    habits[row + HabitColumn.Attempts] += count;
  } else if (habits.length < habitsMax * habitColumns) {
    habits.push(key, medianBytes, 1, told, count);
  }
}
