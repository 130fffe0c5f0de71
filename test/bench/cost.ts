import { blindIndex } from "../../src/security/blind-index.ts";
import type { Pipeline } from "../../src/tiers/pipeline.ts";
import type { Poster } from "./load.ts";

/** What the platform bills of a run, per flow or per batch, and what that comes to in $ per 10⁹ flows. */
export interface Cost {
  shards: number;
  flows_per_batch: number;
  calls_per_batch: number;
  rows_per_batch: { log: number; state: number; keys: number; facts: number; alarm: number };
  log_bytes_per_batch: number;
  anomaly_writes_per_flow: number;
  /** Of them and of what they are found by. */
  anomaly_rows_per_flow: number;
  cpu_us_per_flow: number;
  dollars: { cpu: number; requests: number; calls: number; duration: number; rows: number; anomalies: number };
  dollars_total: number;
}

export interface Bill {
  rows: Cost["rows_per_batch"];
  logBytes: number;
  anomalyWrites: number;
  /** Rows by which anomalies are found: written once for each anomaly. */
  indexRows: number;
}

interface ListedAnomaly {
  stored_revision: number;
  entity: string;
  peers: { address: string }[];
}

/** The row of an anomaly, and its entries in two indexes. */
const rowsPerAnomalyWrite = 3;

/** As many tokens as the Worker's, under another key. */
const anyIndex = blindIndex([{ version: 1, key: new Uint8Array(32) }]);

function indexRowsOf({ entity, peers }: ListedAnomaly): number {
  const addresses = peers.map(({ address }) => address);
  return anyIndex.tokensOf("source_ip", [entity]).length + anyIndex.tokensOf("destination_ip", addresses).length;
}

async function allAnomalies(poster: Poster): Promise<ListedAnomaly[]> {
  const all: ListedAnomaly[] = [];
  for (let cursor = ""; ;) {
    const path = `/v1/anomalies?limit=500${cursor && `&cursor=${cursor}`}`;
    const page = await poster.call<{ anomalies: ListedAnomaly[]; next: string | null }>("GET", path);
    all.push(...page.anomalies);
    if (page.next === null) return all;
    cursor = page.next;
  }
}

/** What a tenant has been billed so far, as its own gauges tell. */
export async function billOf(poster: Poster): Promise<Bill> {
  const { shards } = await poster.call<Pipeline>("GET", "/v1/pipeline");
  const anomalies = await allAnomalies(poster);
  const sum = (of: (shard: Pipeline["shards"][number]) => number) =>
    shards.reduce((total, shard) => total + of(shard), 0);
  return {
    rows: {
      log: sum((shard) => shard.rows_written.log),
      state: sum((shard) => shard.rows_written.state),
      keys: sum((shard) => shard.rows_written.keys),
      facts: sum((shard) => shard.rows_written.facts),
      alarm: sum((shard) => shard.rows_written.alarm),
    },
    logBytes: sum((shard) => shard.log_bytes_written),
    anomalyWrites: anomalies[0]?.stored_revision ?? 0,
    indexRows: anomalies.reduce((rows, anomaly) => rows + indexRowsOf(anomaly), 0),
  };
}

/**
 * Prices of November 2026: 0.02 $ per million CPU-ms, 0.3 per million requests, 0.15 per million object calls, 12.5 per
 * million GB-s of object duration at 128 MB, 1 per million rows written, by objects and by D1.
 */
export function costOf(
  before: Bill,
  after: Bill,
  run: { shards: number; batches: number; flowsPerBatch: number; cpuUsPerFlow: number },
): Cost {
  const { shards, batches, flowsPerBatch: n, cpuUsPerFlow: c } = run;
  const perBatch = (of: (bill: Bill) => number) => (of(after) - of(before)) / batches;
  const rows = {
    log: perBatch((bill) => bill.rows.log),
    state: perBatch((bill) => bill.rows.state),
    keys: perBatch((bill) => bill.rows.keys),
    facts: perBatch((bill) => bill.rows.facts),
    alarm: perBatch((bill) => bill.rows.alarm),
  };
  const rowsPerFlow = (rows.log + rows.state + rows.keys + rows.facts + rows.alarm) / n;
  const anomalyWrites = perBatch((bill) => bill.anomalyWrites) / n;
  const anomalyRows = rowsPerAnomalyWrite * anomalyWrites + perBatch((bill) => bill.indexRows) / n;
  // At most: all of a batch's CPU, shared among its calls.
  const callMs = (c * n) / 1000 / shards;
  const dollars = {
    cpu: 0.02 * c,
    requests: 300 / n,
    calls: (150 * shards) / n,
    duration: (1.6 * shards * callMs) / n,
    rows: 1000 * rowsPerFlow,
    anomalies: 1000 * anomalyRows,
  };
  return {
    shards,
    flows_per_batch: n,
    calls_per_batch: shards,
    rows_per_batch: rows,
    log_bytes_per_batch: perBatch((bill) => bill.logBytes),
    anomaly_writes_per_flow: anomalyWrites,
    anomaly_rows_per_flow: anomalyRows,
    cpu_us_per_flow: c,
    dollars,
    dollars_total: Object.values(dollars).reduce((sum, one) => sum + one, 0),
  };
}
