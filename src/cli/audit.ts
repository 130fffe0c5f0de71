import { defineCommand } from "citty";
import {
  breakAgainst,
  breakIn,
  canonicalDetail,
  chainStart,
  type AuditRow,
  type Break,
  type ChainHead,
  type Link,
} from "../security/audit-chain.ts";
import type { ShownAuditRow } from "./client.ts";
import { command, wholeNumber } from "./command.ts";
import { connect, connectionArgs } from "./connect.ts";
import { Failure } from "./failure.ts";
import { table, thousands } from "./table.ts";

/** Rows asked for at a time: as many as an answer may have. */
const pageRows = 1_000;

const verify = command({
  meta: {
    name: "verify",
    description: "Prove that the audit log is what was written, or name the first row that is not",
  },
  args: connectionArgs,
  async run({ args }) {
    const { tenant, rows, head, broken } = await verifyChain(connect(args));
    if (broken)
      throw new Failure(`The audit log of ${tenant} is broken at row ${broken.sequence}: ${reasons[broken.why]}.`);
    console.log(`The audit log of ${tenant} is whole: ${thousands(rows)} rows, the last is ${head.hash}.`);
  },
});

const list = command({
  meta: { name: "list", description: "Show the audit log, its newest rows unless another part is asked for" },
  args: {
    ...connectionArgs,
    after: { type: "string", description: "Rows behind this one" },
    action: { type: "string", description: "Only these, as in config.replace" },
    actor: { type: "string", description: "Only what this key did" },
    limit: { type: "string", default: "100", description: "At most so many" },
    json: { type: "boolean", description: "As the API answers it" },
  },
  async run({ args }) {
    const limit = wholeNumber("limit", args.limit, 1, pageRows);
    const last = Number.MAX_SAFE_INTEGER;
    const after = args.after === undefined ? undefined : wholeNumber("after", args.after, 0, last);
    const { action, actor } = args;
    const part = after === undefined ? { before: last } : { after };
    const page = await connect(args).auditRows({ ...part, action, actor, limit });
    const rows = after === undefined ? page.rows.toReversed() : page.rows;
    console.log(args.json ? JSON.stringify({ rows }, null, 1) : rowTable(rows));
  },
});

export const audit = defineCommand({
  meta: { name: "audit", description: "Show and check what happened at the doors" },
  subCommands: { verify, list },
});

const reasons: { [why in Break["why"]]: string } = {
  changed: "it is not what was written",
  missing: "it was taken out",
  inserted: "nobody wrote it",
  reordered: "it belongs elsewhere",
  cut_off: "it and all behind it were taken away",
};

/** Where a chain comes from. */
interface ChainSource {
  auditRows(query: { after: number; limit: number }): Promise<{ rows: ShownAuditRow[]; next: number | null }>;
  auditHead(): Promise<ChainHead>;
}

/**
 * Checks a whole chain page by page, by hashes that are computed here. The head is asked for before, since what it
 * names has to come, and behind each page, since by then it knows of all that was on it.
 */
export async function verifyChain(source: ChainSource) {
  const goal = await source.auditHead();
  let before: Link & { tenant?: string } = chainStart;
  for (;;) {
    const page = await source.auditRows({ after: before.sequence, limit: pageRows });
    const rows = page.rows.map(rowOf);
    const head = await source.auditHead();
    const broken = breakIn(before, rows) ?? breakAgainst(head, [before, ...rows]);
    before = rows.at(-1) ?? before;
    const { tenant = "this tenant", sequence } = before;
    const result = { tenant, rows: sequence, head: before };
    if (broken) return { ...result, broken };
    if (page.next !== null) continue;
    const isCut = sequence < goal.sequence;
    return { ...result, broken: isCut ? ({ sequence: sequence + 1, why: "cut_off" } satisfies Break) : undefined };
  }
}

/** A row as it was hashed. */
function rowOf({ at, detail, ...row }: ShownAuditRow): AuditRow {
  return { ...row, at: Date.parse(at ?? ""), detail: detail === null ? "" : canonicalDetail(detail) };
}

function rowTable(rows: readonly ShownAuditRow[]): string {
  if (rows.length === 0) return "There are no such rows.";
  const head = ["row", "time (UTC)", "actor", "action", "outcome", "count", "detail"];
  const cells = rows.map(({ sequence, at, actor, action, outcome, count, detail }) => {
    const details = Object.entries(detail ?? {}).map(([name, value]) => `${name}=${value}`);
    return [sequence, (at ?? "-").slice(0, 19).replace("T", " "), actor, action, outcome, count, details.join(" ")];
  });
  return table(head, cells);
}
