import { Habit } from "../../sketches/habit.ts";
import { Inflow } from "../../sketches/inflow.ts";
import type { BottomK } from "../../sketches/bottom-k.ts";
import type { MemoryCodec } from "../../slots/entity-memory.ts";
import type { EntityState, StateCodec } from "../../slots/entity-windows.ts";
import type { AddressWords } from "../../verdict.ts";

export const hourMs = 3_600_000;
export const minuteMs = 60_000;

export interface FloodState extends EntityState {
  internal: boolean;
  /** Keyed hash of a target outside; 0 for others. A signed word: V8 keeps no other with the state itself. */
  addressHash: number;
  /** What reached the entity as a target; of a prefix, what reached all of it. */
  direct: Inflow | undefined;
  /** What reached one of our own as the nominal source of replies. */
  reflected: Inflow | undefined;
  /**
   * Answers without their request, less requests without their answer, by span of ten minutes: of TCP, of the rest.
   * Empty before the first.
   */
  surplus: number[];
}

const hourMinutes = hourMs / minuteMs;
const spanMinutes = 10;
export const surplusCount = (hourMinutes / spanMinutes) * 2;

/** In V8's heap, in bytes: of a state without its inflows, and of a full `surplus`. Measured. */
const stateBytes = 130;
const surplusBytes = 110;
/** The same of a small state, packed, and of its `surplus`. */
const packedBytes = 18;
const packedSurplusBytes = 12;

export const codec: StateCodec<FloodState> = {
  create: () => ({
    touched: false,
    internal: false,
    addressHash: 0,
    direct: undefined,
    reflected: undefined,
    surplus: [],
  }),
  save(state, writer) {
    writer.u8((state.internal ? 1 : 0) | (state.direct ? 2 : 0) | (state.reflected ? 4 : 0));
    writer.u32(state.addressHash >>> 0);
    state.direct?.save(writer);
    state.reflected?.save(writer);
    writer.numbers(state.surplus);
  },
  load(reader) {
    const bits = reader.u8();
    return {
      touched: false,
      internal: (bits & 1) !== 0,
      addressHash: reader.u32() | 0,
      direct: bits & 2 ? Inflow.load(reader) : undefined,
      reflected: bits & 4 ? Inflow.load(reader) : undefined,
      surplus: reader.numbers(),
    };
  },
  bytes: ({ direct, reflected, surplus }) =>
    stateBytes + (direct?.memoryBytes ?? 0) + (reflected?.memoryBytes ?? 0) + (surplus.length > 0 ? surplusBytes : 0),
  isSmall: ({ direct, reflected }) => (direct?.isSmall ?? true) && (reflected?.isSmall ?? true),
  smallBytes: ({ direct, reflected, surplus }) =>
    packedBytes +
    (direct?.packedBytes ?? 0) +
    (reflected?.packedBytes ?? 0) +
    (surplus.length > 0 ? packedSurplusBytes : 0),
};

/** Place in `surplus` of a minute since 1970. */
export function surplusAt(minute: number, isTcp: boolean): number {
  return 2 * Math.floor((minute % hourMinutes) / spanMinutes) + (isTcp ? 0 : 1);
}

/** What a habit is known of. */
export const Measure = { Lost: 0, Unsolicited: 1, Packets: 2, Bytes: 3 } as const;
export type Measure = (typeof Measure)[keyof typeof Measure];

/** Of a minute, so little of each measure that it makes no habit: a thirtieth of what raises an alarm by default. */
export const trivial = [16, 16, 20_000, 100_000_000] as const;

export const memory: MemoryCodec<Habit> = {
  create: () => new Habit(trivial),
  save: (habit, writer) => habit.save(writer),
  load: (reader) => Habit.load(trivial, reader),
  bytes: ({ bytes }) => bytes,
};

export function isPrefix([a, , c, d]: AddressWords): boolean {
  return (a === 0 && c === 0xfffe) || (c === 0xffffffff && d === 48);
}

/** Distinct sources of our own within the hour. */
export function ownSources({ direct }: FloodState): number {
  if (!direct) return 0;
  const { others } = direct;
  return others.isExact ? ownSampled(others) : Math.round((others.count() * ownSampled(others)) / others.size);
}

export function ownSampled(others: BottomK): number {
  let own = 0;
  for (let i = 0; i < others.size; i++) own += others.flags(i);
  return own;
}
