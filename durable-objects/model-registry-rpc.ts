import type { AuditDetail } from "../src/security/audit.ts";
import type { CardTable } from "../src/inference/card.ts";
import type { AgreementCounts, DriftCounts } from "../src/inference/drift.ts";
import type { Calibration, FeatureList, ModelName } from "../src/inference/model.ts";
import type { PointerChange, PointerRefusal, Pointers } from "../src/inference/pointers.ts";

/** A version that was uploaded, as the registry knows it: all but what only who runs it needs. */
export interface StoredVersion {
  model: ModelName;
  /** Of the ONNX file: the version's name. */
  sha256: string;
  /** Of the whole package: where R2 and KV have it. */
  packageSha256: string;
  /** Of the ONNX file. */
  bytes: number;
  features: FeatureList;
  calibrationWindows: number;
  drift: Calibration["drift"];
  /** As the card says them. */
  metrics: CardTable | null;
  uploadedAtMs: number;
  uploadedBy: string;
}

/** Where to find what is in force. */
export interface VersionRef {
  sha256: string;
  packageSha256: string;
}

/** What is in force of one model: a version that was uploaded, or the one that ships with the Worker. */
export interface ModelInForce {
  current: VersionRef | "built_in";
  shadow: VersionRef | "built_in" | null;
}

export interface InForce {
  /** Rises with each change of any pointer; 0: nothing was ever changed. */
  revision: number;
  models: Readonly<Record<ModelName, ModelInForce>>;
}

interface RegisteredModel {
  pointers: Pointers;
  /** The newest first. */
  versions: StoredVersion[];
}

export interface RegistryContents {
  revision: number;
  models: Readonly<Record<ModelName, RegisteredModel>>;
}

/** Who changes something, in which request. */
export interface ChangedBy {
  kid: string;
  requestId: string;
  nowMs: number;
}

/** A change that the audit log has still to be told of. */
export interface UnrecordedChange {
  id: number;
  action: string;
  actor: string;
  requestId: string;
  detail: AuditDetail;
}

export interface DriftReport extends DriftCounts {
  /** UTC, `2026-11-22`. */
  day: string;
  model: ModelName;
  sha256: string;
}

export interface AgreementReport extends AgreementCounts {
  day: string;
  model: ModelName;
  current: string;
  shadow: string;
}

/** What an isolate has seen since its last report; likewise what the registry has added up, the newest day first. */
export interface Observed {
  drift: DriftReport[];
  agreement: AgreementReport[];
}

export type PointResult = { done: true; contents: RegistryContents } | { done: false; refusal: PointRefusal };
export type PointRefusal = PointerRefusal | "stale" | "unknown_version";

/** What the Worker asks of the ModelRegistry. All of it but `observe` may be repeated. */
export interface ModelRegistryRpc {
  inForce(): Promise<InForce>;
  contents(): Promise<RegistryContents>;
  /** With its card. */
  version(model: ModelName, sha256: string): Promise<(StoredVersion & { card: string }) | null>;
  /** `differs`: there is one of the same ONNX file with other parts. */
  add(version: StoredVersion, card: string, by: ChangedBy): Promise<"added" | "known" | "differs">;
  /** Where `revision` is no longer that of the registry, nothing changes. */
  point(model: ModelName, revision: number, change: PointerChange, by: ChangedBy): Promise<PointResult>;
  observe(report: Observed): Promise<void>;
  observed(): Promise<Observed>;
  /** The oldest first. */
  unrecorded(): Promise<UnrecordedChange[]>;
  /** Those up to this one were recorded. */
  recorded(id: number): Promise<void>;
}
