import { HashedRows } from "../../sketches/hashed-rows.ts";
import type { EntityState, StateCodec } from "../../slots/entity-windows.ts";
import { judgedFromBytes } from "./settings.ts";

/** Destinations that a host keeps: beyond the first number, the ones it sent most to, down to the second. */
const destinationsMax = 32;
const destinationsKept = 20;
/** New ones that it may have between two settlements: of more, those of lowest keyed hash. A crawler's five minutes. */
const freshDestinationsMax = 256;

/** In V8's heap, in bytes: of a state, and of a destination with the slack that a growing array has. Measured. */
const stateBytes = 330;
const destinationBytes = 105;
/** The same of a small state, packed. */
const packedBytes = 62;

/** Columns of a destination. */
export const Column = { Service: 6, Sent: 7, Received: 8 } as const;
const destinationColumns = 9;
export const severalServices = 0;

/** What a host exchanged with the outside on one day, in exchanges that it began. */
export interface UploadState extends EntityState {
  requests: number;
  sentBytes: number;
  receivedBytes: number;
  sentPackets: number;
  /** Greatest sampling rate. */
  samplingRate: number;
  destinations: HashedRows;
}

export const codec: StateCodec<UploadState> = {
  create: () => ({
    touched: false,
    requests: 0,
    sentBytes: 0,
    receivedBytes: 0,
    sentPackets: 0,
    samplingRate: 1,
    destinations: new HashedRows(destinationColumns, freshDestinationsMax),
  }),
  save({ requests, sentBytes, receivedBytes, sentPackets, samplingRate, destinations }, writer) {
    for (const sum of [requests, sentBytes, receivedBytes, sentPackets]) writer.f64(sum);
    writer.u32(samplingRate);
    destinations.save(writer);
  },
  load(reader) {
    return {
      touched: false,
      requests: reader.f64(),
      sentBytes: reader.f64(),
      receivedBytes: reader.f64(),
      sentPackets: reader.f64(),
      samplingRate: reader.u32(),
      destinations: HashedRows.load(destinationColumns, freshDestinationsMax, reader),
    };
  },
  bytes: ({ destinations }) => stateBytes + destinationBytes * destinations.size,
  isSmall: ({ requests, sentBytes, destinations }) =>
    requests <= 2 && destinations.size <= 1 && sentBytes < judgedFromBytes,
  smallBytes: () => packedBytes,
  excess: ({ destinations }) => Math.max(0, destinations.size - destinationsMax),
  trim({ destinations }) {
    destinations.keep(bySent(destinations, destinations.positions()).slice(0, destinationsKept));
  },
};

/** Most bytes first; ties go by hash. */
export function bySent(destinations: HashedRows, positions: number[]): number[] {
  const sent = (at: number) => destinations.get(at, Column.Sent);
  return positions.sort((x, y) => sent(y) - sent(x) || x - y);
}

export function mostSent(destinations: HashedRows): number {
  return Math.max(0, ...destinations.positions().map((at) => destinations.get(at, Column.Sent)));
}
