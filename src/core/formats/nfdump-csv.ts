import { type FlowBatch, Initiator, Outcome, Protocol } from "../flow/flow-batch.ts";
import { Columns, splitFields } from "./delimited.ts";
import { flagsOfLetters, initiatorOfFlagUnion, isEchoRequest } from "./evidence.ts";
import { FieldReader } from "./field-values.ts";
import { FlowRow } from "./flow-row.ts";
import { type Format, type FormatOptions, NOT_A_RECORD, type Parsed, type RecordParser } from "./format.ts";
import { firstContentLine, splitNames } from "./head.ts";

const names: readonly (readonly string[])[] = [
  ["ts", "firstSeen"],
  ["te", "lastSeen"],
  ["td", "duration"],
  ["sa", "srcAddr"],
  ["da", "dstAddr"],
  ["sp", "srcPort"],
  ["dp", "dstPort"],
  ["pr", "proto"],
  ["flg", "flags"],
  ["ipkt", "packets", "inPackets"],
  ["ibyt", "bytes", "inBytes"],
  ["opkt", "outPackets"],
  ["obyt", "outBytes"],
];
const [FIRST, LAST, DURATION, SRC_ADDR, DST_ADDR, SRC_PORT, DST_PORT, PROTO, FLAGS, IN_PKTS, IN_BYTES, OUT_PKTS] =
  names.keys();
const OUT_BYTES = OUT_PKTS + 1;

const slots: ReadonlyMap<string, number> = new Map(
  names.flatMap((aliases, slot) => aliases.map((name) => [name.toLowerCase(), slot] as const)),
);
const columnsOf = (line: readonly string[]) => new Columns(line, (name) => slots.get(name.toLowerCase()));
const defaultColumns = columnsOf("ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt".split(","));

const COMMA = 44;
const DOT = 46;
const HASH = 35;
const SUMMARY = "Summary";
/** Below the word: the names of the sums, and the sums. */
const SUMMARY_LINES = 2;

const isDate = (text: string) => /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/.test(text);

/** nfdump `-o csv`, of version 1.6 (`ts,te,td,…`) and of 1.7 (`firstSeen,duration,…`). */
export const nfdumpCsv: Format = {
  id: "nfdump-csv",
  framing: "lines",
  recognise(head) {
    const columns = firstContentLine(head).split(",");
    if (columns[0] === "ts" || columns[0] === "firstSeen") return true;
    return columns.length > 9 && isDate(columns[0]) && isDate(columns[1]);
  },
  parser: (options) => new NfdumpCsvParser(options),
};

class NfdumpCsvParser implements RecordParser {
  readonly #fields = new FieldReader(names.map((aliases) => aliases[0]));
  readonly #row = new FlowRow();
  #columns: Columns;
  #summaryLinesLeft = 0;

  constructor(options: FormatOptions) {
    this.#columns = options.fields === undefined ? defaultColumns : columnsOf(options.fields);
    this.#columns.nameFields(this.#fields);
  }

  parse(bytes: Uint8Array, start: number, end: number, batch: FlowBatch): Parsed {
    if (start === end || bytes[start] === HASH) return NOT_A_RECORD;
    if (this.#summaryLinesLeft > 0) {
      this.#summaryLinesLeft--;
      return NOT_A_RECORD;
    }
    const isText = bytes[start] < 48 || bytes[start] > 57;
    if (isText && this.#isNoRecord(bytes, start, end)) return NOT_A_RECORD;
    const fields = this.#fields;
    splitFields(fields, this.#columns, bytes, start, end, COMMA, this.#columns.wanted);
    return readFlow(fields, this.#row) ? this.#row.append(batch) : fields.rejection;
  }

  #isNoRecord(bytes: Uint8Array, start: number, end: number): boolean {
    const texts = splitNames(bytes, start, end, ",");
    if (texts.length === 1 && (texts[0] === "" || texts[0].startsWith(SUMMARY))) {
      if (texts[0] === SUMMARY) this.#summaryLinesLeft = SUMMARY_LINES;
      return true;
    }
    if (!slots.has(texts[0].toLowerCase())) return false;
    this.#columns = columnsOf(texts);
    this.#columns.nameFields(this.#fields);
    return true;
  }
}

function readFlow(fields: FieldReader, row: FlowRow): boolean {
  if (!readTimes(fields, row)) return false;
  if (!fields.address(SRC_ADDR, row.words, 0) || !fields.address(DST_ADDR, row.words, 4)) return false;
  row.protocol = fields.protocol(PROTO);
  if (row.protocol < 0) return false;
  row.settleIcmpFamily();
  if (!readPorts(fields, row)) return false;
  row.sourcePackets = fields.count(IN_PKTS);
  row.sourceBytes = row.sourcePackets < 0 ? -1 : fields.count(IN_BYTES);
  row.targetPackets = row.sourceBytes < 0 ? -1 : fields.count(OUT_PKTS);
  row.targetBytes = row.targetPackets < 0 ? -1 : fields.count(OUT_BYTES);
  if (row.targetBytes < 0) return false;
  const hasFlags = row.protocol === Protocol.Tcp && fields.has(FLAGS);
  row.tcpFlags = hasFlags ? flagsOfLetters(fields.bytes, fields.starts[FLAGS], fields.ends[FLAGS]) : 0;
  settleNetflow(row);
  return true;
}

/** NetFlow knows one direction, rarely both, and nobody's state. */
export function settleNetflow(row: FlowRow): void {
  row.outcome = row.targetPackets > 0 ? Outcome.Answered : Outcome.Unknown;
  row.initiator = isEchoRequest(row.protocol, row.targetPort)
    ? Initiator.Source
    : initiatorOfFlagUnion(row.tcpFlags, row.sourcePackets);
}

function readTimes(fields: FieldReader, row: FlowRow): boolean {
  row.startUs = fields.timeUs(FIRST);
  if (row.startUs < 0) return false;
  if (!fields.has(LAST)) {
    const durationUs = fields.durationUs(DURATION);
    row.endUs = row.startUs + durationUs;
    return durationUs >= 0;
  }
  row.endUs = fields.timeUs(LAST);
  return row.endUs >= row.startUs || (row.endUs >= 0 && fields.outOfRange(LAST) > 0);
}

function readPorts(fields: FieldReader, row: FlowRow): boolean {
  row.clearPorts();
  if (row.isIcmp) return readIcmp(fields, row);
  if (!row.hasPorts) return true;
  row.sourcePort = fields.port(SRC_PORT);
  row.targetPort = row.sourcePort < 0 ? -1 : fields.port(DST_PORT);
  return row.targetPort >= 0;
}

/** The target port of ICMP is `256 * type + code`, or `type.code`. */
function readIcmp(fields: FieldReader, row: FlowRow): boolean {
  if (!fields.has(DST_PORT)) return true;
  const end = fields.ends[DST_PORT];
  const dot = fields.bytes.indexOf(DOT, fields.starts[DST_PORT]);
  if (dot < 0 || dot >= end) {
    row.targetPort = fields.port(DST_PORT);
    return row.targetPort >= 0;
  }
  const [type, code] = fields.text(DST_PORT).split(".").map(Number);
  if (!(type <= 255 && code <= 255)) return fields.outOfRange(DST_PORT) > 0;
  row.setIcmp(type, code);
  return true;
}
