import { severities, type Finding } from "../verdict.ts";
import type { Threshold, Thresholds } from "./thresholds.ts";
import { apiName } from "./thresholds.ts";

/** A threshold that decided, as evidence shows it. */
interface Held {
  threshold: string;
  unit: string;
  in_force: number;
  observed: number;
  /** The least change of this threshold that alone keeps it below medium; null where none within its range does. */
  quiet_at: number | null;
}

const alarmFrom = severities.indexOf("medium");

/**
 * Completes a finding's evidence by the thresholds that decided, and by the counterfactual of each: the value is tried
 * out by `judge`, which judges the same state by other settings.
 */
export function explained<Settings extends object>(
  finding: Finding,
  settings: Readonly<Settings>,
  thresholds: Thresholds<Settings>,
  judge: ((settings: Readonly<Settings>) => Finding | undefined) | undefined,
): Finding {
  const { observed, ...rest } = finding;
  if (!observed) return finding;
  const isAlarm = severities.indexOf(finding.severity) >= alarmFrom;
  const held = observed.map(({ threshold: name, value }): Held => {
    const key = name as keyof Settings;
    const threshold = thresholds[key];
    const quietAt = isAlarm && judge ? quietAtOf(threshold, value) : undefined;
    const isQuiet = quietAt !== undefined && !alarms(judge!({ ...settings, [key]: quietAt }));
    return {
      threshold: apiName(name),
      unit: threshold.unit,
      in_force: settings[key] as number,
      observed: value,
      quiet_at: isQuiet ? quietAt : null,
    };
  });
  return { ...rest, evidence: { ...rest.evidence, thresholds: held } };
}

/** The next value beyond what was observed, in three digits or whole; undefined beyond the range. */
function quietAtOf({ isWhole, min, max, raising }: Threshold, observed: number): number | undefined {
  const up = raising === "quieter";
  const step = isWhole ? 1 : 10 ** (Math.floor(Math.log10(Math.abs(observed) || 1)) - 2);
  const next = up ? Math.floor(observed / step + 1) * step : Math.ceil(observed / step - 1) * step;
  const value = Number(next.toPrecision(12));
  return value >= min && value <= max ? value : undefined;
}

function alarms(finding: Finding | undefined): boolean {
  return finding !== undefined && severities.indexOf(finding.severity) >= alarmFrom;
}
