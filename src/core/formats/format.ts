import type { FlowBatch } from "../flow/flow-batch.ts";

/** Why one record was rejected. The names are those of the API. */
export type Rejection =
  | { reason: "missing_field"; field: string }
  | { reason: "out_of_range"; field: string; value: string }
  | { reason: "not_a_number"; field: string; value: string }
  | { reason: "not_an_address"; field: string; value: string }
  | { reason: "not_a_time"; field: string; value: string }
  | { reason: "malformed"; detail: string }
  | { reason: "line_too_long"; limit_bytes: number }
  | { reason: "invalid_utf8" }
  | { reason: "future"; end: string; latest: string };

/** A rejection, and the line of the body, counted from 1, on which its record begins. */
export type Reject = Rejection & { line: number };

/**
 * What a parser made of one record: a row of the batch (`ACCEPTED`), a record that is well but no flow (`SKIPPED`),
 * a line that is no record (`NOT_A_RECORD`: header, comment, blank), or why it is rejected.
 */
export const ACCEPTED = 0;
export const SKIPPED = 1;
export const NOT_A_RECORD = 2;
export type Parsed = typeof ACCEPTED | typeof SKIPPED | typeof NOT_A_RECORD | Rejection;

export interface FormatOptions {
  /** Column names of a text format whose lines come without a header, in order. */
  fields?: readonly string[];
}

/** Reads the records of one body, in order. One parser per body: it may remember a header. */
export interface RecordParser {
  /**
   * Reads the record at `bytes[start, end)`, line terminator excluded, and appends at most one row to `batch`; the
   * batch is as before unless it answers `ACCEPTED`. Never throws and never reads outside of the range.
   */
  parse(bytes: Uint8Array, start: number, end: number, batch: FlowBatch): Parsed;
}

/** One flow-log format. Adding one: its file, a line in `index.ts`, a line in `docs/formats.md`. */
export interface Format {
  /** As in the path of the API. */
  readonly id: string;
  /** `lines`: a record is a line. `json`: a record is a JSON object: one a line, in an array, or back to back. */
  readonly framing: "lines" | "json";
  /** Whether a body that begins with these bytes (at most 4 KiB) is of this format. */
  recognise(head: Uint8Array): boolean;
  parser(options: FormatOptions): RecordParser;
}
