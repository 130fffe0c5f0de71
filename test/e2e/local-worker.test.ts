import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startLocalWorker } from "../../src/cli/local-worker.ts";
import { startWorkerd } from "../../src/cli/workerd.ts";

it("gives the Worker the variables it was told, and no others", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weir-vars-"));
  const config = join(folder, "wrangler.toml");
  writeFileSync(config, 'name = "echo"\nmain = "echo.js"\ncompatibility_date = "2026-10-15"\n[vars]\nA = "toml"\n');
  writeFileSync(join(folder, "echo.js"), "export default { fetch: (_, env) => Response.json(env) };\n");
  writeFileSync(join(folder, ".dev.vars"), "B=dev.vars\n");
  writeFileSync(join(folder, ".env"), "C=env\n");
  const worker = await startWorkerd(config, { D: "told" });
  try {
    expect(await (await fetch(worker.url)).json()).toEqual({ D: "told" });
  } finally {
    await worker.dispose();
    rmSync(folder, { recursive: true });
  }
}, 30_000);

it("fails at once when a setting is bad", async () => {
  await expect(startLocalWorker({ tenants: { Capital: {} } })).rejects.toThrow(/does not work: 503: .+API_KEYS/);
}, 30_000);
