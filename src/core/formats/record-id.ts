import type { FlowBatch } from "../flow/flow-batch.ts";
import type { FieldReader } from "./field-values.ts";
import type { FlowRow } from "./flow-row.ts";

/** A SHA-512 in hexadecimal. UUIDs and what Zeek, Suricata and Elasticsearch make are a third of it at most. */
export const RECORD_ID_BYTES_MAX = 128;

const { imul } = Math;

/** Of a time or a count, the lower 32 bits. */
const numbers = new Int32Array(6);

/**
 * Writes the id of row `at`: 64 bits of hash of the id that its record carries, in the field `slot`, and of what the
 * record says. Records that share an id and say different things, such as reports of a flow that goes on, differ.
 * Not keyed: who could make ids collide already writes the log.
 */
export function setRecordId(batch: FlowBatch, at: number, row: FlowRow, fields: FieldReader, slot: number): void {
  const { bytes, starts, ends } = fields;
  const start = starts[slot];
  const end = ends[slot];
  if (end - start > RECORD_ID_BYTES_MAX) return;
  const words = row.words;
  numbers[0] = row.startUs;
  numbers[1] = row.endUs;
  numbers[2] = row.sourceBytes;
  numbers[3] = row.targetBytes;
  numbers[4] = row.sourcePackets;
  numbers[5] = row.targetPackets;
  let high = (row.sourcePort << 16) | row.targetPort;
  let low = (row.protocol << 8) | (end - start);
  // Loops, so that there are few enough calls for all to be inlined.
  for (let i = 0; i < 4; i++) {
    high = mixed(high, words[i], low);
    low = mixed(low, words[i + 4], high);
  }
  for (let i = 0; i < 6; i += 2) {
    high = mixed(high, numbers[i], low);
    low = mixed(low, numbers[i + 1], high);
  }
  for (let i = start; i < end; i += 8) {
    high = mixed(high, wordAt(bytes, i, end), low);
    low = mixed(low, wordAt(bytes, i + 4, end), high);
  }
  high = finished((high + low) | 0);
  low = finished((low + high) | 0);
  high = (high + low) | 0;
  batch.recordIdHigh[at] = high;
  // Both 0 is what a record without an id has.
  batch.recordIdLow[at] = high === 0 && low === 0 ? 1 : low;
}

/**
 * A step of MurmurHash3 (Appleby) with 32 bits; a lane takes in the other as its 128 bits do. Of two lanes in turn it
 * is a bijection, so ids that differ only within the 8 bytes of one step never meet.
 */
function mixed(lane: number, word: number, other: number): number {
  const k = imul(word, 0xcc9e2d51);
  const h = lane ^ imul((k << 15) | (k >>> 17), 0x1b873593);
  return (imul((h << 13) | (h >>> 19), 5) + 0xe6546b64 + other) | 0;
}

function finished(lane: number): number {
  let h = imul(lane ^ (lane >>> 16), 0x85ebca6b);
  h = imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Four bytes, or what is left of them. */
function wordAt(bytes: Uint8Array, at: number, end: number): number {
  if (at + 4 <= end) return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
  let word = 0;
  for (let i = at; i < end; i++) word = (word << 8) | bytes[i];
  return word;
}
