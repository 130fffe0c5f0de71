import { probeBytesMax, probePacketsMax } from "../../flow/contacts.ts";
import type { Inflow } from "../../sketches/inflow.ts";

/** A flow of so few packets carried nothing: where outcomes are unknown, it counts as half a failure. */
const fewPackets = 3;

export function unansweredOf(inflow: Inflow, row: number): number {
  const flows = inflow.flowsOf(row);
  // A log that shows answers apart may show more of them than requests.
  const failed = Math.min(flows, inflow.failedOf(row));
  const unknown = Math.max(0, flows - failed - inflow.answeredOf(row));
  return failed + (packetsSeen(inflow, row) <= fewPackets * flows ? unknown / 2 : 0);
}

export function packetsSeen(inflow: Inflow, row: number): number {
  return inflow.packetsOf(row) / inflow.samplingRate;
}

/** Few sources, many ports, little in each: so many ports that most of a set of 64 is filled. */
const scanPortsMin = 60;
const scanSourcesMax = 10;

export function looksLikeScan(inflow: Inflow, row: number): boolean {
  return inflow.marksOf(row) >= scanPortsMin && inflow.othersOf(row) < scanSourcesMax && holdsProbes(inflow, row);
}

export function holdsProbes(inflow: Inflow, row: number): boolean {
  const flows = inflow.flowsOf(row);
  const bytesSeen = inflow.bytesOf(row) / inflow.samplingRate;
  return packetsSeen(inflow, row) <= probePacketsMax * flows && bytesSeen <= probeBytesMax * flows;
}

/** SYN+ACKs, which a server repeats five times as a rule, and resets: an exchange that carries anything holds more. */
const handshakePacketsMax = 6;
const handshakeBytesMax = 100;

export function looksLikeHandshakes(inflow: Inflow, row: number): boolean {
  const packets = inflow.packetsOf(row);
  return (
    packetsSeen(inflow, row) <= handshakePacketsMax * inflow.flowsOf(row) &&
    inflow.bytesOf(row) <= handshakeBytesMax * packets
  );
}
