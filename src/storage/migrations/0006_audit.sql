-- What happened, a hash-chained list for each tenant. Only ever added to. Holds no address; times are ms since 1970.
CREATE TABLE audit (
  tenant TEXT NOT NULL, -- "-": what belongs to no tenant
  sequence INTEGER NOT NULL, -- from 1 on, without gaps
  at INTEGER NOT NULL, -- of a count, when the first happened
  actor TEXT NOT NULL, -- id of the key, "-" where none is known, "*" for all that were too many to tell apart
  action TEXT NOT NULL,
  outcome TEXT NOT NULL, -- success, failure
  count INTEGER NOT NULL, -- events that the row stands for
  detail TEXT NOT NULL, -- canonical JSON
  request_id TEXT,
  previous TEXT NOT NULL, -- hash of the row before; 64 zeros for the first
  hash TEXT NOT NULL, -- SHA-256 of the JSON array of all columns before this one, 64 hex digits
  PRIMARY KEY (tenant, sequence)
) WITHOUT ROWID, STRICT;
