import { AttemptSurvey, isIcmp, shapeOf, type Group, type Shape } from "../../sketches/attempt-survey.ts";
import type { AttemptLog } from "../../sketches/attempt-log.ts";
import type { Observed } from "../../verdict.ts";
import { rounded } from "../scoring.ts";
import type { PortScanSettings } from "./settings.ts";
import { netFailuresMin } from "./states.ts";

/** Names of the thresholds that hold for one kind of window. */
export interface Limits {
  ports: keyof PortScanSettings;
  targets: keyof PortScanSettings;
  block: keyof PortScanSettings;
  /** Whether hosts that never send anything lower the number of targets. */
  isDarkTold: boolean;
}

export const hourOfOthers: Limits = {
  ports: "portsMin",
  targets: "remoteTargetsMin",
  block: "blockMin",
  isDarkTold: true,
};
export const hourOfOurs: Limits = { ...hourOfOthers, targets: "localTargetsMin" };
export const dayLimits: Limits = {
  ports: "slowPortsMin",
  targets: "slowTargetsMin",
  block: "slowBlockMin",
  isDarkTold: false,
};
export const dayOfNetwork: Limits = { ...dayLimits, ports: "distributedPortsMin" };

type Kind = "vertical" | "horizontal" | "icmp_sweep" | "block" | "chaotic";

/** A threshold that was reached, and by what. */
export interface Hit {
  kind: Kind;
  /** Attempts that share their target, or their service; of a block, all. */
  group: Group;
  value: number;
  threshold: number;
  observed: readonly Observed[];
}

export interface Scan {
  /** The one that says most; what the others say is among its `observed`. */
  hit: Hit;
  survey: AttemptSurvey;
  /** Where so much was tried that it may be a block. */
  shape: Shape | undefined;
  silentHosts: number;
}

export function ratioOf({ value, threshold }: Hit): number {
  return value / threshold;
}

export function leastOf({ ports, targets, block, isDarkTold }: Limits, settings: PortScanSettings): number {
  const targetsMin = settings[targets] / (isDarkTold ? settings.darkFactor : 1);
  return Math.max(netFailuresMin, Math.min(settings[ports], targetsMin, settings[block]));
}

export function scanIn(log: AttemptLog, limits: Limits, settings: PortScanSettings): Scan | undefined {
  const least = leastOf(limits, settings);
  if ((log.sample.isExact && log.sample.size < least) || AttemptSurvey.lostAtMost(log, settings.unknownFactor) < least)
    return undefined;
  const survey = new AttemptSurvey(log, settings.unknownFactor);
  const shape = survey.lost(survey.all) >= settings[limits.block] ? shapeOf(survey) : undefined;
  const swept = sweepIn(survey, limits, settings);
  const hits = [verticalIn(survey, limits, settings), swept?.hit, shape && blockIn(survey, shape, limits, settings)];
  const reached = hits.filter((hit) => hit !== undefined).sort((a, b) => ratioOf(b) - ratioOf(a));
  if (reached.length === 0) return undefined;
  const hit = reached.find(({ kind }) => kind === "block") ?? reached[0];
  const observed = withUnknown(
    reached.flatMap((one) => one.observed),
    survey,
    hit,
  );
  return {
    hit: { ...reached[0], kind: hit.kind, group: hit.group, observed },
    survey,
    shape,
    silentHosts: swept?.silentHosts ?? 0,
  };
}

/** Where attempts of unknown outcome made the difference, what each counts for did. */
function withUnknown(
  observed: readonly Observed[],
  survey: AttemptSurvey,
  { group, threshold }: Hit,
): readonly Observed[] {
  const missing = threshold - survey.failedIn(group);
  if (missing <= 0) return observed;
  return [...observed, { threshold: "unknownFactor", value: rounded(survey.unknownIn(group) / missing) }];
}

/** Among groups, the one that lost most of those in which the sequential test sees a scanner. */
function largestIn(
  groups: Iterable<Group>,
  survey: AttemptSurvey,
  answeredAtMost: (group: Group) => number,
): Group | undefined {
  let best: Group | undefined;
  for (const group of groups) {
    const lost = survey.lostAtLeast(group);
    if (survey.lostSeen(group) < netFailuresMin || (best && lost <= survey.lostAtLeast(best))) continue;
    if (lost - answeredAtMost(group) >= netFailuresMin) best = group;
  }
  return best;
}

/** Of what goes to one host, so much looks like answers if all of it is: a scan from any port has one in eight. */
const strayShareMin = 0.9;

function verticalIn(survey: AttemptSurvey, { ports }: Limits, settings: PortScanSettings): Hit | undefined {
  const noAnswers = [...survey.byTarget.values()].filter(
    ({ looked, strays }) => strays === 0 || strays < strayShareMin * looked,
  );
  const group = largestIn(noAnswers, survey, (one) => survey.answeredOfTargetAtMost(one));
  const value = group ? survey.lostAtLeast(group) : 0;
  const threshold = settings[ports];
  if (!group || value < threshold) return undefined;
  return { kind: "vertical", group, value, threshold, observed: [{ threshold: ports, value: rounded(value) }] };
}

function sweepIn(
  survey: AttemptSurvey,
  limits: Limits,
  settings: PortScanSettings,
): { hit: Hit; silentHosts: number } | undefined {
  const group = largestIn(survey.byService.values(), survey, (one) => survey.answeredOfServiceAtMost(one));
  if (!group) return undefined;
  const service = survey.sample.label(group.at);
  const silentHosts = survey.silentTargets(service);
  const value = survey.lostAtLeast(group);
  const isDark =
    limits.isDarkTold && silentHosts >= settings.darkHostsMin && 2 * silentHosts >= group.failed + group.unknown;
  const targetsMin = settings[limits.targets];
  const factor = isDark ? settings.darkFactor : 1;
  if (value * factor < targetsMin) return undefined;
  // What reaches the threshold by itself is no worse for being dark.
  const isLowered = value < targetsMin;
  const threshold = isLowered ? targetsMin / factor : targetsMin;
  const observed: Observed[] = [{ threshold: limits.targets, value: rounded(value * factor) }];
  if (isLowered) observed.push(...darkObserved(silentHosts, targetsMin / value));
  return {
    hit: { kind: isIcmp(service) ? "icmp_sweep" : "horizontal", group, value, threshold, observed },
    silentHosts,
  };
}

/** What lowered the threshold: without either of these it would have stayed where it is. */
function darkObserved(silentHosts: number, factorNeeded: number): Observed[] {
  return [
    { threshold: "darkHostsMin", value: silentHosts },
    { threshold: "darkFactor", value: rounded(factorNeeded) },
  ];
}

/** For an attempt of a block, so many others went to the same target, and as many to the same service. */
const othersMin = 2;

/** Of attempts that share nothing, so many times more must come: and nine of ten in vain. */
const chaoticFactor = 100;
const chaoticShare = 9;

function blockIn(survey: AttemptSurvey, shape: Shape, { block }: Limits, settings: PortScanSettings): Hit | undefined {
  const { lost, answered, othersOfTarget, othersOfService } = shape;
  const isBlock = othersOfTarget >= othersMin && othersOfService >= othersMin && lost - answered >= netFailuresMin;
  const isChaotic = lost >= chaoticFactor * settings[block] && lost >= chaoticShare * survey.answeredIn(survey.all);
  const factor = isBlock ? 1 : chaoticFactor;
  const threshold = factor * settings[block];
  if (!(isBlock || isChaotic) || lost < threshold) return undefined;
  const observed = [{ threshold: block, value: rounded(lost / factor) }];
  return { kind: isBlock ? "block" : "chaotic", group: survey.all, value: lost, threshold, observed };
}
