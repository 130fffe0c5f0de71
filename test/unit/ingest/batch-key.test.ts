import { describe, expect, it } from "vitest";
import { batchKey, isIdempotencyKey } from "../../../src/ingest/batch-key.ts";

const batch = { tenant: "acme", kid: "k1", bodyDigest: "d1" };

describe("batchKey", () => {
  it("is 64 hex digits and depends on tenant, key id and body", () => {
    expect(batchKey(batch)).toMatch(/^[0-9a-f]{64}$/);
    expect(batchKey({ ...batch })).toBe(batchKey(batch));
    expect(batchKey({ ...batch, tenant: "lab" })).not.toBe(batchKey(batch));
    expect(batchKey({ ...batch, kid: "k2" })).not.toBe(batchKey(batch));
    expect(batchKey({ ...batch, bodyDigest: "d2" })).not.toBe(batchKey(batch));
  });

  it("goes by the shipper's own id where there is one", () => {
    const named = { ...batch, idempotencyKey: "a" };
    expect(batchKey({ ...named, bodyDigest: "d2" })).toBe(batchKey(named));
    expect(batchKey({ ...batch, idempotencyKey: "b" })).not.toBe(batchKey(named));
    expect(batchKey({ ...batch, idempotencyKey: "d1" })).not.toBe(batchKey(batch));
  });

  it("cannot be confused by where one part ends", () => {
    expect(batchKey({ ...batch, tenant: "a", kid: "bc" })).not.toBe(batchKey({ ...batch, tenant: "ab", kid: "c" }));
  });
});

describe("isIdempotencyKey", () => {
  it.each([
    ["a", true],
    ["x".repeat(255), true],
    ["x".repeat(256), false],
    ["", false],
    ["a b", false],
    ["ä", false],
  ])("%s: %s", (text, expected) => expect(isIdempotencyKey(text)).toBe(expected));
});
