import { Carry, type Framer, type RecordSink } from "./framing.ts";

const NEWLINE = 10;
const RETURN = 13;

/** A record is a line, ended by `\n` or `\r\n`; the last one may lack its end. */
export class LineFramer implements Framer {
  readonly #sink: RecordSink;
  readonly #lineBytesMax: number;
  readonly #carry = new Carry();
  #isTooLong = false;
  #line: number;

  constructor(sink: RecordSink, lineBytesMax: number, firstLine: number) {
    this.#sink = sink;
    this.#lineBytesMax = lineBytesMax;
    this.#line = firstLine;
  }

  push(chunk: Uint8Array, hasHigh: boolean): void {
    let from = 0;
    if (this.#isTooLong || this.#carry.length > 0) {
      const newline = chunk.indexOf(NEWLINE);
      this.#keep(chunk, 0, newline < 0 ? chunk.length : newline, hasHigh);
      if (newline < 0 || !this.#finishCarry()) return;
      from = newline + 1;
    }
    for (;;) {
      const newline = chunk.indexOf(NEWLINE, from);
      if (newline < 0) break;
      if (!this.#finish(chunk, from, newline, hasHigh)) return;
      from = newline + 1;
    }
    this.#keep(chunk, from, chunk.length, hasHigh);
  }

  end(): void {
    if (this.#isTooLong || this.#carry.length > 0) this.#finishCarry();
  }

  /** One byte more than the limit may be a `\r`. */
  #keep(chunk: Uint8Array, start: number, end: number, hasHigh: boolean): void {
    if (this.#isTooLong || start === end) return;
    if (this.#carry.length + end - start > this.#lineBytesMax + 1) {
      this.#isTooLong = true;
      this.#carry.clear();
    } else {
      this.#carry.append(chunk, start, end, hasHigh);
    }
  }

  #finishCarry(): boolean {
    const carry = this.#carry;
    const { length, hasHigh } = carry;
    const isTooLong = this.#isTooLong;
    this.#isTooLong = false;
    carry.clear();
    return isTooLong ? this.#sink.tooLong(this.#line++) : this.#finish(carry.bytes, 0, length, hasHigh);
  }

  #finish(bytes: Uint8Array, start: number, newline: number, hasHigh: boolean): boolean {
    const end = newline > start && bytes[newline - 1] === RETURN ? newline - 1 : newline;
    const line = this.#line++;
    if (end - start > this.#lineBytesMax) return this.#sink.tooLong(line);
    return this.#sink.record(bytes, start, end, line, hasHigh);
  }
}
