import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { configurationJson } from "../../../src/api/config-json.ts";
import { configPage } from "../../../src/cli/config-page.ts";
import { run } from "../../../src/cli/weir.ts";
import type { Detector } from "../../../src/core/detectors/detector.ts";
import { portScan } from "../../../src/core/detectors/port-scan.ts";

const kinds = [portScan as unknown as Detector];
const thresholds = { port_scan: { ports_min: 40, local_targets_min: 80 } };

let server: Server | undefined;
let out = "";
let errors = "";
/** What was put: under which version, and what. */
let puts: { ifMatch: string | undefined; body: unknown }[] = [];

/** Has version 3, and takes what it is given unless it is told to answer something else. */
function serve(refusal?: { status: number; body: object }): Promise<string> {
  return new Promise((resolve) => {
    server = createServer(async (request, response) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of request) chunks.push(chunk as Uint8Array);
      const shown = configurationJson(
        { version: 3, preset: "quiet", thresholds, createdAtMs: 0, createdBy: "k" },
        kinds,
      );
      if (request.method === "PUT") {
        puts.push({ ifMatch: request.headers["if-match"], body: JSON.parse(Buffer.concat(chunks).toString()) });
        if (refusal) response.writeHead(refusal.status);
      }
      response.end(JSON.stringify(request.method === "PUT" && refusal ? refusal.body : shown));
    }).listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(server!.address() as AddressInfo).port}`));
  });
}

beforeEach(() => {
  out = errors = "";
  puts = [];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => ((out += String(text)), true));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((errors += String(text)), true));
  vi.spyOn(console, "log").mockImplementation((text) => void (out += `${text}\n`));
  vi.stubEnv("WEIR_KEY", "k.s");
});

afterEach(() => {
  server?.close();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe("weir config", () => {
  it("prints what is in force", async () => {
    expect(await run(["config", "--url", await serve()])).toBe(0);
    expect(out).toContain("version 3, preset quiet, chosen 1970-01-01T00:00:00.000Z by k\n");
    expect(out).toMatch(/^port_scan\.ports_min +40 +set +\d+ +\d+ to \d+ +ports$/m);
    expect(puts).toEqual([]);
  });

  it("changes what it is told to, and keeps the rest that was chosen", async () => {
    const url = await serve();
    const flags = ["--set", "port_scan.slow_ports_min=30", "--set=port_scan.ports_min=20", "--preset", "sensitive"];
    expect(await run(["config", ...flags, "--url", url])).toBe(0);
    expect(await run(["config", "--unset", "port_scan.ports_min", "--url", url])).toBe(0);
    expect(puts).toEqual([
      {
        ifMatch: '"3"',
        body: {
          preset: "sensitive",
          thresholds: { port_scan: { ports_min: 20, local_targets_min: 80, slow_ports_min: 30 } },
        },
      },
      { ifMatch: '"3"', body: { preset: "quiet", thresholds: { port_scan: { local_targets_min: 80 } } } },
    ]);
  });

  it("tells what the API says is wrong", async () => {
    const wrong = [{ pointer: "/thresholds/port_scan/ports_min", detail: "must be 5 to 10000" }];
    const body = { title: "The configuration is not valid", errors: wrong };
    const url = await serve({ status: 422, body });
    expect(await run(["config", "--set", "port_scan.ports_min=1", "--url", url])).toBe(1);
    expect(errors).toBe(
      "weir: 422: The configuration is not valid (/thresholds/port_scan/ports_min: must be 5 to 10000).\n",
    );
  });

  it.each([
    ["--set", "port_scan.ports_min"],
    ["--set", "port_scan.ports_min=many"],
    ["--set", "port_scan.ports_min="],
    ["--set", "ports_min=3"],
    ["--unset", "port_scan"],
    ["--preset", "loud"],
  ])("refuses %s %s", async (...flags) => {
    expect(await run(["config", ...flags, "--url", "http://127.0.0.1:1"])).toBe(2);
    expect(errors).toMatch(/^weir: .+\n$/);
  });
});

it("docs/config.md says what the code says: node src/cli/weir.ts config --markdown > docs/config.md, then oxfmt", () => {
  // Whatever the width of its columns.
  const plain = (page: string) => page.replaceAll(/ {2,}/g, " ").replaceAll(/-{3,}/g, "---");
  const page = readFileSync(new URL("../../../docs/config.md", import.meta.url), "utf8");
  expect(plain(page)).toBe(plain(configPage()));
});
