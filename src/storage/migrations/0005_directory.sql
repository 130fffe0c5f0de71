-- Tenants and keys that the API made, beside those of the environment. All times are ms since 1970.
CREATE TABLE tenants (
  tenant TEXT PRIMARY KEY,
  jurisdiction TEXT, -- eu, us, fedramp; null: anywhere
  sealed TEXT, -- base64 of sealed JSON {internal, shards, limits, networks}; null once it was destroyed
  kek_id TEXT, -- id of the key-encryption key under whose child it is sealed
  version INTEGER NOT NULL, -- rises with each change
  shards_ever INTEGER NOT NULL, -- the most shards that it ever had: so many objects may hold something
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, -- id of the operator's key
  destroyed_at INTEGER, -- since then nobody gets in
  gone_at INTEGER -- since then nothing of it is left; the row stays, so that the name is not given again
) WITHOUT ROWID;

CREATE TABLE api_keys (
  kid TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  role TEXT NOT NULL,
  permissions TEXT, -- JSON array; null: those of the role
  view TEXT NOT NULL, -- clear, masked, sealed
  label TEXT NOT NULL, -- what it is for, in the words of whoever made it
  secret_sha256 TEXT NOT NULL, -- 64 hex digits
  signing_sealed TEXT, -- base64 of the sealed key that signs requests; null: it signs none
  kek_id TEXT, -- as in tenants, of signing_sealed
  not_before INTEGER,
  expires_at INTEGER,
  revoked_at INTEGER,
  grace_until INTEGER, -- rotated, and good until then
  replaced_by TEXT, -- kid that it was rotated to
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX api_keys_by_tenant ON api_keys (tenant, created_at);

-- What signed requests have used up, until their time is over.
CREATE TABLE nonces (
  kid TEXT NOT NULL,
  nonce TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (kid, nonce)
) WITHOUT ROWID;

CREATE INDEX nonces_by_expiry ON nonces (expires_at);
