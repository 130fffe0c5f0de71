import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "../../../src/cli/weir.ts";

let server: Server | undefined;
let asked: string[] = [];
let out = "";
let errors = "";

beforeEach(() => {
  out = errors = "";
  asked = [];
  vi.spyOn(console, "log").mockImplementation((text) => void (out += `${text}\n`));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((errors += String(text)), true));
  vi.stubEnv("WEIR_KEY", "k.s");
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  server?.close();
});

/** A Weir that answers these, one after the other, and the last again and again. */
async function serve(answers: object[]): Promise<void> {
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    request.resume();
    response.end(JSON.stringify(answers.length > 1 ? answers.shift() : answers[0]));
  });
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  vi.stubEnv("WEIR_URL", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

function part(rows: number, blobs: number, left: number, retire_at: string | null = "2026-11-22T17:10:00.000Z") {
  const nothing = { unreadable: 0, left: 0 };
  return {
    version: 2,
    rows: { ...nothing, resealed: rows, left },
    blobs: { ...nothing, resealed: blobs },
    done: left === 0,
    retire_at,
  };
}

describe("weir keys rotate-data", () => {
  it("goes on until nothing is left, and makes new keys once", async () => {
    await serve([part(500, 7, 11), part(11, 0, 0)]);
    expect(await run(["keys", "rotate-data"])).toBe(0);
    expect(asked).toEqual(["POST /v1/data-keys/rotate", "POST /v1/data-keys/rotate?resume=true"]);
    expect(out).toContain("version 2");
    expect(out).toContain("518 rows and blobs");
    expect(out).toContain("--resume");
  });

  it("makes none with --resume, and says when older ones are gone", async () => {
    await serve([part(0, 0, 0, null)]);
    expect(await run(["keys", "rotate-data", "--resume"])).toBe(0);
    expect(asked).toEqual(["POST /v1/data-keys/rotate?resume=true"]);
    expect(out).toContain("no older ones");
  });

  it("gives up where nothing moves any more", async () => {
    await serve([part(0, 0, 3)]);
    expect(await run(["keys", "rotate-data"])).toBe(1);
    expect(errors).toContain("3 rows");
  });
});

describe("weir keys rewrap", () => {
  it("goes on until nothing is left", async () => {
    await serve([
      { rewrapped: 200, left: 40 },
      { rewrapped: 40, left: 0 },
    ]);
    expect(await run(["keys", "rewrap"])).toBe(0);
    expect(asked).toEqual(["POST /v1/data-keys/rewrap", "POST /v1/data-keys/rewrap"]);
    expect(out).toContain("240 keys");
  });
});
