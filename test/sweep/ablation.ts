import { anomaly } from "../../src/core/detectors/anomaly.ts";
import { unconfigured, type Configuration } from "../../src/core/detectors/configuration.ts";
import { settingsOf } from "../../src/core/detectors/thresholds.ts";
import type { Candidate } from "../../src/core/features/candidate.ts";
import { noveltyOf } from "../../src/core/features/novelty.ts";
import { everyWindow } from "../../src/core/features/training-rows.ts";
import type { ModelOpinion, Verdict } from "../../src/core/verdict.ts";
import { judge, spanOf, type FalseAlarm, type JudgedPoint } from "./judge.ts";
import { play, type Alert, type ShownAt } from "./play.ts";
import { makeScene, type Scene, type SceneOptions } from "./scene.ts";

/** Opinions in the order of the candidates. */
export type Model = (candidates: readonly Candidate[]) => Promise<readonly ModelOpinion[]>;

/** By name. */
export type Models = ReadonlyMap<string, Model>;

/** Who has a say: statistics by a preset, and beside the balanced ones all models or one, up to a p-value. */
export type Panel = "balanced" | "sensitive" | `${string} ${number}`;

export const all = "all";

/** From one in ten thousand to one in twenty: 31 steps of a quarter. */
export const pValues: readonly number[] = Array.from({ length: 29 }, (_, i) => 1e-4 * 1.25 ** i);

export function panelOf(models: string, pValueMax: number): Panel {
  return `${models} ${pValueMax}`;
}

export interface Judgement {
  points: JudgedPoint[];
  falseAlarms: FalseAlarm[];
}

/** Of benign windows: how many, and how many of them each model gives a p-value of a hundredth, or a thousandth, or less. */
export interface Calm {
  windows: number;
  atMost: { [model: string]: { hundredth: number; thousandth: number } };
}

export interface AblatedScene {
  section: string;
  seed: number;
  background: string;
  judgements: ReadonlyMap<Panel, Judgement>;
  /** Hosts that do what they always did; and look-alikes since they began. */
  usual: Calm;
  changed: Calm;
  /** Hours of hosts that models were to look at, of all. */
  looked: number;
  hours: number;
}

const sensitive: Configuration = { ...unconfigured, version: 1, name: "sensitive", preset: "sensitive" };

/** An hour of a host, and what each model says of it. */
interface Heard {
  shown: ShownAt;
  opinions: readonly ModelOpinion[];
}

/** Judges one scene by statistics alone, and with models beside them at many thresholds. */
export async function ablate(options: SceneOptions, models: Models, own: readonly number[]): Promise<AblatedScene> {
  const { section, seed, background, quick = false } = options;
  const scene = makeScene(options);
  const { world, internal } = scene;
  const spanMs = (atMs: number) => spanOf(atMs, world.attackMs, section.batchS, quick);
  // Of all windows, for the calibration; those that chance alone chose are put aside again.
  const played = play([world.flows], { internal, spanMs, configuration: everyWindow });
  const heard = await hear(played.shown, models);
  const looked = heard.filter(({ shown }) => shown.candidate.reason !== "sample");
  const judgements = new Map<Panel, Judgement>();
  judgements.set("balanced", judge(section, scene, played));
  const louder = play([world.flows], { internal, spanMs, configuration: sensitive });
  judgements.set("sensitive", judge(section, scene, louder));
  for (const names of [[...models.keys()], ...[...models.keys()].map((name) => [name])]) {
    for (const pValueMax of [...pValues, ...own]) {
      const alerts = [...played.alerts, ...alertsOf(looked, names, pValueMax)];
      const name = names.length === models.size ? all : names[0];
      judgements.set(panelOf(name, pValueMax), judge(section, scene, { ...played, alerts }));
    }
  }
  const { name } = typeof background === "string" ? { name: background } : background;
  const [usual, changed] = [false, true].map((isChanged) => calmOf(scene, heard, isChanged));
  return {
    section: section.id,
    seed,
    background: name,
    judgements,
    usual,
    changed,
    looked: looked.length,
    hours: heard.length,
  };
}

/** What the models say of hours that are over. */
export async function hear(shown: readonly ShownAt[], models: Models): Promise<Heard[]> {
  const closed = shown.filter(({ candidate }) => candidate.isClosed);
  const candidates = closed.map(({ candidate }) => candidate);
  const answers: (readonly ModelOpinion[])[] = [];
  for (const model of models.values()) answers.push(await model(candidates));
  return closed.map((one, i) => ({ shown: one, opinions: answers.map((answer) => answer[i]) }));
}

const settings = settingsOf(anomaly.thresholds);

/** What these models make of it, as alerts about the hour. */
export function alertsOf(heard: readonly Heard[], models: readonly string[], pValueMax: number): Alert[] {
  return heard.flatMap(({ shown: { candidate, batch, atMs }, opinions }) => {
    const mine = opinions.filter(({ model }) => models.includes(model));
    const finding = noveltyOf(candidate, mine, { ...settings, pValueMax });
    if (!finding) return [];
    const completeness = { late_records: 0, evicted_entities: 0, folded_contacts: 0, warming_up: false };
    const rest = { window: candidate.window, configVersion: "", state: "final", revision: 1, completeness } as const;
    const verdict: Verdict = { ...finding, ...rest };
    return [{ verdict, said: [{ verdict, batch, atMs }] }];
  });
}

function calmOf({ world, owners }: Scene, heard: readonly Heard[], isChanged: boolean): Calm {
  const calm: Calm = { windows: 0, atMost: {} };
  for (const { shown, opinions } of heard) {
    const { entity, window } = shown.candidate;
    const owned = world.ownersOf(entity).map((number) => owners[number]);
    if (owned.some((owner) => owner && "planted" in owner)) continue;
    const isLate = owned.length > 0 && window.endMs > world.attackMs;
    if (isLate === isChanged) addCalm(calm, opinions);
  }
  return calm;
}

export function addCalm(calm: Calm, opinions: readonly ModelOpinion[]): void {
  calm.windows++;
  for (const { model, p_value } of opinions) {
    const counts = (calm.atMost[model] ??= { hundredth: 0, thousandth: 0 });
    if (p_value <= 0.01) counts.hundredth++;
    if (p_value <= 0.001) counts.thousandth++;
  }
}
