import { Protocol } from "../../src/core/flow/flow-batch.ts";
import { traceStartMs, type TraceFlow } from "../support/trace.ts";
import { Random } from "../support/random.ts";

const minuteMs = 60_000;
const packetBytes = 1400;

/** An upload in records of five minutes: so many megabytes sent, and so much of it received. */
function upload(random: Random, source: string, target: string, megabytes: number, receivedShare: number): TraceFlow[] {
  const records = 24;
  return Array.from({ length: records }, (_, i) => {
    const sent = Math.round(random.around((megabytes * 1e6) / records, 0.1));
    const received = Math.round(sent * receivedShare);
    return {
      source,
      target,
      targetPort: 443,
      sourcePort: 45_678,
      startMs: Math.round(traceStartMs + (10 + 5 * i) * minuteMs + 1000 * random.next()),
      durationMs: 5 * minuteMs,
      sourceBytes: sent,
      targetBytes: received,
      sourcePackets: Math.ceil(sent / packetBytes),
      targetPackets: Math.ceil(Math.max(sent / 2, received) / packetBytes),
    };
  });
}

/** A host's first day: what is very large and one-sided, and what looks like it. Habits take days: unit tests. */
export function trace(seed: number): TraceFlow[] {
  const random = new Random(seed).fork("exfiltration");
  const sampled = upload(random, "10.0.0.75", "192.0.2.75", 5, 0.03).map((flow) => ({ ...flow, samplingRate: 1000 }));
  const meeting = upload(random, "10.0.0.72", "198.51.100.72", 3000, 0.9).map((flow) => ({
    ...flow,
    targetPort: 3478,
    protocol: Protocol.Udp,
  }));
  const download = upload(random, "203.0.113.80", "10.0.0.80", 30, 200);
  return [
    ...upload(random, "10.0.0.70", "198.51.100.70", 30_000, 0.02),
    ...upload(random, "2001:db8:1::70", "2001:db8:ffff::70", 3000, 0.02),
    ...sampled,
    // Below: too little for a first day, a video meeting, photos, a download from our own server, much of it both ways.
    ...upload(random, "10.0.0.71", "198.51.100.71", 800, 0.02),
    ...meeting,
    ...upload(random, "10.0.0.73", "198.51.100.73", 50, 0.02),
    ...download,
    ...upload(random, "10.0.0.74", "198.51.100.74", 4000, 0.2),
  ];
}
