import type { HashedRows } from "../../sketches/hashed-rows.ts";
import type { Entry } from "../../slots/entity-windows.ts";
import { isRare, type NetworkFacts } from "../../slots/network-facts.ts";
import type { Finding } from "../../verdict.ts";
import type { Known } from "../windowed.ts";
import { findingOf } from "./finding.ts";
import { destinationIn, hasHabit, isKnown, ratioOf, uploadsOf, type Habit, type Upload } from "./habit.ts";
import type { ExfiltrationSettings } from "./settings.ts";
import { Column, type UploadState } from "./upload-state.ts";

/** Of a host without one: nearly all one way, and most of what it sent. */
const firstRatioMin = 0.8;
const firstShareMin = 0.5;

type Reason = "above_baseline" | "new_destination" | "turned_producer";

/** An upload, and what speaks against it. */
export interface Suspicion {
  upload: Upload;
  ratio: number;
  reasons: Reason[];
  /** What its bytes are held against, and the largest usual upload that follows from. */
  limit: number;
  usualBytes: number;
  isKnown: boolean;
  /** Own hosts that call it, as far as is known. */
  sources: number;
  isAlarm: boolean;
}

/** What the host as a whole did, and usually does. */
export interface HostDay {
  state: UploadState;
  habit: Habit | undefined;
  /** Whether the habit is known. */
  isUsual: boolean;
  ratio: number;
  usualRatio: number;
}

export function judgeHost(
  entry: Entry<UploadState>,
  settings: Readonly<ExfiltrationSettings>,
  known: Known<Habit>,
): Finding | undefined {
  const { state } = entry;
  if (state.sentBytes < settings.uploadBytesMin || !hasProducer(state, settings)) return undefined;
  const habit = known.memoryOf(entry.address);
  const day: HostDay = {
    state,
    habit,
    isUsual: habit !== undefined && hasHabit(habit),
    ratio: ratioOf(state.sentBytes, state.receivedBytes),
    usualRatio: medianOf(habit?.ratios ?? []),
  };
  const suspicions = uploadsOf(state.destinations)
    .filter(({ sent, received }) => sent >= settings.uploadBytesMin && ratioOf(sent, received) >= settings.ratioMin)
    .map((upload) =>
      day.isUsual ? byHabit(upload, day, settings, known.facts) : bySize(upload, day, settings, known.facts),
    )
    .filter(({ reasons }) => reasons.length > 0 || !day.isUsual)
    .sort((x, y) => Number(y.isAlarm) - Number(x.isAlarm) || y.reasons.length - x.reasons.length);
  return suspicions.length === 0 ? undefined : findingOf(entry, day, suspicions, settings);
}

/** Whether it sent enough to some destination for what that gave: the ratio of several is never above all of theirs. */
function hasProducer({ destinations }: UploadState, { ratioMin }: Readonly<ExfiltrationSettings>): boolean {
  for (let at = 0; at < destinations.size; at++) {
    if (ratioOf(destinations.get(at, Column.Sent), destinations.get(at, Column.Received)) >= ratioMin) return true;
  }
  return false;
}

function medianOf(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const sorted = values.toSorted((x, y) => x - y);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

function byHabit(
  upload: Upload,
  day: HostDay,
  settings: Readonly<ExfiltrationSettings>,
  facts: NetworkFacts | undefined,
): Suspicion {
  const { uploadBytesMin, baselineFactor, ceilingBytes, ratioShiftMin } = settings;
  const known = destinationIn(day.habit!, upload.prefix);
  const isKnownOne = known !== undefined && isKnown(known);
  const usualBytes = isKnownOne ? known.bytesMax : Math.max(...day.habit!.newBytes);
  const limit = Math.max(uploadBytesMin, Math.min(baselineFactor * usualBytes, ceilingBytes));
  const sources = sourcesOf(upload, day.state.destinations, facts);
  const reasons: Reason[] = [];
  if (upload.sent >= limit) reasons.push("above_baseline");
  if (!isKnownOne && isRare(sources, facts)) reasons.push("new_destination");
  if (day.ratio - day.usualRatio >= ratioShiftMin) reasons.push("turned_producer");
  return {
    upload,
    ratio: ratioOf(upload.sent, upload.received),
    reasons,
    limit,
    usualBytes,
    isKnown: isKnownOne,
    sources,
    isAlarm: reasons.length >= 2,
  };
}

function bySize(
  upload: Upload,
  { state, habit }: HostDay,
  { firstUploadBytesMin, uploadBytesMin }: Readonly<ExfiltrationSettings>,
  facts: NetworkFacts | undefined,
): Suspicion {
  const limit = Math.max(uploadBytesMin, firstUploadBytesMin);
  const ratio = ratioOf(upload.sent, upload.received);
  const sources = sourcesOf(upload, state.destinations, facts);
  const isMost = upload.sent >= firstShareMin * state.sentBytes;
  const known = habit && destinationIn(habit, upload.prefix);
  const isKnownOne = known !== undefined && isKnown(known);
  const isNewOne = !isKnownOne && isRare(sources, facts);
  const isAlarm = upload.sent >= limit && ratio >= firstRatioMin && isMost && isNewOne;
  return { upload, ratio, reasons: [], limit, usualBytes: known?.bytesMax ?? 0, isKnown: isKnownOne, sources, isAlarm };
}

function sourcesOf({ members }: Upload, destinations: HashedRows, facts: NetworkFacts | undefined): number {
  return Math.max(1, ...members.map((at) => facts?.sourcesOf(destinations.hash(at)) ?? 1));
}
