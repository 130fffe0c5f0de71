import { type FlowBatch, Initiator, Outcome, Protocol } from "../flow/flow-batch.ts";
import type { FieldReader } from "./field-values.ts";
import { ACCEPTED } from "./format.ts";
import { hasPorts } from "./protocol-names.ts";
import { setRecordId } from "./record-id.ts";

const echoReply = 0;
const echoReply6 = 129;

/**
 * The row being read, one per parser and reused. Nothing enters the batch, not even an address, before the whole
 * record has proved good.
 */
export class FlowRow {
  /** Source at 0, target at 4, each as four words. */
  readonly words = new Uint32Array(8);
  sourcePort = 0;
  targetPort = 0;
  protocol = 0;
  startUs = 0;
  endUs = 0;
  sourceBytes = 0;
  targetBytes = 0;
  sourcePackets = 0;
  targetPackets = 0;
  tcpFlags = 0;
  outcome: number = Outcome.Unknown;
  initiator: number = Initiator.Unknown;
  samplingRate = 1;

  #hasIcmpType = false;

  get isV6(): boolean {
    const words = this.words;
    return words[2] !== 0xffff || words[1] !== 0 || words[0] !== 0;
  }

  get isIcmp(): boolean {
    return this.protocol === Protocol.Icmp || this.protocol === Protocol.Icmp6;
  }

  get hasPorts(): boolean {
    return hasPorts(this.protocol);
  }

  /** Some logs say `icmp` for both families. */
  settleIcmpFamily(): void {
    if (this.protocol === Protocol.Icmp && this.isV6) this.protocol = Protocol.Icmp6;
  }

  setIcmp(type: number, code: number): void {
    this.sourcePort = 0;
    this.targetPort = ((type & 255) << 8) | (code & 255);
    this.#hasIcmpType = true;
  }

  clearPorts(): void {
    this.sourcePort = 0;
    this.targetPort = 0;
    this.#hasIcmpType = false;
  }

  /** A format whose records may carry an id of their own says in which field. */
  append(batch: FlowBatch, fields?: FieldReader, idSlot = -1): typeof ACCEPTED {
    const words = this.words;
    const row = batch.add();
    batch.source[row] = batch.addresses.intern(words[0], words[1], words[2], words[3]);
    batch.target[row] = batch.addresses.intern(words[4], words[5], words[6], words[7]);
    batch.sourcePort[row] = this.sourcePort;
    batch.targetPort[row] = this.targetPort;
    batch.protocol[row] = this.protocol;
    batch.startMs[row] = Math.floor(this.startUs / 1000);
    batch.endMs[row] = Math.floor(this.endUs / 1000);
    batch.sourceBytes[row] = this.sourceBytes;
    batch.targetBytes[row] = this.targetBytes;
    batch.sourcePackets[row] = this.sourcePackets;
    batch.targetPackets[row] = this.targetPackets;
    batch.tcpFlags[row] = this.tcpFlags;
    batch.outcome[row] = this.outcome;
    batch.initiator[row] = this.isIcmp && this.#isEchoReply() ? Initiator.Target : this.initiator;
    batch.samplingRate[row] = this.samplingRate;
    batch.recordIdHigh[row] = 0;
    batch.recordIdLow[row] = 0;
    if (fields?.has(idSlot) === true) setRecordId(batch, row, this, fields, idSlot);
    return ACCEPTED;
  }

  /** Proves that the other side began; a log that does not tell the type proves nothing. */
  #isEchoReply(): boolean {
    const reply = this.protocol === Protocol.Icmp ? echoReply : echoReply6;
    return this.#hasIcmpType && this.targetPort >>> 8 === reply;
  }
}
