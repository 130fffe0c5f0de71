import { AddressTable } from "./address-table.ts";

/** What became of a flow, as far as its log can tell. */
export const Outcome = {
  /** The log does not say (NetFlow, VPC ACCEPT, sliced or midstream records). */
  Unknown: 0,
  /** The target answered: a handshake completed, or packets came back that are no refusal. */
  Answered: 1,
  /** Nothing came back. */
  Unanswered: 2,
  /** The target, or a host on its behalf, refused: reset, ICMP unreachable. */
  Refused: 3,
  /** A policy between them refused: VPC REJECT. */
  Blocked: 4,
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** Who started the exchange, as far as the record itself proves it. `orient` decides the unknown ones. */
export const Initiator = { Unknown: 0, Source: 1, Target: 2 } as const;
export type Initiator = (typeof Initiator)[keyof typeof Initiator];

/** Bits of `tcpFlags`, as in the TCP header. */
export const Tcp = { Fin: 1, Syn: 2, Rst: 4, Psh: 8, Ack: 16, Urg: 32 } as const;

/** IANA protocol numbers with a meaning of their own here. */
export const Protocol = { Icmp: 1, Tcp: 6, Udp: 17, Icmp6: 58 } as const;

/**
 * The flows of one batch as columns: row i is one accepted record of the log, as logged. `source` is the side that
 * the log names first; `orient` turns rows round so that it is the side that started the exchange.
 *
 * Times are integer milliseconds since 1970, bytes and packets are non-negative integers below 2^53. Where a log
 * counts one direction only, the target's counts are 0. ICMP and ICMPv6 have sourcePort 0 and targetPort
 * `type << 8 | code`; protocols without ports have 0 and 0.
 */
export class FlowBatch {
  length = 0;
  readonly addresses = new AddressTable();
  /** Indexes into `addresses`. */
  source: Uint32Array<ArrayBuffer>;
  target: Uint32Array<ArrayBuffer>;
  sourcePort: Uint16Array<ArrayBuffer>;
  targetPort: Uint16Array<ArrayBuffer>;
  protocol: Uint8Array<ArrayBuffer>;
  startMs: Float64Array<ArrayBuffer>;
  endMs: Float64Array<ArrayBuffer>;
  /** Sent by the source, and by the target. */
  sourceBytes: Float64Array<ArrayBuffer>;
  targetBytes: Float64Array<ArrayBuffer>;
  sourcePackets: Float64Array<ArrayBuffer>;
  targetPackets: Float64Array<ArrayBuffer>;
  /** Union of the TCP flags that the source sent; 0 where the log has none. */
  tcpFlags: Uint8Array<ArrayBuffer>;
  outcome: Uint8Array<ArrayBuffer>;
  initiator: Uint8Array<ArrayBuffer>;
  /** Packets for each that was seen, by sampling: bytes and packets above are those seen. */
  samplingRate: Uint32Array<ArrayBuffer>;
  /** Hash of the id that the record carries and of what it says, as logged; both 0 where it carries none. */
  recordIdHigh: Uint32Array<ArrayBuffer>;
  recordIdLow: Uint32Array<ArrayBuffer>;

  /** 8,192 rows, 0.6 MB: what a shipper's batch takes. Growing costs a copy of every column. */
  constructor(capacity = 8192) {
    this.source = new Uint32Array(capacity);
    this.target = new Uint32Array(capacity);
    this.sourcePort = new Uint16Array(capacity);
    this.targetPort = new Uint16Array(capacity);
    this.protocol = new Uint8Array(capacity);
    this.startMs = new Float64Array(capacity);
    this.endMs = new Float64Array(capacity);
    this.sourceBytes = new Float64Array(capacity);
    this.targetBytes = new Float64Array(capacity);
    this.sourcePackets = new Float64Array(capacity);
    this.targetPackets = new Float64Array(capacity);
    this.tcpFlags = new Uint8Array(capacity);
    this.outcome = new Uint8Array(capacity);
    this.initiator = new Uint8Array(capacity);
    this.samplingRate = new Uint32Array(capacity);
    this.recordIdHigh = new Uint32Array(capacity);
    this.recordIdLow = new Uint32Array(capacity);
  }

  /**
   * Appends a row whose columns the caller sets, every one of them: a row may hold the values of a record that was
   * rejected before it.
   */
  add(): number {
    if (this.length === this.source.length) this.#grow();
    return this.length++;
  }

  get capacity(): number {
    return this.source.length;
  }

  /** Forgets rows and addresses, and keeps their room. */
  clear(): void {
    this.length = 0;
    this.addresses.clear();
  }

  #grow(): void {
    this.source = grown(this.source);
    this.target = grown(this.target);
    this.sourcePort = grown(this.sourcePort);
    this.targetPort = grown(this.targetPort);
    this.protocol = grown(this.protocol);
    this.startMs = grown(this.startMs);
    this.endMs = grown(this.endMs);
    this.sourceBytes = grown(this.sourceBytes);
    this.targetBytes = grown(this.targetBytes);
    this.sourcePackets = grown(this.sourcePackets);
    this.targetPackets = grown(this.targetPackets);
    this.tcpFlags = grown(this.tcpFlags);
    this.outcome = grown(this.outcome);
    this.initiator = grown(this.initiator);
    this.samplingRate = grown(this.samplingRate);
    this.recordIdHigh = grown(this.recordIdHigh);
    this.recordIdLow = grown(this.recordIdLow);
  }
}

/** A copy of a column with twice the room. */
function grown<T extends Uint8Array | Uint16Array | Int32Array | Uint32Array | Float64Array>(old: T): T {
  const column = new (old.constructor as new (length: number) => T)(old.length * 2);
  column.set(old);
  return column;
}
