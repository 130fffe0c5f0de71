import { hashService } from "../../flow/keyed-hash.ts";
import type { MemoryCodec } from "../../slots/entity-memory.ts";

/** Bits of a host's known edges, and bits set for each: of 200 edges, one in 60 that is new counts as known. */
const knownWords = 64;
const bitsPerEdge = 3;

/** A host's past. */
export interface Past {
  /** Closed days on which it was there. */
  days: number;
  /** Closed days that it learnt from. */
  learnt: number;
  /** Most new targets of a quiet day after the first, when each is new; fades. */
  newMost: number;
  /** A Bloom filter of edges and visitors; empty while there was none. */
  known: number[];
}

/** In V8's heap, in bytes: of a past, and of a word of its filter. */
const pastBytes = 110;
const wordBytes = 10;

export const pastCodec: MemoryCodec<Past> = {
  create: () => ({ days: 0, learnt: 0, newMost: 0, known: [] }),
  save({ days, learnt, newMost, known }, writer) {
    writer.u32(days);
    writer.u32(learnt);
    writer.f64(newMost);
    writer.words(known);
  },
  load: (reader) => ({ days: reader.u32(), learnt: reader.u32(), newMost: reader.f64(), known: reader.words() }),
  bytes: ({ known }) => pastBytes + wordBytes * known.length,
};

/** Positions of an edge's bits, from its keyed hash. */
function bitsOf(hash: number): number[] {
  return Array.from({ length: bitsPerEdge }, (_, i) => hashService(hash, i, 0) % (32 * knownWords));
}

export function isKnown(past: Past | undefined, hash: number): boolean {
  if (!past || past.known.length === 0) return false;
  return bitsOf(hash).every((bit) => (past.known[bit >>> 5] & (1 << (bit & 31))) !== 0);
}

export function know(past: Past, hash: number): void {
  if (past.known.length === 0) past.known = Array<number>(knownWords).fill(0);
  for (const bit of bitsOf(hash)) past.known[bit >>> 5] = (past.known[bit >>> 5] | (1 << (bit & 31))) >>> 0;
}

/** One who comes is another matter than one that is reached. */
export function visitHash(hash: number): number {
  return (hash ^ 0x5bd1e995) >>> 0;
}
