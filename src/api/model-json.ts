import type * as v from "valibot";
import type { AgreementReport, DriftReport, Observed } from "../../durable-objects/model-registry-rpc.ts";
import { addedDrift, driftOf, type DriftCounts } from "../inference/drift.ts";
import type { KnownModel, KnownVersion } from "../tiers/model-versions.ts";
import { timeOf } from "./key-json.ts";
import type { knownModel, modelVersion } from "./schemas.ts";

type VersionJson = v.InferInput<typeof modelVersion>;

/** @param isForOperator Who uploaded is the operator's to know. */
export function versionJson(version: KnownVersion, isForOperator: boolean): VersionJson {
  return {
    sha256: version.sha256,
    source: version.uploadedAtMs === null ? "built_in" : "api",
    bytes: version.bytes,
    uploaded_at: timeOf(version.uploadedAtMs),
    uploaded_by: isForOperator ? version.uploadedBy : null,
    window_s: version.features.window_s,
    windows: version.features.windows,
    features: version.features.features.map(({ name }) => name),
    calibration_windows: version.calibrationWindows,
    metrics: version.metrics,
  };
}

/** @param observed What was counted, of all tenants together: the operator's to know. Undefined for others. */
export function modelJson(model: KnownModel, observed: Observed | undefined): v.InferInput<typeof knownModel> {
  const { name, current, previous, shadow, versions } = model;
  const isOurs = (report: { model: string }) => report.model === name;
  return {
    name,
    current,
    previous,
    shadow,
    versions: versions.map((version) => versionJson(version, observed !== undefined)),
    drift: observed ? driftJson(versions, observed.drift.filter(isOurs)) : null,
    agreement: observed ? observed.agreement.filter(isOurs).map(agreementJson) : null,
  };
}

type DriftJson = NonNullable<v.InferInput<typeof knownModel>["drift"]>[number];

/** For each version all of its days together, then each day, the newest first. */
function driftJson(versions: readonly KnownVersion[], reports: readonly DriftReport[]): DriftJson[] {
  return versions.flatMap((version) => {
    const ours = reports.filter(({ sha256 }) => sha256 === version.sha256);
    if (ours.length === 0) return [];
    const json = (day: string | null, counts: DriftCounts): DriftJson => ({
      day,
      sha256: version.sha256,
      ...driftOf(version.drift, counts),
    });
    // From the newest to the oldest: the calibration of the newest counts.
    const all = ours.toReversed().reduce<DriftCounts | undefined>(addedDrift, undefined)!;
    return [json(null, all), ...ours.map((report) => json(report.day, report))];
  });
}

function agreementJson({ day, current, shadow, rows, p_difference, ...counts }: AgreementReport) {
  const { both, neither, only_current, only_shadow } = counts;
  const mean = rows === 0 ? 0 : p_difference / rows;
  return { day, current, shadow, rows, both, neither, only_current, only_shadow, mean_p_difference: mean };
}
