import type * as v from "valibot";
import { settingsIn, thresholdsOf, unconfigured, type Choice } from "../core/detectors/configuration.ts";
import type { Detector } from "../core/detectors/detector.ts";
import { apiName } from "../core/detectors/thresholds.ts";
import type { StoredConfiguration } from "../storage/configurations.ts";
import type { configuration, configurationVersions } from "./schemas.ts";

/** The configuration in force as the API shows it: every threshold of every detector. */
export function configurationJson(
  stored: StoredConfiguration | undefined,
  detectors: readonly Detector[],
): v.InferInput<typeof configuration> {
  const { version, preset, thresholds } = stored ?? unconfigured;
  const all = detectors.map((detector) => [detector.id, thresholdsJson(detector, { preset, thresholds })] as const);
  return {
    version,
    preset,
    thresholds: Object.fromEntries(all),
    updated_at: stored ? new Date(stored.createdAtMs).toISOString() : null,
    updated_by: stored?.createdBy ?? null,
  };
}

function thresholdsJson(detector: Detector, choice: Choice): v.InferInput<typeof configuration>["thresholds"][string] {
  const settings = settingsIn(detector, choice);
  const shown = Object.entries(thresholdsOf(detector)).map(([name, threshold]) => {
    const { unit, default: byDefault, min, max, isWhole = false, raising, cost } = threshold;
    const chosen = Object.hasOwn(choice.thresholds[detector.id] ?? {}, apiName(name));
    const value = settings[name];
    return [apiName(name), { value, unit, default: byDefault, min, max, whole: isWhole, raising, cost, chosen }];
  });
  return Object.fromEntries(shown);
}

export function versionsJson(versions: readonly StoredConfiguration[]): v.InferInput<typeof configurationVersions> {
  return {
    versions: versions.map(({ version, preset, thresholds, createdAtMs, createdBy }) => ({
      version,
      preset,
      thresholds: { ...thresholds },
      updated_at: new Date(createdAtMs).toISOString(),
      updated_by: createdBy,
    })),
  };
}
