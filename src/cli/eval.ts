import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "./client.ts";
import { command } from "./command.ts";
import { reportJson, reportText, type EvalReport } from "./eval-report.ts";
import { evaluateCapture, type CaptureRun } from "./evaluate.ts";
import { Failure } from "./failure.ts";
import { overlay, overlayText } from "./overlay.ts";
import { score } from "./score.ts";
import { readBenign, runSweep } from "./sweep.ts";
import { readTruth, type CaptureTruth, type Truth } from "./truth.ts";

export const evaluate = command({
  meta: { name: "eval", description: "Score what Weir finds in labelled captures, or in a sweep of planted attacks" },
  args: {
    captures: { type: "string", description: "A folder of captures with a truth.json", valueHint: "dir" },
    only: { type: "string", description: "Captures whose names contain one of these, by commas" },
    threats: { type: "string", description: "Threats that count; all of the truth unless told", valueHint: "a,b" },
    findings: { type: "string", description: "Write the findings to this file", valueHint: "file" },
    list: { type: "boolean", description: "Name what was missed and falsely raised" },
    json: { type: "boolean", description: "The result as JSON" },
    overlay: { type: "boolean", description: "Lay each DDoS capture over each benign one" },
    sweep: { type: "boolean", description: "Plant the attacks and look-alikes of test/sweep/grid.ts" },
    unseen: { type: "boolean", description: "Of the sweep, the seeds that nobody develops by" },
    quick: { type: "boolean", description: "Of the sweep, a fixed part of one seed" },
    seeds: {
      type: "string",
      description: "Of the sweep, the first so many seeds, and captures for their scores alone",
    },
    write: { type: "boolean", description: "Write docs/quality.md from the sweep, or its last part from the ablation" },
    ablation: {
      type: "boolean",
      description: "What models add to statistics: some sections, without them and with them",
    },
    deviation: { type: "boolean", description: "Of the ablation, a simple deviation in place of the models" },
    record: { type: "boolean", description: "Write test/sweep/recorded.json from the quick sweep" },
  },
  async run({ args, rawArgs }) {
    if (args.ablation === true) return ablationOf(args, rawArgs.join(" "));
    if (args.sweep !== true && [args.unseen, args.quick, args.write, args.record].includes(true))
      throw new Failure("--unseen, --quick, --write and --record take --sweep.", 2);
    const threats = args.threats?.split(",");
    if (args.sweep === true) {
      const given = args.captures === undefined ? undefined : await sweepCaptures(args.captures, args.quick === true);
      const seeds = seedsOf(args.seeds);
      const captures = seeds === undefined ? given?.captures : [];
      return runSweep({ ...given, ...flagsOf(args), captures, seeds, threats, command: rawArgs.join(" ") });
    }
    if (args.captures === undefined) throw new Failure("Say --captures with a folder, or --sweep.", 2);
    const truth = chosen(readTruth(join(args.captures, "truth.json")), args.only?.split(","));
    if (args.overlay === true) {
      const laid = await overlay(args.captures, truth);
      console.log(args.json ? JSON.stringify(laid, null, 1) : overlayText(laid));
      return;
    }
    const runs = await runCaptures(args.captures, truth);
    if (args.findings !== undefined) writeFileSync(args.findings, `${JSON.stringify(findingsOf(runs), null, 1)}\n`);
    const report: EvalReport = { score: scoreOf(truth, runs, threats), runs };
    console.log(args.json ? JSON.stringify(reportJson(report), null, 1) : reportText(report, args.list === true));
  },
});

function seedsOf(text: string | undefined): number | undefined {
  const seeds = text === undefined ? undefined : Number(text);
  if (seeds !== undefined && !(Number.isInteger(seeds) && seeds > 0)) throw new Failure("--seeds takes a number.", 2);
  return seeds;
}

/** A run of two seeds takes some minutes. */
const ablationSeeds = 2;

async function ablationOf(
  args: { [flag: string]: unknown; captures?: string | undefined; seeds?: string | undefined },
  called: string,
): Promise<void> {
  const folder = args.captures;
  const captures = folder === undefined ? undefined : { folder, truth: readTruth(join(folder, "truth.json")) };
  const deviation = args["deviation"] === true;
  // Loads the models' runtime, which nothing else needs.
  const { runAblation } = await import("./ablation.ts");
  const seeds = seedsOf(args.seeds) ?? ablationSeeds;
  return runAblation({ ...flagsOf(args), deviation, seeds, captures, command: called });
}

function flagsOf(args: { [flag: string]: unknown }) {
  const [unseen, quick, json, write, record] = ["unseen", "quick", "json", "write", "record"].map(
    (name) => args[name] === true,
  );
  return { unseen, quick, json, write, record };
}

/** Benign captures for backgrounds, and how all captures score. */
async function sweepCaptures(folder: string, quick: boolean) {
  if (quick) throw new Failure("--quick takes no --captures.", 2);
  const truth = readTruth(join(folder, "truth.json"));
  return { captures: await readBenign(folder, truth), scores: scoreOf(truth, await runCaptures(folder, truth)) };
}

type Runs = { [capture: string]: CaptureRun };

function findingsOf(runs: Runs) {
  return Object.fromEntries(Object.entries(runs).map(([name, run]) => [name, run.findings]));
}

function scoreOf(truth: Truth, runs: Runs, threats?: readonly string[]) {
  const sizes = Object.fromEntries(Object.entries(runs).map(([name, run]) => [name, run.size]));
  return score(truth, findingsOf(runs), sizes, threats);
}

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
async function runCaptures(folder: string, truth: Truth): Promise<Runs> {
  const names = Object.keys(truth);
  const tenants = Object.fromEntries(names.map((name, i) => [`capture-${i}`, networksOf(truth[name])]));
  // Takes seconds to load, and a sweep does without.
  const { startLocalWorker } = await import("./local-worker.ts");
  const worker = await startLocalWorker({ tenants, latenessAllowanceS });
  const runs: Runs = {};
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
