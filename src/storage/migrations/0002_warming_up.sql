-- Whether the detector had not seen the whole window: 0 or 1.
ALTER TABLE anomalies ADD COLUMN warming_up INTEGER NOT NULL DEFAULT 0;
