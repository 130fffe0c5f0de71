import { describe, expect, it } from "vitest";
import { run } from "../../../src/cli/weir.ts";
import { answering } from "./answering.ts";

const weir = answering();

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
    await weir.serve([part(500, 7, 11), part(11, 0, 0)]);
    expect(await run(["keys", "rotate-data"])).toBe(0);
    expect(weir.asked).toEqual(["POST /v1/data-keys/rotate", "POST /v1/data-keys/rotate?resume=true"]);
    expect(weir.out).toContain("version 2");
    expect(weir.out).toContain("518 rows and blobs");
    expect(weir.out).toContain("--resume");
  });

  it("makes none with --resume, and says when older ones are gone", async () => {
    await weir.serve([part(0, 0, 0, null)]);
    expect(await run(["keys", "rotate-data", "--resume"])).toBe(0);
    expect(weir.asked).toEqual(["POST /v1/data-keys/rotate?resume=true"]);
    expect(weir.out).toContain("no older ones");
  });

  it("gives up where nothing moves any more", async () => {
    await weir.serve([part(0, 0, 3)]);
    expect(await run(["keys", "rotate-data"])).toBe(1);
    expect(weir.errors).toContain("3 rows");
  });
});

describe("weir keys rewrap", () => {
  it("goes on until nothing is left", async () => {
    await weir.serve([
      { rewrapped: 200, left: 40 },
      { rewrapped: 40, left: 0 },
    ]);
    expect(await run(["keys", "rewrap"])).toBe(0);
    expect(weir.asked).toEqual(["POST /v1/data-keys/rewrap", "POST /v1/data-keys/rewrap"]);
    expect(weir.out).toContain("240 keys");
  });
});
