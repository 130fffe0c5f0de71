import { env, runInDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import * as v from "valibot";
import type { AuditHead } from "../../durable-objects/audit-head.ts";
import { auditRows, auditVerified } from "../../src/api/schemas.ts";
import { breakAgainst, breakIn, chainStart, continued, entryOf, type Break } from "../../src/security/audit-chain.ts";
import type { AuditEvent } from "../../src/security/audit.ts";
import { StorageError } from "../../src/storage/d1.ts";
import { d1ConfigurationStore } from "../../src/storage/d1-configuration-store.ts";
import type { D1Audit } from "../../src/storage/d1-audit.ts";
import { auditOf, auth, clock, configurationsOf, hourMs, testApp } from "./harness.ts";

/** Chains have no end: each test has tenants of its own. */
let tests = 0;
let tenant = "";
beforeEach(() => {
  tenant = `t${++tests}`;
});

const event = (more: Partial<AuditEvent> = {}): AuditEvent => ({
  action: "config.replace",
  actor: "admin",
  outcome: "success",
  ...more,
});

const rowsOf = async (of = tenant) => (await auditOf().list(of, { limit: 10_000 })).rows;

/** By the server, in parts of two rows. */
async function verified(of = tenant): Promise<Break | undefined> {
  for (let after = 0; ;) {
    const { broken, hasMore, last } = await auditOf().verify(of, after, 2);
    if (!hasMore) return broken;
    after = last;
  }
}

/** One whose work behind the answers can be waited for; those who linger then do so no longer. */
function toldAudit(more: Parameters<typeof auditOf>[0] = {}) {
  const pending: Promise<unknown>[] = [];
  const lingering: (() => void)[] = [];
  const messages: string[] = [];
  const wait = (ms: number) => (ms > 1_000 ? new Promise<void>((done) => lingering.push(done)) : clock.wait(ms));
  const waitUntil = (promise: Promise<unknown>) => void pending.push(promise);
  const told = async () => {
    for (const done of lingering) done();
    // What is waited for may bring more of it.
    for (const promise of pending) await promise;
  };
  const log = ({ message }: { message: string }) => void messages.push(message);
  return { audit: auditOf({ clock: { ...clock, wait }, waitUntil, log, ...more }), messages, lingering, told };
}

async function chainOf(length: number, of = tenant): Promise<void> {
  const { audit, told } = toldAudit();
  for (let i = 1; i <= length; i++) await audit.record(of, event({ detail: { version: i }, requestId: `r${i}` }));
  await told();
}

const sql = (text: string, ...values: unknown[]) =>
  env.DB.prepare(text)
    .bind(...values)
    .run();

/** A D1 whose next batches do not answer, before or after they did what they were asked. */
function failingD1(message: string, when: "before" | "after", times = 1): typeof env.DB {
  let left = times;
  const batch: typeof env.DB.batch = async (statements) => {
    if (left > 0 && when === "before" && left--) throw new Error(message);
    const results = await env.DB.batch(statements);
    if (left > 0 && left--) throw new Error(message);
    return results as never;
  };
  return { prepare: (text: string) => env.DB.prepare(text), batch } as typeof env.DB;
}

describe("an audit chain", () => {
  it("has a row for each event, that follows the row before", async () => {
    await chainOf(5);
    const rows = await rowsOf();
    expect(rows.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5]);
    expect(rows[2]).toMatchObject({ tenant, at: hourMs, count: 1, detail: '{"version":3}', request_id: "r3" });
    expect(breakIn(chainStart, rows)).toBeUndefined();
    expect(await verified()).toBeUndefined();
    const { head } = await auditOf().verify(tenant, 0, 1);
    expect(head).toEqual({ sequence: 5, hash: rows[4].hash, announced: [], broken: null });
  });

  it("is whole while there is nothing in it", async () => {
    expect(await verified()).toBeUndefined();
  });

  it("keeps what is odd as it was", async () => {
    const detail = { text: "\u0000\ud800\u2028'\"\\", number: 1e21, fraction: 0.1, none: null, yes: true };
    await auditOf().record(tenant, event({ detail, actor: "é\n", requestId: "" }));
    expect(await verified()).toBeUndefined();
    const [row] = await rowsOf();
    expect(JSON.parse(row.detail)).toEqual(detail);
    expect(row.actor).toBe("??");
  });

  it("is one, however many isolates write to it at once", async () => {
    const chance = { ...clock, chance: () => Math.random() };
    const isolates = Array.from({ length: 8 }, () => toldAudit({ clock: chance }));
    const statements = () => [env.DB.prepare("INSERT INTO configurations VALUES (?, ?, '{}', 0, 'k')").bind(tenant, 1)];
    const changes = isolates.map(({ audit }, i) =>
      audit.withChange(tenant, event({ actor: `isolate-${i}` }), () => [
        env.DB.prepare("INSERT INTO configurations VALUES (?, ?, '{}', 0, 'k')").bind(tenant, i),
      ]),
    );
    const records = isolates.flatMap(({ audit }) => [1, 2].map(() => audit.record(tenant, event())));
    await Promise.all([...changes, ...records]);
    await Promise.all(isolates.map(({ told }) => told()));
    expect(await rowsOf()).toHaveLength(24);
    expect(await verified()).toBeUndefined();
    expect((await auditOf().verify(tenant, 0, 1)).head).toMatchObject({ sequence: 24, announced: [] });
    // A change that fails by itself is not tried again, and not recorded.
    await expect(isolates[0].audit.withChange(tenant, event(), statements)).rejects.toThrow(StorageError);
    expect(await rowsOf()).toHaveLength(24);
  });
});

/** What somebody does who can write to the database. */
const tampering: { what: string; broken: Break; how: (of: string) => Promise<unknown> }[] = [
  ...Object.entries({
    at: 1,
    actor: "x",
    action: "x",
    outcome: "failure",
    count: 2,
    detail: "{}",
    request_id: null,
    previous: "0",
    hash: "0",
  }).map(([column, value]) => ({
    what: `a changed ${column}`,
    broken: { sequence: 3, why: "changed" } as const,
    how: (of: string) => sql(`UPDATE audit SET ${column} = ? WHERE tenant = ? AND sequence = 3`, value, of),
  })),
  {
    what: "a changed row with a hash that matches",
    broken: { sequence: 3, why: "changed" },
    how: (of) => rewrite(of, 3, 3),
  },
  {
    what: "a changed row, and all behind it written anew",
    broken: { sequence: 6, why: "changed" },
    how: (of) => rewrite(of, 3, 6),
  },
  {
    what: "a removed row",
    broken: { sequence: 3, why: "missing" },
    how: (of) => sql("DELETE FROM audit WHERE tenant = ? AND sequence = 3", of),
  },
  {
    what: "the first row removed",
    broken: { sequence: 1, why: "missing" },
    how: (of) => sql("DELETE FROM audit WHERE tenant = ? AND sequence = 1", of),
  },
  {
    what: "a removed row whose followers got new numbers",
    broken: { sequence: 3, why: "missing" },
    async how(of) {
      await sql("DELETE FROM audit WHERE tenant = ? AND sequence = 3", of);
      for (const sequence of [4, 5, 6])
        await sql("UPDATE audit SET sequence = sequence - 1 WHERE tenant = ? AND sequence = ?", of, sequence);
    },
  },
  {
    what: "an inserted row",
    broken: { sequence: 3, why: "inserted" },
    async how(of) {
      for (const sequence of [6, 5, 4, 3])
        await sql("UPDATE audit SET sequence = sequence + 1 WHERE tenant = ? AND sequence = ?", of, sequence);
      await forge(of, 2);
    },
  },
  { what: "a row added behind the last", broken: { sequence: 7, why: "inserted" }, how: (of) => forge(of, 6) },
  {
    what: "a row added behind the last, upon which an honest writer built",
    broken: { sequence: 7, why: "inserted" },
    async how(of) {
      await forge(of, 6);
      await chainOf(3, of);
    },
  },
  {
    what: "two rows that changed places",
    broken: { sequence: 3, why: "reordered" },
    async how(of) {
      const move = (from: number, to: number) =>
        sql("UPDATE audit SET sequence = ? WHERE tenant = ? AND sequence = ?", to, of, from);
      await move(3, 100);
      await move(4, 3);
      await move(100, 4);
    },
  },
  {
    what: "the last row cut off",
    broken: { sequence: 6, why: "cut_off" },
    how: (of) => sql("DELETE FROM audit WHERE tenant = ? AND sequence > 5", of),
  },
  {
    what: "a cut that was grown over again",
    broken: { sequence: 5, why: "changed" },
    async how(of) {
      await sql("DELETE FROM audit WHERE tenant = ? AND sequence > 4", of);
      await chainOf(5, of);
    },
  },
  {
    what: "all rows removed",
    broken: { sequence: 1, why: "cut_off" },
    how: (of) => sql("DELETE FROM audit WHERE tenant = ?", of),
  },
];

/** Writes rows anew, each with hashes that match. */
async function rewrite(of: string, from: number, to: number): Promise<void> {
  const rows = await rowsOf(of);
  const entries = rows.slice(from - 1, to).map((row) => ({ ...entryOf(event({ actor: "forger" }), row.at) }));
  for (const { actor, detail, request_id, previous, hash, sequence } of continued(of, rows[from - 2], entries)) {
    const text = `UPDATE audit SET actor = ?, detail = ?, request_id = ?, previous = ?, hash = ?
      WHERE tenant = ? AND sequence = ?`;
    await sql(text, actor, detail, request_id, previous, hash, of, sequence);
  }
}

/** Adds a row that follows the one at `after`, with hashes that match. */
async function forge(of: string, after: number): Promise<void> {
  const before = (await rowsOf(of)).find(({ sequence }) => sequence === after)!;
  const [row] = continued(of, before, [entryOf(event({ actor: "forger" }), 5)]);
  await sql(`INSERT INTO audit VALUES (${"?, ".repeat(10)}?)`, ...Object.values(row));
}

describe("what somebody did to the database", () => {
  it.each(tampering)("shows: $what", async ({ how, broken }) => {
    await chainOf(6);
    await how(tenant);
    const rows = await rowsOf();
    // As who has all rows, and trusts nobody, sees it.
    const { head } = await auditOf().verify(tenant, 0, 1);
    const seen = breakIn(chainStart, rows) ?? breakAgainst(head, rows);
    const isCut = !seen && rows.length < head.sequence;
    expect(isCut ? { sequence: rows.length + 1, why: "cut_off" } : seen).toEqual(broken);
    expect(await verified()).toEqual(broken);
  });

  it("shows in a long chain, wherever it was done", async () => {
    const { audit, told } = toldAudit();
    for (let i = 0; i < 250; i++) audit.count(tenant, event({ actor: `k${i}` }));
    await audit.flush();
    await told();
    expect(await verified()).toBeUndefined();
    await sql("UPDATE audit SET count = 7 WHERE tenant = ? AND sequence = 201", tenant);
    expect(await verified()).toEqual({ sequence: 201, why: "changed" });
  });

  it("cannot make a row that is odd break the check", async () => {
    await chainOf(3);
    await sql("UPDATE audit SET at = 9e18, detail = '{' WHERE tenant = ? AND sequence = 2", tenant);
    expect(await verified()).toEqual({ sequence: 2, why: "changed" });
  });
});

describe("the head of a chain", () => {
  it("knows a row whose writer died before it could say that it was written", async () => {
    await chainOf(2);
    const headOf = (of: string) => {
      const object = env.AUDIT_HEAD.get(env.AUDIT_HEAD.idFromName(of));
      return {
        announce: (rows: Parameters<typeof object.announce>[0]) => object.announce(rows),
        confirm: () => Promise.reject(new Error("died")),
        head: () => object.head(),
      };
    };
    const { audit, told, messages } = toldAudit({ headOf });
    await audit.record(tenant, event());
    await told();
    expect(messages).toEqual(["audit head not told"]);
    expect((await auditOf().verify(tenant, 0, 1)).head).toMatchObject({ sequence: 2, announced: [{ sequence: 3 }] });
    expect(await verified()).toBeUndefined();
    await chainOf(1);
    expect((await auditOf().verify(tenant, 0, 1)).head).toMatchObject({ sequence: 4, announced: [] });
    expect(await verified()).toBeUndefined();
  });

  it("forgets rows of long ago, and announcements that came to nothing", async () => {
    const object = env.AUDIT_HEAD.get(env.AUDIT_HEAD.idFromName(tenant));
    const rows = continued(
      tenant,
      chainStart,
      Array.from({ length: 1_500 }, (_, i) => entryOf(event(), i)),
    );
    for (let from = 0; from < 1_500; from += 100) {
      const some = rows.slice(from, from + 100).map(({ sequence, hash, previous }) => ({ sequence, hash, previous }));
      await object.announce(some);
      await object.confirm(some);
    }
    const kept = await runInDurableObject(object, async (inside: AuditHead, { storage }) => {
      for (let i = 0; i < 2_500; i++) {
        const hash = i.toString(16).padStart(64, "0");
        await inside.announce([{ sequence: 1_501, hash, previous: rows[1_499].hash }]);
      }
      return storage.sql.exec("SELECT is_confirmed, count(*) AS n FROM told GROUP BY is_confirmed").toArray();
    });
    expect(kept).toEqual([
      { is_confirmed: 0, n: 2_000 },
      { is_confirmed: 1, n: 1_000 },
    ]);
    expect(await object.head()).toMatchObject({ sequence: 1_500, hash: rows[1_499].hash, broken: null });
  });

  it("is part of each write: without it nothing is changed, and what happened waits", async () => {
    const headOf = () => ({ announce: () => Promise.reject(new Error("no object")) });
    const { audit, messages } = toldAudit({ headOf: headOf as never });
    await expect(audit.withChange(tenant, event(), () => [])).rejects.toThrow(StorageError);
    await audit.record(tenant, event());
    expect(messages).toEqual(["audit rows not stored"]);
    expect(await rowsOf()).toEqual([]);
  });
});

describe("a change", () => {
  const choice = { preset: "quiet", thresholds: {} } as const;
  const versions = async () => (await storeOf(auditOf()).list(tenant, 10)).length;
  const storeOf = (audit: D1Audit, db = env.DB) => d1ConfigurationStore({ db, clock, audit });
  const author = { kid: "admin", requestId: "r" };

  it("is recorded with itself", async () => {
    await storeOf(auditOf()).add(tenant, 0, choice, author);
    expect(await rowsOf()).toMatchObject([
      { action: "config.replace", actor: "admin", request_id: "r", detail: '{"preset":"quiet","version":1}' },
    ]);
  });

  it("that lost against another one leaves no row", async () => {
    const added = await Promise.all([1, 2, 3, 4, 5].map(() => storeOf(auditOf()).add(tenant, 0, choice, author)));
    // The same author, choice and time: all of them find what they wanted.
    expect(added.filter(Boolean).length).toBeGreaterThan(0);
    expect(await storeOf(auditOf()).add(tenant, 0, { preset: "balanced", thresholds: {} }, author)).toBeUndefined();
    expect([await versions(), (await rowsOf()).length]).toEqual([1, 1]);
    expect(await verified()).toBeUndefined();
  });

  it("is neither done nor recorded while the database fails", async () => {
    const db = failingD1("D1 DB is overloaded", "before");
    await expect(storeOf(auditOf({ db }), db).add(tenant, 0, choice, author)).rejects.toThrow(StorageError);
    expect([await versions(), await rowsOf()]).toEqual([0, []]);
  });

  it("is done and recorded once where the answer got lost", async () => {
    const db = failingD1("Network connection lost", "after");
    expect(await storeOf(auditOf({ db }), db).add(tenant, 0, choice, author)).toMatchObject({ version: 1 });
    expect([await versions(), (await rowsOf()).length]).toEqual([1, 1]);
    // Also one that does something each time it is done.
    const lost = auditOf({ db: failingD1("Network connection lost", "after") });
    const [updated] = await lost.withChange(tenant, event(), () => [
      env.DB.prepare("UPDATE configurations SET created_by = 'k' WHERE tenant = ? RETURNING created_by").bind(tenant),
    ]);
    expect(updated.results).toEqual([{ created_by: "k" }]);
    await chainOf(1);
    expect(await rowsOf()).toHaveLength(3);
    expect(await verified()).toBeUndefined();
  });
});

describe("an event", () => {
  it("that cannot be stored is stored with the next, in the order in which it happened", async () => {
    const { audit, told, messages } = toldAudit({ db: failingD1("D1 DB is overloaded", "before", 2) });
    for (const actor of ["first", "second", "third"]) await audit.record(tenant, event({ actor }));
    expect(messages).toEqual(["audit rows not stored", "audit rows not stored"]);
    expect((await rowsOf()).map(({ actor }) => actor)).toEqual(["first", "second", "third"]);
    await told();
    expect(await verified()).toBeUndefined();
  });

  it("is counted where it is one of many", async () => {
    const { audit, told } = toldAudit();
    for (let i = 0; i < 40; i++) audit.count(tenant, event({ action: "ingest", actor: `k${i % 2}`, detail: { i } }));
    audit.count(tenant, event({ action: "verdicts", actor: "k0" }), 60);
    await audit.flush();
    const rows = await rowsOf();
    expect(rows.map(({ action, actor, count }) => [action, actor, count])).toEqual([
      ["ingest", "k0", 20],
      ["ingest", "k1", 20],
      ["verdicts", "k0", 60],
    ]);
    await told();
    expect(await verified()).toBeUndefined();
  });

  it("is counted until its minute is over, or nothing more comes", async () => {
    const { audit, told, lingering } = toldAudit();
    for (const [actor, atMs] of [
      ["k", 0],
      ["k", 4_000],
      ["k", 59_000],
      ["k", 60_000],
      ["other", 61_000],
    ] as const) {
      clock.now = hourMs + atMs;
      audit.count(tenant, event({ actor }));
    }
    // Those at 4, 60 and 61 s have another one who waits for them.
    expect(lingering).toHaveLength(2);
    await expect.poll(async () => (await rowsOf()).map(({ count }) => count)).toEqual([3]);
    await told();
    clock.now = hourMs;
    expect((await rowsOf()).map(({ actor, count }) => [actor, count])).toEqual([
      ["k", 3],
      ["k", 1],
      ["other", 1],
    ]);
  });

  it("is counted where it is one of a flood of failures", async () => {
    const { audit, told } = toldAudit();
    const failure = event({ action: "authentication", actor: "-", outcome: "failure", detail: { client: "c" } });
    for (let i = 0; i < 100; i++) await audit.record(tenant, failure);
    await audit.flush();
    await told();
    const rows = await rowsOf();
    expect(rows).toHaveLength(11);
    expect(rows[10]).toMatchObject({ count: 90, detail: '{"client":"c"}', outcome: "failure" });
    expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(100);
    expect(await verified()).toBeUndefined();
  });
});

describe("/v1/audit", () => {
  const ask = (path: string, kid: Parameters<typeof auth>[0] = "admin") =>
    testApp({ audit: auditOf(), configurations: configurationsOf() }).app.request(`/v1/audit${path}`, {
      headers: auth(kid),
    });
  async function rows(path: string, kid: Parameters<typeof auth>[0] = "admin") {
    const response = await ask(path, kid);
    expect(response.status, await response.clone().text()).toBe(200);
    return v.parse(auditRows, await response.json());
  }

  it("lists the rows of the tenant, in pages, oldest or newest first, and some of them", async () => {
    await chainOf(5, "acme");
    const first = await rows("?limit=3");
    expect(first).toMatchObject({ rows: [{ sequence: 1 }, { sequence: 2 }, { sequence: 3 }], next: 3 });
    expect(first.rows[0]).toMatchObject({ tenant: "acme", at: "2026-11-22T17:00:00.000Z", detail: { version: 1 } });
    expect((await rows("?after=3&limit=1")).rows).toMatchObject([{ sequence: 4 }]);
    const newest = await rows("?before=4&limit=2");
    expect(newest).toMatchObject({ rows: [{ sequence: 3 }, { sequence: 2 }], next: 2 });
    await auditOf().record("acme", event({ action: "keys.create", actor: "somebody" }));
    expect((await rows("?action=keys.create")).rows).toMatchObject([{ actor: "somebody" }]);
    expect((await rows("?actor=somebody&action=keys.revoke")).rows).toEqual([]);
    expect((await rows("", "other")).rows.filter((row) => row.tenant !== "lab")).toEqual([]);
  });

  it("is for those who may, and says what is wrong with a question", async () => {
    for (const kid of ["shipper", "viewer"] as const) {
      for (const path of ["", "/verify"]) expect((await ask(path, kid)).status).toBe(403);
    }
    for (const path of [
      "?limit=0",
      "?limit=1001",
      "?after=-1",
      "?after=1&before=2",
      "?action=a%20b",
      "?actor='%20OR%201=1",
      "?tenant=lab",
      "/verify?limit=5001",
      "/verify?after=x",
    ])
      expect((await ask(path)).status, path).toBe(400);
  });

  it("checks the chain in parts", async () => {
    await chainOf(3, "lab");
    const first = v.parse(auditVerified, await (await ask("/verify?limit=2", "other")).json());
    expect(first).toMatchObject({ status: "ok", broken: null, checked: 2, last: 2, next: 2 });
    const part = v.parse(auditVerified, await (await ask(`/verify?after=2`, "other")).json());
    expect(part).toMatchObject({ status: "ok", next: null });
    await sql("DELETE FROM audit WHERE tenant = 'lab' AND sequence = 2");
    for (const after of [0, 2]) {
      const broken = v.parse(auditVerified, await (await ask(`/verify?after=${after}`, "other")).json());
      expect(broken).toMatchObject({ status: "broken", broken: { sequence: 2, why: "missing" }, next: null });
    }
  });
});

describe("a Worker that runs", () => {
  it("records what is done with its keys, and proves it", async () => {
    const send = (path: string, init: { method?: string; body?: string; headers?: Record<string, string> } = {}) =>
      exports.default.fetch(`https://weir.example${path}`, { ...init, headers: { ...auth("admin"), ...init.headers } });
    const headers = { "Content-Type": "application/json", "If-Match": '"0"' };
    const replaced = await send("/v1/config", { method: "PUT", body: "{}", headers });
    expect(replaced.status).toBe(200);
    const { rows: found } = v.parse(auditRows, await (await send("/v1/audit?action=config.replace")).json());
    expect(found.at(-1)).toMatchObject({ tenant: "acme", actor: "admin", detail: { version: 1 } });
    expect(found.at(-1)!.request_id).toBe(replaced.headers.get("X-Request-Id"));
    expect((await send("/v1/config", { headers: { Authorization: "Bearer admin.wrong" } })).status).toBe(401);
    await expect
      .poll(async () => (await rowsOf("acme")).map(({ action, outcome }) => `${action} ${outcome}`))
      .toEqual(expect.arrayContaining(["audit.read success", "authentication failure"]));
    for (let after = 0; ;) {
      const part = v.parse(auditVerified, await (await send(`/v1/audit/verify?after=${after}&limit=3`)).json());
      expect(part).toMatchObject({ status: "ok", broken: null });
      if (part.next === null || part.last > 20) break;
      after = part.next;
    }
  });
});
