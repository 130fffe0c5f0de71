import { FlowBatch } from "../../../src/core/flow/flow-batch.ts";
import type { Format, FormatOptions } from "../../../src/core/formats/format.ts";
import { formatById } from "../../../src/core/formats/index.ts";
import { type Balance, type ReadFailure, RecordReader } from "../../../src/core/formats/record-reader.ts";

/** One row of a batch, addresses as text. */
export interface Row {
  source: string;
  target: string;
  sourcePort: number;
  targetPort: number;
  protocol: number;
  startMs: number;
  endMs: number;
  sourceBytes: number;
  targetBytes: number;
  sourcePackets: number;
  targetPackets: number;
  tcpFlags: number;
  outcome: number;
  initiator: number;
  /** 16 hexadecimal digits, or nothing where the record has no id. */
  recordId: string;
}

export interface Reading {
  rows: Row[];
  balance: Balance;
  failure: ReadFailure | undefined;
  format: string | undefined;
}

export interface ReadingOptions {
  options?: FormatOptions;
  /** Sizes of the chunks, in turn; the rest is one chunk. */
  cuts?: readonly number[];
  batch?: FlowBatch;
  recordsMax?: number;
  lineBytesMax?: number;
  latestEndMs?: number;
}

const encoder = new TextEncoder();

export function read(format: string, body: string | Uint8Array, reading: ReadingOptions = {}): Reading {
  const batch = reading.batch ?? new FlowBatch(4);
  const reader = new RecordReader({
    format: format === "auto" ? "auto" : namedFormat(format),
    options: reading.options ?? {},
    batch,
    recordsMax: reading.recordsMax ?? 200_000,
    lineBytesMax: reading.lineBytesMax ?? 65_536,
    latestEndMs: reading.latestEndMs ?? Number.MAX_SAFE_INTEGER,
  });
  const bytes = typeof body === "string" ? encoder.encode(body) : body;
  let from = 0;
  for (const cut of reading.cuts ?? []) {
    reader.push(bytes.slice(from, from + cut));
    from += cut;
  }
  reader.push(bytes.slice(from));
  const balance = reader.end();
  return { rows: rowsOf(batch), balance, failure: reader.failure, format: reader.format?.id };
}

export function namedFormat(id: string): Format {
  const format = formatById(id);
  if (format === undefined) throw new Error(`no format ${id}`);
  return format;
}

export function rowsOf(batch: FlowBatch): Row[] {
  return Array.from({ length: batch.length }, (_, row) => ({
    source: addressText(batch, batch.source[row]),
    target: addressText(batch, batch.target[row]),
    sourcePort: batch.sourcePort[row],
    targetPort: batch.targetPort[row],
    protocol: batch.protocol[row],
    startMs: batch.startMs[row],
    endMs: batch.endMs[row],
    sourceBytes: batch.sourceBytes[row],
    targetBytes: batch.targetBytes[row],
    sourcePackets: batch.sourcePackets[row],
    targetPackets: batch.targetPackets[row],
    tcpFlags: batch.tcpFlags[row],
    outcome: batch.outcome[row],
    initiator: batch.initiator[row],
    recordId: recordIdText(batch.recordIdHigh[row], batch.recordIdLow[row]),
  }));
}

function recordIdText(high: number, low: number): string {
  return high === 0 && low === 0 ? "" : [high, low].map((word) => word.toString(16).padStart(8, "0")).join("");
}

/** IPv4 with dots; IPv6 as eight groups without leading zeros, uncompressed. */
function addressText(batch: FlowBatch, index: number): string {
  const [a, b, c, d] = batch.addresses.words.subarray(index * 4, index * 4 + 4);
  if (a === 0 && b === 0 && c === 0xffff) return [d >>> 24, (d >>> 16) & 255, (d >>> 8) & 255, d & 255].join(".");
  return [a, b, c, d].flatMap((word) => [(word >>> 16).toString(16), (word & 0xffff).toString(16)]).join(":");
}
