import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "../../../src/cli/weir.ts";
import { cloud, logBytes, office, vpcLog, zeekLog } from "../../support/generate.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-replay-"));
const options = { seed: 7, endMs: Date.UTC(2026, 0, 5, 18), hours: 1 };
const vpc = vpcLog(cloud({ ...options, size: 0.1 }));
const log = written("vpc.log", logBytes(vpc));
/** Its records have ids of their own. */
const zeek = written("conn.log", logBytes(zeekLog(office({ ...options, size: 0.02 }))));

function written(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

let out = "";
let errors = "";

beforeEach(() => {
  out = errors = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => ((out += String(text)), true));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((errors += String(text)), true));
});

afterEach(() => vi.restoreAllMocks());
afterAll(() => rmSync(folder, { recursive: true }));

async function digest(...argv: string[]): Promise<string> {
  out = errors = "";
  expect(await run(["replay", "--digest", ...argv])).toBe(0);
  expect(out).toMatch(/^[0-9a-f]{64}\n$/);
  return out.trim();
}

/** The counts of the last run. */
function balance(): { [name: string]: number } {
  const counts = (errors + out).matchAll(
    /(received|accepted|rejected|skipped|duplicate|late|verdicts) ([\d,]+)(?=, |[;:\n])/g,
  );
  return Object.fromEntries([...counts].map(([, name, count]) => [name, Number(count.replaceAll(",", ""))]));
}

describe("weir replay", { timeout: 60_000 }, () => {
  it("shows final verdicts and the balance", async () => {
    expect(await run(["replay", log])).toBe(0);
    const [head, first, ...rest] = out.trimEnd().split("\n");
    expect(head).toMatch(/^window \(UTC\) +severity +threat +entity +summary +state$/);
    expect(first).toMatch(/ final$/);
    for (const threat of ["port_scan", "ddos", "c2_beacon"]) expect(out).toContain(threat);
    expect(out).not.toMatch(/provisional|withdrawn/);
    const { length } = vpc.lines;
    expect(balance()).toMatchObject({ received: length, accepted: length, duplicate: 0, late: 0 });
    expect(balance().verdicts).toBe(rest.length - 1);
    expect(errors).toBe("");
  });

  it.each([
    ["VPC", log],
    ["Zeek", zeek],
  ])("finds the same of %s for any cut and any number of shards", async (_, file) => {
    const whole = await digest(file);
    const balanced = balance();
    expect(balanced.verdicts).toBeGreaterThan(2);
    for (const argv of [
      ["--cut", "100"],
      ["--cut", "200000"],
      ["--cut", "1013", "--shards", "8"],
      ["--shards", "64"],
    ]) {
      expect(await digest(file, ...argv)).toBe(whole);
      expect(balance()).toEqual(balanced);
    }
  });

  it("finds the same in any order, if the allowance covers the input", async () => {
    const inOrder = await digest(log, "--allowance", "86400");
    for (const seed of ["1", "2"]) {
      expect(await digest(log, "--allowance", "86400", "--shuffle", seed, "--cut", "700", "--shards", "3")).toBe(
        inOrder,
      );
      expect(balance().late).toBe(0);
    }
  });

  it("says how many records a shuffle made late", async () => {
    const inOrder = await digest(log);
    expect(await digest(log, "--shuffle", "1")).not.toBe(inOrder);
    const { late, accepted, received } = balance();
    expect(late).toBeGreaterThan(100);
    expect(accepted + late).toBe(received);
    expect(errors).toMatch(/^late [\d,]+: .+--allowance may cover them\.$/m);
  });

  it.each([
    ["VPC", log],
    ["Zeek", zeek],
  ])("learns batches of %s once that come twice", async (_, file) => {
    const once = await digest(file);
    const { received, accepted } = balance();
    for (const argv of [
      ["--cut", "300"],
      ["--cut", "300", "--shards", "5"],
      ["--cut", "5000"],
    ]) {
      expect(await digest(file, "--duplicate", "0.5", ...argv)).toBe(once);
      const { received: receivedNow, duplicate, accepted: acceptedNow } = balance();
      expect(duplicate).toBeGreaterThan(0);
      expect([acceptedNow, receivedNow]).toEqual([accepted, received + duplicate]);
    }
    expect(await digest(file, "--duplicate", "1", "--cut", "500")).toBe(once);
    expect(balance().duplicate).toBe(received);
  });

  it("notices that one record differs", async () => {
    const at = vpc.lines.findIndex((line) => line.includes("REJECT"));
    const lines = vpc.lines.toSpliced(at, 1);
    expect(await digest(written("less.log", logBytes({ ...vpc, lines })))).not.toBe(await digest(log));
  });

  it("depends on key and tenant, and on nothing else of the machine", async () => {
    const digests = [
      await digest(log),
      await digest(log, "--key", "11".repeat(32)),
      await digest(log, "--tenant", "lab"),
      await digest(log, "--internal", "192.0.2.0/24"),
    ];
    expect(new Set(digests).size).toBe(4);
    expect(await digest(log, "--key", "00".repeat(32), "--tenant", "replay")).toBe(digests[0]);
  });

  it("reads several files as one input, plain or compressed", async () => {
    const half = vpc.lines.length >> 1;
    const first = written("1.log.gz", gzipSync(logBytes({ ...vpc, lines: vpc.lines.slice(0, half) })));
    const second = written("2.log.zst", zstdCompressSync(logBytes({ ...vpc, lines: vpc.lines.slice(half) })));
    expect(await digest(first, second)).toBe(await digest(log));
  });

  it("counts what it could not read", async () => {
    const bad = written(
      "bad.log",
      Buffer.from(`${vpc.lines[0]}\n${vpc.lines[0].replace(" OK", " NODATA")}\n2 what is this\n`),
    );
    expect(await run(["replay", bad, "--format", "aws-vpc"])).toBe(0);
    expect(balance()).toMatchObject({ received: 3, accepted: 1, skipped: 1, rejected: 1 });
    expect(out).toContain("Nothing was found.");
  });

  it.each([
    [[]],
    [["--digest"]],
    [[log, "--colour"]],
    [[log, "--cut", "0"]],
    [[log, "--cut", "many"]],
    [[log, "--shards", "65"]],
    [[log, "--shuffle", "often"]],
    [[log, "--shuffle="]],
    [[log, "--duplicate", "2"]],
    [[log, "--duplicate", "now and then"]],
    [[log, "--format", "csv"]],
    [[log, "--allowance", "-1"]],
    [[log, "--internal", "10.0.0.0/99"]],
    [[log, "--tenant", "No Name"]],
    [[log, "--key", "00"]],
  ])("answers 2 to %j, with one sentence", async (argv) => {
    expect(await run(["replay", ...argv])).toBe(2);
    expect(errors).toMatch(/^weir: .+\n$/);
    expect(out).toBe("");
  });

  it("answers 1 where there is no file", async () => {
    expect(await run(["replay", join(folder, "none.log")])).toBe(1);
    expect(errors).toBe(`weir: There is no file ${join(folder, "none.log")}.\n`);
  });
});
