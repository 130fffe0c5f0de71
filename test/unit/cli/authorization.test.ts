import { expect, it } from "vitest";
import { shown, signed } from "../../../src/cli/authorization.ts";
import { faultOf } from "../../../src/security/authenticate.ts";
import { credentialIn } from "../../../src/security/credentials.ts";
import { keyOf, secret } from "../security/keys.ts";

const nowMs = 1_795_366_800_000;
const body = new TextEncoder().encode("2 123456789010 eni-1\n");

it("signs what the Worker then finds signed, each time anew, without the secret", () => {
  const authorize = signed(`k1.${secret}`, () => nowMs);
  const url = "https://weir.example/v1/anomalies?entity=10.0.0.0%2F8";
  const texts = [authorize("GET", url, undefined), authorize("GET", url, undefined), authorize("POST", url, body)];
  expect(new Set(texts).size).toBe(3);
  for (const [i, Authorization] of texts.entries()) {
    expect(Authorization).not.toContain(secret);
    const credential = credentialIn(new Headers({ Authorization }));
    if (typeof credential === "string") throw new Error(credential);
    expect(faultOf(credential, keyOf(), { method: i < 2 ? "GET" : "POST", url }, nowMs)).toBeUndefined();
  }
});

it("shows the key where it does not sign", () => {
  expect(shown("k1.secret")("GET", "https://weir.example/", undefined)).toBe("Bearer k1.secret");
});
