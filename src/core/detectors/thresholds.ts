/** One threshold of a detector, which a tenant may set. Its name is a key of the detector's settings. */
export interface Threshold {
  /** What it counts: `ports`, `ms`, `share` (0 to 1), `score` (0 to 1) … */
  unit: string;
  default: number;
  min: number;
  max: number;
  /** Whole numbers only. */
  isWhole?: true;
  /** Its value in the other presets, where it differs. */
  quiet?: number;
  sensitive?: number;
  /** What raising it makes of the detector. */
  raising: "quieter" | "louder";
  /** One sentence: what raising it costs. */
  cost: string;
}

export type Thresholds<Settings extends object> = { readonly [Name in keyof Settings]: Threshold };

/** Ready-made settings, from the fewest alerts to the most. */
export const presets = ["quiet", "balanced", "sensitive"] as const;
export type Preset = (typeof presets)[number];

export function settingsOf<Settings extends object>(
  thresholds: Thresholds<Settings>,
  preset: Preset = "balanced",
): Readonly<Settings> {
  const all = Object.entries<Threshold>(thresholds).map(([name, threshold]) => {
    return [name, (preset === "balanced" ? undefined : threshold[preset]) ?? threshold.default];
  });
  return Object.freeze(Object.fromEntries(all)) as Readonly<Settings>;
}

/** `portsMin` is `ports_min` in the API. */
export function apiName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
