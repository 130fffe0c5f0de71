import { type FlowBatch, Initiator, Outcome, Protocol, Tcp } from "../flow/flow-batch.ts";
import { initiatorOfDatagrams, isEchoRequest, outcomeOfDatagrams } from "./evidence.ts";
import { FieldReader } from "./field-values.ts";
import { FlowRow } from "./flow-row.ts";
import { type Format, type Parsed, type RecordParser, SKIPPED } from "./format.ts";
import { jsonKind } from "./head.ts";
import { blankOrMalformed } from "./json-record.ts";
import { JsonScanner, KeyPaths } from "./json-scanner.ts";
import { readHex } from "./number-values.ts";

const paths = new KeyPaths([
  ["event_type"],
  ["src_ip"],
  ["src_port"],
  ["dest_ip"],
  ["dest_port"],
  ["proto"],
  ["flow.start"],
  ["flow.end"],
  ["flow.pkts_toserver"],
  ["flow.pkts_toclient"],
  ["flow.bytes_toserver"],
  ["flow.bytes_toclient"],
  ["tcp.tcp_flags_ts"],
  ["tcp.tcp_flags_tc"],
  ["icmp_type"],
  ["icmp_code"],
  ["flow_id"],
]);
const [EVENT, SRC_IP, SRC_PORT, DEST_IP, DEST_PORT, PROTO, START, END, PKTS_TS, PKTS_TC, BYTES_TS, BYTES_TC] =
  paths.slotNames.keys();
const FLAGS_TS = BYTES_TC + 1;
const FLAGS_TC = BYTES_TC + 2;
const ICMP_TYPE = BYTES_TC + 3;
const ICMP_CODE = BYTES_TC + 4;
const FLOW_ID = BYTES_TC + 5;

/** Suricata's eve.json: its `flow` events. The `netflow` events tell the same flows again, one direction each. */
export const suricataEve: Format = {
  id: "suricata-eve",
  framing: "json",
  recognise: (head) => jsonKind(head) === "suricata",
  parser: () => new SuricataEveParser(),
};

class SuricataEveParser implements RecordParser {
  readonly #fields = new FieldReader(paths.slotNames);
  readonly #scanner = new JsonScanner(paths, this.#fields);
  readonly #row = new FlowRow();

  parse(bytes: Uint8Array, start: number, end: number, batch: FlowBatch): Parsed {
    if (!this.#scanner.scan(bytes, start, end)) return blankOrMalformed(bytes, start, end);
    const fields = this.#fields;
    if (!fields.has(EVENT)) return { reason: "missing_field", field: "event_type" };
    if (!fields.is(EVENT, "flow")) return SKIPPED;
    const row = this.#row;
    if (!readEnds(fields, row) || !readTimesAndCounts(fields, row)) return fields.rejection;
    return readEvidence(fields, row) ? row.append(batch, fields, FLOW_ID) : fields.rejection;
  }
}

function readEnds(fields: FieldReader, row: FlowRow): boolean {
  if (!fields.address(SRC_IP, row.words, 0) || !fields.address(DEST_IP, row.words, 4)) return false;
  row.protocol = fields.protocol(PROTO);
  if (row.protocol < 0) return false;
  row.settleIcmpFamily();
  row.clearPorts();
  if (row.isIcmp) {
    const type = fields.has(ICMP_TYPE) ? fields.unsigned(ICMP_TYPE, 255) : 0;
    const code = type >= 0 && fields.has(ICMP_CODE) ? fields.unsigned(ICMP_CODE, 255) : 0;
    row.setIcmp(type, code);
    return type >= 0 && code >= 0;
  }
  if (!row.hasPorts) return true;
  row.sourcePort = fields.port(SRC_PORT);
  row.targetPort = row.sourcePort < 0 ? -1 : fields.port(DEST_PORT);
  return row.targetPort >= 0;
}

function readTimesAndCounts(fields: FieldReader, row: FlowRow): boolean {
  row.startUs = fields.timeUs(START);
  row.endUs = row.startUs < 0 ? -1 : fields.timeUs(END);
  if (row.endUs < 0) return false;
  if (row.endUs < row.startUs) return fields.outOfRange(END) > 0;
  row.sourcePackets = fields.count(PKTS_TS);
  row.targetPackets = row.sourcePackets < 0 ? -1 : fields.count(PKTS_TC);
  row.sourceBytes = row.targetPackets < 0 ? -1 : fields.count(BYTES_TS);
  row.targetBytes = row.sourceBytes < 0 ? -1 : fields.count(BYTES_TC);
  return row.targetBytes >= 0;
}

function readEvidence(fields: FieldReader, row: FlowRow): boolean {
  row.tcpFlags = 0;
  if (row.protocol === Protocol.Tcp) {
    row.tcpFlags = flags(fields, FLAGS_TS);
    const targetFlags = row.tcpFlags < 0 ? -1 : flags(fields, FLAGS_TC);
    if (targetFlags < 0) return false;
    settleTcp(row, row.tcpFlags, targetFlags);
  } else if (row.isIcmp) {
    const isEcho = isEchoRequest(row.protocol, row.targetPort);
    row.initiator = isEcho ? Initiator.Source : Initiator.Unknown;
    row.outcome = isEcho ? outcomeOfDatagrams(row.targetPackets) : Outcome.Unknown;
  } else {
    row.initiator = initiatorOfDatagrams(row.sourcePackets, row.targetPackets);
    row.outcome = outcomeOfDatagrams(row.targetPackets);
  }
  return true;
}

/** Flags are two hexadecimal digits; -1 where they are none. */
function flags(fields: FieldReader, slot: number): number {
  if (!fields.has(slot)) return 0;
  const value = readHex(fields.bytes, fields.starts[slot], fields.ends[slot]);
  if (value >= 0 && value <= 255) return value;
  return value < 0 ? fields.notANumber(slot) : fields.outOfRange(slot);
}

/** Suricata takes the first packet's sender for the client, also when that packet is a stray SYN+ACK. */
function settleTcp(row: FlowRow, source: number, target: number): void {
  const handshake = Tcp.Syn | Tcp.Ack;
  const targetSyn = target & Tcp.Syn;
  const isSynAckFirst = (source & handshake) === handshake && targetSyn === 0;
  if (isSynAckFirst && (row.targetPackets === 0 || (target & Tcp.Rst) !== 0)) {
    row.initiator = Initiator.Target;
    row.outcome = Outcome.Unknown;
    return;
  }
  const isTargetSyn = (source & Tcp.Syn) === 0 && (target & handshake) === Tcp.Syn;
  if ((source & Tcp.Syn) !== 0) row.initiator = isSynAckFirst ? Initiator.Unknown : Initiator.Source;
  else row.initiator = isTargetSyn ? Initiator.Target : Initiator.Unknown;
  if (row.targetPackets === 0) row.outcome = Outcome.Unanswered;
  else if (targetSyn !== 0) row.outcome = Outcome.Answered;
  else if ((target & Tcp.Rst) !== 0) row.outcome = Outcome.Refused;
  else row.outcome = target === 0 ? Outcome.Unknown : Outcome.Answered;
}
