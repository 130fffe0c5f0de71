import { Hono, type Context } from "hono";
import { describeRoute } from "hono-openapi";
import * as v from "valibot";
import { formatById } from "../core/formats/index.ts";
import { idempotencyKeyCharsMax, isIdempotencyKey } from "../ingest/batch-key.ts";
import { DecodedBody, encodingOf, encodings } from "../ingest/body.ts";
import type { Audit } from "../security/audit.ts";
import { endInput } from "../tiers/end-input.ts";
import { knownFormats, processBatch } from "../tiers/process-batch.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { problem } from "./problem.ts";
import { answers, batchAnswer, endAnswer, keyProblems } from "./schemas.ts";
import { query } from "./validate.ts";

/** Columns that `fields` may name: more than any format has. */
const fieldsMax = 100;

const fieldList = v.pipe(
  v.string(),
  v.regex(/^[\w.-]{1,64}(,[\w.-]{1,64})*$/, "must be column names, separated by commas"),
  v.transform((text) => text.split(",")),
  v.maxLength(fieldsMax, `must be at most ${fieldsMax} columns`),
  v.description("Columns, in order, of a text format whose lines come without a header"),
);

const samplingRateMax = 1_000_000;
const samplingRateDetail = `must be a whole number from 1 to ${samplingRateMax}`;

const samplingRate = v.pipe(
  v.string("must be given once"),
  v.check((text) => samplingRateOf(text) !== undefined, samplingRateDetail),
  v.transform(Number),
  v.description("Packets for each that the log counted, for records that do not say it themselves"),
);

const batchParameters = v.strictObject({ fields: v.optional(fieldList), sampling_rate: v.optional(samplingRate) });

function samplingRateOf(text = ""): number | undefined {
  const rate = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  return rate >= 1 && rate <= samplingRateMax ? rate : undefined;
}

export function ingestRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .post("/end", describeEnd, query(v.strictObject({})), async (c) => {
      const result = await endInput(deps, c.get("tenant"));
      return "reason" in result ? problem(c, result) : answer(c, deps.audit, result);
    })
    .post("/:format", describeBatch, query(batchParameters), async (c) => {
      const receivedAtMs = deps.clock.nowMs();
      const format = c.req.param("format");
      const known = format === "auto" ? format : formatById(format);
      if (!known) return problem(c, { reason: "unknown_format", format, known: knownFormats() });

      const encoding = encodingOf(c.req.header("Content-Encoding"));
      if (!encoding) {
        const named = c.req.header("Content-Encoding") ?? "";
        return problem(c, { reason: "unsupported_encoding", encoding: named, known: [...encodings, "x-gzip"] });
      }
      const idempotencyKey = c.req.header("Idempotency-Key");
      if (idempotencyKey !== undefined && !isIdempotencyKey(idempotencyKey))
        return badHeader(c, "Idempotency-Key", `must be 1 to ${idempotencyKeyCharsMax} visible ASCII characters`);
      const rateHeader = c.req.header("Weir-Sampling-Rate");
      if (rateHeader !== undefined && samplingRateOf(rateHeader) === undefined)
        return badHeader(c, "Weir-Sampling-Rate", samplingRateDetail);

      const terms = { sha256: c.get("security").bodySha256, msMax: deps.bodyMsMax };
      const body = new DecodedBody(c.req.raw.body, encoding, Number(c.req.header("Content-Length") ?? 0), terms);
      const { fields, sampling_rate = samplingRateOf(rateHeader) } = c.req.valid("query");
      const result = await processBatch(deps, {
        tenant: c.get("tenant"),
        kid: c.get("principal").kid,
        format: known,
        fields,
        samplingRate: sampling_rate,
        idempotencyKey,
        body,
        receivedAtMs,
      });
      return "reason" in result ? problem(c, result) : answer(c, deps.audit, result);
    });
}

/** The audit log has the verdicts that a key brought about as one row a minute; that it sent a batch, it has anyway. */
function answer(c: Context<ApiEnv>, audit: Audit, result: { anomalies: readonly object[] }): Response {
  const { tenant, kid: actor } = c.get("principal");
  const count = result.anomalies.length;
  if (count > 0) audit.count(tenant, { action: "verdicts", actor, outcome: "success" }, count);
  return c.json(result);
}

function badHeader(c: Context<ApiEnv>, header: string, detail: string): Response {
  return problem(c, { reason: "invalid_parameters", errors: [{ header, detail }] });
}

const describeBatch = describeRoute({
  summary: "Take a batch of flow records",
  requestBody: { content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } } },
  responses: answers(batchAnswer, "What became of each record, and the verdicts that changed", {
    400: "invalid-parameters, corrupt-body",
    ...keyProblems,
    413: "limit-exceeded",
    415: "unknown-format, unsupported-encoding",
    422: "idempotency-conflict",
    429: "quota-exceeded",
    503: "overloaded, shard-unavailable",
  }),
});

const describeEnd = describeRoute({
  summary: "Declare the input ended: every verdict becomes final",
  responses: answers(endAnswer, "The verdicts that changed", {
    ...keyProblems,
    503: "overloaded, shard-unavailable, storage-unavailable",
  }),
});
