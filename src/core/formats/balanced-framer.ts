import { Carry, type Framer, type RecordSink } from "./framing.ts";
import { isSpace } from "./head.ts";

const NEWLINE = 10;
const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

/** Between records, within an object, or within something that is none. */
const BETWEEN = 0;
const OBJECT = 1;
const OTHER = 2;

/**
 * Finds JSON objects by their braces, in an array or back to back, on any number of lines. The array's punctuation
 * belongs to no record; anything else between objects is a record of its own, for the parser to reject. An object
 * ends early where it must be broken: at a line end within a string, and before a line that begins with `{` where
 * no value can stand.
 */
export class BalancedFramer implements Framer {
  readonly #sink: RecordSink;
  readonly #recordBytesMax: number;
  readonly #carry = new Carry();
  #mode: number = BETWEEN;
  #isTooLong = false;
  #line: number;
  #recordLine = 1;
  #depth = 0;
  #inString = false;
  #isEscaped = false;
  /** Last byte outside of strings that is no white space, and the last byte of all. */
  #significant = 0;
  #previous = 0;
  /** Whether the byte where a record ended belongs to it. */
  #takesLast = false;

  constructor(sink: RecordSink, recordBytesMax: number, firstLine: number) {
    this.#sink = sink;
    this.#recordBytesMax = recordBytesMax;
    this.#line = firstLine;
  }

  push(chunk: Uint8Array, hasHigh: boolean): void {
    let from = 0;
    while (from < chunk.length) {
      if (this.#mode === BETWEEN) from = this.#skipBetween(chunk, from);
      if (this.#mode === BETWEEN) return;
      const stop = this.#mode === OBJECT ? this.#scanObject(chunk, from) : this.#scanOther(chunk, from);
      if (stop < 0) {
        this.#keep(chunk, from, hasHigh);
        return;
      }
      const end = this.#takesLast ? stop + 1 : stop;
      if (!this.#finish(chunk, from, end, hasHigh)) return;
      from = end;
    }
  }

  end(): void {
    if (this.#mode !== BETWEEN) this.#finish(this.#carry.bytes, 0, 0, false);
  }

  #skipBetween(chunk: Uint8Array, from: number): number {
    let at = from;
    for (; at < chunk.length; at++) {
      const byte = chunk[at];
      if (byte === NEWLINE) this.#line++;
      else if (!isSpace(byte) && byte !== COMMA && byte !== OPEN_ARRAY && byte !== CLOSE_ARRAY) {
        this.#mode = byte === OPEN_OBJECT ? OBJECT : OTHER;
        this.#recordLine = this.#line;
        this.#depth = 0;
        this.#inString = false;
        this.#isEscaped = false;
        this.#significant = COMMA;
        break;
      }
    }
    return at;
  }

  /** Where the object ends, -1 where the chunk ends before. */
  #scanObject(chunk: Uint8Array, from: number): number {
    let at = from;
    while (at < chunk.length) {
      if (this.#inString) {
        at = this.#scanString(chunk, at);
        if (at < 0) return ~at === chunk.length ? -1 : this.#stop(~at, false);
        continue;
      }
      const byte = chunk[at];
      if (byte === OPEN_OBJECT) {
        if (this.#previous === NEWLINE && this.#depth > 0 && !this.#mayValueFollow()) return this.#stop(at, false);
        this.#depth++;
      } else if (byte === CLOSE_OBJECT) {
        if (--this.#depth === 0) return this.#stop(at, true);
      } else if (byte === QUOTE) this.#inString = true;
      else if (byte === NEWLINE) this.#line++;
      if (!isSpace(byte)) this.#significant = byte;
      this.#previous = byte;
      at++;
    }
    return -1;
  }

  /** The index behind the string's end, or the complement of where the chunk, or the line, ends within it. */
  #scanString(chunk: Uint8Array, from: number): number {
    let at = from;
    if (this.#isEscaped && chunk[at] !== NEWLINE) {
      this.#isEscaped = false;
      at++;
    }
    for (; at < chunk.length; at++) {
      const byte = chunk[at];
      if (byte === QUOTE) {
        this.#inString = false;
        this.#previous = QUOTE;
        return at + 1;
      }
      if (byte === NEWLINE) return ~at;
      if (byte !== BACKSLASH) continue;
      if (at + 1 === chunk.length) this.#isEscaped = true;
      else if (chunk[at + 1] !== NEWLINE) at++;
    }
    return ~chunk.length;
  }

  #scanOther(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at];
      if (byte === NEWLINE || byte === COMMA || byte === OPEN_ARRAY || byte === CLOSE_ARRAY || byte === OPEN_OBJECT) {
        return this.#stop(at, false);
      }
    }
    return -1;
  }

  #mayValueFollow(): boolean {
    return this.#significant === COLON || this.#significant === COMMA || this.#significant === OPEN_ARRAY;
  }

  #stop(at: number, takesLast: boolean): number {
    this.#takesLast = takesLast;
    return at;
  }

  #keep(chunk: Uint8Array, from: number, hasHigh: boolean): void {
    if (this.#isTooLong) return;
    if (this.#carry.length + chunk.length - from > this.#recordBytesMax) {
      this.#isTooLong = true;
      this.#carry.clear();
    } else {
      this.#carry.append(chunk, from, chunk.length, hasHigh);
    }
  }

  #finish(chunk: Uint8Array, start: number, end: number, hasHigh: boolean): boolean {
    this.#mode = BETWEEN;
    const carry = this.#carry;
    const isTooLong = this.#isTooLong || carry.length + end - start > this.#recordBytesMax;
    this.#isTooLong = false;
    if (isTooLong) {
      carry.clear();
      return this.#sink.tooLong(this.#recordLine);
    }
    if (carry.length === 0) return this.#sink.record(chunk, start, end, this.#recordLine, hasHigh);
    carry.append(chunk, start, end, hasHigh);
    const { length, hasHigh: anyHigh } = carry;
    carry.clear();
    return this.#sink.record(carry.bytes, 0, length, this.#recordLine, anyHigh);
  }
}
