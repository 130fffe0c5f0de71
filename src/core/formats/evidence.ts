import { Initiator, Outcome, Protocol, Tcp } from "../flow/flow-batch.ts";

const ICMP_ECHO = 8;
const ICMP6_ECHO = 128;

/** The TCP header's bits 64 and 128, which say nothing about who began. */
const ECE = 64;
const CWR = 128;

/** Bit of each flag letter, indexed by its upper-case byte: `FSRPAUEC`. */
const bitOfLetter = new Uint8Array(128);
for (const [letter, bit] of [
  ["F", Tcp.Fin],
  ["S", Tcp.Syn],
  ["R", Tcp.Rst],
  ["P", Tcp.Psh],
  ["A", Tcp.Ack],
  ["U", Tcp.Urg],
  ["E", ECE],
  ["C", CWR],
] as const) {
  bitOfLetter[letter.charCodeAt(0)] = bit;
}

/** Union of the flags whose letters stand at `bytes[start, end)`; dots and other letters count for nothing. */
export function flagsOfLetters(bytes: Uint8Array, start: number, end: number): number {
  let flags = 0;
  for (let i = start; i < end; i++) flags |= bytes[i] < 128 ? bitOfLetter[bytes[i]] : 0;
  return flags;
}

/** For logs that report ACK only together with SYN (VPC): the union still tells a SYN from a SYN+ACK. */
export function initiatorOfHandshakeFlags(flags: number): number {
  if ((flags & Tcp.Syn) === 0) return Initiator.Unknown;
  return (flags & Tcp.Ack) === 0 ? Initiator.Source : Initiator.Target;
}

/** For logs of one direction with the union of all flags: a SYN and later ACKs look like a SYN+ACK, unless alone. */
export function initiatorOfFlagUnion(flags: number, packets: number): number {
  if ((flags & Tcp.Syn) === 0) return Initiator.Unknown;
  if ((flags & Tcp.Ack) === 0) return Initiator.Source;
  return packets === 1 ? Initiator.Target : Initiator.Unknown;
}

/** Without a handshake, the first packet's sender is the source if the log has joined both directions. */
export function initiatorOfDatagrams(sourcePackets: number, targetPackets: number): number {
  return sourcePackets > 0 && targetPackets > 0 ? Initiator.Source : Initiator.Unknown;
}

export function outcomeOfDatagrams(targetPackets: number): number {
  return targetPackets > 0 ? Outcome.Answered : Outcome.Unanswered;
}

/** Whether `type << 8 | code` is a request that an echo answers: it proves who began. */
export function isEchoRequest(protocol: number, targetPort: number): boolean {
  const type = targetPort >> 8;
  return protocol === Protocol.Icmp ? type === ICMP_ECHO : protocol === Protocol.Icmp6 && type === ICMP6_ECHO;
}
