import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FlowBatch } from "../core/flow/flow-batch.ts";
import { seeds } from "../../test/sweep/grid.ts";
import type { JudgedScene } from "../../test/sweep/judge.ts";
import { copyRow } from "../../test/sweep/rows.ts";
import type { CaptureRows } from "../../test/sweep/scene.ts";
import { recordOf, summaries, sweep } from "../../test/sweep/sweep.ts";
import { Failure } from "./failure.ts";
import { openInput } from "./input.ts";
import { readLog } from "./read-log.ts";
import { sweepJson, sweepText } from "./sweep-report.ts";
import { qualityPage, type CaptureScores } from "./sweep-page.ts";
import { tierTwoPart, withTierTwo } from "./ablation-page.ts";
import { plotOf } from "./sweep-plot.ts";
import type { CaptureTruth, Truth } from "./truth.ts";

export interface SweepArguments {
  unseen: boolean;
  quick: boolean;
  json: boolean;
  write: boolean;
  record: boolean;
  threats?: string[] | undefined;
  /** How many of the seeds; all unless told. */
  seeds?: number | undefined;
  /** Benign captures, and the scores of all, where a folder of captures was named. */
  captures?: CaptureRows[] | undefined;
  scores?: CaptureScores | undefined;
  /** As it was called, without what follows `npm run eval --`. */
  command: string;
}

const recordedPath = new URL("../../test/sweep/recorded.json", import.meta.url);
const docsPath = new URL("../../docs/", import.meta.url).pathname;

/** Runs the sweep, and shows, writes or records what came out. */
export function runSweep(args: SweepArguments): void {
  const { quick, unseen, threats, captures = [] } = args;
  if (args.record && (!quick || unseen || threats !== undefined))
    throw new Failure("--record takes --quick, and neither --unseen nor --threats.", 2);
  if (args.write && (quick || threats !== undefined)) throw new Failure("--write takes the whole sweep.", 2);
  const chosen = seeds[unseen ? "unseen" : "seen"].slice(0, args.seeds);
  const scenes: JudgedScene[] = [];
  for (const scene of sweep({ seeds: chosen, quick, threats, captures })) {
    scenes.push(scene);
    const { section, seed, background } = scene;
    if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${section}, seed ${seed}, ${background}`);
  }
  if (process.stderr.isTTY) process.stderr.write("\r\u001B[K");
  if (scenes.length === 0) throw new Failure(`The sweep has no section for ${threats?.join(", ")}.`, 2);
  const { user, system } = process.cpuUsage();
  const report = {
    processorS: (user + system) / 1e6,
    seeds: quick ? chosen.slice(0, 1) : chosen,
    quick,
    scenes,
    sections: summaries(scenes),
    command: args.command,
    ...(args.scores ? { scores: args.scores } : {}),
  };
  console.log(args.json ? JSON.stringify(sweepJson(report), null, 1) : sweepText(report));
  if (args.record) writeFileSync(recordedPath, `${JSON.stringify(recordOf(report.sections), null, 2)}\n`);
  if (!args.write) return;
  mkdirSync(join(docsPath, "quality"), { recursive: true });
  const page = join(docsPath, "quality.md");
  writeFileSync(page, withTierTwo(qualityPage(report), tierTwoPart(readFileSync(page, "utf8"))));
  for (const { section, curves } of report.sections) {
    writeFileSync(join(docsPath, "quality", `${section.id}.svg`), plotOf(curves));
  }
}

/** Whether anything raised in it is false. */
function isBenign({ unlabelled, benign, events }: CaptureTruth): boolean {
  return unlabelled !== true && (benign === "*" || events.length === 0);
}

export async function readBenign(folder: string, truth: Truth): Promise<CaptureRows[]> {
  const names = Object.keys(truth).filter((name) => isBenign(truth[name]));
  return Promise.all(names.map((name) => readCapture(folder, name, truth[name])));
}

/** All rows of a capture, as logged. */
export async function readCapture(folder: string, name: string, truth: CaptureTruth): Promise<CaptureRows> {
  const rows = new FlowBatch();
  const { chunks } = await openInput(join(folder, name));
  await readLog(chunks, { format: "auto" }, (batch) => {
    for (let i = 0; i < batch.length; i++) copyRow(batch, i, rows);
  });
  return { name, rows, internal: truth.internal ?? privateNetworks };
}

/** As for any tenant about whose networks nothing is said. */
const privateNetworks = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];
