import { join } from "node:path";
import { batches } from "./batches.ts";
import { CaptureFacts } from "./capture.ts";
import { gzip, type Client, type StoredAnomaly, type VerdictChange } from "./client.ts";
import { openInput } from "./input.ts";
import { canonical, judge } from "./score.ts";
import type { CaptureTruth, Finding, TruthEvent } from "./truth.ts";

/** How the Worker took one capture, and what it found in it. */
export interface CaptureRun {
  findings: Finding[];
  size: { entities: number; days: number };
  received: number;
  rejected: number;
  late: number;
  /** From the first POST to the end of the last answer, without preparing the bodies. */
  seconds: number;
  flowsPerSecond: number;
  detections: Detection[];
}

/** How long after its first record an event was found. */
export interface Detection {
  event: TruthEvent;
  threat: string;
  /** From the POST that brought its first record to the answer that brought its first verdict. */
  seconds: number;
  /** The same in the log's own time, to the grain of a batch. */
  eventSeconds: number;
}

const recordsPerBatch = 5000;

/** Sends a capture in file order, declares the input ended, and reads what was stored. */
export async function evaluateCapture(
  folder: string,
  name: string,
  truth: CaptureTruth,
  client: Client,
): Promise<CaptureRun> {
  const facts = new CaptureFacts(truth.events);
  const input = await openInput(join(folder, name));
  const posts: Post[] = [];
  const counts = { received: 0, rejected: 0, late: 0 };
  for await (const { body } of batches(input.chunks, recordsPerBatch)) {
    await facts.read(body);
    const gzipped = gzip(body);
    const sentMs = performance.now();
    const answer = await client.ingest("auto", gzipped);
    posts.push({ sentMs, answeredMs: performance.now(), changes: answer.anomalies });
    counts.received += answer.received;
    counts.rejected += answer.rejected;
    counts.late += answer.late;
  }
  const sentMs = performance.now();
  const ended = await client.end();
  const seconds = posts.reduce((sum, post) => sum + post.answeredMs - post.sentMs, 0) / 1000;
  posts.push({ sentMs, answeredMs: performance.now(), changes: ended.anomalies });
  const stored = (await client.anomalies({})).filter((anomaly) => anomaly.state !== "withdrawn");
  return {
    findings: stored.map(findingOf),
    size: facts.size,
    ...counts,
    seconds,
    flowsPerSecond: counts.received / seconds,
    detections: truth.events.flatMap((event) => detectionOf(event, facts, posts, stored)),
  };
}

interface Post {
  sentMs: number;
  answeredMs: number;
  changes: VerdictChange[];
}

export function findingOf({ threat, entity, severity, peers }: StoredAnomaly): Finding {
  return { threat, entity, severity, peers: peers.map((peer) => peer.address) };
}

function detectionOf(event: TruthEvent, facts: CaptureFacts, posts: Post[], stored: StoredAnomaly[]): Detection[] {
  const begin = facts.begins.get(event);
  const about = new Set(stored.filter((anomaly) => isAbout(anomaly, event)).map((anomaly) => anomaly.id));
  const found = posts.findIndex((post) => post.changes.some(({ id }) => about.has(id)));
  if (begin === undefined || found === -1) return [];
  const latestMs = facts.latestMs[Math.min(found, facts.latestMs.length - 1)];
  return [
    {
      event,
      threat: event.threat,
      seconds: Math.max(0, posts[found].answeredMs - posts[begin.batch].sentMs) / 1000,
      eventSeconds: (latestMs - begin.startMs) / 1000,
    },
  ];
}

function isAbout(anomaly: StoredAnomaly, event: TruthEvent): boolean {
  const alone = judge({ events: [event] }, [findingOf({ ...anomaly, entity: canonical(anomaly.entity) })], "");
  return alone.events[0].isDetected;
}
