import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { startLocalWorker, type LocalWorker } from "../../src/cli/local-worker.ts";
import { run } from "../../src/cli/weir.ts";
import { logBytes, office, zeekLog } from "../support/generate.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-e2e-"));
const file = join(folder, "conn.log.gz");
const scene = office({ seed: 2, endMs: Date.UTC(2026, 0, 5, 18), hours: 2 });
const log = zeekLog(scene);
let worker: LocalWorker;
let out = "";

beforeAll(async () => {
  writeFileSync(file, gzipSync(logBytes(log)));
  writeFileSync(
    join(folder, "truth.json"),
    JSON.stringify({ "conn.log.gz": { ...scene, benign: "*", connections: undefined } }),
  );
  worker = await startLocalWorker({ tenants: { office: { internal: scene.internal } } });
}, 60_000);

afterAll(async () => {
  await worker?.dispose();
  rmSync(folder, { recursive: true });
});

beforeEach(() => {
  out = "";
  vi.spyOn(console, "log").mockImplementation((text) => void (out += `${text}\n`));
  vi.spyOn(process.stderr, "write").mockImplementation(() => true);
  vi.stubEnv("WEIR_URL", worker.url);
  vi.stubEnv("WEIR_KEY", worker.keys["office"]);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

it("sends a log in batches and lists what was found in it", async () => {
  expect(await run(["send", file, "--batch", "2000", "--strict"])).toBe(0);
  expect(out).toContain(`received ${log.lines.length.toLocaleString("en-US")}, accepted`);
  out = "";
  expect(await run(["anomalies", "--threat", "port_scan", "--entity", "10.10.0.31", "--json"])).toBe(0);
  expect(JSON.parse(out).anomalies[0]).toMatchObject({ threat: "port_scan", entity: "10.10.0.31" });
}, 30_000);

it("fails in a sentence with a wrong key", async () => {
  vi.stubEnv("WEIR_KEY", "k.wrong");
  expect(await run(["anomalies"])).toBe(1);
});

it("evaluates a folder of captures and writes the findings", async () => {
  const findings = join(folder, "findings.json");
  expect(await run(["eval", "--captures", folder, "--json", "--findings", findings])).toBe(0);
  const { captures, threats, total } = JSON.parse(out);
  expect(captures["conn.log.gz"]).toMatchObject({ received: log.lines.length, rejected: 0 });
  expect(Object.keys(threats)).toContain("port_scan");
  expect(total.events).toBe(scene.events.length);
}, 60_000);
