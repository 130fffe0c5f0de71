import { type FlowBatch, Protocol } from "../flow/flow-batch.ts";
import { flagsOfLetters } from "./evidence.ts";
import { FieldReader } from "./field-values.ts";
import { FlowRow } from "./flow-row.ts";
import { type Format, type Parsed, type RecordParser, SKIPPED } from "./format.ts";
import { jsonKind } from "./head.ts";
import { blankOrMalformed } from "./json-record.ts";
import { JsonScanner, KeyPaths } from "./json-scanner.ts";
import { settleNetflow } from "./nfdump-csv.ts";

const paths = new KeyPaths([
  ["type"],
  ["first"],
  ["last"],
  ["src4_addr", "src6_addr", "src_addr"],
  ["dst4_addr", "dst6_addr", "dst_addr"],
  ["src_port"],
  ["dst_port"],
  ["proto"],
  ["tcp_flags"],
  ["in_packets"],
  ["in_bytes"],
  ["out_packets"],
  ["out_bytes"],
  ["icmp_type"],
  ["icmp_code"],
]);
const [TYPE, FIRST, LAST, SRC_ADDR, DST_ADDR, SRC_PORT, DST_PORT, PROTO, FLAGS, IN_PKTS, IN_BYTES, OUT_PKTS] =
  paths.slotNames.keys();
const OUT_BYTES = OUT_PKTS + 1;
const ICMP_TYPE = OUT_PKTS + 2;
const ICMP_CODE = OUT_PKTS + 3;

/** nfdump `-o json` and `-o ndjson`. */
export const nfdumpJson: Format = {
  id: "nfdump-json",
  framing: "json",
  recognise: (head) => jsonKind(head) === "nfdump",
  parser: () => new NfdumpJsonParser(),
};

class NfdumpJsonParser implements RecordParser {
  readonly #fields = new FieldReader(paths.slotNames);
  readonly #scanner = new JsonScanner(paths, this.#fields);
  readonly #row = new FlowRow();

  parse(bytes: Uint8Array, start: number, end: number, batch: FlowBatch): Parsed {
    if (!this.#scanner.scan(bytes, start, end)) return blankOrMalformed(bytes, start, end);
    const fields = this.#fields;
    if (fields.has(TYPE) && !fields.is(TYPE, "flow")) return SKIPPED;
    if (readFlow(fields, this.#row)) return this.#row.append(batch);
    this.#scanner.nameFields();
    readFlow(fields, this.#row);
    return fields.rejection;
  }
}

function readFlow(fields: FieldReader, row: FlowRow): boolean {
  row.startUs = fields.timeUs(FIRST);
  row.endUs = row.startUs < 0 ? -1 : fields.timeUs(LAST);
  if (row.endUs < 0) return false;
  if (row.endUs < row.startUs) return fields.outOfRange(LAST) > 0;
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

function readPorts(fields: FieldReader, row: FlowRow): boolean {
  row.clearPorts();
  if (row.isIcmp && fields.has(ICMP_TYPE)) {
    const type = fields.unsigned(ICMP_TYPE, 255);
    const code = type >= 0 && fields.has(ICMP_CODE) ? fields.unsigned(ICMP_CODE, 255) : 0;
    row.setIcmp(type, code);
    return type >= 0 && code >= 0;
  }
  if (row.isIcmp) {
    row.targetPort = fields.has(DST_PORT) ? fields.port(DST_PORT) : 0;
    return row.targetPort >= 0;
  }
  if (!row.hasPorts) return true;
  row.sourcePort = fields.port(SRC_PORT);
  row.targetPort = row.sourcePort < 0 ? -1 : fields.port(DST_PORT);
  return row.targetPort >= 0;
}
