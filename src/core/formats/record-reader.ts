import type { FlowBatch } from "../flow/flow-batch.ts";
import {
  ACCEPTED,
  type Format,
  type FormatOptions,
  NOT_A_RECORD,
  type RecordParser,
  type Reject,
  type Rejection,
  SKIPPED,
} from "./format.ts";
import type { Framer, RecordSink } from "./framing.ts";
import { bomLength, HEAD_BYTES } from "./head.ts";
import { hasContent, recogniseFormat } from "./index.ts";
import { JsonFramer } from "./json-framer.ts";
import { LineFramer } from "./line-framer.ts";
import { hasHighByte, isUtf8 } from "./utf8.ts";

/** The longest flow records in the field are Argus's with payload, 2 KiB; Suricata's alerts reach 20 KiB. */
const LINE_BYTES_MAX = 64 * 1024;

/** Enough to see what is wrong with a shipper, in an answer of a few KiB. */
export const REJECTS_KEPT = 20;

const BOM_BYTES = 3;

/** What became of the records of one body: received = accepted + skipped + rejected. */
export interface Balance {
  received: number;
  accepted: number;
  skipped: number;
  rejected: number;
  /** The first `REJECTS_KEPT`. */
  rejects: Reject[];
}

/** Why a body was not read to its end. */
export type ReadFailure = { reason: "too_many_records"; limit: number } | { reason: "unknown_format" };

export interface RecordReaderOptions {
  format: Format | "auto";
  options?: FormatOptions;
  batch: FlowBatch;
  recordsMax: number;
  lineBytesMax?: number;
  /** A record that ends later is rejected: its clock, or its unit, is wrong. */
  latestEndMs: number;
  /** Packets for each that the log counted, 1 to 2^32 − 1, unless a record says more. Default: 1. */
  samplingRate?: number | undefined;
}

/** Reads one decoded body, in chunks of any cut, into a batch. */
export class RecordReader implements RecordSink {
  /** The format of the body, once it is known. */
  format: Format | undefined;
  failure: ReadFailure | undefined;
  readonly #batch: FlowBatch;
  readonly #options: FormatOptions;
  readonly #recordsMax: number;
  readonly #lineBytesMax: number;
  readonly #latestEndMs: number;
  readonly #samplingRate: number;
  readonly #balance: Balance = { received: 0, accepted: 0, skipped: 0, rejected: 0, rejects: [] };
  readonly #headBytes: number;
  #head: Uint8Array = new Uint8Array(0);
  #framer: Framer | undefined;
  #parser: RecordParser | undefined;
  #isOver = false;

  constructor({ format, options, batch, recordsMax, lineBytesMax, latestEndMs, samplingRate }: RecordReaderOptions) {
    this.format = format === "auto" ? undefined : format;
    this.#options = options ?? {};
    this.#batch = batch;
    this.#recordsMax = recordsMax;
    this.#lineBytesMax = lineBytesMax ?? LINE_BYTES_MAX;
    this.#latestEndMs = latestEndMs;
    this.#samplingRate = samplingRate ?? 1;
    this.#headBytes = format === "auto" ? HEAD_BYTES : BOM_BYTES;
  }

  push(chunk: Uint8Array): void {
    if (this.#isOver || this.failure !== undefined || chunk.length === 0) return;
    if (this.#framer !== undefined) {
      this.#framer.push(chunk, hasHighByte(chunk));
      return;
    }
    const body = this.#head.length === 0 ? chunk : joined(this.#head, chunk);
    if (body.length >= this.#headBytes) this.#begin(body);
    else this.#head = body.slice();
  }

  /** The body is over. Answers the same when asked again. */
  end(): Balance {
    if (!this.#isOver && this.failure === undefined) {
      if (this.#framer === undefined && this.#head.length > 0) this.#begin(this.#head);
      if (this.failure === undefined) this.#framer?.end();
    }
    this.#isOver = true;
    return this.#balance;
  }

  #begin(body: Uint8Array): void {
    this.#head = new Uint8Array(0);
    const head = body.subarray(0, this.#headBytes);
    this.format ??= recogniseFormat(head);
    const format = this.format;
    if (format === undefined) {
      if (hasContent(head) || body.length >= HEAD_BYTES) this.failure = { reason: "unknown_format" };
      return;
    }
    this.#parser = format.parser(this.#options);
    this.#framer =
      format.framing === "lines"
        ? new LineFramer(this, this.#lineBytesMax, 1)
        : new JsonFramer(this, this.#lineBytesMax);
    const content = body.subarray(bomLength(body));
    this.#framer.push(content, hasHighByte(content));
  }

  /** Called by the framer. One small function per record: optimisers give up on one big loop. */
  record(bytes: Uint8Array, start: number, end: number, line: number, hasHigh: boolean): boolean {
    if (hasHigh && !isUtf8(bytes, start, end)) return this.#reject({ reason: "invalid_utf8" }, line);
    if (this.#parser === undefined) return false;
    const parsed = this.#parser.parse(bytes, start, end, this.#batch);
    if (parsed === ACCEPTED) return this.#accept(line);
    if (parsed === NOT_A_RECORD) return true;
    if (parsed !== SKIPPED) return this.#reject(parsed, line);
    if (!this.#receive()) return false;
    this.#balance.skipped++;
    return true;
  }

  /** Called by the framer. */
  tooLong(line: number): boolean {
    return this.#reject({ reason: "line_too_long", limit_bytes: this.#lineBytesMax }, line);
  }

  #accept(line: number): boolean {
    const batch = this.#batch;
    const row = batch.length - 1;
    const endMs = batch.endMs[row];
    if (endMs > this.#latestEndMs) {
      batch.length = row;
      const [end, latest] = [endMs, this.#latestEndMs].map((ms) => new Date(ms).toISOString());
      return this.#reject({ reason: "future", end, latest }, line);
    }
    if (!this.#receive()) {
      batch.length = row;
      return false;
    }
    if (batch.samplingRate[row] < this.#samplingRate) batch.samplingRate[row] = this.#samplingRate;
    this.#balance.accepted++;
    return true;
  }

  #reject(rejection: Rejection, line: number): boolean {
    if (!this.#receive()) return false;
    const { rejects } = this.#balance;
    this.#balance.rejected++;
    if (rejects.length < REJECTS_KEPT) rejects.push({ ...rejection, line });
    return true;
  }

  /** Counts a record, unless it is one too many. */
  #receive(): boolean {
    if (this.#balance.received === this.#recordsMax) {
      this.failure = { reason: "too_many_records", limit: this.#recordsMax };
      return false;
    }
    this.#balance.received++;
    return true;
  }
}

function joined(head: Uint8Array, chunk: Uint8Array): Uint8Array {
  const body = new Uint8Array(head.length + chunk.length);
  body.set(head);
  body.set(chunk, head.length);
  return body;
}
