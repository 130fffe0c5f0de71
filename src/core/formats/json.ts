import { type FlowBatch, Initiator, Outcome, Protocol } from "../flow/flow-batch.ts";
import { flagsOfLetters, initiatorOfFlagUnion, initiatorOfHandshakeFlags, isEchoRequest } from "./evidence.ts";
import { FieldReader, PORT_MAX } from "./field-values.ts";
import { FlowRow } from "./flow-row.ts";
import { type Format, type Parsed, type RecordParser, SKIPPED } from "./format.ts";
import { jsonKind } from "./head.ts";
import { jsonNames, Slot } from "./json-names.ts";
import { blankOrMalformed } from "./json-record.ts";
import { JsonScanner, KeyPaths } from "./json-scanner.ts";
import { isHexPrefixed, readHex } from "./number-values.ts";
import { NO_TIME, readDate, readEpoch } from "./time-values.ts";

const paths = new KeyPaths(jsonNames);
const EVENT_DURATION = paths.paths.indexOf("event.duration");
const SRC_ADDR_OF_VPC = paths.paths.indexOf("srcaddr");

const NS_PER_US = 1000;

/** Values of `action` by which a policy refuses. */
const refusals = ["reject", "rejected", "deny", "denied", "block", "blocked", "drop", "dropped"];

/** Flows as JSON objects under the usual names: ECS, plain names, VPC records of Amazon and Google. */
export const json: Format = {
  id: "json",
  framing: "json",
  recognise: (head) => jsonKind(head) === "other",
  parser: () => new JsonParser(),
};

class JsonParser implements RecordParser {
  readonly #fields = new FieldReader(paths.slotNames);
  readonly #scanner = new JsonScanner(paths, this.#fields);
  readonly #row = new FlowRow();

  parse(bytes: Uint8Array, start: number, end: number, batch: FlowBatch): Parsed {
    if (!this.#scanner.scan(bytes, start, end)) return blankOrMalformed(bytes, start, end);
    const fields = this.#fields;
    if (fields.is(Slot.LogStatus, "nodata") || fields.is(Slot.LogStatus, "skipdata")) return SKIPPED;
    if (this.#readFlow(fields, this.#row)) return this.#row.append(batch, fields, Slot.RecordId);
    this.#scanner.nameFields();
    this.#readFlow(fields, this.#row);
    return fields.rejection;
  }

  #readFlow(fields: FieldReader, row: FlowRow): boolean {
    if (!fields.address(Slot.SourceAddress, row.words, 0)) return false;
    if (!fields.address(Slot.TargetAddress, row.words, 4)) return false;
    if (!readProtocol(fields, row) || !readPorts(fields, row)) return false;
    const isNs = this.#scanner.filledBy(Slot.Duration) === EVENT_DURATION;
    if (!readTimes(fields, row, isNs) || !readCounts(fields, row)) return false;
    const isVpc = this.#scanner.filledBy(Slot.SourceAddress) === SRC_ADDR_OF_VPC;
    return readEvidence(fields, row, isVpc);
  }
}

function readProtocol(fields: FieldReader, row: FlowRow): boolean {
  const slot = fields.has(Slot.ProtocolNumber) ? Slot.ProtocolNumber : Slot.Protocol;
  row.protocol = fields.protocol(slot);
  row.settleIcmpFamily();
  return row.protocol >= 0;
}

function readPorts(fields: FieldReader, row: FlowRow): boolean {
  row.clearPorts();
  if (row.isIcmp) {
    const type = fields.has(Slot.IcmpType) ? fields.unsigned(Slot.IcmpType, 255) : 0;
    const code = type >= 0 && fields.has(Slot.IcmpCode) ? fields.unsigned(Slot.IcmpCode, 255) : 0;
    row.setIcmp(type, code);
    return type >= 0 && code >= 0;
  }
  if (!row.hasPorts) return true;
  row.sourcePort = fields.unsigned(Slot.SourcePort, PORT_MAX);
  row.targetPort = row.sourcePort < 0 ? -1 : fields.unsigned(Slot.TargetPort, PORT_MAX);
  return row.targetPort >= 0;
}

/** Start and end; what is missing follows from the duration, else both are the one time that the record has. */
function readTimes(fields: FieldReader, row: FlowRow, isDurationNs: boolean): boolean {
  const durationUs = readDurationUs(fields, isDurationNs);
  if (durationUs < 0) return false;
  const hasEnd = fields.has(Slot.End);
  if (fields.has(Slot.Start) || !hasEnd) {
    row.startUs = timeUs(fields, fields.has(Slot.Start) ? Slot.Start : Slot.Time);
    if (row.startUs < 0) return false;
    row.endUs = hasEnd ? timeUs(fields, Slot.End) : row.startUs + durationUs;
  } else {
    row.endUs = timeUs(fields, Slot.End);
    row.startUs = Math.max(row.endUs - durationUs, 0);
  }
  if (row.endUs < 0) return false;
  return row.endUs >= row.startUs || fields.outOfRange(Slot.End) > 0;
}

function readDurationUs(fields: FieldReader, isNs: boolean): number {
  if (!isNs) return fields.durationUs(Slot.Duration);
  const ns = fields.count(Slot.Duration);
  return ns < 0 ? ns : Math.floor(ns / NS_PER_US);
}

function timeUs(fields: FieldReader, slot: number): number {
  if (!fields.has(slot)) return fields.missing(slot);
  const start = fields.starts[slot];
  const end = fields.ends[slot];
  const isDate = end - start > 4 && (fields.bytes[start + 4] === 45 || fields.bytes[start + 4] === 47);
  const time = isDate ? readDate(fields.bytes, start, end) : readEpoch(fields.bytes, start, end);
  return time === NO_TIME ? fields.notATime(slot) : time;
}

function readCounts(fields: FieldReader, row: FlowRow): boolean {
  row.targetBytes = fields.count(Slot.TargetBytes);
  if (row.targetBytes < 0) return false;
  row.sourceBytes = sourceCount(fields, Slot.SourceBytes, Slot.Bytes, row.targetBytes);
  if (row.sourceBytes < 0) return false;
  row.targetPackets = fields.count(Slot.TargetPackets);
  if (row.targetPackets < 0) return false;
  row.sourcePackets = sourceCount(fields, Slot.SourcePackets, Slot.Packets, row.targetPackets);
  return row.sourcePackets >= 0;
}

/** The source's count, or what of the sum of both directions is not the target's. */
function sourceCount(fields: FieldReader, own: number, sum: number, targets: number): number {
  if (fields.has(own)) return fields.count(own);
  const total = fields.count(sum);
  if (total < 0) return total;
  if (!fields.has(sum)) return 0;
  return total < targets ? fields.outOfRange(sum) : total - targets;
}

function readEvidence(fields: FieldReader, row: FlowRow, isVpc: boolean): boolean {
  row.tcpFlags = row.protocol === Protocol.Tcp ? readFlags(fields) : 0;
  if (row.tcpFlags < 0) return false;
  if (isEchoRequest(row.protocol, row.targetPort)) row.initiator = Initiator.Source;
  else if (isVpc) row.initiator = initiatorOfHandshakeFlags(row.tcpFlags);
  else row.initiator = initiatorOfFlagUnion(row.tcpFlags, row.sourcePackets);
  const isAnswered = row.targetPackets > 0 || row.targetBytes > 0;
  row.outcome = isAnswered ? Outcome.Answered : Outcome.Unknown;
  if (fields.has(Slot.Action) && isRefusal(fields)) row.outcome = Outcome.Blocked;
  return true;
}

function isRefusal(fields: FieldReader): boolean {
  for (const refusal of refusals) if (fields.is(Slot.Action, refusal)) return true;
  return false;
}

/** A number, hexadecimal with `0x`, or letters. */
function readFlags(fields: FieldReader): number {
  if (!fields.has(Slot.TcpFlags)) return 0;
  const start = fields.starts[Slot.TcpFlags];
  const end = fields.ends[Slot.TcpFlags];
  const first = fields.firstByte(Slot.TcpFlags);
  if (first < 48 || first > 57) return flagsOfLetters(fields.bytes, start, end);
  const isHex = isHexPrefixed(fields.bytes, start, end);
  const flags = isHex ? readHex(fields.bytes, start, end) : fields.unsigned(Slot.TcpFlags, 0xffff);
  // NetFlow has nine flags in sixteen bits; the ninth is of no use here.
  return flags < 0 ? fields.notANumber(Slot.TcpFlags) : flags & 255;
}
