import type * as v from "valibot";
import type { Ciphertext, SealedAnomaly, SealedMember, StoredAnomaly } from "../storage/anomalies.ts";
import type { anomaly, sealedAnomaly } from "./schemas.ts";

/** An anomaly as the API shows it. */
export function anomalyJson(stored: StoredAnomaly): v.InferInput<typeof anomaly> {
  return {
    ...headJson(stored),
    entity: stored.entity,
    peers: [...stored.peers],
    peer_count: stored.peerCount,
    techniques: [...stored.techniques],
    summary: stored.summary,
    evidence: stored.evidence,
    models: stored.models.map((opinion) => ({ ...opinion, contributions: [...opinion.contributions] })),
  };
}

/** An anomaly as it lies in the database, for whoever has its keys. */
export function sealedAnomalyJson(stored: SealedAnomaly): v.InferInput<typeof sealedAnomaly> {
  return {
    ...headJson(stored),
    entity: ciphertextJson(stored.entity),
    peers: ciphertextJson(stored.peers),
    evidence: ciphertextJson(stored.evidence),
    encryption_metadata: {
      encrypted_fields: ["source_ip", "destination_ip", "evidence"],
      encryption_timestamp: rfc3339(stored.sealedAtMs),
      key_id: `${stored.tenant}/${stored.keyVersion}`,
    },
  };
}

function headJson(stored: Omit<StoredAnomaly, SealedMember>) {
  return {
    id: stored.id,
    tenant: stored.tenant,
    threat: stored.threat,
    detector_version: stored.detectorVersion,
    config_version: stored.configVersion,
    severity: stored.severity,
    score: stored.score,
    confidence: stored.confidence,
    window: { start: rfc3339(stored.window.startMs), end: rfc3339(stored.window.endMs) },
    state: stored.state,
    revision: stored.revision,
    stored_revision: stored.storedRevision,
    received_at: rfc3339(stored.receivedAtMs),
    decided_at: rfc3339(stored.decidedAtMs),
    stored_at: rfc3339(stored.storedAtMs),
    completeness: stored.completeness,
    tiers: stored.tiers.map(({ models, ...tier }) => ({ ...tier, ...(models && { models: [...models] }) })),
  };
}

function ciphertextJson({ ciphertext, nonce, tag }: Ciphertext) {
  return { ciphertext: base64(ciphertext), nonce: base64(nonce), tag: base64(tag) };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function rfc3339(ms: number): string {
  return new Date(ms).toISOString();
}
