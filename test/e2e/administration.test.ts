import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { run } from "../../src/cli/weir.ts";
import { logBytes, office, zeekLog } from "../support/generate.ts";
import { operating } from "./operating.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-tenants-"));
const file = join(folder, "conn.log");
const scene = office({ seed: 2, endMs: Date.UTC(2026, 0, 5, 18), hours: 2 });
const cli = operating({});
const { weir } = cli;

beforeAll(() => writeFileSync(file, logBytes(zeekLog(scene))));
afterAll(() => rmSync(folder, { recursive: true }));

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
  expect(cli.errors).toContain("413: The body exceeds a limit (records, 100 records)");

  expect(await weir("tenants", "destroy", "initech", "--confirm", "initech")).toContain("Nothing is left of initech");
  expect(await run(["anomalies"])).toBe(1);
  expect(cli.errors).toContain("401");
  expect(await weir("tenants", "list")).toMatch(/^initech .+gone$/m);
  expect(await weir("audit", "list", "--key", cli.worker.keys["-"])).toContain("tenants.destroy");
});

it("keeps nothing in a jurisdiction that has no database", async () => {
  expect(await run(["tenants", "create", "hooli", "--jurisdiction", "eu"])).toBe(1);
  expect(cli.errors).toContain("422: Nothing can be kept in that jurisdiction here");
});
