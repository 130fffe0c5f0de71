import { BottomK } from "../../sketches/bottom-k.ts";
import type { EntityState, StateCodec } from "../../slots/entity-windows.ts";

/** Edges of a day that a host keeps, 28 bytes each, exact up to here: a host that has more is told by its habit. */
export const edgesKept = 32;
/** Who came to it on such ports: one or two that are new make a chain. */
const visitorsKept = 16;

/** Flags of an edge, that is of a distinct (target, port). */
export const Edge = { Failed: 1, Answered: 2 } as const;

export interface HostState extends EntityState {
  /** That it made, of whatever kind: a host that makes some is there. */
  requests: number;
  /** Those on administration ports; the label is `labelOf`, so that it merges to the first contact. */
  edges: BottomK;
  /** The same of those of our own that reached it, and how many of their visits it answered. */
  visitors: BottomK;
  visitsAnswered: number;
  /** Its own keyed hash; 0 while nobody came. */
  addressHash: number;
  /** Of its own edges. */
  packets: number;
  samplingRate: number;
}

/** In V8's heap, in bytes: of a state without its samples. Measured. */
const stateBytes = 130;
/** The same of a small one, packed: of it, and of its edge or visitor. */
const packedBytes = 35;
const packedEdgeBytes = 40;
/** Requests up to which a host may be an invented source; one that works makes hundreds a day. */
export const smallRequestsMax = 8;

export const codec: StateCodec<HostState> = {
  create: () => ({
    touched: false,
    requests: 0,
    edges: new BottomK(edgesKept),
    visitors: new BottomK(visitorsKept),
    visitsAnswered: 0,
    addressHash: 0,
    packets: 0,
    samplingRate: 1,
  }),
  save({ requests, edges, visitors, visitsAnswered, addressHash, packets, samplingRate }, writer) {
    for (const sum of [requests, visitsAnswered, packets]) writer.f64(sum);
    writer.u32(samplingRate);
    writer.u32(addressHash);
    edges.save(writer);
    visitors.save(writer);
  },
  load(reader) {
    return {
      touched: false,
      requests: reader.f64(),
      visitsAnswered: reader.f64(),
      packets: reader.f64(),
      samplingRate: reader.u32(),
      addressHash: reader.u32(),
      edges: BottomK.load(edgesKept, reader),
      visitors: BottomK.load(visitorsKept, reader),
    };
  },
  bytes: ({ edges, visitors }) => stateBytes + edges.memoryBytes + visitors.memoryBytes,
  isSmall: ({ requests, edges, visitors }) => requests <= smallRequestsMax && edges.size + visitors.size <= 1,
  smallBytes: ({ edges, visitors }) => packedBytes + packedEdgeBytes * (edges.size + visitors.size),
};

/** Bucket of the day, and port: a day has 8,640 buckets. */
export function labelOf(bucketOfDay: number, port: number): number {
  return bucketOfDay * 65_536 + port;
}

export function labelPort(label: number): number {
  return label & 65_535;
}

export function positions({ size }: BottomK): number[] {
  return Array.from({ length: size }, (_, i) => i);
}
