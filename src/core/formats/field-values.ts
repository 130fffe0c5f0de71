import type { Rejection } from "./format.ts";
import { readAddress } from "./address-values.ts";
import { isHexPrefixed, readHex, readUnsigned } from "./number-values.ts";
import { protocolNumber } from "./protocol-names.ts";
import { NO_TIME, readSeconds, readTime } from "./time-values.ts";

const DASH = 45;
const OPENING_PARENTHESIS = 40;

/** Longest value that a rejection quotes. */
const QUOTED_BYTES_MAX = 64;

export const PORT_MAX = 65_535;
export const COUNT_MAX = Number.MAX_SAFE_INTEGER;

/** The text of at most the first `QUOTED_BYTES_MAX` bytes, cut between characters. The bytes are valid UTF-8. */
export function quoted(bytes: Uint8Array, start: number, end: number): string {
  let stop = Math.min(end, start + QUOTED_BYTES_MAX);
  while (stop < end && stop > start && (bytes[stop] & 0xc0) === 0x80) stop--;
  let text = "";
  for (let i = start; i < stop;) {
    const length = utf8Length(bytes[i]);
    text += String.fromCodePoint(codePoint(bytes, i, length, stop));
    i += length;
  }
  return text;
}

function utf8Length(lead: number): number {
  if (lead < 0xc0) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

function codePoint(bytes: Uint8Array, at: number, length: number, stop: number): number {
  if (length === 1) return bytes[at];
  let point = bytes[at] & (0x7f >> length);
  for (let k = 1; k < length && at + k < stop; k++) point = (point << 6) | (bytes[at + k] & 0x3f);
  return point > 0x10ffff ? 0xfffd : point;
}

/**
 * The wanted fields of one record, wherever they came from: slot i is at `bytes[starts[i], ends[i])`, and starts at
 * -1 where the record has none. Reading methods answer a negative number (or false) for a bad field, and
 * `rejection` then says why.
 */
export class FieldReader {
  bytes: Uint8Array = new Uint8Array(0);
  readonly starts: Int32Array<ArrayBuffer>;
  readonly ends: Int32Array<ArrayBuffer>;
  /** What the log calls each field. */
  readonly names: string[];
  rejection: Rejection = { reason: "malformed", detail: "" };

  constructor(names: readonly string[]) {
    this.starts = new Int32Array(names.length).fill(-1);
    this.ends = new Int32Array(names.length);
    this.names = [...names];
  }

  clear(bytes: Uint8Array): void {
    this.bytes = bytes;
    // A loop, since `fill` costs more than it for so few.
    const starts = this.starts;
    for (let slot = 0; slot < starts.length; slot++) starts[slot] = -1;
  }

  /** Whether the record has this field and it is not one of the ways to say nothing: empty, `-`, `(empty)`. */
  has(slot: number): boolean {
    const start = this.starts[slot];
    if (start < 0) return false;
    const length = this.ends[slot] - start;
    if (length === 1) return this.bytes[start] !== DASH;
    return length > 0 && !(length === 7 && this.bytes[start] === OPENING_PARENTHESIS);
  }

  /** Whether the field is this ASCII text, letter case aside. */
  is(slot: number, lowerCase: string): boolean {
    const start = this.starts[slot];
    if (start < 0 || this.ends[slot] - start !== lowerCase.length) return false;
    for (let i = 0; i < lowerCase.length; i++) {
      const byte = this.bytes[start + i];
      const lower = byte >= 65 && byte <= 90 ? byte | 32 : byte;
      if (lower !== lowerCase.charCodeAt(i)) return false;
    }
    return true;
  }

  /** The first byte of the field, 0 where there is none. */
  firstByte(slot: number): number {
    const start = this.starts[slot];
    return start < 0 || start === this.ends[slot] ? 0 : this.bytes[start];
  }

  text(slot: number): string {
    return this.has(slot) ? quoted(this.bytes, this.starts[slot], this.ends[slot]) : "";
  }

  unsigned(slot: number, max: number): number {
    const start = this.starts[slot];
    const value = start < 0 ? -1 : readUnsigned(this.bytes, start, this.ends[slot]);
    return value >= 0 && value <= max ? value : this.#oddNumber(slot, max);
  }

  /** A count of bytes or packets: 0 where the log says nothing. */
  count(slot: number): number {
    return this.has(slot) ? this.unsigned(slot, COUNT_MAX) : 0;
  }

  /** A port in decimal or, with `0x`, in hexadecimal. */
  port(slot: number): number {
    const start = this.starts[slot];
    if (start >= 0 && isHexPrefixed(this.bytes, start, this.ends[slot])) return this.#hexPort(slot);
    return this.unsigned(slot, PORT_MAX);
  }

  #hexPort(slot: number): number {
    const port = readHex(this.bytes, this.starts[slot], this.ends[slot]);
    if (port >= 0 && port <= PORT_MAX) return port;
    return port < 0 ? this.notANumber(slot) : this.outOfRange(slot);
  }

  /** Writes the address as four words at `words[at]`. */
  address(slot: number, words: Uint32Array, at: number): boolean {
    const start = this.starts[slot];
    if (start >= 0 && readAddress(this.bytes, start, this.ends[slot], words, at)) return true;
    if (!this.has(slot)) this.missing(slot);
    else this.#refuse(slot, "not_an_address");
    return false;
  }

  /** IANA number of a protocol given as number or name. */
  protocol(slot: number): number {
    if (!this.has(slot)) return this.missing(slot);
    const number = protocolNumber(this.bytes, this.starts[slot], this.ends[slot]);
    return number >= 0 ? number : this.outOfRange(slot);
  }

  /** Microseconds since 1970 of a time given as date or as decimal seconds. */
  timeUs(slot: number): number {
    if (!this.has(slot)) return this.missing(slot);
    const time = readTime(this.bytes, this.starts[slot], this.ends[slot]);
    return time === NO_TIME ? this.notATime(slot) : time;
  }

  /** Microseconds of a duration in decimal seconds: 0 where the log says nothing. */
  durationUs(slot: number): number {
    if (!this.has(slot)) return 0;
    const duration = readSeconds(this.bytes, this.starts[slot], this.ends[slot]);
    return duration === NO_TIME ? this.#oddNumber(slot, 0) : duration;
  }

  missing(slot: number): -1 {
    this.rejection = { reason: "missing_field", field: this.names[slot] };
    return -1;
  }

  notANumber(slot: number): -1 {
    return this.#refuse(slot, "not_a_number");
  }

  notATime(slot: number): -1 {
    return this.#refuse(slot, "not_a_time");
  }

  outOfRange(slot: number): -1 {
    return this.#refuse(slot, "out_of_range");
  }

  #refuse(slot: number, reason: "not_a_number" | "not_a_time" | "out_of_range" | "not_an_address"): -1 {
    this.rejection = { reason, field: this.names[slot], value: this.text(slot) };
    return -1;
  }

  /** Off the fast path: what JSON writers make of integers (`12.0`, `1.2e3`), or the reason why it is refused. */
  #oddNumber(slot: number, max: number): number {
    if (!this.has(slot)) return this.missing(slot);
    const text = this.text(slot);
    const isNumber = /^-?\d+(\.\d*)?([eE][+-]?\d+)?$/.test(text);
    const value = isNumber ? Number(text) : -1;
    if (Number.isInteger(value) && value >= 0 && value <= max) return value;
    return isNumber ? this.outOfRange(slot) : this.notANumber(slot);
  }
}
