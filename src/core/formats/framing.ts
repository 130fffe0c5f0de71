/** Takes records in the order of the body; false stops the framing. */
export interface RecordSink {
  /** The record at `bytes[start, end)`, begun on line `line`. `hasHigh`: it may hold bytes that are not ASCII. */
  record(bytes: Uint8Array, start: number, end: number, line: number, hasHigh: boolean): boolean;
  /** A record beyond the limit; its bytes are gone. */
  tooLong(line: number): boolean;
}

/** Cuts a body into records. However the body was cut into chunks, the records are the same. */
export interface Framer {
  push(chunk: Uint8Array, hasHigh: boolean): void;
  /** The body is over: what is left is its last record. */
  end(): void;
}

/** The beginning of a record whose end has not come yet. */
export class Carry {
  bytes = new Uint8Array(1024);
  length = 0;
  hasHigh = false;

  append(chunk: Uint8Array, start: number, end: number, hasHigh: boolean): void {
    const length = this.length + end - start;
    if (length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(length, this.bytes.length * 2));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
    this.bytes.set(chunk.subarray(start, end), this.length);
    this.length = length;
    this.hasHigh ||= hasHigh;
  }

  clear(): void {
    this.length = 0;
    this.hasHigh = false;
  }
}
