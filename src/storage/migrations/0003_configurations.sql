-- What tenants have chosen; the greatest version of each is in force. Holds no address; times are ms since 1970.
CREATE TABLE configurations (
  tenant TEXT NOT NULL,
  version INTEGER NOT NULL, -- from 1 on, without gaps
  json TEXT NOT NULL, -- {preset, thresholds: {threat: {name: number}}}
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, -- id of the key that chose it
  PRIMARY KEY (tenant, version)
) WITHOUT ROWID;
