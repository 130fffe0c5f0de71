/** Writes numbers one after the other, little-endian, into a buffer that grows. */
export class StateWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  length = 0;

  /** `capacity` in bytes: what is expected, so that nothing is copied on the way. */
  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  u8(value: number): void {
    this.#room(1);
    this.#view.setUint8(this.length, value);
    this.length += 1;
  }

  u32(value: number): void {
    this.#room(4);
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
  }

  f64(value: number): void {
    this.#room(8);
    this.#view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  /** The length, then each word. */
  words(values: readonly number[]): void {
    this.u32(values.length);
    this.#room(4 * values.length);
    const view = this.#view;
    let at = this.length;
    for (const value of values) {
      view.setUint32(at, value, true);
      at += 4;
    }
    this.length = at;
  }

  /** The length, then each number. */
  numbers(values: readonly number[]): void {
    this.u32(values.length);
    this.#room(8 * values.length);
    const view = this.#view;
    let at = this.length;
    for (const value of values) {
      view.setFloat64(at, value, true);
      at += 8;
    }
    this.length = at;
  }

  /** UTF-16 code units, after their count: short ASCII names in practice. */
  text(value: string): void {
    this.u32(value.length);
    for (let i = 0; i < value.length; i++) {
      this.u8(value.charCodeAt(i) & 255);
      this.u8(value.charCodeAt(i) >>> 8);
    }
  }

  /** Bytes as they are: the reader must know how many. */
  append(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** As they are, without their length. */
  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** The length of what `write` writes, then that: a reader can pass over what it does not know. */
  block(write: (writer: StateWriter) => void): void {
    const at = this.length;
    this.u32(0);
    write(this);
    this.#view.setUint32(at, this.length - at - 4, true);
  }

  /** A view: what is written after may change it. */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.length);
  }

  #room(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(2 * (this.length + more));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Reads back what a `StateWriter` wrote, in the same order. Throws a RangeError past the end. */
export class StateReader {
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#at++);
  }

  u32(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  f64(): number {
    this.#at += 8;
    return this.#view.getFloat64(this.#at - 8, true);
  }

  words(): number[] {
    const values: number[] = [];
    for (let left = this.u32(); left > 0; left--) values.push(this.u32());
    return values;
  }

  numbers(): number[] {
    const values: number[] = [];
    for (let left = this.u32(); left > 0; left--) values.push(this.f64());
    return values;
  }

  block(): Uint8Array {
    const length = this.u32();
    this.#at += length;
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.#at - length, length);
  }

  text(): string {
    let value = "";
    for (let left = this.u32(); left > 0; left--) value += String.fromCharCode(this.u8() | (this.u8() << 8));
    return value;
  }
}
