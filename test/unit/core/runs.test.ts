import { describe, expect, it } from "vitest";
import { endOfRun } from "../../../src/core/detectors/runs.ts";
import { bucketMs } from "../../../src/core/flow/contacts.ts";

describe("endOfRun", () => {
  /** By contact; the window has ten buckets, from 100 on. */
  const pairs = { source: Uint32Array.of(1, 1, 1, 1, 2), bucket: Uint32Array.of(100, 109, 110, 99, 105) };

  it.each([
    ["a later window", [0, 1, 2], 2],
    ["an earlier window", [0, 1, 3], 2],
    ["another source", [0, 4, 1], 1],
    ["nothing more", [0, 1, 0], 3],
  ])("ends before %s", (_, indexes, end) => {
    expect(endOfRun(pairs, Uint32Array.from(indexes), 0, 100 * bucketMs, 10 * bucketMs)).toBe(end);
  });

  it("begins where it is told to", () => {
    expect(endOfRun(pairs, Uint32Array.of(4, 0, 1, 4), 1, 100 * bucketMs, 10 * bucketMs)).toBe(3);
  });
});
