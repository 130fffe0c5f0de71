import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "../../../src/cli/weir.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-cli-"));
const good = join(folder, "good.log");
const bad = join(folder, "bad.log");
const line = "2 123456789012 eni-1 10.0.0.1 192.0.2.1 40000 443 6 3 180 1790000000 1790000010 ACCEPT OK\n";
writeFileSync(good, line);
writeFileSync(bad, line + line.replace(" 443 ", " 70000 "));

let out = "";
let errors = "";

beforeEach(() => {
  out = errors = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => ((out += String(text)), true));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((errors += String(text)), true));
  vi.stubEnv("WEIR_KEY", "k.s");
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

afterAll(() => rmSync(folder, { recursive: true }));

describe("weir", () => {
  it.each([
    [[]],
    [["fetch"]],
    [["toString"]],
    [["parse"]],
    [["parse", good, good]],
    [["parse", good, "--colour"]],
    [["parse", good, "--format", "csv"]],
    [["send", good, "--format", "csv"]],
    [["send", good, "--batch", "many"]],
    [["send", good, "--batch="]],
    [["send", good, "--speed", "slow"]],
    [["send", good, "--url", "there"]],
    [["anomalies", "--threat", "rain"]],
    [["anomalies", "--since", "noon"]],
    [["eval"]],
  ])("answers 2 to %j, with one sentence", async (argv) => {
    expect(await run(argv)).toBe(2);
    expect(errors).toMatch(/^weir: .+\n$/);
  });

  it("answers 1 where it failed", async () => {
    expect(await run(["parse", join(folder, "none.log")])).toBe(1);
    expect(errors).toBe(`weir: There is no file ${join(folder, "none.log")}.\n`);
  });

  it.each([
    ["gz", gzipSync],
    ["zst", zstdCompressSync],
  ])("names a .%s that is cut short or corrupt", async (ending, compress) => {
    const compressed = compress(Buffer.from(line.repeat(100)));
    const corrupt = Buffer.from(compressed);
    corrupt.fill(0xff, 10, 40);
    for (const bytes of [compressed.subarray(0, -9), corrupt]) {
      const file = join(folder, `broken.log.${ending}`);
      writeFileSync(file, bytes);
      errors = "";
      expect(await run(["parse", file])).toBe(1);
      expect(errors).toBe(`weir: The compressed data of ${file} is cut short or corrupt.\n`);
    }
  });

  it("answers 3 to rejected records only under --strict", async () => {
    expect(await run(["parse", bad])).toBe(0);
    expect(out).toContain("received 2, accepted 1, skipped 0, rejected 1\nline 2: out_of_range");
    expect(await run(["parse", bad, "--strict"])).toBe(3);
    expect(await run(["parse", good, "--strict"])).toBe(0);
  });

  it("prints flows as NDJSON and nothing else on stdout under --json", async () => {
    expect(await run(["parse", good, "--json"])).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      start: "2026-09-21T14:13:20.000Z",
      end: "2026-09-21T14:13:30.000Z",
      source: "10.0.0.1",
      target_port: 443,
      protocol: "tcp",
      source_bytes: 180,
    });
    expect(errors).toContain("aws-vpc: received 1");
  });

  it("helps", async () => {
    expect(await run(["send", "--help"])).toBe(0);
    expect(out).toContain("--batch");
  });
});
