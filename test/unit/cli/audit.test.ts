import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "../../../src/cli/weir.ts";
import { chainStart, continued, entryOf, type AuditRow, type ChainHead } from "../../../src/security/audit-chain.ts";

let server: Server | undefined;
let out = "";
let errors = "";
/** What the server has, and says of it. */
let rows: AuditRow[] = [];
let head: ChainHead;
/** What was asked for. */
let asked: string[] = [];

/** More than fit an answer. */
const length = 1_500;

/** A server that says that all is well, whatever it has. */
function serve(): Promise<string> {
  return new Promise((resolve) => {
    server = createServer((request, response) => {
      asked.push(request.url!);
      const { pathname, searchParams } = new URL(request.url!, "http://weir.example");
      if (pathname === "/v1/audit/verify") {
        response.end(JSON.stringify({ status: "ok", broken: null, checked: 1, last: 1, next: null, head }));
        return;
      }
      const [after, before] = ["after", "before"].map((name) => searchParams.get(name));
      const limit = Number(searchParams.get("limit"));
      const all = before === null ? rows.filter((row) => row.sequence > Number(after)) : rows.toReversed();
      const page = all.slice(0, limit);
      const shown = page.map(({ at, detail, ...row }) => {
        return { ...row, at: new Date(at).toISOString(), detail: JSON.parse(detail) as object };
      });
      response.end(JSON.stringify({ rows: shown, next: all.length > limit ? page.at(-1)!.sequence : null }));
    }).listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(server!.address() as AddressInfo).port}`));
  });
}

beforeEach(() => {
  out = errors = "";
  asked = [];
  const entries = Array.from({ length }, (_, i) =>
    entryOf({ action: "keys.create", actor: "admin", outcome: "success", detail: { kid: `k${i}`, a: i } }, i * 1000),
  );
  rows = continued("acme", chainStart, entries);
  const { sequence, hash } = rows[length - 1];
  head = { sequence, hash, announced: [], broken: null };
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((errors += String(text)), true));
  vi.spyOn(console, "log").mockImplementation((text) => void (out += `${text}\n`));
  vi.stubEnv("WEIR_KEY", "k.s");
});

afterEach(() => {
  server?.close();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe("weir audit verify", () => {
  it("says in a line that all is well", async () => {
    expect(await run(["audit", "verify", "--url", await serve()])).toBe(0);
    expect(out).toBe(`The audit log of acme is whole: 1,500 rows, the last is ${head.hash}.\n`);
  });

  it("has nothing to say against an empty one", async () => {
    rows = [];
    head = { ...chainStart, announced: [], broken: null };
    expect(await run(["audit", "verify", "--url", await serve()])).toBe(0);
    expect(out).toContain("is whole: 0 rows");
  });

  it.each<[what: string, row: number, how: () => void, why: string]>([
    ["changed", 1_200, () => void (rows[1_199] = { ...rows[1_199], actor: "somebody" }), "it is not what was written"],
    ["missing", 1_001, () => void rows.splice(1_000, 1), "it was taken out"],
    ["cut off", 1_401, () => void rows.splice(1_400), "it and all behind it were taken away"],
    [
      "added",
      1_501,
      () =>
        void rows.push(
          ...continued("acme", rows[1_499], [entryOf({ action: "a", actor: "b", outcome: "success" }, 0)]),
        ),
      "nobody wrote it",
    ],
    ["grown over", 3, () => void (head.broken = { sequence: 3, why: "changed" }), "it is not what was written"],
  ])("names the first row that was %s: %i, though the server sees none", async (_, row, how, why) => {
    how();
    expect(await run(["audit", "verify", "--url", await serve()])).toBe(1);
    expect(errors).toBe(`weir: The audit log of acme is broken at row ${row}: ${why}.\n`);
  });
});

describe("weir audit list", () => {
  it("shows the newest rows, the newest last", async () => {
    expect(await run(["audit", "list", "--limit", "2", "--actor", "admin", "--url", await serve()])).toBe(0);
    expect(asked).toEqual([`/v1/audit?before=${Number.MAX_SAFE_INTEGER}&actor=admin&limit=2`]);
    expect(out.split("\n")).toEqual([
      " row  time (UTC)           actor  action       outcome  count  detail",
      "1499  1970-01-01 00:24:58  admin  keys.create  success      1  a=1498 kid=k1498",
      "1500  1970-01-01 00:24:59  admin  keys.create  success      1  a=1499 kid=k1499",
      "",
    ]);
  });

  it("shows another part, also as the API answers it", async () => {
    expect(await run(["audit", "list", "--after", "7", "--limit", "1", "--json", "--url", await serve()])).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ rows: [{ sequence: 8, detail: { kid: "k7" }, hash: rows[7].hash }] });
    expect(await run(["audit", "list", "--after", "x", "--url", "http://127.0.0.1:1"])).toBe(2);
  });

  it("is one of the things that there are", async () => {
    expect(await run(["audit"])).toBe(2);
    expect(await run(["audit", "burn"])).toBe(2);
  });
});
