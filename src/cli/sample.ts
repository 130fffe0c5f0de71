import colours from "picocolors";
import { cloud, logBytes, office, pieces, vpcLog, zeekLog, type PlantedEvent } from "../../test/support/generate.ts";
import { newest } from "./anomalies.ts";
import { gzip, type Client, type StoredAnomaly } from "./client.ts";
import { findingOf } from "./evaluate.ts";
import { score } from "./score.ts";
import { thousands } from "./table.ts";

/** A batch holds at most so many records, of at most so long a time, as from a shipper that flushes. */
const recordsPerBatch = 5000;
const spanMsPerBatch = 5 * 60_000;

export interface Sample {
  internal: string[];
  events: PlantedEvent[];
  /** In the order in which they would arrive. */
  batches: { format: string; endMs: number; records: number; body: Uint8Array<ArrayBuffer> }[];
}

const endStepMs = 10 * 60_000;

/**
 * Six hours of a cloud network (VPC) and an office (Zeek), with attacks in both. They end at most ten minutes before
 * `nowMs`, on a full ten minutes: logs have minutes, and so the same seed gives nearly the same log at any time.
 */
export function makeSample(seed: number, nowMs: number): Sample {
  const endMs = Math.floor(nowMs / endStepMs) * endStepMs;
  const servers = cloud({ seed, endMs });
  const people = office({ seed, endMs });
  const logs = [
    { format: "aws-vpc", log: vpcLog(servers) },
    { format: "zeek-conn", log: zeekLog(people, seed) },
  ];
  const batches = logs.flatMap(({ format, log }) =>
    pieces(log, recordsPerBatch, spanMsPerBatch).map((piece) => ({
      format,
      endMs: piece.endMs,
      records: piece.log.lines.length,
      body: gzip(logBytes(piece.log)),
    })),
  );
  return {
    internal: [...servers.internal, ...people.internal],
    events: [...servers.events, ...people.events],
    batches: batches.toSorted((a, b) => a.endMs - b.endMs),
  };
}

/** Sends the sample and prints each verdict when it can be read and is first of medium severity or above. */
export async function playSample(client: Client, sample: Sample, print: (line: string) => void): Promise<void> {
  const shown = new Set<string>();
  let after = 0;
  let records = 0;
  print(row("threat", "severity", "who", "when (log)", "stored", "why"));
  const startMs = performance.now();
  const tell = async () => {
    const stored = await client.anomalies({ after, severity: "medium" });
    after = newest(stored, after);
    for (const anomaly of stored) {
      if (shown.has(anomaly.id) || anomaly.state === "withdrawn") continue;
      shown.add(anomaly.id);
      print(verdictRow(anomaly));
    }
  };
  for (const { format, body } of sample.batches) {
    const answer = await client.ingest(format, body);
    records += answer.received;
    if (answer.anomalies.length > 0) await tell();
  }
  await client.end();
  await tell();
  const seconds = (performance.now() - startMs) / 1000;
  print(
    `\n${thousands(records)} records in ${sample.batches.length} batches, ${seconds.toFixed(1)} s, ${thousands(records / seconds)} records/s`,
  );
}

function verdictRow({ threat, severity, entity, window, received_at, stored_at, summary }: StoredAnomaly): string {
  const when = `${window.start.slice(5, 16).replace("T", " ")}–${window.end.slice(11, 16)}`;
  const storedMs = Date.parse(stored_at) - Date.parse(received_at);
  return row(threat, severity, entity, when, `${storedMs} ms`, summary);
}

const severityColours: { [severity: string]: (text: string) => string } = {
  medium: colours.yellow,
  high: colours.red,
  critical: colours.magenta,
};

function row(threat: string, severity: string, who: string, when: string, stored: string, why: string): string {
  const colour = severityColours[severity] ?? String;
  return [threat.padEnd(10), colour(severity.padEnd(8)), who.padEnd(18), when.padEnd(17), stored.padStart(7), why].join(
    "  ",
  );
}

export interface Judgement {
  isExact: boolean;
  text: string;
}

/** What is stored, against what was planted. */
export async function judgeSample(client: Client, sample: Sample): Promise<Judgement> {
  const stored = (await client.anomalies({})).filter((anomaly) => anomaly.state !== "withdrawn");
  const truth = { sample: { events: sample.events, benign: "*" as const } };
  const result = score(truth, { sample: stored.map(findingOf) }).captures["sample"];
  const lines = sample.events.map((event) => {
    const mark = result.missed.includes(event) ? colours.red("MISSED") : colours.green("found ");
    return `${mark}  ${event.threat.padEnd(10)}  ${event.entity[0].padEnd(18)}  ${event.basis}`;
  });
  for (const { threat, entity } of result.false)
    lines.push(`${colours.red("FALSE ")}  ${threat.padEnd(10)}  ${entity}`);
  lines.push(`${result.detected} of ${result.events} planted attacks found, ${result.false.length} false alerts`);
  return { isExact: result.missed.length === 0 && result.false.length === 0, text: lines.join("\n") };
}
