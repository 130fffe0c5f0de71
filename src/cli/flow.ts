import { formatAddress } from "../core/flow/address.ts";
import { Outcome, type FlowBatch } from "../core/flow/flow-batch.ts";
import { protocolName } from "../core/flow/protocols.ts";

/** One row of a batch, for people and programs to read. */
export interface Flow {
  start: string;
  end: string;
  source: string;
  source_port: number;
  target: string;
  target_port: number;
  protocol: string;
  source_bytes: number;
  target_bytes: number;
  source_packets: number;
  target_packets: number;
  /** Bits as in the TCP header; 0 where the log has none. */
  tcp_flags: number;
  outcome: string;
}

const outcomeNames: { [outcome: number]: string } = Object.fromEntries(
  Object.entries(Outcome).map(([name, value]) => [value, name.toLowerCase()]),
);

export function flowOf(batch: FlowBatch, row: number): Flow {
  return {
    start: new Date(batch.startMs[row]).toISOString(),
    end: new Date(batch.endMs[row]).toISOString(),
    source: addressAt(batch, batch.source[row]),
    source_port: batch.sourcePort[row],
    target: addressAt(batch, batch.target[row]),
    target_port: batch.targetPort[row],
    protocol: protocolName(batch.protocol[row]),
    source_bytes: batch.sourceBytes[row],
    target_bytes: batch.targetBytes[row],
    source_packets: batch.sourcePackets[row],
    target_packets: batch.targetPackets[row],
    tcp_flags: batch.tcpFlags[row],
    outcome: outcomeNames[batch.outcome[row]],
  };
}

/** The text of an address of the batch. */
export function addressAt({ addresses: { words } }: FlowBatch, index: number): string {
  const at = 4 * index;
  return formatAddress([words[at], words[at + 1], words[at + 2], words[at + 3]]);
}
