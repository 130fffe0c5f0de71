import type { FlowBatch } from "../core/flow/flow-batch.ts";
import { command } from "./command.ts";
import { Failure } from "./failure.ts";
import { flowOf, type Flow } from "./flow.ts";
import { openInput } from "./input.ts";
import { table } from "./table.ts";
import { readLog, type LogSummary } from "./read-log.ts";

const shownMax = 20;

export const parse = command({
  meta: { name: "parse", description: "Show what a file becomes, without a server" },
  args: {
    file: {
      type: "positional",
      required: true,
      description: "A flow log, plain, .gz or .zst; - is the standard input",
    },
    format: { type: "string", default: "auto", description: "Its format" },
    fields: { type: "string", description: "Column names of a text format without a header, by commas" },
    json: { type: "boolean", description: "All flows as NDJSON on stdout, the rest on stderr" },
    strict: { type: "boolean", description: "Exit with 3 if a record was rejected" },
  },
  async run({ args }) {
    const input = await openInput(args.file);
    const first: Flow[] = [];
    const fields = args.fields?.split(",");
    const summary = await readLog(input.chunks, { format: args.format, ...(fields && { fields }) }, (batch) => {
      if (args.json) writeFlows(batch);
      else for (let row = 0; row < batch.length && first.length < shownMax; row++) first.push(flowOf(batch, row));
    });
    const report = args.json ? process.stderr : process.stdout;
    if (first.length > 0) report.write(`${flowTable(first)}\n\n`);
    report.write(`${countsText(summary)}\n`);
    for (const { line, reason, ...detail } of summary.rejects)
      report.write(`line ${line}: ${reason} ${detailText(detail)}\n`);
    if (args.strict && summary.rejected > 0)
      throw new Failure(`${summary.rejected} of ${summary.received} records were rejected.`, 3);
  },
});

function countsText({ format, received, accepted, skipped, rejected }: LogSummary): string {
  return `${format}: received ${received}, accepted ${accepted}, skipped ${skipped}, rejected ${rejected}`;
}

export function detailText(detail: object): string {
  return Object.entries(detail)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(" ");
}

function writeFlows(batch: FlowBatch): void {
  let text = "";
  for (let row = 0; row < batch.length; row++) text += `${JSON.stringify(flowOf(batch, row))}\n`;
  process.stdout.write(text);
}

function flowTable(flows: Flow[]): string {
  const end = (address: string, port: number) =>
    address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  return table(
    [
      "start",
      "seconds",
      "source",
      "target",
      "protocol",
      "bytes out",
      "bytes in",
      "packets out",
      "packets in",
      "outcome",
    ],
    flows.map((flow) => [
      flow.start,
      ((Date.parse(flow.end) - Date.parse(flow.start)) / 1000).toFixed(3),
      end(flow.source, flow.source_port),
      end(flow.target, flow.target_port),
      flow.protocol,
      flow.source_bytes,
      flow.target_bytes,
      flow.source_packets,
      flow.target_packets,
      flow.outcome,
    ]),
  );
}
