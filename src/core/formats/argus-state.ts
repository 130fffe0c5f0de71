import { Initiator, Outcome, Protocol, Tcp } from "../flow/flow-batch.ts";
import { flagsOfLetters, initiatorOfDatagrams, outcomeOfDatagrams } from "./evidence.ts";
import type { FieldReader } from "./field-values.ts";
import type { FlowRow } from "./flow-row.ts";

const UNDERSCORE = 95;

/** Shortest frames of a bare RST, unpadded and padded, and of one over IPv6. */
const resetBytes: ReadonlySet<number> = new Set([54, 60, 74]);

/** Argus's arrow: who Argus believes began; `?` where it has not seen the beginning. */
export const Arrow = { None: 0, Right: 1, Left: 2, Both: 3, Unsure: 4 } as const;

export function arrowOf(text: string): number {
  if (text === "") return Arrow.None;
  if (text.includes("?")) return Arrow.Unsure;
  if (text === "->") return Arrow.Right;
  if (text === "<-") return Arrow.Left;
  return text === "<->" ? Arrow.Both : Arrow.Unsure;
}

/** Sets flags, initiator and outcome from the `State` column and the counts, which are set already. */
export function settleState(row: FlowRow, fields: FieldReader, slot: number, arrow: number, isSplit: boolean): void {
  row.tcpFlags = 0;
  if (row.protocol === Protocol.Tcp) settleTcp(row, fields, slot, arrow, isSplit);
  else if (row.isIcmp) settleIcmp(row, fields.text(slot));
  else settleDatagrams(row, fields.text(slot), arrow);
}

function settleTcp(row: FlowRow, fields: FieldReader, slot: number, arrow: number, isSplit: boolean): void {
  const start = Math.max(fields.starts[slot], 0);
  const end = fields.starts[slot] < 0 ? 0 : fields.ends[slot];
  let middle = start;
  while (middle < end && fields.bytes[middle] !== UNDERSCORE) middle++;
  if (middle < end) {
    row.tcpFlags = flagsOfLetters(fields.bytes, start, middle);
    const targetFlags = flagsOfLetters(fields.bytes, middle + 1, end);
    row.initiator = initiatorOfLetters(row.tcpFlags, targetFlags, arrow);
    row.outcome = outcomeOfLetters(targetFlags, end - middle - 1);
  } else {
    settleTcpName(row, fields.text(slot), arrow, isSplit);
  }
}

function initiatorOfLetters(source: number, target: number, arrow: number): number {
  if (arrow === Arrow.Left) return Initiator.Target;
  if ((source & Tcp.Syn) === 0)
    return (target & (Tcp.Syn | Tcp.Ack)) === Tcp.Syn ? Initiator.Target : Initiator.Unknown;
  const isSure = arrow === Arrow.Right || arrow === Arrow.None;
  return isSure || (source & Tcp.Ack) === 0 ? Initiator.Source : Initiator.Unknown;
}

function outcomeOfLetters(target: number, letters: number): number {
  if (letters === 0) return Outcome.Unanswered;
  return (target & ~Tcp.Ack) === Tcp.Rst ? Outcome.Refused : Outcome.Answered;
}

function settleTcpName(row: FlowRow, state: string, arrow: number, isSplit: boolean): void {
  // Argus calls a flow ACC when it has seen a SYN+ACK. From the source alone, the source is the one that answers.
  const isStrayAnswer = state === "ACC" && isSplit && row.targetPackets === 0;
  if (isStrayAnswer || arrow === Arrow.Left) row.initiator = Initiator.Target;
  else row.initiator = arrow === Arrow.Right ? Initiator.Source : Initiator.Unknown;
  row.outcome = isStrayAnswer ? Outcome.Unknown : outcomeOfTcpName(row, state, isSplit);
}

function outcomeOfTcpName(row: FlowRow, state: string, isSplit: boolean): number {
  switch (state) {
    case "REQ":
    case "S0":
    case "INT":
      return Outcome.Unanswered;
    case "ACC":
    case "CON":
    case "EST":
    case "CLO":
      return Outcome.Answered;
    case "FIN":
      return row.targetPackets > 0 || !isSplit ? Outcome.Answered : Outcome.Unanswered;
    case "RST":
      return isSplit ? outcomeOfReset(row) : Outcome.Unknown;
    default:
      return Outcome.Unknown;
  }
}

/**
 * Argus says RST for a refusal and for a connection that ended in one. Two packets are SYN and RST. Three are a
 * refusal too, unless the target's one packet is too long for a RST. More are an answer if the target has sent what
 * no resets could add up to.
 */
function outcomeOfReset(row: FlowRow): number {
  if (row.targetPackets === 0) return Outcome.Unanswered;
  const packets = row.sourcePackets + row.targetPackets;
  const isOneOddPacket = row.sourceBytes > row.targetBytes && !resetBytes.has(row.targetBytes);
  if (packets <= 2) return Outcome.Refused;
  if (packets === 3) return isOneOddPacket ? Outcome.Answered : Outcome.Refused;
  const longest = row.isV6 ? 74 : 60;
  return row.targetBytes > longest * (packets - 1) ? Outcome.Answered : Outcome.Unknown;
}

function settleIcmp(row: FlowRow, state: string): void {
  const isEcho = state === "ECO";
  row.initiator = isEcho ? Initiator.Source : Initiator.Unknown;
  row.outcome = isEcho ? outcomeOfDatagrams(row.targetPackets) : Outcome.Unknown;
}

function settleDatagrams(row: FlowRow, state: string, arrow: number): void {
  row.initiator = arrow === Arrow.Both ? Initiator.Source : initiatorOfDatagrams(row.sourcePackets, row.targetPackets);
  if (arrow === Arrow.Left) row.initiator = Initiator.Target;
  if (state === "CON" || row.targetPackets > 0) row.outcome = Outcome.Answered;
  else row.outcome = state === "INT" || state === "REQ" ? Outcome.Unanswered : Outcome.Unknown;
}
