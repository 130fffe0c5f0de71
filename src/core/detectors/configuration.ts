import type { Detector } from "./detector.ts";
import { apiName, settingsOf, type Preset, type Threshold } from "./thresholds.ts";

/** What a tenant has chosen: thresholds by threat and by name, as the API names them, over those of a preset. */
export interface Choice {
  readonly preset: Preset;
  readonly thresholds: { readonly [threat: string]: { readonly [name: string]: number } };
}

/** What slots judge by. As JSON 4 KiB at most, which is every threshold of every detector. */
export interface Configuration extends Choice {
  /** Rises with each change; 0: nothing was ever chosen. */
  readonly version: number;
  /** What verdicts name: the version, and a digest of all that they depend on besides the records. */
  readonly name: string;
}

/** What a slot judges by that nobody has told anything else. */
export const unconfigured: Configuration = { version: 0, name: "0", preset: "balanced", thresholds: {} };

/**
 * Whether `next` takes the place of `now`: never the older of the one that is newer. The same version under another
 * name comes from a Worker whose own settings changed.
 */
export function replaces(next: Configuration, now: Configuration): boolean {
  return next.version > now.version || (next.version === now.version && next.name !== now.name);
}

type Settings = Readonly<{ [name: string]: number }>;

/** Settings by the choice that they are in: hundreds of slots judge by the same. */
const known = new WeakMap<Choice, Map<Detector, Settings>>();

/** The settings of a detector. What it does not know is passed over, and what is out of its range is brought into it. */
export function settingsIn(detector: Detector, choice: Choice): Settings {
  let ofChoice = known.get(choice);
  if (!ofChoice) known.set(choice, (ofChoice = new Map()));
  let settings = ofChoice.get(detector);
  if (!settings) ofChoice.set(detector, (settings = chosenSettings(detector, choice)));
  return settings;
}

function chosenSettings(detector: Detector, choice: Choice): Settings {
  const thresholds = thresholdsOf(detector);
  const chosen = choice.thresholds[detector.id] ?? {};
  const settings = { ...settingsOf<{ [name: string]: number }>(thresholds, choice.preset) };
  for (const [name, threshold] of Object.entries(thresholds)) {
    const key = apiName(name);
    if (Object.hasOwn(chosen, key)) settings[name] = within(threshold, chosen[key]);
  }
  return Object.freeze(settings);
}

/** By the names of its settings. */
export function thresholdsOf(detector: Detector): { readonly [name: string]: Threshold } {
  return detector.thresholds as { readonly [name: string]: Threshold };
}

function within({ min, max, isWhole }: Threshold, value: number): number {
  return Math.min(max, Math.max(min, isWhole ? Math.round(value) : value));
}
