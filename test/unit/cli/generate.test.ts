import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { readLog } from "../../../src/cli/read-log.ts";
import { cloud, fastVpc, logBytes, office, vpcLog, zeekLog } from "../../support/generate.ts";

const options = { seed: 7, endMs: Date.UTC(2026, 0, 5, 18), hours: 2, size: 0.1 };
const samples = [
  { name: "cloud as VPC", make: (seed: number) => vpcLog(cloud({ ...options, seed })), scene: cloud(options) },
  { name: "cloud as Zeek", make: (seed: number) => zeekLog(cloud({ ...options, seed })), scene: cloud(options) },
  { name: "office as VPC", make: (seed: number) => vpcLog(office({ ...options, seed })), scene: office(options) },
  { name: "office as Zeek", make: (seed: number) => zeekLog(office({ ...options, seed })), scene: office(options) },
];

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

describe.each(samples)("$name", ({ make, scene }) => {
  it("is the same for the same seed and another for another", () => {
    const [one, again, other] = [7, 7, 8].map((seed) => digest(logBytes(make(seed))));
    expect(again).toBe(one);
    expect(other).not.toBe(one);
  });

  it("is in order, ends in time, and parses without a reject", async () => {
    const log = make(7);
    expect(log.endMs.toSorted((a, b) => a - b)).toEqual(log.endMs);
    expect(log.endMs.at(-1)).toBeLessThanOrEqual(options.endMs);
    const summary = await readLog([logBytes(log)], { format: "auto" }, () => {});
    expect(summary).toMatchObject({ received: log.lines.length, accepted: log.lines.length });
  });

  it("names planted attackers that are in the traffic", () => {
    const hosts = new Set(scene.connections.flatMap(({ source, target }) => [source, target]));
    expect(scene.events.length).toBeGreaterThan(7);
    for (const { entity, peer = [] } of scene.events)
      expect([...entity, ...peer].filter((host) => !hosts.has(host))).toEqual([]);
  });
});

describe("sample addresses", () => {
  it("are private or reserved for documentation and benchmarks", () => {
    const allowed = /^(10\.|192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|198\.1[89]\.|fd00:|2001:db8:)/;
    const hosts = samples.flatMap(({ scene }) => scene.connections.flatMap(({ source, target }) => [source, target]));
    expect([...new Set(hosts)].filter((host) => !allowed.test(host))).toEqual([]);
  });
});

describe("fastVpc", () => {
  it("is the same for the same seed, and every line is a flow", async () => {
    const make = () => fastVpc({ seed: 3, flows: 2000, startMs: options.endMs, spanMs: 60_000, scanShare: 0.1 });
    expect(make()).toBe(make());
    expect(await readLog([Buffer.from(make())], { format: "auto" }, () => {})).toMatchObject({ accepted: 2000 });
  });
});
