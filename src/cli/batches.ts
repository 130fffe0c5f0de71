/** A part of a log that stands for itself: it has the header lines that its format needs. */
export interface Batch {
  body: Uint8Array<ArrayBuffer>;
  records: number;
  /** How far the lines of the log are ahead of those of `body`: add it to a line number of the answer. */
  lineOffset: number;
}

/** A batch is cut here even if it has not all its records: well under the server's 64 MiB of decoded bytes. */
const bodyBytesMax = 24 * 1024 * 1024;

const newline = 10;
const hash = 35;

/** Cuts a log into batches of at most `records` records, in order. */
export async function* batches(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  records: number,
): AsyncGenerator<Batch> {
  let cutter: Cutter | undefined;
  let rest: Uint8Array = new Uint8Array(0);
  for await (const chunk of chunks) {
    rest = rest.length === 0 ? chunk : concat([rest, chunk]);
    if (cutter === undefined && hasByteOrderMark(rest)) rest = rest.subarray(3);
    cutter ??= cutterFor(rest, records);
    if (cutter === undefined) continue;
    rest = rest.subarray(cutter.take(rest, false));
    yield* cutter.ready();
  }
  cutter ??= new LineCutter(records);
  cutter.take(rest, true);
  yield* cutter.ready();
  const last = cutter.last();
  if (last !== undefined) yield last;
}

interface Cutter {
  /** Reads whole records from the front of `bytes` and answers how far it came. */
  take(bytes: Uint8Array, isEnd: boolean): number;
  ready(): Batch[];
  last(): Batch | undefined;
}

/** By the first byte that is no blank; undefined if there is none yet. */
function cutterFor(bytes: Uint8Array, records: number): Cutter | undefined {
  const text = new TextDecoder().decode(bytes.subarray(0, 65536)).trimStart();
  if (text === "") return undefined;
  if (text[0] === "[") return new ObjectCutter(records, "[", ",", "]");
  if (text[0] === "{" && !isObject(text.split("\n", 1)[0])) return new ObjectCutter(records, "", "\n", "");
  return new LineCutter(records);
}

function isObject(line: string): boolean {
  try {
    return typeof JSON.parse(line) === "object";
  } catch {
    return false;
  }
}

/** A record a line. Header lines, `#` lines and the names of columns, are put in front of every batch. */
class LineCutter implements Cutter {
  readonly #records: number;
  #header: Uint8Array[] = [];
  #headerIsOpen = true;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #count = 0;
  #line = 0;
  #lineOffset = 0;
  #ready: Batch[] = [];

  constructor(records: number) {
    this.#records = records;
  }

  take(bytes: Uint8Array, isEnd: boolean): number {
    let from = 0;
    while (from < bytes.length) {
      const found = bytes.indexOf(newline, from);
      if (found === -1 && !isEnd) break;
      const to = found === -1 ? bytes.length : found + 1;
      this.#add(bytes.slice(from, to));
      from = to;
    }
    return from;
  }

  #add(line: Uint8Array): void {
    const kind = this.#kindOf(line);
    if (kind === "record") {
      this.#headerIsOpen = false;
      if (this.#count === this.#records || this.#bytes + line.length > bodyBytesMax) this.#cut();
      this.#count++;
    } else if (kind === "header") {
      // A header that comes after records starts anew.
      if (!this.#headerIsOpen) this.#header = [];
      this.#headerIsOpen = true;
      this.#header.push(line);
    }
    this.#line++;
    this.#parts.push(line);
    this.#bytes += line.length;
  }

  #kindOf(line: Uint8Array): "record" | "header" | "other" {
    const first = line[0];
    if (first === hash) return startsWith(line, "#close") ? "other" : "header";
    if (first === newline || (first === 13 && line.length <= 2)) return "other";
    const isLetter = (first >= 65 && first <= 90) || (first >= 97 && first <= 122);
    if (!isLetter) return "record";
    const names = new TextDecoder()
      .decode(line)
      .trim()
      .split(/[\s,]+/);
    const isNames = names.every((name) => /^[A-Za-z_]/.test(name));
    // Further down, a few words may be a remark, such as nfdump's summary.
    return isNames && (this.#line === 0 || names.length >= 8) ? "header" : isNames ? "other" : "record";
  }

  #cut(): void {
    const batch = this.last();
    if (batch !== undefined) this.#ready.push(batch);
    // Header lines at the end of a batch are at the front of the next one anyhow.
    this.#parts = [...this.#header];
    this.#bytes = this.#parts.reduce((sum, part) => sum + part.length, 0);
    this.#count = 0;
    this.#lineOffset = this.#line - this.#header.length;
  }

  ready(): Batch[] {
    return this.#ready.splice(0);
  }

  last(): Batch | undefined {
    if (this.#count === 0) return undefined;
    return { body: concat(this.#parts), records: this.#count, lineOffset: this.#lineOffset };
  }
}

/** JSON objects in an array, or one after the other over several lines. */
class ObjectCutter implements Cutter {
  readonly #records: number;
  readonly #frame: [open: string, between: string, close: string];
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #ready: Batch[] = [];

  constructor(records: number, open: string, between: string, close: string) {
    this.#records = records;
    this.#frame = [open, between, close];
  }

  take(bytes: Uint8Array, isEnd: boolean): number {
    let depth = 0;
    let start = 0;
    let inString = false;
    let done = 0;
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i];
      if (inString) {
        if (byte === 92) i++;
        else if (byte === 34) inString = false;
      } else if (byte === 34) inString = true;
      else if (byte === 123 && depth++ === 0) start = i;
      else if (byte === 125 && depth > 0 && --depth === 0) {
        this.#add(bytes.slice(start, i + 1));
        done = i + 1;
      }
    }
    if (!isEnd) return done;
    // What is cut short is the server's to reject.
    const left = new TextDecoder().decode(bytes.subarray(done)).replace(/^[\s,[\]]+/, "");
    if (left !== "") this.#add(new TextEncoder().encode(left));
    return bytes.length;
  }

  #add(record: Uint8Array): void {
    if (this.#parts.length === this.#records || this.#bytes + record.length > bodyBytesMax) {
      this.#ready.push(this.last()!);
      this.#parts = [];
      this.#bytes = 0;
    }
    this.#parts.push(record);
    this.#bytes += record.length + 1;
  }

  ready(): Batch[] {
    return this.#ready.splice(0);
  }

  last(): Batch | undefined {
    if (this.#parts.length === 0) return undefined;
    const [open, between, close] = this.#frame.map((text) => new TextEncoder().encode(text));
    const parts = this.#parts.flatMap((part, i) => (i === 0 ? [open, part] : [between, part]));
    return { body: concat([...parts, close]), records: this.#parts.length, lineOffset: 0 };
  }
}

function hasByteOrderMark(bytes: Uint8Array): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}

function startsWith(line: Uint8Array, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (line[i] !== text.charCodeAt(i)) return false;
  return true;
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
