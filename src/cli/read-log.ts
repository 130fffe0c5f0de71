import { FlowBatch } from "../core/flow/flow-batch.ts";
import type { Format, FormatOptions, Reject } from "../core/formats/format.ts";
import { formatById, formats } from "../core/formats/index.ts";
import { RecordReader } from "../core/formats/record-reader.ts";
import { Failure } from "./failure.ts";

export interface LogSummary {
  format: string;
  received: number;
  accepted: number;
  skipped: number;
  rejected: number;
  /** The first of them. */
  rejects: readonly Reject[];
}

/** Reads a log as the Worker would, and gives its rows as they come: each call sees new ones, from 0 on. */
export async function readLog(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { format, ...options }: { format: string } & FormatOptions,
  onRows: (batch: FlowBatch) => void,
): Promise<LogSummary> {
  const known = formatNamed(format);
  const batch = new FlowBatch();
  const reader = new RecordReader({ format: known, options, batch, recordsMax: Infinity, latestEndMs: Infinity });
  const give = () => {
    if (batch.length > 0) onRows(batch);
    batch.length = 0;
  };
  for await (const chunk of chunks) {
    reader.push(chunk);
    give();
  }
  const summary = reader.end();
  give();
  if (reader.failure) throw new Failure(`Its format is none that Weir knows: name one of ${formatNames()}.`);
  return { format: reader.format?.id ?? format, ...summary };
}

/** The format that `--format` names. */
export function formatNamed(name: string): Format | "auto" {
  const known = name === "auto" ? "auto" : formatById(name);
  if (known === undefined) throw new Failure(`--format takes auto, ${formatNames()}, not ${name}.`, 2);
  return known;
}

function formatNames(): string {
  return formats.map((one) => one.id).join(", ");
}
