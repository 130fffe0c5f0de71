/** One per detector, and what models alone find; the names are those of the API, of D1 and of truth files. */
export const threats = [
  "port_scan",
  "ddos",
  "c2_beacon",
  "exfiltration",
  "brute_force",
  "lateral_movement",
  "dns_tunnel",
  "long_connection",
  "icmp_tunnel",
  "rare_service",
  "internal_fan_in",
  "policy",
  "anomaly",
] as const;
export type Threat = (typeof threats)[number];

/** From least to most severe; an alert is `medium` or above. */
export const severities = ["info", "low", "medium", "high", "critical"] as const;
export type Severity = (typeof severities)[number];

/** `provisional` may still grow, shrink or be withdrawn; the other two are the last word on their window. */
export type VerdictState = "provisional" | "final" | "withdrawn";

/** An address as four big-endian 32-bit words, IPv4 mapped into IPv6. */
export type AddressWords = readonly [number, number, number, number];

/** The other side of a finding. Port 0 where several ports, or none, are concerned. */
export interface Peer {
  address: string;
  port: number;
  /** IANA name in lower case, or the number as text. */
  protocol: string;
}

/** What a person needs to check a finding: counts, ratios, thresholds in force; keys in snake_case with units. */
type Evidence = Readonly<Record<string, string | number | boolean | readonly unknown[] | object>>;

/** What of the input a verdict rests on (promise 3c). */
interface Completeness {
  late_records: number;
  evicted_entities: number;
  folded_contacts: number;
  /** Whether its detector has not seen the whole window: state was lost, or could not be read by a new version. */
  warming_up: boolean;
}

/** A span of event time, half open. */
interface Window {
  startMs: number;
  endMs: number;
}

/** A detector's opinion about one entity in one identity window. */
export interface Finding {
  threat: Threat;
  detectorVersion: number;
  /** An address or a prefix (`10.1.2.0/24`) in text form. */
  entity: string;
  window: Window;
  /** 0 to 1, higher is stranger. */
  score: number;
  /** 0 to 1: how much of what the method wants to see the log could show. */
  confidence: number;
  severity: Severity;
  /** ATT&CK technique ids, the most specific first. */
  techniques: readonly string[];
  /** One sentence for a person. */
  summary: string;
  /** At most `peersMax`, most telling first. */
  peers: readonly Peer[];
  peerCount: number;
  evidence: Evidence;
  /** What was held against the thresholds that decided; until it is published, when the evidence tells of it. */
  observed?: readonly Observed[];
}

/** A value that reached a threshold, named as in the detector's settings. */
export interface Observed {
  threshold: string;
  value: number;
}

/** Peers that a finding lists: enough for an analyst to act, small enough for a row. */
export const peersMax = 16;

/** A finding as the slot publishes it. */
export interface Verdict extends Finding {
  /** Name of the configuration that was in force in the slot. */
  configVersion: string;
  state: VerdictState;
  /** Set by the slot, rises with each change: the higher one wins wherever two writers meet. */
  revision: number;
  completeness: Completeness;
}

/** What one model says of the entity's window: it supports a verdict, or makes one of its own. */
export interface ModelOpinion {
  model: string;
  /** First 12 digits of the SHA-256 of its file. */
  version: string;
  /** As the model gives it; higher is stranger. */
  score: number;
  /** Share of benign windows that look at least so strange: conformal, (1 + count) / (1 + windows). */
  p_value: number;
  /**
   * The features that contributed most, the most first, each with its value in its own unit; shares of what all contributed.
   * Of what is not strange at all, none.
   */
  contributions: readonly { feature: string; value: number; share: number }[];
}

/** Whether a model said something, and why not. */
export interface ModelReport {
  model: string;
  ran: boolean;
  reason: string | null;
}

export interface TierReport {
  tier: 1 | 2 | 3;
  ran: boolean;
  /** Why it did not; null if it did. */
  reason: string | null;
  /** Of tier 2, where it was asked about the entity. */
  models?: readonly ModelReport[] | undefined;
}

/** What D1 stores and the API shows: a verdict with its identity and its times. */
export interface Anomaly extends Verdict {
  /** 32 hex digits: HMAC(tenant's id key, threat, entity, identity window). */
  id: string;
  tenant: string;
  receivedAtMs: number;
  decidedAtMs: number;
  tiers: readonly TierReport[];
  /** Of the models that looked at the entity; what statistics say is the same without them. */
  models: readonly ModelOpinion[];
}
