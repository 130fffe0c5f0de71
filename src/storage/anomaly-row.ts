import { severities, type Anomaly, type Threat, type TierReport, type VerdictState } from "../core/verdict.ts";
import { sealContext, sealedParts } from "../security/seal.ts";
import type { TenantKeys } from "../security/tenant-keys.ts";
import type { Ciphertext, SealedAnomaly, SealedMember, StoredAnomaly } from "./anomalies.ts";

/** A row of the table `anomalies`, columns as in its migration. */
export interface AnomalyRow extends SealedColumns {
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
}

/** What a key has to do with: all that changes when a row is sealed anew. */
export interface SealedColumns {
  key_version: number;
  sealed_at: number;
  sealed_entity: string;
  sealed_peers: string;
  sealed_evidence: string;
}

type Opened = Pick<Anomaly, SealedMember>;

/** By family, the column that it seals, and what becomes of the members. */
const columnOf = {
  source_ip: "sealed_entity",
  destination_ip: "sealed_peers",
  evidence: "sealed_evidence",
} as const;
type Family = keyof typeof columnOf;

/** An entity is filled up to so many characters, more than any has: its length would tell of it. */
const entityChars = 48;

/** The row of an anomaly, but for what the write decides. */
export function rowOf(
  anomaly: Anomaly,
  keys: TenantKeys,
  sealedAtMs: number,
): Omit<AnomalyRow, "tenant" | "stored_revision" | "stored_at"> {
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
    ...sealedColumns(anomaly, keys, sealedAtMs),
  };
}

export function sealedColumns(
  { tenant, id, revision, ...anomaly }: Opened & RowName,
  { seals }: TenantKeys,
  sealedAtMs: number,
): SealedColumns {
  const { entity, peers, peerCount, summary, techniques, evidence, models } = anomaly;
  const seal = (family: Family, text: string) => {
    const sealed = seals[family].seal(Buffer.from(text), contextOf({ tenant, id, revision }, family));
    return Buffer.from(sealed).toString("base64");
  };
  return {
    key_version: Math.min(...families.map((family) => seals[family].version)),
    sealed_at: sealedAtMs,
    sealed_entity: seal("source_ip", entity.padEnd(entityChars)),
    sealed_peers: seal("destination_ip", JSON.stringify(peers)),
    sealed_evidence: seal("evidence", JSON.stringify({ peerCount, summary, techniques, evidence, models })),
  };
}

/** @throws UnknownKeyVersion, Error where the row was tampered with. */
export function anomalyOf(row: AnomalyRow, keys: TenantKeys): StoredAnomaly {
  return { ...headOf(row), ...openedOf(row, keys) };
}

/** @throws likewise */
export function openedOf(row: AnomalyRow, keys: TenantKeys): Opened {
  type Told = Omit<Opened, "entity" | "peers">;
  // Rows from before there were models have none.
  const { models = [], ...told } = JSON.parse(open(row, "evidence", keys)) as Omit<Told, "models"> & Partial<Told>;
  return { models, entity: entityOf(row, keys), peers: peersOf(row, keys), ...told };
}

/** @throws likewise */
export function entityOf(row: AnomalyRow, keys: TenantKeys): string {
  return open(row, "source_ip", keys).trimEnd();
}

/** @throws likewise */
export function peersOf(row: AnomalyRow, keys: TenantKeys): Anomaly["peers"] {
  return JSON.parse(open(row, "destination_ip", keys)) as Anomaly["peers"];
}

/** Needs no key. */
export function sealedAnomalyOf(row: AnomalyRow): SealedAnomaly {
  const part = (family: Family): Ciphertext => {
    const { ciphertext, nonce, tag } = sealedParts(bytesOf(row, family));
    return { ciphertext, nonce, tag };
  };
  const sealed = { entity: part("source_ip"), peers: part("destination_ip"), evidence: part("evidence") };
  return { ...headOf(row), ...sealed, keyVersion: row.key_version, sealedAtMs: row.sealed_at };
}

function headOf(row: AnomalyRow): Omit<StoredAnomaly, SealedMember> {
  return {
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

const families: readonly Family[] = ["source_ip", "destination_ip", "evidence"];

type RowName = Pick<Anomaly, "tenant" | "id" | "revision">;

function open(row: AnomalyRow, family: Family, { seals }: TenantKeys): string {
  return Buffer.from(seals[family].open(bytesOf(row, family), contextOf(row, family))).toString();
}

function bytesOf(row: AnomalyRow, family: Family): Uint8Array {
  return new Uint8Array(Buffer.from(row[columnOf[family]], "base64"));
}

/** Ties what is sealed to its row and revision. */
function contextOf({ tenant, id, revision }: RowName, family: Family): string {
  return sealContext(tenant, "anomalies", `${id}/${revision}`, family);
}
