import { Hono } from "hono";
import { describeRoute } from "hono-openapi";
import * as v from "valibot";
import type { AuditRow } from "../security/audit-chain.ts";
import type { ApiDeps, ApiEnv } from "./deps.ts";
import { problem } from "./problem.ts";
import { answers, auditRows, auditVerified, keyProblems } from "./schemas.ts";
import { query } from "./validate.ts";

/** Rows of an answer, 500 bytes each. */
const rowsMax = 1_000;
const rowsByDefault = 100;
/** Rows that one request checks: 10 µs each. */
const checkedMax = 5_000;
/** As in a row. */
const word = v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,64}$/, "must be 1 to 64 visible ASCII characters"));
const wholeNumber = (min: number, max: number) =>
  v.pipe(
    v.string("must be given once"),
    v.regex(/^\d{1,16}$/, `must be ${min} to ${max}`),
    v.transform(Number),
    v.minValue(min, `must be ${min} to ${max}`),
    v.maxValue(max, `must be ${min} to ${max}`),
  );
const sequence = wholeNumber(0, Number.MAX_SAFE_INTEGER);

const listParameters = v.strictObject({
  after: v.optional(v.pipe(sequence, v.description("Rows behind this sequence, oldest first; 0 by default"))),
  before: v.optional(v.pipe(sequence, v.description("Rows before this sequence, newest first; not with after"))),
  limit: v.optional(wholeNumber(1, rowsMax)),
  action: v.optional(v.pipe(word, v.description("As in config.replace"))),
  actor: v.optional(v.pipe(word, v.description("Id of a key"))),
});

const verifyParameters = v.strictObject({
  after: v.optional(v.pipe(sequence, v.description("What lies before was checked: `next` of the part before"))),
  limit: v.optional(wholeNumber(1, checkedMax)),
});

export function auditRoutes({ audit }: Pick<ApiDeps, "audit">): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get("/", describeList, query(listParameters), async (c) => {
      const { limit = rowsByDefault, ...asked } = c.req.valid("query");
      if (asked.after !== undefined && asked.before !== undefined) {
        const detail = "rows come behind after, or before before: give one of them";
        return problem(c, { reason: "invalid_parameters", errors: [{ parameter: "before", detail }] });
      }
      const { rows, hasMore } = await audit.list(c.get("data").rowsOf, { ...asked, limit });
      return c.json({ rows: rows.map(auditRowJson), next: hasMore ? rows.at(-1)!.sequence : null });
    })
    .get("/verify", describeVerify, query(verifyParameters), async (c) => {
      const { after = 0, limit = checkedMax } = c.req.valid("query");
      const { broken, checked, last, hasMore, head } = await audit.verify(c.get("data").rowsOf, after, limit);
      const status = broken ? "broken" : "ok";
      return c.json({ status, broken: broken ?? null, checked, last, next: hasMore ? last : null, head });
    });
}

/** A row that somebody changed may hold anything: what is not as it should be is null, and its hash then tells. */
function auditRowJson({ at, detail, ...row }: AuditRow) {
  return { ...row, at: timeJson(at), detail: detailJson(detail) };
}

function timeJson(atMs: number): string | null {
  const time = new Date(atMs);
  return Number.isNaN(time.getTime()) ? null : time.toISOString();
}

function detailJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

const problems = { 400: "invalid-parameters", ...keyProblems, 503: "storage-unavailable" };

const describeList = describeRoute({
  summary: "What happened at the tenant's doors, as a chain of rows",
  responses: answers(auditRows, "Rows, and what the next page has to come after or before", problems),
});

const describeVerify = describeRoute({
  summary: "Check a part of the chain: whether its rows are what was written, and all that was written",
  responses: answers(auditVerified, "Ok, or the first row that is not what was written", problems),
});
