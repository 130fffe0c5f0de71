import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Client } from "../../src/cli/client.ts";
import { startLocalWorker, type LocalWorker } from "../../src/cli/local-worker.ts";
import { judgeSample, makeSample, playSample, type Sample } from "../../src/cli/sample.ts";

let worker: LocalWorker;
let sample: Sample;

beforeAll(async () => {
  sample = makeSample(1, Date.now());
  worker = await startLocalWorker({ tenants: { demo: { internal: sample.internal } } });
}, 60_000);

afterAll(() => worker?.dispose());

describe("the demo", () => {
  it("finds every planted attack and nothing else", async () => {
    const client = new Client(worker.url, worker.keys["demo"]);
    const lines: string[] = [];
    await playSample(client, sample, (line) => lines.push(line));
    const { isExact, text } = await judgeSample(client, sample);
    expect(isExact, text).toBe(true);
    expect(lines.length).toBeGreaterThan(sample.events.length);
  }, 60_000);
});
