import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { run } from "../../../src/cli/weir.ts";
import { answering } from "./answering.ts";

const weir = answering();

describe("send", () => {
  const folder = mkdtempSync(join(tmpdir(), "weir-send-"));
  const file = join(folder, "a.log");
  const zeros = { rejected: 0, skipped: 0, duplicate: 0, sampled: 0, rejects: [], anomalies: [] };
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("ends with the balance, and says what late records are", async () => {
    writeFileSync(file, "2 a\n2 b\n2 c\n");
    await weir.serve([
      { received: 2, accepted: 2, late: 0, ...zeros },
      { received: 1, accepted: 0, late: 1, ...zeros },
    ]);
    expect(await run(["send", file, "--batch", "2"])).toBe(0);
    expect(weir.out).toContain("received 3, accepted 2,");
    const [first, last, late] = weir.errors.trimEnd().split("\n");
    expect(first).toContain("2 records,");
    expect(last).toMatch(/^100 % {2}3 records,/);
    expect(late).toMatch(/^late 1: .+ not learnt\. Send logs in order of time, raise LATENESS_ALLOWANCE_S/);
  });
});

describe("anomalies", () => {
  const found = (start: string, end: string) => ({
    window: { start, end },
    severity: "high",
    threat: "ddos",
    entity: "10.0.0.1",
    summary: "flood",
    state: "final",
  });

  it("lists windows, newest first as the API gives them", async () => {
    await weir.serve([
      {
        anomalies: [
          found("2026-11-22T17:00:00.000Z", "2026-11-22T18:00:00.000Z"),
          found("2026-11-21T00:00:00.000Z", "2026-11-22T00:00:00.000Z"),
        ],
        next: null,
      },
    ]);
    expect(await run(["anomalies"])).toBe(0);
    expect(
      weir.out
        .trimEnd()
        .split("\n")
        .map((line) => line.split("  ")[0]),
    ).toEqual(["window (UTC)", "2026-11-22 17:00–18:00", "2026-11-21 00:00–2026-11-22 00:00"]);
  });
});
