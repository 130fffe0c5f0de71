import type * as v from "valibot";
import type { StoredAnomaly } from "../storage/anomalies.ts";
import type { anomaly } from "./schemas.ts";

/** An anomaly as the API shows it. */
export function anomalyJson(stored: StoredAnomaly): v.InferInput<typeof anomaly> {
  return {
    id: stored.id,
    tenant: stored.tenant,
    threat: stored.threat,
    detector_version: stored.detectorVersion,
    config_version: stored.configVersion,
    severity: stored.severity,
    score: stored.score,
    confidence: stored.confidence,
    entity: stored.entity,
    peers: [...stored.peers],
    peer_count: stored.peerCount,
    techniques: [...stored.techniques],
    summary: stored.summary,
    window: { start: rfc3339(stored.window.startMs), end: rfc3339(stored.window.endMs) },
    state: stored.state,
    revision: stored.revision,
    stored_revision: stored.storedRevision,
    received_at: rfc3339(stored.receivedAtMs),
    decided_at: rfc3339(stored.decidedAtMs),
    stored_at: rfc3339(stored.storedAtMs),
    evidence: stored.evidence,
    completeness: stored.completeness,
    tiers: [...stored.tiers],
  };
}

function rfc3339(ms: number): string {
  return new Date(ms).toISOString();
}
