-- One row per anomaly: the latest revision. Whatever names an address is in `sealed`; all times are ms since 1970.
CREATE TABLE anomalies (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL, -- 32 hex digits
  threat TEXT NOT NULL,
  detector_version INTEGER NOT NULL,
  config_version TEXT NOT NULL,
  severity INTEGER NOT NULL, -- 0 info, 1 low, 2 medium, 3 high, 4 critical
  score REAL NOT NULL, -- 0 to 1
  confidence REAL NOT NULL, -- 0 to 1
  window_start INTEGER NOT NULL,
  window_end INTEGER NOT NULL,
  state TEXT NOT NULL, -- provisional, final, withdrawn
  revision INTEGER NOT NULL,
  stored_revision INTEGER NOT NULL, -- rises with each write of the tenant
  received_at INTEGER NOT NULL,
  decided_at INTEGER NOT NULL,
  stored_at INTEGER NOT NULL,
  late_records INTEGER NOT NULL,
  evicted_entities INTEGER NOT NULL,
  folded_contacts INTEGER NOT NULL,
  tiers TEXT NOT NULL, -- JSON: [{tier, ran, reason}]
  sealed TEXT NOT NULL, -- base64 of sealed JSON: {entity, peers, peerCount, summary, techniques, evidence}
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

CREATE INDEX anomalies_by_stored_revision ON anomalies (tenant, stored_revision, id);
