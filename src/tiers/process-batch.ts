import { BatchPool } from "../core/flow/batch-pool.ts";
import type { FlowBatch } from "../core/flow/flow-batch.ts";
import { orient } from "../core/flow/orient.ts";
import type { Format, Reject } from "../core/formats/format.ts";
import { formats } from "../core/formats/index.ts";
import { RecordReader } from "../core/formats/record-reader.ts";
import { batchKey } from "../ingest/batch-key.ts";
import type { BodyFailure, DecodedBody } from "../ingest/body.ts";
import type { Tenant } from "../security/tenant.ts";
import { askModels } from "./ask-models.ts";
import { learnBatch, type Conflict, type NamedBatch } from "./learn-batch.ts";
import type { QuotaExceeded, Quotas } from "./quotas.ts";
import type { ShardFailure } from "./shard-call.ts";
import { storeVerdicts, type ChangedAnomaly, type ProcessParts } from "./store-verdicts.ts";

/** Records of one batch: 200,000 flows fold in about 50 ms and fit into memory as columns (14 MB). */
const recordsMax = 200_000;
/** How far ahead of its receipt a record may end: clocks that differ so much are wrong. */
const futureMsMax = 5 * 60_000;
/** How long an answer waits for D1, in ms: longer than its usual write, shorter than a shipper notices. */
const storeWaitMs = 250;

export interface IncomingBatch {
  tenant: Tenant;
  /** Of the key that sent it. */
  kid: string;
  format: Format | "auto";
  /** Columns of a text format without a header line. */
  fields?: readonly string[] | undefined;
  /** Packets for each that the log counted, where it does not say so itself; 1 to 1,000,000. */
  samplingRate?: number | undefined;
  idempotencyKey?: string | undefined;
  body: DecodedBody;
  receivedAtMs: number;
}

export interface BatchAnswer {
  batch: string;
  received: number;
  accepted: number;
  rejected: number;
  skipped: number;
  duplicate: number;
  late: number;
  sampled: number;
  /** Whether this repeat completed a batch of which some shards had learnt their part before. */
  repaired: boolean;
  rejects: readonly Reject[];
  anomalies: readonly ChangedAnomaly[];
  stored: boolean;
  latency_ms: number;
}

type UnknownFormat = { reason: "unknown_format"; format: string; known: readonly string[] };
export type BatchFailure =
  | BodyFailure
  | UnknownFormat
  | QuotaExceeded
  | ShardFailure
  | { reason: "idempotency_conflict"; idempotency_key: string };

/** The way of a batch: parse, orient; fold, remember and detect in its shards; have models look; then store. */
export async function processBatch(
  parts: ProcessParts & { quotas: Quotas },
  incoming: IncomingBatch,
): Promise<BatchAnswer | BatchFailure> {
  const { tenant, kid, body, idempotencyKey, receivedAtMs } = incoming;
  // Asked for while the body arrives.
  const configuration = parts.configurations.inForce(tenant);
  const read = await readRecords(incoming);
  if ("reason" in read) return read;
  const { batch: flows, counts, rejects } = read;
  const exceeded = parts.quotas.take(tenant, counts.received, parts.clock.nowMs());
  if (exceeded) {
    spareBatches.giveBack(flows);
    return exceeded;
  }
  orient(flows);
  const named = {
    tenant,
    key: batchKey({ tenant: tenant.id, kid, idempotencyKey, bodyDigest: body.digest }),
    isNamedByShipper: idempotencyKey !== undefined,
    bodyDigest: body.digest,
    flows,
    receivedAtMs,
  };
  await configuration;
  const result = await judgeBatch(parts, named, counts);
  spareBatches.giveBack(flows);
  if (!("reason" in result)) return { ...result, rejects: result.duplicate === counts.received ? [] : rejects };
  if (result.reason !== "conflict") return result;
  return { reason: "idempotency_conflict", idempotency_key: idempotencyKey ?? "" };
}

/** Has an oriented batch learnt and its verdicts stored; answers what became of each record. */
export async function judgeBatch(
  parts: ProcessParts,
  named: NamedBatch,
  counts: Counts,
): Promise<Omit<BatchAnswer, "rejects"> | ShardFailure | Conflict> {
  const answer = (rest: Partial<BatchAnswer>): Omit<BatchAnswer, "rejects"> => ({
    batch: named.key,
    ...counts,
    repaired: false,
    anomalies: [],
    stored: true,
    ...rest,
    latency_ms: parts.clock.nowMs() - named.receivedAtMs,
  });
  if (counts.accepted === 0 && !named.isNamedByShipper) return answer({});
  const learnt = await parts.doors.statistics.run(named.flows.length, () => learnBatch(parts, named));
  if (!learnt) return { reason: "overloaded" };
  if ("reason" in learnt) return learnt;
  if (learnt.isDuplicate) return answer({ accepted: 0, rejected: 0, skipped: 0, duplicate: counts.received });
  const { late, duplicates, repaired } = learnt;
  const second = await askModels(parts, learnt);
  const told = await storeVerdicts(parts, { ...learnt, tenant: named.tenant, second }, storeWaitMs);
  return answer({ accepted: counts.accepted - late - duplicates, late, duplicate: duplicates, repaired, ...told });
}

const spareBatches = new BatchPool();

export type Counts = Pick<
  BatchAnswer,
  "received" | "accepted" | "rejected" | "skipped" | "duplicate" | "late" | "sampled"
>;
type Read = { batch: FlowBatch; counts: Counts; rejects: readonly Reject[] };

/** The body as columns. Nothing has been applied yet, whatever is wrong with it. */
async function readRecords({
  tenant,
  format,
  fields,
  samplingRate,
  body,
  receivedAtMs,
}: IncomingBatch): Promise<Read | BodyFailure | UnknownFormat> {
  const batch = spareBatches.take();
  const options = fields ? { fields } : {};
  const latestEndMs = receivedAtMs + futureMsMax;
  const ownMax = Math.min(recordsMax, tenant.limits.recordsPerBatch ?? recordsMax);
  const reader = new RecordReader({ format, options, batch, recordsMax: ownMax, latestEndMs, samplingRate });
  for await (const chunk of body) {
    reader.push(chunk);
    if (reader.failure) break;
  }
  const { received, accepted, skipped, rejected, rejects } = reader.end();
  if (body.failure) return body.failure;
  if (reader.failure && body.bytes > 0) return readerFailure(reader.failure);
  return { batch, counts: { received, accepted, rejected, skipped, duplicate: 0, late: 0, sampled: 0 }, rejects };
}

function readerFailure(failure: NonNullable<RecordReader["failure"]>): BodyFailure | UnknownFormat {
  switch (failure.reason) {
    case "too_many_records":
      return { reason: "limit_exceeded", limit: { name: "records", value: failure.limit, unit: "records" } };
    case "unknown_format":
      return { reason: "unknown_format", format: "auto", known: knownFormats() };
  }
}

/** What a path may name. */
export function knownFormats(): string[] {
  return [...formats.map((format) => format.id), "auto"];
}
