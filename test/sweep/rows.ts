import type { FlowBatch } from "../../src/core/flow/flow-batch.ts";

/** Appends the rows, `shiftMs` later, that end before `endMs`. */
export function copyShifted(from: FlowBatch, shiftMs: number, endMs: number, to: FlowBatch): void {
  for (let i = 0; i < from.length; i++) if (from.endMs[i] + shiftMs < endMs) copyRow(from, i, to, shiftMs);
}

/** Appends a row, `shiftMs` later. */
export function copyRow(from: FlowBatch, i: number, to: FlowBatch, shiftMs = 0): void {
  const row = to.add();
  const { words } = from.addresses;
  const [s, t] = [4 * from.source[i], 4 * from.target[i]];
  to.source[row] = to.addresses.intern(words[s], words[s + 1], words[s + 2], words[s + 3]);
  to.target[row] = to.addresses.intern(words[t], words[t + 1], words[t + 2], words[t + 3]);
  to.sourcePort[row] = from.sourcePort[i];
  to.targetPort[row] = from.targetPort[i];
  to.protocol[row] = from.protocol[i];
  to.startMs[row] = from.startMs[i] + shiftMs;
  to.endMs[row] = from.endMs[i] + shiftMs;
  to.sourceBytes[row] = from.sourceBytes[i];
  to.targetBytes[row] = from.targetBytes[i];
  to.sourcePackets[row] = from.sourcePackets[i];
  to.targetPackets[row] = from.targetPackets[i];
  to.tcpFlags[row] = from.tcpFlags[i];
  to.outcome[row] = from.outcome[i];
  to.initiator[row] = from.initiator[i];
  to.samplingRate[row] = from.samplingRate[i];
  to.recordIdHigh[row] = from.recordIdHigh[i];
  to.recordIdLow[row] = from.recordIdLow[i];
}
