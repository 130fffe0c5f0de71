import { readFileSync, writeFileSync } from "node:fs";
import {
  ablate,
  addCalm,
  alertsOf,
  hear,
  pValues,
  type AblatedScene,
  type Calm,
  type Models,
} from "../../test/sweep/ablation.ts";
import { makeBenign } from "../../test/sweep/benign.ts";
import { backgrounds, seeds } from "../../test/sweep/grid.ts";
import { play, type Alert } from "../../test/sweep/play.ts";
import type { CaptureRows } from "../../test/sweep/scene.ts";
import { beacon } from "../../test/sweep/sections/beacon.ts";
import { exfiltration } from "../../test/sweep/sections/exfiltration.ts";
import { novelBehaviour } from "../../test/sweep/sections/novel-behaviour.ts";
import { everyWindow } from "../core/features/training-rows.ts";
import { ablationPart, withTierTwo, type AblationReport, type CaptureRow } from "./ablation-page.ts";
import { deviationModel, realModels } from "./ablation-models.ts";
import { Failure } from "./failure.ts";
import { judge } from "./score.ts";
import { readCapture } from "./sweep.ts";
import type { CaptureTruth, Finding, Truth } from "./truth.ts";

export interface AblationArguments {
  unseen: boolean;
  /** Few points in small networks, to see that it works. */
  quick: boolean;
  json: boolean;
  write: boolean;
  /** How many of the seeds. */
  seeds: number;
  /** A deviation in place of the models that ship with Weir. */
  deviation: boolean;
  captures?: { folder: string; truth: Truth } | undefined;
  command: string;
}

/** Where statistics are weakest, and where models must not do harm. */
const sections = [novelBehaviour, beacon, exfiltration];
/** p-value up to which an hour is an anomaly unless a tenant says otherwise. */
const defaultPValueMax = 0.001;

/** Plays scenes and captures without models and with them, and shows or writes what they add. */
export async function runAblation(args: AblationArguments): Promise<void> {
  if (args.write && (args.quick || args.deviation))
    throw new Failure("--write takes neither --quick nor --deviation.", 2);
  const models = args.deviation ? deviationModel : await realModels();
  const { quick } = args;
  const chosen = seeds[args.unseen ? "unseen" : "seen"].slice(0, args.seeds);
  const scenes: AblatedScene[] = [];
  for (const section of sections) {
    for (const seed of chosen) {
      for (const background of backgrounds.generated) {
        progress(`${section.id}, seed ${seed}, ${background}`);
        scenes.push(await ablate({ section, seed, background, quick }, models, [defaultPValueMax]));
      }
    }
  }
  progress("held-back hours");
  const heldBack = await heldBackCalm(models, args.quick ? 1 : heldBackSeeds.length);
  const captures: CaptureRow[] = [];
  for (const [name, truth] of Object.entries(args.captures?.truth ?? {})) {
    progress(name);
    captures.push(await captureRow(await readCapture(args.captures!.folder, name, truth), truth, models));
  }
  progress("");
  const report: AblationReport = {
    command: args.command,
    seeds: chosen,
    models: [...models.keys()],
    pValues,
    defaultPValueMax,
    scenes,
    heldBack,
    captures,
  };
  const part = ablationPart(report);
  console.log(args.json ? JSON.stringify(jsonOf(report), null, 1) : part);
  if (!args.write) return;
  const page = new URL("../../docs/quality.md", import.meta.url).pathname;
  writeFileSync(page, withTierTwo(readFileSync(page, "utf8"), part));
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
}

function jsonOf(report: AblationReport): object {
  return {
    ...report,
    scenes: report.scenes.map(({ judgements, ...scene }) => ({ ...scene, judgements: Object.fromEntries(judgements) })),
  };
}

const internal = ["10.0.0.0/8", "fd00::/8"];
/** As models/training/generate-rows.ts holds back. */
const heldBackSeeds = [201, 203];

/** Hours of networks like those that the models were trained on, and of which they know none. */
async function heldBackCalm(models: Models, count: number): Promise<Calm> {
  const calm: Calm = { windows: 0, atMost: {} };
  for (const [i, seed] of heldBackSeeds.slice(0, count).entries()) {
    const background = backgrounds.generated[i];
    const { flows } = makeBenign({ seed, background, sections: [novelBehaviour, exfiltration], each: 1, lives: 8 });
    const { shown } = play([flows], { internal, spanMs: () => 300_000, configuration: everyWindow });
    for (const { opinions } of await hear(shown, models)) addCalm(calm, opinions);
  }
  return calm;
}

/** A file's records come in the order in which some tool wrote them. */
const captureAllowanceMs = 86_400_000;

async function captureRow({ name, rows, internal: own }: CaptureRows, truth: CaptureTruth, models: Models) {
  const played = play([rows], { internal: own, allowanceMs: captureAllowanceMs, configuration: everyWindow });
  const heard = (await hear(played.shown, models)).filter(({ shown }) => shown.candidate.reason !== "sample");
  const novel = alertsOf(heard, [...models.keys()], defaultPValueMax);
  const alone = judge(truth, played.alerts.map(findingOf), name);
  const both = judge(truth, [...played.alerts, ...novel].map(findingOf), name);
  const named = new Set(novel.map(({ verdict }) => verdict.entity));
  const missed = alone.events.filter(({ isDetected }) => !isDetected);
  const falseOf = ({ alerts }: typeof alone) => alerts.filter(({ verdict }) => verdict === "false").length;
  return {
    capture: name,
    hours: heard.length,
    events: alone.events.length,
    found: alone.events.length - missed.length,
    named: missed.filter(({ entities }) => [...entities].some((entity) => named.has(entity))).length,
    falseAlarms: falseOf(alone),
    falseWithModels: falseOf(both),
    isScored: truth.unlabelled !== true,
  };
}

function findingOf({ verdict: { threat, entity, severity, peers } }: Alert): Finding {
  return { threat, entity, severity, peers: peers.map(({ address }) => address) };
}
