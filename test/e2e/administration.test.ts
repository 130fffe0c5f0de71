import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { startLocalWorker, type LocalWorker } from "../../src/cli/local-worker.ts";
import { run } from "../../src/cli/weir.ts";
import { logBytes, office, zeekLog } from "../support/generate.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-tenants-"));
const file = join(folder, "conn.log");
const scene = office({ seed: 2, endMs: Date.UTC(2026, 0, 5, 18), hours: 2 });
let worker: LocalWorker;
let out = "";
let errors = "";

beforeAll(async () => {
  writeFileSync(file, logBytes(zeekLog(scene)));
  worker = await startLocalWorker({ tenants: {} });
}, 60_000);

afterAll(async () => {
  await worker?.dispose();
  rmSync(folder, { recursive: true });
});

beforeEach(() => {
  vi.spyOn(console, "log").mockImplementation((text) => void (out += `${text}\n`));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((errors += String(text)), true));
  vi.stubEnv("WEIR_URL", worker.url);
  vi.stubEnv("WEIR_OPERATOR_KEY", worker.keys["-"]);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** What a command line prints. */
async function weir(...argv: string[]): Promise<string> {
  out = errors = "";
  expect(await run(argv), errors).toBe(0);
  return out;
}

it("makes a tenant, keys for it, and traffic; takes them away again, and all that was found", async () => {
  const made = JSON.parse(await weir("tenants", "create", "initech", "--internal", scene.internal.join(","), "--json"));
  vi.stubEnv("WEIR_KEY", made.key.bearer);
  expect(await weir("tenants", "list")).toMatch(/^initech +anywhere +1 +- +- +since/m);

  const shipper = JSON.parse(await weir("keys", "create", "--role", "shipper", "--signing", "--json"));
  const rotated = JSON.parse(await weir("keys", "rotate", shipper.kid, "--grace", "1h", "--json"));
  for (const { bearer } of [shipper, rotated])
    expect(await weir("send", file, "--key", bearer, "--sign")).toMatch(/received [\d,]+, accepted/);
  expect(await weir("anomalies", "--threat", "port_scan", "--entity", "10.10.0.31")).toContain("port_scan");

  await weir("keys", "revoke", rotated.kid);
  expect(await run(["send", file, "--key", rotated.bearer])).toBe(1);
  expect(await weir("keys", "list")).toMatch(new RegExp(`^${rotated.kid} +shipper +sealed +revoked`, "m"));
  await weir("tenants", "limits", "initech", "--records-per-batch", "100");
  expect(await run(["send", file])).toBe(1);
  expect(errors).toContain("413: The body exceeds a limit (records, 100 records)");

  expect(await weir("tenants", "destroy", "initech", "--confirm", "initech")).toContain("Nothing is left of initech");
  expect(await run(["anomalies"])).toBe(1);
  expect(errors).toContain("401");
  expect(await weir("tenants", "list")).toMatch(/^initech .+gone$/m);
  expect(await weir("audit", "list", "--key", worker.keys["-"])).toContain("tenants.destroy");
});

it("keeps nothing in a jurisdiction that has no database", async () => {
  expect(await run(["tenants", "create", "hooli", "--jurisdiction", "eu"])).toBe(1);
  expect(errors).toContain("422: Nothing can be kept in that jurisdiction here");
});
