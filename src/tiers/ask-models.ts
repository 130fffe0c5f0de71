import { anomaly, type AnomalySettings } from "../core/detectors/anomaly.ts";
import { settingsIn, type Configuration } from "../core/detectors/configuration.ts";
import type { Candidate } from "../core/features/candidate.ts";
import { noveltyOf } from "../core/features/novelty.ts";
import type { PendingVerdict } from "../core/slots/slot.ts";
import { severities, type ModelOpinion, type ModelReport, type TierReport, type Verdict } from "../core/verdict.ts";
import type { Inference } from "../inference/inference.ts";
import { modelNames, type ModelName, type NotScored } from "../inference/model.ts";
import type { Doors } from "./admission.ts";

/** What tier 2 says of one entity. */
export interface SecondOpinion {
  report: TierReport;
  opinions: readonly ModelOpinion[];
}

/** Tier 2 of one batch. */
export interface SecondTier {
  of(entity: string): SecondOpinion;
  /** What the models alone find, and when it was brought. */
  novelties: readonly { verdict: Verdict; receivedAtMs: number }[];
}

/** Who is asked. */
export interface ModelParts {
  doors: Doors;
  /** What runs models; nobody is asked where there is none. */
  inference?: Inference | undefined;
}

/** What is asked for. */
export interface ModelsQuestion {
  candidates: readonly Candidate[];
  verdicts: readonly { verdicts: readonly PendingVerdict[] }[];
  configuration: Configuration;
}

/**
 * Has the models look at candidates. Whatever becomes of them costs their opinion and nothing else: this never throws, and
 * changes no verdict.
 */
export async function askModels({ inference, doors }: ModelParts, question: ModelsQuestion): Promise<SecondTier> {
  const { candidates } = question;
  if (!inference) return nobodyAsked("no_models");
  if (candidates.length === 0) return nobodyAsked("no_window");
  const answers = await doors.models.run(candidates.length, () =>
    Promise.all(modelNames.map(async (model) => ({ model, ...(await scored(inference, model, candidates)) }))),
  );
  return answers ? secondTier(question, answers) : nobodyAsked("queue_full");
}

type Answer = { model: ModelName } & (
  | { ran: true; opinions: readonly ModelOpinion[] }
  | { ran: false; reason: NotScored }
);

async function scored(inference: Inference, model: ModelName, candidates: readonly Candidate[]) {
  try {
    return await inference.score(model, candidates);
  } catch {
    return { ran: false, reason: "failed" } as const;
  }
}

function secondTier({ candidates, verdicts, configuration }: ModelsQuestion, answers: readonly Answer[]): SecondTier {
  const report = reportOf(answers);
  const settings = settingsIn(anomaly, configuration) as unknown as Readonly<AnomalySettings>;
  const said = verdicts.flatMap((one) => one.verdicts);
  const alarmed = new Set(said.filter(({ verdict }) => isAlarm(verdict)).map(({ verdict }) => verdict.entity));
  const byEntity = new Map<string, SecondOpinion>();
  const novelties: { verdict: Verdict; receivedAtMs: number }[] = [];
  for (const [i, candidate] of candidates.entries()) {
    const opinions = answers.flatMap((answer) => (answer.ran ? [answer.opinions[i]] : []));
    byEntity.set(candidate.entity, { report, opinions });
    // Where statistics raise the alarm, models support it; they need not raise another.
    const finding = alarmed.has(candidate.entity) ? undefined : noveltyOf(candidate, opinions, settings);
    if (finding) novelties.push({ verdict: publishedOf(finding, configuration), receivedAtMs: candidate.receivedAtMs });
  }
  return { of: (entity) => byEntity.get(entity) ?? unasked("no_window"), novelties };
}

function isAlarm({ severity, state }: Verdict): boolean {
  return state !== "withdrawn" && severities.indexOf(severity) >= severities.indexOf("medium");
}

function reportOf(answers: readonly Answer[]): TierReport {
  const models = answers.map((answer): ModelReport => {
    return { model: answer.model, ran: answer.ran, reason: answer.ran ? null : answer.reason };
  });
  const ran = models.some((model) => model.ran);
  return { tier: 2, ran, reason: ran ? null : models[0].reason, models };
}

/** Scores in a row's revision: a stranger hour of the same host and day takes the place of a less strange one. */
const revisionsPerScore = 1e6;

/** No slot knows of it, so its revision follows from its score: whoever writes it, and how often, the strangest stands. */
function publishedOf(finding: ReturnType<typeof noveltyOf> & object, { name }: Configuration): Verdict {
  const completeness = { late_records: 0, evicted_entities: 0, folded_contacts: 0, warming_up: false };
  const revision = 1 + Math.round(revisionsPerScore * finding.score);
  return { ...finding, configVersion: name, state: "final", revision, completeness };
}

/** Of a batch about which no model was asked. */
function nobodyAsked(reason: string): SecondTier {
  return { of: () => unasked(reason), novelties: [] };
}

/** Of an entity that no model looked at. */
export function unasked(reason: string): SecondOpinion {
  return { report: { tier: 2, ran: false, reason }, opinions: [] };
}
