import { Initiator, Protocol, Tcp, type FlowBatch } from "./flow-batch.ts";

/**
 * Turns every row round, where needed, so that its source is the side that started the exchange: what the record
 * proves, else the flags, else a port known for its service, else the lower port is the service. A row of which only the reply was logged ends up with
 * no packets from its source; it is evidence of an answer, or of reflection, never of a scan.
 */
export function orient(batch: FlowBatch): void {
  for (let row = 0; row < batch.length; row++) {
    if (initiatorOf(batch, row) === Initiator.Target) turn(batch, row);
  }
}

function initiatorOf(batch: FlowBatch, row: number): Initiator {
  const protocol = batch.protocol[row];
  if (protocol === Protocol.Icmp || protocol === Protocol.Icmp6) return icmpInitiator(batch, row, protocol);
  const proved = batch.initiator[row] as Initiator;
  if (proved !== Initiator.Unknown) return proved;
  const flags = batch.tcpFlags[row];
  if (flags & Tcp.Syn && !(flags & Tcp.Ack)) return Initiator.Source;
  if (flags & Tcp.Syn && isHandshakeOnly(flags)) return Initiator.Target;
  if (protocol === Protocol.Udp && amplifiers.has(batch.sourcePort[row]) && !amplifiers.has(batch.targetPort[row])) {
    return Initiator.Target;
  }
  const sourcePort = batch.sourcePort[row];
  return sourcePort < batch.targetPort[row] && sourcePort < ephemeralPortMin ? Initiator.Target : Initiator.Source;
}

/** Where Linux takes a client's port from; others begin higher. Between two of these, the log's order is as good. */
const ephemeralPortMin = 32_768;

/**
 * UDP services that answer with more than they are asked: what comes from their ports is a reply, wanted or not,
 * whichever port it goes to. After US-CERT TA14-017A, and the reports on DVRs (37810) and BACnet (47808).
 */
const amplifiers = new Set([
  17, 19, 53, 111, 123, 137, 161, 389, 520, 1900, 3283, 3702, 5353, 5683, 10001, 11211, 27015, 37810, 47808,
]);

/**
 * Of a SYN+ACK: the second packet of a handshake, alone. With flags of a whole connection it may be either side, since
 * NetFlow unites the flags of all packets.
 */
function isHandshakeOnly(flags: number): boolean {
  return (flags & (Tcp.Fin | Tcp.Psh | Tcp.Rst)) === 0;
}

const echoRequest = 8 << 8;
const echoRequest6 = 128 << 8;

/** Replies and errors answer something. Echo replies, and what a log does not tell the type of, go as echo requests. */
function icmpInitiator(batch: FlowBatch, row: number, protocol: number): Initiator {
  const proved = batch.initiator[row] as Initiator;
  const type = batch.targetPort[row] >>> 8;
  if (batch.targetPort[row] === 0 || proved === Initiator.Target) {
    batch.targetPort[row] = protocol === Protocol.Icmp ? echoRequest : echoRequest6;
    return proved === Initiator.Target ? Initiator.Target : Initiator.Source;
  }
  const isError = protocol === Protocol.Icmp ? [3, 4, 11, 12].includes(type) : type >= 1 && type <= 4;
  return isError ? Initiator.Target : Initiator.Source;
}

function turn(batch: FlowBatch, row: number): void {
  swap(batch.source, batch.target, row);
  swap(batch.sourceBytes, batch.targetBytes, row);
  swap(batch.sourcePackets, batch.targetPackets, row);
  batch.tcpFlags[row] = 0;
  const protocol = batch.protocol[row];
  if (protocol !== Protocol.Icmp && protocol !== Protocol.Icmp6) swap(batch.sourcePort, batch.targetPort, row);
}

function swap(left: Uint16Array | Uint32Array | Float64Array, right: typeof left, row: number): void {
  const kept = left[row];
  left[row] = right[row];
  right[row] = kept;
}
