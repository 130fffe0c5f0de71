import { describe, expect, it } from "vitest";
import { faultOf } from "../../../src/security/authenticate.ts";
import type { Credential } from "../../../src/security/credentials.ts";
import { signatureOf } from "../../../src/security/signature.ts";
import { keyOf, secret, signingKey } from "./keys.ts";

const nowMs = 1_795_366_800_000;
const request = { method: "POST", url: "https://weir.example/v1/ingest/auto?sampling_rate=8" };
const shown: Credential = { kind: "secret", kid: "k1", secret };

describe("faultOf a key that is shown", () => {
  it("is none with the right secret, and with any other it is", () => {
    expect(faultOf(shown, keyOf(), request, nowMs)).toBeUndefined();
    expect(faultOf({ ...shown, secret: "wrong" }, keyOf(), request, nowMs)).toBe("wrong_secret");
    expect(faultOf(shown, undefined, request, nowMs)).toBe("unknown_key");
  });

  it.each([
    ["not_yet_valid", { notBeforeMs: nowMs + 1 }, { notBeforeMs: nowMs }],
    ["expired", { expiresAtMs: nowMs }, { expiresAtMs: nowMs + 1 }],
    ["rotated", { graceUntilMs: nowMs, replacedBy: "k2" }, { graceUntilMs: nowMs + 1, replacedBy: "k2" }],
    ["revoked", { revokedAtMs: nowMs + 1 }, { revokedAtMs: null }],
  ])("is %s to the millisecond", (fault, bad, good) => {
    expect(faultOf(shown, keyOf(bad), request, nowMs)).toBe(fault);
    expect(faultOf(shown, keyOf(good), request, nowMs)).toBeUndefined();
  });

  it("does not tell the state of a key to who has not its secret", () => {
    expect(faultOf({ ...shown, secret: "wrong" }, keyOf({ revokedAtMs: 0 }), request, nowMs)).toBe("wrong_secret");
  });
});

describe("faultOf a signature", () => {
  const parts = { timestamp: String(nowMs / 1000), nonce: "n-0123456789abcdef", contentSha256: "ab".repeat(32) };
  const target = "/v1/ingest/auto?sampling_rate=8";
  const signed = (more: Partial<typeof parts> = {}, key = signingKey): Credential => {
    const all = { ...parts, ...more };
    return { kind: "signature", kid: "k1", ...all, signature: signatureOf(key, { ...all, method: "POST", target }) };
  };

  it("is none if it covers the request", () => {
    expect(faultOf(signed(), keyOf(), request, nowMs)).toBeUndefined();
  });

  it("is what openssl makes of the same five lines", () => {
    const made = signatureOf(new Uint8Array(32), { method: "POST", target, ...parts }).toString("hex");
    expect(made).toBe("ecaacf5400a065b34e9d1242627d08bb4d8bb4e9479cfd5caac734c21e0fe9c5");
  });

  it.each([
    ["method", { ...request, method: "PUT" }, signed()],
    ["path", { ...request, url: "https://weir.example/v1/ingest/end" }, signed()],
    ["query", { ...request, url: `${request.url}0` }, signed()],
    ["time", request, { ...signed(), timestamp: String(nowMs / 1000 + 1) } as Credential],
    ["nonce", request, { ...signed(), nonce: "n-fedcba9876543210" } as Credential],
    ["body", request, { ...signed(), contentSha256: "cd".repeat(32) } as Credential],
  ])("is wrong_signature for another %s", (_, other, credential) => {
    expect(faultOf(credential, keyOf(), other, nowMs)).toBe("wrong_signature");
  });

  it("is wrong_signature with another key, and for a key that signs nothing", () => {
    expect(faultOf(signed({}, new Uint8Array(32)), keyOf(), request, nowMs)).toBe("wrong_signature");
    expect(faultOf(signed({}, new Uint8Array(32)), keyOf({ signingKey: null }), request, nowMs)).toBe(
      "wrong_signature",
    );
    expect(faultOf(signed({}, new Uint8Array(32)), undefined, request, nowMs)).toBe("unknown_key");
  });

  it("is stale five minutes off, either way", () => {
    for (const [offS, fault] of [
      [300, undefined],
      [301, "stale"],
      [-300, undefined],
      [-301, "stale"],
    ] as const) {
      const credential = signed({ timestamp: String(nowMs / 1000 + offS) });
      expect(faultOf(credential, keyOf(), request, nowMs)).toBe(fault);
    }
  });
});
