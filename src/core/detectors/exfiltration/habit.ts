import { neighbourhoodOf } from "../../flow/prefixes.ts";
import type { HashedRows } from "../../sketches/hashed-rows.ts";
import type { MemoryCodec } from "../../slots/entity-memory.ts";
import { keyOfAddress, type Entry, type Key } from "../../slots/entity-windows.ts";
import type { AddressWords } from "../../verdict.ts";
import { byAddress } from "../forgetting.ts";
import { dayMs, judgedFromBytes } from "./settings.ts";
import { bySent, Column, type UploadState } from "./upload-state.ts";

/** Quiet days that a host's habit is taken from: its largest upload and its middle ratio. */
export const daysKept = 14;
/** Destinations that a host is known to send to; a host has a few that get a megabyte a day. */
const knownMax = 16;
/** After so many days of alarm a destination is known: whoever looked at it let it be. */
const alarmDaysMax = 7;
/** A destination is new again after so long. */
const knownForMs = 30 * dayMs;

interface KnownDestination {
  /** /24, /64: services answer from several addresses of one. */
  prefix: AddressWords;
  lastMs: number;
  /** Most that it got on a quiet day; 0 where there was none. */
  bytesMax: number;
  alarmDays: number;
}

/** Of quiet days, the oldest first. */
export interface Habit {
  /** Producer/consumer ratio of each. */
  ratios: number[];
  /** Most that a destination got that was new on that day; 0 on the first, when each of them was. */
  newBytes: number[];
  known: KnownDestination[];
}

const habitBytes = 330;
const habitDayBytes = 24;
const knownBytes = 190;

export const habitCodec: MemoryCodec<Habit> = {
  create: () => ({ ratios: [], newBytes: [], known: [] }),
  save({ ratios, newBytes, known }, writer) {
    writer.numbers(ratios);
    writer.numbers(newBytes);
    writer.u32(known.length);
    for (const { prefix, lastMs, bytesMax, alarmDays } of known) {
      for (const word of prefix) writer.u32(word);
      writer.f64(lastMs);
      writer.f64(bytesMax);
      writer.u8(alarmDays);
    }
  },
  load(reader) {
    const habit: Habit = { ratios: reader.numbers(), newBytes: reader.numbers(), known: [] };
    for (let left = reader.u32(); left > 0; left--) {
      const prefix = [reader.u32(), reader.u32(), reader.u32(), reader.u32()] as const;
      habit.known.push({ prefix, lastMs: reader.f64(), bytesMax: reader.f64(), alarmDays: reader.u8() });
    }
    return habit;
  },
  bytes: ({ ratios, known }) => habitBytes + habitDayBytes * ratios.length + knownBytes * known.length,
};

/** (sent − received) / (sent + received): 1 for a pure producer, −1 for a pure consumer. */
export function ratioOf(sent: number, received: number): number {
  return sent + received === 0 ? 0 : (sent - received) / (sent + received);
}

/** Destinations of one neighbourhood, most bytes first. */
export interface Upload {
  prefix: AddressWords;
  members: number[];
  sent: number;
  received: number;
}

export function uploadsOf(destinations: HashedRows): Upload[] {
  const uploads = new Map<Key, Upload>();
  for (let at = 0; at < destinations.size; at++) {
    const prefix = neighbourhoodOf(...destinations.address(at));
    const key = keyOfAddress(prefix);
    let upload = uploads.get(key);
    if (!upload) uploads.set(key, (upload = { prefix, members: [], sent: 0, received: 0 }));
    upload.members.push(at);
    upload.sent += destinations.get(at, Column.Sent);
    upload.received += destinations.get(at, Column.Received);
  }
  for (const { members } of uploads.values()) bySent(destinations, members);
  return [...uploads.values()].sort((x, y) => y.sent - x.sent || byAddress(x.prefix, y.prefix));
}

export function remember({ windowStartMs, state }: Entry<UploadState>, habit: Habit, wasAlarm: boolean): void {
  let newBytes = 0;
  // What is found strange must not become usual at once; but where nothing is usual yet, it may be just that.
  const isAlarm = wasAlarm && hasHabit(habit);
  for (const { prefix, sent } of uploadsOf(state.destinations)) {
    if (sent < judgedFromBytes) break;
    const known = destinationIn(habit, prefix) ?? { prefix, lastMs: 0, bytesMax: 0, alarmDays: 0 };
    if (known.lastMs === 0) habit.known.push(known);
    if (!isKnown(known)) newBytes = Math.max(newBytes, sent);
    known.lastMs = windowStartMs;
    if (isAlarm) known.alarmDays = Math.min(alarmDaysMax, known.alarmDays + 1);
    else known.bytesMax = Math.max(known.bytesMax, sent);
  }
  habit.known = habit.known
    .filter(({ lastMs }) => lastMs + knownForMs > windowStartMs)
    .sort((x, y) => y.lastMs - x.lastMs || y.bytesMax - x.bytesMax || byAddress(x.prefix, y.prefix))
    .slice(0, knownMax);
  if (isAlarm) return;
  habit.newBytes = [...habit.newBytes, habit.ratios.length === 0 ? 0 : newBytes].slice(-daysKept);
  habit.ratios = [...habit.ratios, ratioOf(state.sentBytes, state.receivedBytes)].slice(-daysKept);
}

export function destinationIn(habit: Habit, prefix: AddressWords): KnownDestination | undefined {
  return habit.known.find((known) => byAddress(known.prefix, prefix) === 0);
}

export function isKnown({ bytesMax, alarmDays }: KnownDestination): boolean {
  return bytesMax > 0 || alarmDays >= alarmDaysMax;
}

/** Quiet days from which a host's habit is known. */
const habitDaysMin = 2;

export function hasHabit({ ratios }: Habit): boolean {
  return ratios.length >= habitDaysMin;
}
