import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  breakAgainst,
  breakIn,
  canonicalDetail,
  chainStart,
  continued,
  entryOf,
  hashOf,
  type AuditRow,
  type ChainHead,
} from "../../../src/security/audit-chain.ts";
import { clientHasher, type AuditEvent } from "../../../src/security/audit.ts";
import { AuditCounts } from "../../../src/storage/audit-counts.ts";

const event = (more: Partial<AuditEvent> = {}): AuditEvent => ({
  action: "config.replace",
  actor: "admin",
  outcome: "success",
  ...more,
});

function chain(length: number): AuditRow[] {
  const entries = Array.from({ length }, (_, i) => entryOf(event({ detail: { version: i } }), 1_000 + i));
  return continued("acme", chainStart, entries);
}

function headOf(rows: readonly AuditRow[], more: Partial<ChainHead> = {}): ChainHead {
  const { sequence, hash } = rows.at(-1) ?? chainStart;
  return { sequence, hash, announced: [], broken: null, ...more };
}

describe("a chain", () => {
  it("hashes every column, and the row before", () => {
    const [first, second] = chain(2);
    expect(first).toMatchObject({ sequence: 1, previous: "0".repeat(64) });
    expect(second).toMatchObject({ sequence: 2, previous: first.hash });
    // Fixed: whoever computes it otherwise cannot read what was written before.
    expect(first.hash).toBe("ae0734529787531679dc5ff942a0eae94bf732d71b899f8557c0eccb43ebf54a");
  });

  it("is whole in any parts", () => {
    const rows = chain(20);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 20 }), (at) => {
        expect(breakIn(chainStart, rows.slice(0, at))).toBeUndefined();
        expect(breakIn(rows[at - 1] ?? chainStart, rows.slice(at))).toBeUndefined();
      }),
    );
    expect(breakAgainst(headOf(rows), rows)).toBeUndefined();
  });

  it("shows where a column was changed", () => {
    const other: Partial<AuditRow> = {
      tenant: "lab",
      at: 7,
      actor: "somebody",
      action: "config.read",
      outcome: "failure",
      count: 2,
      detail: '{"version":9}',
      request_id: "r",
      previous: "1".repeat(64),
      hash: "2".repeat(64),
    };
    for (const [column, value] of Object.entries(other)) {
      const rows = chain(6);
      rows[3] = { ...rows[3], [column]: value };
      expect(breakIn(chainStart, rows), column).toEqual({ sequence: 4, why: "changed" });
    }
  });

  it("shows where a row was changed that got a hash to match, also the last", () => {
    const rows = chain(6);
    const changed = { ...rows[3], actor: "somebody" };
    rows[3] = { ...changed, hash: hashOf(changed) };
    expect(breakIn(chainStart, rows)).toEqual({ sequence: 4, why: "changed" });
    const head = headOf(chain(4));
    expect(breakIn(chainStart, rows.slice(0, 4))).toBeUndefined();
    expect(breakAgainst(head, rows.slice(0, 4))).toEqual({ sequence: 4, why: "changed" });
  });

  it("shows what was taken out, with and without new numbers", () => {
    const rows = chain(6).toSpliced(2, 1);
    expect(breakIn(chainStart, rows)).toEqual({ sequence: 3, why: "missing" });
    const renumbered = rows.map((row, i) => ({ ...row, sequence: i + 1 }));
    expect(breakIn(chainStart, renumbered)).toEqual({ sequence: 3, why: "missing" });
    expect(breakIn(chainStart, chain(6).slice(1))).toEqual({ sequence: 1, why: "missing" });
  });

  it("shows what was put in", () => {
    const rows = chain(6);
    const forged = continued("acme", rows[2], [entryOf(event({ actor: "forger" }), 5)]);
    const shifted = rows.slice(3).map((row) => ({ ...row, sequence: row.sequence + 1 }));
    expect(breakIn(chainStart, [...rows.slice(0, 3), ...forged, ...shifted])).toEqual({ sequence: 4, why: "inserted" });
    // At the end nothing tells but the head.
    const [last] = continued("acme", rows[5], [entryOf(event(), 5)]);
    expect(breakIn(chainStart, [...rows, last])).toBeUndefined();
    expect(breakAgainst(headOf(rows), [...rows, last])).toEqual({ sequence: 7, why: "inserted" });
    expect(breakAgainst(headOf(rows, { announced: [last] }), [...rows, last])).toBeUndefined();
  });

  it("shows what changed places, next to each other or far apart", () => {
    for (const [a, b] of [
      [2, 3],
      [1, 5],
    ]) {
      const rows = chain(6);
      [rows[a], rows[b]] = [
        { ...rows[b], sequence: a + 1 },
        { ...rows[a], sequence: b + 1 },
      ];
      expect(breakIn(chainStart, rows)).toEqual({ sequence: a + 1, why: "reordered" });
    }
  });

  it("takes in nothing that a database or a terminal would change", () => {
    const odd = entryOf(event({ actor: "ä\u0000\u001b[31m", requestId: "x".repeat(100) }), 0);
    expect(odd).toMatchObject({ actor: "???[31m", request_id: "x".repeat(64) });
    expect(canonicalDetail({ b: "\ud800\u0000", a: 1, c: null })).toBe(String.raw`{"a":1,"b":"\ud800\u0000","c":null}`);
    expect(canonicalDetail({ long: "x".repeat(5_000) })).toBe('{"detail_too_long":true}');
  });
});

describe("counts", () => {
  const minuteMs = 60_000;
  const sumOf = (taken: ReturnType<AuditCounts["takeAll"]>) =>
    [...taken.values()].flat().reduce((sum, { count }) => sum + count, 0);

  it("add up, a row for each tenant, actor, action, outcome and minute", () => {
    const counts = new AuditCounts();
    const add = (tenant: string, more: Partial<AuditEvent>, atMs: number) => counts.add(tenant, event(more), 1, atMs);
    for (let i = 0; i < 100; i++) add("acme", { actor: `k${i % 2}`, detail: { route: "r", i } }, i);
    add("lab", {}, 5);
    add("acme", { outcome: "failure" }, 6);
    expect(counts.takeOver(10).size).toBe(0);
    add("acme", { actor: "k0" }, minuteMs);
    const taken = counts.takeOver(minuteMs);
    expect(taken.get("acme")).toMatchObject([
      { actor: "k0", at: 0, count: 50, detail: '{"route":"r"}' },
      { actor: "k1", at: 1, count: 50, detail: '{"route":"r"}' },
      { outcome: "failure", count: 1 },
    ]);
    expect(taken.get("lab")).toMatchObject([{ count: 1 }]);
    expect(sumOf(counts.takeAll())).toBe(1);
  });

  it("are bounded, and still add up, however many actors somebody invents", () => {
    const counts = new AuditCounts();
    for (let i = 0; i < 5_000; i++) counts.add("-", event({ actor: `k${i}` }), 1, 0);
    const taken = counts.takeAll();
    expect(taken.get("-")).toHaveLength(1_001);
    expect(taken.get("-")!.at(-1)).toMatchObject({ actor: "*", count: 4_000 });
    expect(sumOf(taken)).toBe(5_000);
  });

  it("begin when an actor, or a tenant, fails too often", () => {
    const counts = new AuditCounts();
    const recorded = (actor: string, atMs: number) => counts.mayRecordFailure("acme", actor, atMs);
    expect(Array.from({ length: 30 }, () => recorded("k", 0)).filter(Boolean)).toHaveLength(10);
    expect(Array.from({ length: 300 }, (_, i) => recorded(`k${i}`, 1)).filter(Boolean)).toHaveLength(50);
    expect(counts.mayRecordFailure("lab", "k", 1)).toBe(true);
    expect(recorded("k", minuteMs)).toBe(true);
  });
});

describe("a client's hash", () => {
  it("is the same for the same client of the same tenant under the same key, and says nothing else", () => {
    const hash = clientHasher(new Uint8Array(32).fill(7));
    expect(hash("acme", "192.0.2.1")).toMatch(/^[0-9a-f]{16}$/);
    expect(hash("acme", "192.0.2.1")).toBe(clientHasher(new Uint8Array(32).fill(7))("acme", "192.0.2.1"));
    const others = [
      hash("acme", "192.0.2.2"),
      hash("lab", "192.0.2.1"),
      clientHasher(new Uint8Array(32))("acme", "192.0.2.1"),
    ];
    expect(others).not.toContain(hash("acme", "192.0.2.1"));
  });
});
