import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "./client.ts";
import { command } from "./command.ts";
import { reportJson, reportText, type EvalReport } from "./eval-report.ts";
import { evaluateCapture, type CaptureRun } from "./evaluate.ts";
import { Failure } from "./failure.ts";
import { startLocalWorker } from "./local-worker.ts";
import { score } from "./score.ts";
import { readTruth, type CaptureTruth, type Truth } from "./truth.ts";

export const evaluate = command({
  meta: { name: "eval", description: "Score what Weir finds in labelled captures" },
  args: {
    captures: {
      type: "string",
      required: true,
      description: "A folder of captures with a truth.json",
      valueHint: "dir",
    },
    only: { type: "string", description: "Captures whose names contain one of these, by commas" },
    threats: { type: "string", description: "Threats that count; all of the truth unless told", valueHint: "a,b" },
    findings: { type: "string", description: "Write the findings to this file", valueHint: "file" },
    list: { type: "boolean", description: "Name what was missed and falsely raised" },
    json: { type: "boolean", description: "The result as JSON" },
  },
  async run({ args }) {
    const truth = chosen(readTruth(join(args.captures, "truth.json")), args.only?.split(","));
    const runs = await runCaptures(args.captures, truth);
    const findings = Object.fromEntries(Object.entries(runs).map(([name, run]) => [name, run.findings]));
    if (args.findings !== undefined) writeFileSync(args.findings, `${JSON.stringify(findings, null, 1)}\n`);
    const sizes = Object.fromEntries(Object.entries(runs).map(([name, run]) => [name, run.size]));
    const report: EvalReport = { score: score(truth, findings, sizes, args.threats?.split(",")), runs };
    console.log(args.json ? JSON.stringify(reportJson(report), null, 1) : reportText(report, args.list === true));
  },
});

function chosen(truth: Truth, parts: string[] | undefined): Truth {
  if (parts === undefined) return truth;
  const entries = Object.entries(truth).filter(([name]) => parts.some((part) => name.includes(part)));
  if (entries.length === 0) throw new Failure(`No capture's name contains ${parts.join(" or ")}.`);
  return Object.fromEntries(entries);
}

/**
 * How late a record may come, in seconds. Captures are files, in the order in which some tool wrote them, seldom that
 * of time; a live stream's ten minutes would refuse most of some. One value for all: a day, the most that there is.
 */
const latenessAllowanceS = 86_400;

/** Without a word about them, the home networks are the private ones, as for any tenant. */
function networksOf({ internal }: CaptureTruth): { internal?: string[] } {
  return internal ? { internal } : {};
}

/** Every capture is a tenant of its own. */
async function runCaptures(folder: string, truth: Truth): Promise<{ [capture: string]: CaptureRun }> {
  const names = Object.keys(truth);
  const tenants = Object.fromEntries(names.map((name, i) => [`capture-${i}`, networksOf(truth[name])]));
  const worker = await startLocalWorker({ tenants, latenessAllowanceS });
  const runs: { [capture: string]: CaptureRun } = {};
  try {
    for (const [i, name] of names.entries()) {
      if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${i + 1}/${names.length} ${name}`);
      const client = new Client(worker.url, worker.keys[`capture-${i}`]);
      runs[name] = await evaluateCapture(folder, name, truth[name], client);
    }
  } finally {
    if (process.stderr.isTTY) process.stderr.write("\r\u001B[K");
    await worker.dispose();
  }
  return runs;
}
