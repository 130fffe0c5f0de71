import { type FlowBatch, Initiator, Outcome, Protocol, Tcp } from "../flow/flow-batch.ts";
import { initiatorOfDatagrams, isEchoRequest, outcomeOfDatagrams } from "./evidence.ts";
import type { FieldReader } from "./field-values.ts";
import type { FlowRow } from "./flow-row.ts";
import type { Parsed } from "./format.ts";

/** Names of the fields of conn.log that are wanted; the later ones of a list come from Zeek's field name maps. */
export const zeekNames: readonly (readonly string[])[] = [
  ["ts"],
  ["id.orig_h", "id_orig_h", "id.orig_ip", "src_ip", "src"],
  ["id.orig_p", "id_orig_p", "id.orig_port", "src_port"],
  ["id.resp_h", "id_resp_h", "id.resp_ip", "dst_ip", "dst"],
  ["id.resp_p", "id_resp_p", "id.resp_port", "dst_port"],
  ["proto"],
  ["duration"],
  ["orig_bytes"],
  ["resp_bytes"],
  ["conn_state"],
  ["history"],
  ["orig_pkts"],
  ["resp_pkts"],
  ["ip_proto"],
  ["uid"],
];
const [TS, ORIG_H, ORIG_P, RESP_H, RESP_P, PROTO, DURATION, ORIG_BYTES, RESP_BYTES, STATE, HISTORY] = zeekNames.keys();
const ORIG_PKTS = HISTORY + 1;
const RESP_PKTS = HISTORY + 2;
const IP_PROTO = HISTORY + 3;
const UID = HISTORY + 4;
export const CONN_STATE = STATE;

/** `unknown_transport` has its number in `ip_proto`. */
const UNKNOWN_TRANSPORT = 255;

/** Letters of `history` as bits: upper case is the originator's, lower case (16 places on) the responder's. */
const letters = "SHADFR";
const [SYN, SYN_ACK, ACK, DATA, FIN, RST] = Array.from(letters, (_, place) => 1 << place);
const RESPONDER = 16;
const FLIPPED = 1 << 15;

/** Reads the row of conn.log that `fields` points at, whether it came as text or as JSON. */
export function readZeekFlow(fields: FieldReader, row: FlowRow, batch: FlowBatch): Parsed {
  row.startUs = fields.timeUs(TS);
  if (row.startUs < 0) return fields.rejection;
  if (!fields.address(ORIG_H, row.words, 0) || !fields.address(RESP_H, row.words, 4)) return fields.rejection;
  if (!readProtocolAndPorts(fields, row) || !readDurationAndBytes(fields, row)) return fields.rejection;
  const history = readHistory(fields);
  row.tcpFlags = row.protocol === Protocol.Tcp ? flagsOf(history) : 0;
  row.outcome = row.protocol === Protocol.Tcp ? tcpOutcome(fields, history) : datagramOutcome(fields);
  if (!readPackets(fields, row)) return fields.rejection;
  settleEvidence(row, history, fields.firstByte(HISTORY));
  return row.append(batch, fields, UID);
}

function readProtocolAndPorts(fields: FieldReader, row: FlowRow): boolean {
  row.protocol = fields.protocol(PROTO);
  if (row.protocol === UNKNOWN_TRANSPORT && fields.has(IP_PROTO)) row.protocol = fields.unsigned(IP_PROTO, 255);
  if (row.protocol < 0) return false;
  row.settleIcmpFamily();
  row.sourcePort = fields.port(ORIG_P);
  row.targetPort = row.sourcePort < 0 ? -1 : fields.port(RESP_P);
  if (row.targetPort < 0) return false;
  if (row.isIcmp) row.setIcmp(row.sourcePort, icmpCode(row));
  else if (!row.hasPorts) row.clearPorts();
  return true;
}

/**
 * Zeek puts the type of ICMP where the originator's port is, and where the responder's is the code, unless the type
 * has a counterpart (echo and echo reply): then it is that type, and the code is not logged.
 */
function icmpCode(row: FlowRow): number {
  const [type, other] = [row.sourcePort, row.targetPort];
  if (row.protocol === Protocol.Icmp6) return isIcmp6Pair(Math.min(type, other), Math.max(type, other)) ? 0 : other;
  const low = Math.min(type, other);
  const high = Math.max(type, other);
  const isPair = (low === 0 && high === 8) || (low === 9 && high === 10) || (low >= 13 && low % 2 === 1 && low < 18);
  return isPair && (low < 13 || high === low + 1) ? 0 : other;
}

function isIcmp6Pair(low: number, high: number): boolean {
  const isRequest = low === 128 || low === 130 || low === 133 || low === 135 || low === 139 || low === 144;
  return isRequest && high === low + 1;
}

function readDurationAndBytes(fields: FieldReader, row: FlowRow): boolean {
  const durationUs = fields.durationUs(DURATION);
  if (durationUs < 0) return false;
  row.endUs = row.startUs + durationUs;
  row.sourceBytes = fields.count(ORIG_BYTES);
  row.targetBytes = row.sourceBytes < 0 ? -1 : fields.count(RESP_BYTES);
  return row.targetBytes >= 0;
}

/** Zeek can be told not to log packets: then one stands for each side that sent. */
function readPackets(fields: FieldReader, row: FlowRow): boolean {
  const answered = row.outcome === Outcome.Answered ? 1 : 0;
  row.sourcePackets = fields.starts[ORIG_PKTS] < 0 ? 1 : fields.count(ORIG_PKTS);
  if (row.sourcePackets < 0) return false;
  row.targetPackets = fields.starts[RESP_PKTS] < 0 ? answered : fields.count(RESP_PKTS);
  return row.targetPackets >= 0;
}

function readHistory(fields: FieldReader): number {
  if (!fields.has(HISTORY)) return 0;
  let history = 0;
  for (let i = fields.starts[HISTORY]; i < fields.ends[HISTORY]; i++) history |= historyBit(fields.bytes[i]);
  return history;
}

function historyBit(byte: number): number {
  switch (byte & ~32) {
    case 83:
      return byte === 83 ? SYN : SYN << RESPONDER;
    case 72:
      return byte === 72 ? SYN_ACK : SYN_ACK << RESPONDER;
    case 65:
      return byte === 65 ? ACK : ACK << RESPONDER;
    case 68:
      return byte === 68 ? DATA : DATA << RESPONDER;
    case 70:
      return byte === 70 ? FIN : FIN << RESPONDER;
    case 82:
      return byte === 82 ? RST : RST << RESPONDER;
    default:
      return byte === 94 ? FLIPPED : 0;
  }
}

function flagsOf(history: number): number {
  let flags = 0;
  if ((history & (SYN | SYN_ACK)) !== 0) flags |= Tcp.Syn;
  if ((history & (ACK | SYN_ACK | DATA)) !== 0) flags |= Tcp.Ack;
  if ((history & FIN) !== 0) flags |= Tcp.Fin;
  if ((history & RST) !== 0) flags |= Tcp.Rst;
  return flags;
}

function tcpOutcome(fields: FieldReader, history: number): number {
  if (fields.is(STATE, "sf") || fields.is(STATE, "s1") || fields.is(STATE, "s2") || fields.is(STATE, "s3")) {
    return Outcome.Answered;
  }
  if (fields.is(STATE, "s0") || fields.is(STATE, "rstos0") || fields.is(STATE, "sh")) {
    // An originator that acknowledges or sends data was answered: Zeek saw only its side.
    return (history & (ACK | DATA)) !== 0 ? Outcome.Unknown : Outcome.Unanswered;
  }
  if (fields.is(STATE, "rej") || fields.is(STATE, "rstrh")) return Outcome.Refused;
  if (!fields.is(STATE, "rsto") && !fields.is(STATE, "rstr")) return Outcome.Unknown;
  const answered = ((SYN_ACK | DATA) << RESPONDER) & history;
  return answered !== 0 || !fields.has(HISTORY) ? Outcome.Answered : Outcome.Refused;
}

function datagramOutcome(fields: FieldReader): number {
  if (fields.is(STATE, "sf")) return Outcome.Answered;
  return fields.is(STATE, "s0") ? Outcome.Unanswered : Outcome.Unknown;
}

/** What needs both the letters and the packets. */
function settleEvidence(row: FlowRow, history: number, firstLetter: number): void {
  if (row.protocol === Protocol.Tcp) {
    row.initiator = tcpInitiator(history);
  } else if (row.isIcmp) {
    // Zeek's state of ICMP is OTH throughout.
    const isEcho = isEchoRequest(row.protocol, row.targetPort);
    if (isEcho) row.outcome = outcomeOfDatagrams(row.targetPackets);
    row.initiator = isEcho ? Initiator.Source : Initiator.Unknown;
  } else {
    // Zeek turns flows to well-known ports round, and marks it with ^ since version 4.1.
    const isTurned = (history & FLIPPED) !== 0 || firstLetter >= 97;
    row.initiator = isTurned ? Initiator.Unknown : initiatorOfDatagrams(row.sourcePackets, row.targetPackets);
  }
}

/** A SYN proves its sender, and so does a SYN+ACK that the other side went on from. */
function tcpInitiator(history: number): number {
  const source = history & (SYN | SYN_ACK);
  const target = (history >> RESPONDER) & (SYN | SYN_ACK);
  if ((source & SYN) !== 0) return (target & SYN) !== 0 || source !== SYN ? Initiator.Unknown : Initiator.Source;
  if ((target & SYN) !== 0) return target === SYN ? Initiator.Target : Initiator.Unknown;
  if (source !== 0) return target === 0 ? Initiator.Target : Initiator.Unknown;
  return target !== 0 && (history & (ACK | DATA)) !== 0 ? Initiator.Source : Initiator.Unknown;
}
