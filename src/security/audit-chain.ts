import { createHash } from "node:crypto";
import type { AuditDetail, AuditEvent } from "./audit.ts";

/** A row of the table `audit`, columns as in its migration. */
export interface AuditRow {
  tenant: string;
  /** From 1 on, without gaps. */
  sequence: number;
  /** When it happened, in ms since 1970; of a count, when the first did. */
  at: number;
  actor: string;
  action: string;
  outcome: AuditEvent["outcome"];
  /** Events that the row stands for. */
  count: number;
  /** Canonical JSON. */
  detail: string;
  request_id: string | null;
  /** `hash` of the row before. */
  previous: string;
  /** SHA-256 of all of the above, 64 hex digits. */
  hash: string;
}

/** What a row is made of before its place in the chain is known. */
export type AuditEntry = Omit<AuditRow, "tenant" | "sequence" | "previous" | "hash">;

/** A row as those name it that only have to know it again. */
export interface Link {
  sequence: number;
  hash: string;
}

/** Before the first row. */
export const chainStart: Link = { sequence: 0, hash: "0".repeat(64) };

/** Why a chain is not what was written. */
export const breakReasons = ["changed", "missing", "inserted", "reordered", "cut_off"] as const;

/** The first row that is not what was written, or not there. */
export interface Break {
  sequence: number;
  why: (typeof breakReasons)[number];
}

/** What the object beside the chain answers of it. */
export interface ChainHead extends Link {
  /** Rows behind the head that writers said they were about to write. */
  announced: Link[];
  /** What it saw go wrong itself. */
  broken: Break | null;
}

/** Characters of a kid, an action, a request id: all that is longer is not one of ours. */
const wordCharsMax = 64;
/** Characters of a row's details: a thousandth of what D1 takes in a row. */
const detailCharsMax = 2_000;

export function entryOf({ action, actor, outcome, detail, requestId }: AuditEvent, at: number, count = 1): AuditEntry {
  return {
    at,
    actor: word(actor),
    action: word(action),
    outcome,
    count,
    detail: canonicalDetail(detail),
    request_id: requestId === undefined ? null : word(requestId),
  };
}

/** Visible ASCII: nothing that a database or a terminal would change. */
function word(text: string): string {
  return text.slice(0, wordCharsMax).replace(/[^\x21-\x7e]/g, "?");
}

/** Members in the order of their names, so that equal details are equal text. */
export function canonicalDetail(detail: AuditDetail = {}): string {
  const members = Object.entries(detail).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify(Object.fromEntries(members));
  return text.length > detailCharsMax ? '{"detail_too_long":true}' : text;
}

/** The rows that continue a chain. */
export function continued(tenant: string, head: Link, entries: readonly AuditEntry[]): AuditRow[] {
  let { sequence, hash } = head;
  return entries.map((entry) => {
    const row = { tenant, sequence: ++sequence, ...entry, previous: hash };
    hash = hashOf(row);
    return { ...row, hash };
  });
}

/** SHA-256 over the JSON array of all columns in their order. */
export function hashOf(row: Omit<AuditRow, "hash">): string {
  const { tenant, sequence, at, actor, action, outcome, count, detail, request_id, previous } = row;
  const fields = [tenant, sequence, at, actor, action, outcome, count, detail, request_id, previous];
  return createHash("sha256").update(JSON.stringify(fields)).digest("hex");
}

/** The first row of some, in order of sequence, that does not continue what comes before it. */
export function breakIn(before: Link, rows: readonly AuditRow[]): Break | undefined {
  for (const row of rows) {
    const sequence = before.sequence + 1;
    if (row.sequence !== sequence) return { sequence, why: row.sequence < sequence ? "inserted" : "missing" };
    if (!fits(row, sequence)) return misplaced(row, rows);
    // Whoever changed the row before and gave it a new hash had to leave this one as it was.
    if (row.previous !== before.hash) return { sequence: Math.max(1, before.sequence), why: "changed" };
    before = row;
  }
  return undefined;
}

/** Whether a row is what was written at that place. */
function fits(row: AuditRow, sequence: number): boolean {
  return hashOf({ ...row, sequence }) === row.hash;
}

/** What happened to a row that is not what was written at its place. */
function misplaced(row: AuditRow, rows: readonly AuditRow[]): Break {
  const { sequence } = row;
  if (fits(row, sequence - 1)) return { sequence: sequence - 1, why: "inserted" };
  if (rows.some((other) => fits(other, sequence))) return { sequence, why: "reordered" };
  return { sequence, why: fits(row, sequence + 1) ? "missing" : "changed" };
}

/** Holds rows, read before the head was asked for, against the head. */
export function breakAgainst(head: ChainHead, rows: readonly Link[]): Break | undefined {
  if (head.broken) return head.broken;
  for (const { sequence, hash } of rows) {
    if (sequence === head.sequence && hash !== head.hash) return { sequence, why: "changed" };
    const isAnnounced = head.announced.some((one) => one.sequence === sequence && one.hash === hash);
    if (sequence > head.sequence && !isAnnounced) return { sequence, why: "inserted" };
  }
  return undefined;
}
