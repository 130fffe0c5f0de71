import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { plantedBugs } from "./planted.ts";
import { planOf } from "./plan.ts";
import { simulate } from "./simulate.ts";

const seeds = 200;
const seedsPerTest = 20;
const timeoutMs = 300_000;

describe("a simulation", () => {
  for (let from = 1; from <= seeds; from += seedsPerTest) {
    it(
      `loses nothing, doubles nothing and judges alike: seeds ${from} to ${from + seedsPerTest - 1}`,
      async () => {
        for (let seed = from; seed < from + seedsPerTest; seed++) {
          const { wrong } = await simulate({ seed });
          expect(wrong, `npm run simulate -- --seed ${seed}`).toEqual([]);
        }
      },
      timeoutMs,
    );
  }

  it("is the same when it is run again", async () => {
    const [first, second] = [await simulate({ seed: 8 }), await simulate({ seed: 8 })];
    expect(second.digests).toEqual(first.digests);
    expect(Object.values(first.digests).flat().length).toBeGreaterThan(3);
  });

  it(
    "comes to the same verdicts in any order in which nothing is late and no cap is reached",
    async () => {
      let compared = 0;
      for (let seed = 1; compared < 8; seed++) {
        const options = { seed, without: ["caps", "late_flows"] } as const;
        if (planOf(options).allowanceMs < 3_600_000) continue;
        const [one, other] = [await simulate(options), await simulate({ ...options, schedule: seed + 1000 })];
        expect([one.late, other.late]).toEqual([0, 0]);
        expect(other.digests).toEqual(one.digests);
        compared++;
      }
    },
    timeoutMs,
  );
});

describe("a simulation finds, within 200 seeds,", () => {
  const [plant, run] = ["plant.ts", "run.ts"].map((name) => fileURLToPath(new URL(name, import.meta.url)));
  for (const name of Object.keys(plantedBugs)) {
    it(
      name.replaceAll("_", " "),
      async () => {
        const args = ["--import", plant, run, "--seeds", String(seeds), "--first"];
        const finding = promisify(execFile)(process.execPath, args, { env: { ...process.env, PLANTED: name } });
        await expect(finding).rejects.toMatchObject({ code: 1, stdout: expect.stringMatching(/^seed \d+ went wrong/) });
      },
      timeoutMs,
    );
  }
});
