import { severities, type Anomaly, type Threat, type TierReport, type VerdictState } from "../core/verdict.ts";
import type { Seal } from "../security/seal.ts";
import type { StoredAnomaly } from "./anomalies.ts";

/** A row of the table `anomalies`, columns as in its migration. */
export interface AnomalyRow {
  tenant: string;
  id: string;
  threat: string;
  detector_version: number;
  config_version: string;
  severity: number;
  score: number;
  confidence: number;
  window_start: number;
  window_end: number;
  state: string;
  revision: number;
  stored_revision: number;
  received_at: number;
  decided_at: number;
  stored_at: number;
  late_records: number;
  evicted_entities: number;
  folded_contacts: number;
  warming_up: number;
  tiers: string;
  sealed: string;
}

/** What of an anomaly names addresses, or could. */
type Sealed = Pick<Anomaly, "entity" | "peers" | "peerCount" | "summary" | "techniques" | "evidence">;

/** The row of an anomaly, but for what the write decides. */
export function rowOf(anomaly: Anomaly, seal: Seal): Omit<AnomalyRow, "tenant" | "stored_revision" | "stored_at"> {
  const { entity, peers, peerCount, summary, techniques, evidence } = anomaly;
  const sealed: Sealed = { entity, peers, peerCount, summary, techniques, evidence };
  return {
    id: anomaly.id,
    threat: anomaly.threat,
    detector_version: anomaly.detectorVersion,
    config_version: anomaly.configVersion,
    severity: severities.indexOf(anomaly.severity),
    score: anomaly.score,
    confidence: anomaly.confidence,
    window_start: anomaly.window.startMs,
    window_end: anomaly.window.endMs,
    state: anomaly.state,
    revision: anomaly.revision,
    received_at: anomaly.receivedAtMs,
    decided_at: anomaly.decidedAtMs,
    late_records: anomaly.completeness.late_records,
    evicted_entities: anomaly.completeness.evicted_entities,
    folded_contacts: anomaly.completeness.folded_contacts,
    warming_up: anomaly.completeness.warming_up ? 1 : 0,
    tiers: JSON.stringify(anomaly.tiers),
    sealed: Buffer.from(seal.seal(Buffer.from(JSON.stringify(sealed)), context(anomaly))).toString("base64"),
  };
}

export function anomalyOf(row: AnomalyRow, seal: Seal): StoredAnomaly {
  const sealed = seal.open(Buffer.from(row.sealed, "base64"), context(row));
  return {
    ...(JSON.parse(Buffer.from(sealed).toString()) as Sealed),
    id: row.id,
    tenant: row.tenant,
    threat: row.threat as Threat,
    detectorVersion: row.detector_version,
    configVersion: row.config_version,
    severity: severities[row.severity],
    score: row.score,
    confidence: row.confidence,
    window: { startMs: row.window_start, endMs: row.window_end },
    state: row.state as VerdictState,
    revision: row.revision,
    storedRevision: row.stored_revision,
    receivedAtMs: row.received_at,
    decidedAtMs: row.decided_at,
    storedAtMs: row.stored_at,
    completeness: {
      late_records: row.late_records,
      evicted_entities: row.evicted_entities,
      folded_contacts: row.folded_contacts,
      warming_up: row.warming_up === 1,
    },
    tiers: JSON.parse(row.tiers) as TierReport[],
  };
}

/** Ties the sealed part to its row: it opens nowhere else. */
function context({ tenant, id, revision }: { tenant: string; id: string; revision: number }): string {
  return `anomalies/${tenant}/${id}/${revision}`;
}
