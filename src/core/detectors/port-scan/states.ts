import { bucketMs } from "../../flow/contacts.ts";
import { AttemptLog } from "../../sketches/attempt-log.ts";
import { SampleKind, StratifiedSample } from "../../sketches/stratified-sample.ts";
import type { MemoryCodec } from "../../slots/entity-memory.ts";
import type { EntityState, StateCodec } from "../../slots/entity-windows.ts";

export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;

/** ln 99 / ln 4, rounded up: by so many the failed attempts, as sampled, must exceed the answered ones. */
export const netFailuresMin = 4;

/** What one source did in an hour. */
export interface HourState extends EntityState {
  log: AttemptLog;
  records: number;
  samplingRate: number;
  internal: boolean;
}

/** What it did in a day, by halves: with the half before, each makes a day that may begin at noon. */
export interface DayState extends EntityState {
  early: AttemptLog | undefined;
  late: AttemptLog | undefined;
  samplingRate: number;
  internal: boolean;
  /** One of its hours closed with a finding, which says it all. */
  hourFound: boolean;
}

/** Of a day that found nothing, its later half: for the day after. */
export interface Carried {
  log: AttemptLog;
  /** End of the day. */
  endMs: number;
}

/**
 * What a network outside (/24, /64) tried in vain, over all its addresses; or what was tried on one host of our own, by
 * all sources.
 */
export interface JointState extends EntityState {
  log: AttemptLog;
  /** Who took part; flags are a set of what each tried, by hash mod 8. */
  sources: StratifiedSample;
  samplingRate: number;
}

/** Sources of which a joint state knows how much each tried: enough for a median. */
const jointSources = new SampleKind(32);

/** In V8's heap, in bytes: of a state without its logs. Measured. */
const stateBytes = 80;
/** The same of a small state, packed. */
const packedBytes = 20;

export const hourCodec: StateCodec<HourState> = {
  create: () => ({
    touched: false,
    log: new AttemptLog(),
    records: 0,
    samplingRate: 1,
    internal: false,
  }),
  save({ log, records, samplingRate, internal }, writer) {
    log.save(writer);
    writer.f64(records);
    writer.u32(samplingRate);
    writer.u8(internal ? 1 : 0);
  },
  load: (reader) => ({
    touched: false,
    log: AttemptLog.load(reader),
    records: reader.f64(),
    samplingRate: reader.u32(),
    internal: reader.u8() === 1,
  }),
  bytes: ({ log }) => stateBytes + log.memoryBytes,
  isSmall: ({ log }) => log.sample.size < netFailuresMin,
  smallBytes: ({ log }) => packedBytes + log.sample.packedBytes,
};

export const dayCodec: StateCodec<DayState> = {
  create: () => ({
    touched: false,
    early: undefined,
    late: undefined,
    samplingRate: 1,
    internal: false,
    hourFound: false,
  }),
  save({ early, late, samplingRate, internal, hourFound }, writer) {
    writer.u8((early ? 1 : 0) | (late ? 2 : 0) | (internal ? 4 : 0) | (hourFound ? 8 : 0));
    early?.save(writer);
    late?.save(writer);
    writer.u32(samplingRate);
  },
  load(reader) {
    const bits = reader.u8();
    return {
      touched: false,
      early: bits & 1 ? AttemptLog.load(reader) : undefined,
      late: bits & 2 ? AttemptLog.load(reader) : undefined,
      samplingRate: reader.u32(),
      internal: (bits & 4) !== 0,
      hourFound: (bits & 8) !== 0,
    };
  },
  bytes: ({ early, late }) => stateBytes + (early?.memoryBytes ?? 0) + (late?.memoryBytes ?? 0),
  isSmall: (state) => attemptsOf(state) < netFailuresMin,
  smallBytes: ({ early, late }) => packedBytes + (early?.sample.packedBytes ?? 0) + (late?.sample.packedBytes ?? 0),
};

/** As sampled, those of both halves twice. */
export function attemptsOf({ early, late }: DayState): number {
  return (early?.sample.size ?? 0) + (late?.sample.size ?? 0);
}

export const carriedCodec: MemoryCodec<Carried> = {
  create: () => ({ log: new AttemptLog(), endMs: 0 }),
  save({ log, endMs }, writer) {
    log.save(writer);
    writer.f64(endMs);
  },
  load: (reader) => ({ log: AttemptLog.load(reader), endMs: reader.f64() }),
  bytes: ({ log }) => log.memoryBytes,
};

export const jointCodec: StateCodec<JointState> = {
  create: () => ({
    touched: false,
    log: new AttemptLog(),
    sources: new StratifiedSample(jointSources),
    samplingRate: 1,
  }),
  save({ log, sources, samplingRate }, writer) {
    log.save(writer);
    sources.save(writer);
    writer.u32(samplingRate);
  },
  load: (reader) => ({
    touched: false,
    log: AttemptLog.load(reader),
    sources: new StratifiedSample(jointSources).load(reader),
    samplingRate: reader.u32(),
  }),
  bytes: ({ log, sources }) => stateBytes + log.memoryBytes + sources.memoryBytes,
  isSmall: ({ log }) => log.sample.size < netFailuresMin,
  smallBytes: ({ log, sources }) => packedBytes + log.sample.packedBytes + sources.packedBytes,
};

export function halfOf(day: DayState, bucket: number): AttemptLog {
  const isLate = (bucket * bucketMs) % dayMs >= dayMs / 2;
  return isLate ? (day.late ??= new AttemptLog()) : (day.early ??= new AttemptLog());
}
