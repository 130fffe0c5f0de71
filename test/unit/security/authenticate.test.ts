import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { ApiKey } from "../../../src/config.ts";
import { authenticate } from "../../../src/security/authenticate.ts";

const secret = "correct.horse";
const key: ApiKey = {
  kid: "k1",
  tenant: "acme",
  permissions: new Set(["ingest:write"]),
  secretSha256: createHash("sha256").update(secret).digest(),
};
const keys = new Map([[key.kid, key]]);

describe("authenticate", () => {
  it("knows the principal by kid and secret; a secret may hold dots", () => {
    expect(authenticate(`Bearer k1.${secret}`, keys)).toMatchObject({ kid: "k1", tenant: "acme" });
    expect(authenticate(`bearer k1.${secret}`, keys)).toBeDefined();
  });

  it.each([
    ["no header", undefined],
    ["an empty one", ""],
    ["another scheme", `Basic k1.${secret}`],
    ["no secret", "Bearer k1"],
    ["an empty secret", "Bearer k1."],
    ["a wrong secret", "Bearer k1.wrong"],
    ["an unknown kid", `Bearer k2.${secret}`],
    ["a kid of the prototype", `Bearer constructor.${secret}`],
    ["something behind", `Bearer k1.${secret} x`],
    ["a very long one", `Bearer k1.${"x".repeat(600)}`],
  ])("refuses %s", (_, authorization) => {
    expect(authenticate(authorization, keys)).toBeUndefined();
  });
});
