import type { Choice } from "../core/detectors/configuration.ts";
import { thresholdsOf } from "../core/detectors/configuration.ts";
import type { Detector } from "../core/detectors/detector.ts";
import { apiName, presets, type Preset, type Threshold } from "../core/detectors/thresholds.ts";

/** One thing that is wrong with a configuration: where (RFC 6901), and what. */
export interface ConfigurationError {
  pointer: string;
  detail: string;
}

type Errors = ConfigurationError[];

/** What a body chooses, or everything that is wrong with it. What it does not name is as the preset says. */
export function choiceIn(text: string, detectors: readonly Detector[]): Choice | { errors: Errors } {
  const errors: Errors = [];
  const body = membersOf(parsed(text), "", errors);
  for (const name of body.keys()) {
    if (name !== "preset" && name !== "thresholds")
      errors.push({ pointer: pointer("", name), detail: "is not known: known are preset, thresholds" });
  }
  const preset = body.has("preset") ? presetIn(body.get("preset"), errors) : "balanced";
  const threats = body.has("thresholds") ? membersOf(body.get("thresholds"), "/thresholds", errors) : new Map();
  const thresholds = thresholdsIn(threats, detectors, errors);
  return errors.length > 0 ? { errors } : { preset, thresholds };
}

function presetIn(value: unknown, errors: Errors): Preset {
  const preset = presets.find((one) => one === value);
  if (!preset) errors.push({ pointer: "/preset", detail: `must be one of ${presets.join(", ")}` });
  return preset ?? "balanced";
}

function thresholdsIn(
  threats: ReadonlyMap<string, unknown>,
  detectors: readonly Detector[],
  errors: Errors,
): Choice["thresholds"] {
  const chosen: { [threat: string]: { [name: string]: number } } = {};
  for (const [threat, value] of threats) {
    const at = pointer("/thresholds", threat);
    const detector = detectors.find(({ id }) => id === threat);
    if (detector) chosen[threat] = ofThreat(membersOf(value, at, errors), at, detector, errors);
    else errors.push({ pointer: at, detail: `is no threat: known are ${detectors.map(({ id }) => id).join(", ")}` });
  }
  return chosen;
}

function ofThreat(
  names: ReadonlyMap<string, unknown>,
  at: string,
  detector: Detector,
  errors: Errors,
): { [name: string]: number } {
  const chosen: { [name: string]: number } = {};
  const known = new Map(Object.entries(thresholdsOf(detector)).map(([name, one]) => [apiName(name), one]));
  for (const [name, value] of names) {
    const threshold = known.get(name);
    const detail = threshold ? wrongWith(value, threshold) : `is not known: known are ${[...known.keys()].join(", ")}`;
    if (detail) errors.push({ pointer: pointer(at, name), detail });
    else chosen[name] = value as number;
  }
  return chosen;
}

function wrongWith(value: unknown, { min, max, unit, isWhole }: Threshold): string | undefined {
  if (typeof value !== "number") return `must be a number, in ${unit}`;
  if (isWhole && !Number.isInteger(value)) return "must be a whole number";
  return value >= min && value <= max ? undefined : `must be ${min} to ${max}`;
}

/** Undefined where it is not JSON: no JSON text is. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function membersOf(value: unknown, at: string, errors: Errors): ReadonlyMap<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return new Map(Object.entries(value));
  errors.push({ pointer: at, detail: value === undefined ? "is not JSON" : "must be an object" });
  return new Map();
}

function pointer(at: string, name: string): string {
  return `${at}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}
