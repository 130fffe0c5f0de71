import type { FlowBatch } from "../flow/flow-batch.ts";
import { Columns, splitFields } from "./delimited.ts";
import { FieldReader } from "./field-values.ts";
import { FlowRow } from "./flow-row.ts";
import { type Format, type FormatOptions, NOT_A_RECORD, type Parsed, type RecordParser, SKIPPED } from "./format.ts";
import { asciiText, bomLength, firstContentLine } from "./head.ts";
import { readZeekFlow, zeekNames } from "./zeek-flow.ts";

const slots: ReadonlyMap<string, number> = new Map(
  zeekNames.flatMap((names, slot) => names.map((name) => [name, slot] as const)),
);
const columnsOf = (names: readonly string[]) => new Columns(names, (name) => slots.get(name));
const defaultColumns = columnsOf(
  (
    "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes conn_state local_orig " +
    "local_resp missed_bytes history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents"
  ).split(" "),
);

const TAB = 9;
const HASH = 35;
const headerNames = new Set(zeekNames.flat());

/** Zeek's conn.log as text, with the `#fields` header, with a header line of names, or with none. */
export const zeekConn: Format = {
  id: "zeek-conn",
  framing: "lines",
  recognise(head) {
    const start = bomLength(head);
    if (/^\s*(#[^\n]*\n\s*)*#(separator|fields|path)\s/.test(asciiText(head, start, head.length))) return true;
    const columns = firstContentLine(head).split("\t");
    if (/^(ts|uid|_[a-z_]+)$/.test(columns[0])) return columns.includes("uid");
    return columns.length >= 20 && /^(\d+\.\d+|X+\.X+)$/.test(columns[0]) && /^[\d.:a-fA-F]+$/.test(columns[4]);
  },
  parser: (options) => new ZeekConnParser(options),
};

class ZeekConnParser implements RecordParser {
  readonly #fields = new FieldReader(zeekNames.map((names) => names[0]));
  readonly #row = new FlowRow();
  #columns: Columns;
  #separator = TAB;
  #isConn = true;

  constructor(options: FormatOptions) {
    this.#columns = options.fields === undefined ? defaultColumns : columnsOf(options.fields);
    this.#columns.nameFields(this.#fields);
  }

  parse(bytes: Uint8Array, start: number, end: number, batch: FlowBatch): Parsed {
    if (isBlank(bytes, start, end)) return NOT_A_RECORD;
    if (bytes[start] === HASH) return this.#comment(bytes, start, end);
    const isName = bytes[start] === 95 || (bytes[start] | 32) >= 97;
    if (isName && this.#nameLine(bytes, start, end)) return NOT_A_RECORD;
    if (!this.#isConn) return SKIPPED;
    splitFields(this.#fields, this.#columns, bytes, start, end, this.#separator, this.#columns.wanted);
    return readZeekFlow(this.#fields, this.#row, batch);
  }

  #comment(bytes: Uint8Array, start: number, end: number): typeof NOT_A_RECORD {
    const text = asciiText(bytes, start, end);
    const separator = String.fromCharCode(this.#separator);
    if (text.startsWith("#separator")) {
      this.#separator = separatorByte(text.slice("#separator".length + 1));
      this.#isConn = true;
    } else if (text.startsWith("#fields")) {
      this.#setColumns(text.slice("#fields".length + 1).split(separator));
    } else if (text.startsWith("#path")) {
      this.#isConn = text.slice("#path".length + 1).startsWith("conn");
    }
    return NOT_A_RECORD;
  }

  /** A header of bare names: its first column is called as one is, and has no digits. */
  #nameLine(bytes: Uint8Array, start: number, end: number): boolean {
    const names = asciiText(bytes, start, end).split(String.fromCharCode(this.#separator));
    if (!headerNames.has(names[0]) && !(names[0].startsWith("_") && names.includes("uid"))) return false;
    this.#setColumns(names);
    return true;
  }

  #setColumns(names: readonly string[]): void {
    this.#columns = columnsOf(names);
    this.#columns.nameFields(this.#fields);
  }
}

/** `\x09` or the byte itself. */
function separatorByte(text: string): number {
  const hex = /^\\x([0-9a-fA-F]{2})/.exec(text);
  if (hex !== null) return Number.parseInt(hex[1], 16);
  return text.length > 0 ? text.charCodeAt(0) & 255 : TAB;
}

function isBlank(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] !== 32 && bytes[i] !== TAB) return false;
  return true;
}
