import { BalancedFramer } from "./balanced-framer.ts";
import { FieldReader } from "./field-values.ts";
import { Carry, type Framer, type RecordSink } from "./framing.ts";
import { isSpace } from "./head.ts";
import { JsonScanner, KeyPaths } from "./json-scanner.ts";
import { LineFramer } from "./line-framer.ts";

const NEWLINE = 10;
const OPEN_ARRAY = 91;
const OPEN_OBJECT = 123;

/**
 * A record is a JSON object: of an array, one a line, or back to back. The body's beginning tells: `[` is an array;
 * a first line that is one whole object makes every line a record, so that a broken line costs only itself; other
 * objects are told apart by their braces.
 */
export class JsonFramer implements Framer {
  readonly #sink: RecordSink;
  readonly #lineBytesMax: number;
  #framer: Framer | undefined;
  /** The first line, as far as it has come. */
  readonly #head = new Carry();
  #line = 1;

  constructor(sink: RecordSink, lineBytesMax: number) {
    this.#sink = sink;
    this.#lineBytesMax = lineBytesMax;
  }

  push(chunk: Uint8Array, hasHigh: boolean): void {
    if (this.#framer === undefined) this.#decide(chunk, hasHigh);
    else this.#framer.push(chunk, hasHigh);
  }

  end(): void {
    if (this.#framer === undefined && this.#head.length > 0) {
      this.#begin(this.#isWholeObject(this.#head.length));
    }
    this.#framer?.end();
  }

  #decide(chunk: Uint8Array, hasHigh: boolean): void {
    const from = this.#head.length > 0 ? 0 : this.#skipSpace(chunk);
    if (from === chunk.length) return;
    const first = this.#head.length > 0 ? OPEN_OBJECT : chunk[from];
    let stop = from;
    if (first === OPEN_OBJECT) {
      const newline = chunk.indexOf(NEWLINE, from);
      const roomEnd = from + this.#lineBytesMax + 1 - this.#head.length;
      stop = Math.min(newline < 0 ? chunk.length : newline, roomEnd);
      this.#head.append(chunk, from, stop, hasHigh);
      if (stop === chunk.length && stop < roomEnd) return;
      this.#begin(stop < roomEnd && this.#isWholeObject(this.#head.length));
    } else {
      this.#begin(first !== OPEN_ARRAY);
    }
    this.#framer?.push(chunk.subarray(stop), hasHigh);
  }

  #begin(byLine: boolean): void {
    const make = byLine ? LineFramer : BalancedFramer;
    this.#framer = new make(this.#sink, this.#lineBytesMax, this.#line);
    this.#framer.push(this.#head.bytes.subarray(0, this.#head.length), this.#head.hasHigh);
    this.#head.clear();
  }

  #skipSpace(chunk: Uint8Array): number {
    let at = 0;
    while (at < chunk.length && isSpace(chunk[at])) {
      if (chunk[at] === NEWLINE) this.#line++;
      at++;
    }
    return at;
  }

  #isWholeObject(length: number): boolean {
    const scanner = new JsonScanner(new KeyPaths([]), new FieldReader([]));
    return scanner.scan(this.#head.bytes, 0, length);
  }
}
