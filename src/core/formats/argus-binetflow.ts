import { type FlowBatch, Protocol } from "../flow/flow-batch.ts";
import { arrowOf, settleState } from "./argus-state.ts";
import { Columns, splitFields } from "./delimited.ts";
import { FieldReader } from "./field-values.ts";
import { FlowRow } from "./flow-row.ts";
import { type Format, type FormatOptions, NOT_A_RECORD, type Parsed, type RecordParser, SKIPPED } from "./format.ts";
import { firstContentLine, splitNames } from "./head.ts";
import { isHexPrefixed, readHex } from "./number-values.ts";

const names: readonly (readonly string[])[] = [
  ["StartTime", "stime"],
  ["Dur"],
  ["Proto"],
  ["SrcAddr", "saddr"],
  ["Sport"],
  ["Dir"],
  ["DstAddr", "daddr"],
  ["Dport"],
  ["State"],
  ["TotPkts", "pkts"],
  ["TotBytes", "bytes"],
  ["SrcBytes", "sbytes"],
  ["SrcPkts", "spkts"],
  ["LastTime", "ltime"],
];
const [START, DUR, PROTO, SRC_ADDR, SPORT, DIR, DST_ADDR, DPORT, STATE, TOT_PKTS, TOT_BYTES, SRC_BYTES, SRC_PKTS] =
  names.keys();
const LAST_TIME = SRC_PKTS + 1;

const slots: ReadonlyMap<string, number> = new Map(
  names.flatMap((aliases, slot) => aliases.map((name) => [name.toLowerCase(), slot] as const)),
);
const columnsOf = (line: readonly string[]) => new Columns(line, (name) => slots.get(name.toLowerCase()));
const defaultColumns = columnsOf(
  "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes".split(","),
);

const COMMA = 44;

/** Argus's own management records, and what is no IP. */
const notFlows = new Set(["man", "arp", "rarp", "llc", "lldp", "ether", "loop", "stp", "mac", "ipx-spx", "isis-hello"]);

/** Argus's `ra` as CSV, as in the CTU captures (`.binetflow`). */
export const argusBinetflow: Format = {
  id: "argus-binetflow",
  framing: "lines",
  recognise(head) {
    const columns = firstContentLine(head).split(",");
    const lower = columns.map((name) => name.trim().toLowerCase());
    if (lower.includes("saddr") || lower.includes("srcaddr"))
      return lower.includes("starttime") || lower.includes("stime");
    return columns.length > 11 && /^(<?-?[?|]?->?|<-|<?\?>?|who)$/.test(lower[5]) && /^\d[\d/ :.]*$/.test(lower[0]);
  },
  parser: (options) => new ArgusBinetflowParser(options),
};

class ArgusBinetflowParser implements RecordParser {
  readonly #fields = new FieldReader(names.map((aliases) => aliases[0]));
  readonly #row = new FlowRow();
  #columns: Columns;

  constructor(options: FormatOptions) {
    this.#columns = options.fields === undefined ? defaultColumns : columnsOf(options.fields);
    this.#columns.nameFields(this.#fields);
  }

  parse(bytes: Uint8Array, start: number, end: number, batch: FlowBatch): Parsed {
    if (isBlankOrComment(bytes, start, end)) return NOT_A_RECORD;
    if ((bytes[start] < 48 || bytes[start] > 57) && this.#readHeader(bytes, start, end)) return NOT_A_RECORD;
    const fields = this.#fields;
    splitFields(fields, this.#columns, bytes, start, end, COMMA, this.#columns.wanted);
    if (isNoFlow(fields)) return SKIPPED;
    const row = this.#row;
    if (!readEnds(fields, row) || !readTimes(fields, row) || !readCounts(fields, row)) return fields.rejection;
    settleState(row, fields, STATE, arrowOf(fields.text(DIR)), fields.has(SRC_BYTES));
    return row.append(batch);
  }

  #readHeader(bytes: Uint8Array, start: number, end: number): boolean {
    const columns = columnsOf(splitNames(bytes, start, end, ","));
    // One wanted name may be a value by chance, the two of a header not.
    if (columns.slots.filter((slot) => slot >= 0).length < 2) return false;
    this.#columns = columns;
    columns.nameFields(this.#fields);
    return true;
  }
}

function isBlankOrComment(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end && (bytes[at] === 32 || bytes[at] === 9)) at++;
  return at === end || bytes[at] === 35;
}

function isNoFlow(fields: FieldReader): boolean {
  if (fields.is(PROTO, "tcp") || fields.is(PROTO, "udp")) return false;
  return notFlows.has(fields.text(PROTO).toLowerCase()) || isMacAddress(fields.text(SRC_ADDR));
}

function isMacAddress(text: string): boolean {
  return /^[\da-fA-F]{1,2}(:[\da-fA-F]{1,2}){5}$/.test(text);
}

function readEnds(fields: FieldReader, row: FlowRow): boolean {
  row.protocol = fields.protocol(PROTO);
  if (row.protocol < 0) return false;
  if (!fields.address(SRC_ADDR, row.words, 0) || !fields.address(DST_ADDR, row.words, 4)) return false;
  row.settleIcmpFamily();
  row.clearPorts();
  if (row.isIcmp) return readIcmp(fields, row);
  if (!row.hasPorts) return true;
  row.sourcePort = fields.port(SPORT);
  row.targetPort = row.sourcePort < 0 ? -1 : fields.port(DPORT);
  return row.targetPort >= 0;
}

/**
 * Of ICMP, Argus prints as source port the two bytes of code and type in hexadecimal (0x0303 is port unreachable,
 * 0x0d03 prohibited), and as target port the identifier. Of ICMPv6 it prints type and code as decimal ports.
 */
function readIcmp(fields: FieldReader, row: FlowRow): boolean {
  if (!fields.has(SPORT)) return true;
  const start = fields.starts[SPORT];
  const stop = fields.ends[SPORT];
  if (row.protocol === Protocol.Icmp || isHexPrefixed(fields.bytes, start, stop)) {
    const codeAndType = readHex(fields.bytes, start, stop);
    if (codeAndType < 0 || codeAndType > 0xffff) return fields.outOfRange(SPORT) > 0;
    row.setIcmp(codeAndType & 255, codeAndType >> 8);
    return true;
  }
  const type = fields.unsigned(SPORT, 255);
  const code = type >= 0 && fields.has(DPORT) ? fields.unsigned(DPORT, 255) : 0;
  row.setIcmp(type, code);
  return type >= 0 && code >= 0;
}

function readTimes(fields: FieldReader, row: FlowRow): boolean {
  row.startUs = fields.timeUs(START);
  if (row.startUs < 0) return false;
  if (fields.has(DUR) || !fields.has(LAST_TIME)) {
    const durationUs = fields.durationUs(DUR);
    row.endUs = row.startUs + durationUs;
    return durationUs >= 0;
  }
  row.endUs = fields.timeUs(LAST_TIME);
  return row.endUs >= row.startUs || (row.endUs >= 0 && fields.outOfRange(LAST_TIME) > 0);
}

function readCounts(fields: FieldReader, row: FlowRow): boolean {
  const bytes = fields.count(TOT_BYTES);
  const packets = bytes < 0 ? -1 : fields.count(TOT_PKTS);
  if (packets < 0) return false;
  row.sourceBytes = fields.has(SRC_BYTES) ? fields.count(SRC_BYTES) : bytes;
  row.targetBytes = bytes - row.sourceBytes;
  if (row.sourceBytes < 0) return false;
  if (row.targetBytes < 0) return fields.outOfRange(SRC_BYTES) > 0;
  row.sourcePackets = fields.has(SRC_PKTS) ? fields.count(SRC_PKTS) : estimatedPackets(packets, bytes, row.sourceBytes);
  row.targetPackets = packets - row.sourcePackets;
  if (row.sourcePackets < 0) return false;
  return row.targetPackets >= 0 || fields.outOfRange(SRC_PKTS) > 0;
}

/** The source's share of the packets by its share of the bytes; who sent bytes sent at least one. */
function estimatedPackets(packets: number, bytes: number, sourceBytes: number): number {
  if (sourceBytes === bytes) return packets;
  if (sourceBytes === 0 || packets < 2) return 0;
  const share = Math.round((packets * sourceBytes) / bytes);
  return Math.min(Math.max(share, 1), packets - 1);
}
