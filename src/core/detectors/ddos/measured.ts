import { Traffic, type Inflow } from "../../sketches/inflow.ts";
import { Measure, surplusAt, trivial, type FloodState } from "./flood-state.ts";
import { looksLikeHandshakes, looksLikeScan, unansweredOf } from "./row-shapes.ts";
import { thresholds } from "./settings.ts";

const { unansweredMin, unsolicitedMin, prefixUnansweredMin, flowsCeiling } = thresholds;
const leastFlows = Math.min(unansweredMin.min, unsolicitedMin.min, prefixUnansweredMin.min, flowsCeiling.min);

type Kind = "unanswered" | "sustained" | "reflection" | "volume" | "carpet";

/** One minute by one measure, or what has added up by then. */
export interface Measured {
  kind: Kind;
  measure: Measure;
  value: number;
  inflow: Inflow;
  row: number;
}

/** Whether an hour holds anything that may make a habit. */
export function isNotable(inflow: Inflow | undefined): boolean {
  if (!inflow) return false;
  return inflow.flows >= trivial[0] || inflow.packets >= trivial[2] || inflow.bytes >= trivial[3];
}

export function isNotableRow(inflow: Inflow, row: number): boolean {
  return inflow.flowsOf(row) >= trivial[0] || inflow.packetsOf(row) >= trivial[2] || inflow.bytesOf(row) >= trivial[3];
}

/** Whether any threshold can be reached, however low it is set: if not, there is nothing to judge. */
export function mayBeFound({ direct, reflected }: FloodState): boolean {
  if (direct && (reachesLeast(direct) || direct.excess >= thresholds.sustainedMin.min)) return true;
  return reflected !== undefined && reachesLeast(reflected);
}

function reachesLeast({ mostFlows, mostPackets, mostBytes }: Inflow): boolean {
  return mostFlows >= leastFlows || mostPackets > 0 || mostBytes > 0;
}

/** Everything of the hour that may be held against a threshold. */
export function measured({ direct, reflected, surplus }: FloodState, isOfPrefix: boolean): Measured[] {
  const all: Measured[] = [];
  if (direct) {
    for (let row = 0; row < direct.rowCount; row++) {
      if (isNotableRow(direct, row)) measureRequests(all, direct, row, isOfPrefix);
    }
  }
  if (reflected) {
    for (let row = 0; row < reflected.rowCount; row++) {
      if (isNotableRow(reflected, row)) measureReplies(all, reflected, row, surplus);
    }
  }
  return all;
}

function measureRequests(all: Measured[], inflow: Inflow, row: number, isOfPrefix: boolean): void {
  const [flows, answered] = [inflow.flowsOf(row), inflow.answeredOf(row)];
  const lost = unansweredOf(inflow, row);
  if (lost >= answered && (isOfPrefix || !looksLikeScan(inflow, row))) {
    all.push({ kind: isOfPrefix ? "carpet" : "unanswered", measure: Measure.Lost, value: lost, inflow, row });
  }
  if (answered * 2 < flows) measureVolume(all, isOfPrefix ? "carpet" : "volume", inflow, row);
}

function measureReplies(all: Measured[], inflow: Inflow, row: number, surplus: readonly number[]): void {
  const isTcp = inflow.trafficOf(row) === Traffic.Tcp;
  if (isTcp && !looksLikeHandshakes(inflow, row)) return;
  const flows = inflow.flowsOf(row);
  const unsolicited = Math.min(flows, surplus[surplusAt(inflow.minuteOf(row), isTcp)]);
  if (unsolicited <= 0) return;
  all.push({ kind: "reflection", measure: Measure.Unsolicited, value: unsolicited, inflow, row });
  if (unsolicited * 2 >= flows) measureVolume(all, "reflection", inflow, row);
}

function measureVolume(all: Measured[], kind: Kind, inflow: Inflow, row: number): void {
  all.push({ kind, measure: Measure.Packets, value: inflow.packetsOf(row), inflow, row });
  all.push({ kind, measure: Measure.Bytes, value: inflow.bytesOf(row), inflow, row });
}
