-- Data keys of tenants, each wrapped by a key-encryption key (AES-KW). All times are ms since 1970.
CREATE TABLE data_keys (
  tenant TEXT NOT NULL,
  family TEXT NOT NULL, -- source_ip, destination_ip, evidence, state, index, identity; destroyed: there are none any more
  version INTEGER NOT NULL, -- rises with each rotation; of destroyed 0
  kek_id TEXT NOT NULL,
  wrapped TEXT NOT NULL, -- base64
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, family, version)
) WITHOUT ROWID;

-- What names addresses is sealed by family, with a key that the tenant has in `data_keys`; each base64 of
-- version 2 (1 byte), key version (u32), nonce (12), tag (16), ciphertext. What the old key had sealed goes.
DROP TABLE anomalies;
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
  warming_up INTEGER NOT NULL, -- 0 or 1
  tiers TEXT NOT NULL, -- JSON: [{tier, ran, reason}]
  key_version INTEGER NOT NULL, -- of the keys that sealed the row
  sealed_at INTEGER NOT NULL,
  sealed_entity TEXT NOT NULL, -- of text, filled up with spaces
  sealed_peers TEXT NOT NULL, -- of JSON: [{address, port, protocol}]
  sealed_evidence TEXT NOT NULL, -- of JSON: {peerCount, summary, techniques, evidence}
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

CREATE INDEX anomalies_by_stored_revision ON anomalies (tenant, stored_revision, id);
-- Rows that wait to be sealed with newer keys.
CREATE INDEX anomalies_by_key_version ON anomalies (tenant, key_version);

-- Which anomalies may have an address of a prefix as entity or peer. A token that a later revision has no more stays:
-- whoever searches opens what it finds.
CREATE TABLE anomaly_index (
  tenant TEXT NOT NULL,
  token TEXT NOT NULL, -- key version (8 hex digits), HMAC of family, prefix length and prefix (32 hex digits)
  id TEXT NOT NULL,
  PRIMARY KEY (tenant, token, id)
) WITHOUT ROWID;
