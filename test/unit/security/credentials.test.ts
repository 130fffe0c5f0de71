import { describe, expect, it } from "vitest";
import { credentialIn } from "../../../src/security/credentials.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");
const sha256 = "0123456789abcdef".repeat(4);
const signed = {
  kid: "k1",
  timestamp: "1795366800",
  nonce: "n-0123456789abcdef",
  content_sha256: sha256,
  signature: sha256,
};
const hmac = (more: Partial<Record<keyof typeof signed, string>> = {}) =>
  `Weir-HMAC-SHA256 ${Object.entries({ ...signed, ...more })
    .map(([name, value]) => `${name}=${value}`)
    .join(", ")}`;

describe("credentialIn", () => {
  it.each([
    ["Weir", { Authorization: "Bearer k1.correct.horse" }],
    ["whoever writes it small", { Authorization: "bearer   k1.correct.horse" }],
    ["HEC", { Authorization: "Splunk k1.correct.horse" }],
    ["Elasticsearch", { Authorization: `ApiKey ${base64("k1:correct.horse")}` }],
    ["everyone", { Authorization: `Basic ${base64("k1:correct.horse")}` }],
    ["Firehose", { "X-Amz-Firehose-Access-Key": "k1.correct.horse" }],
  ])("reads the key as %s sends it", (_, headers) => {
    expect(credentialIn(new Headers(headers as Record<string, string>))).toEqual({
      kind: "secret",
      kid: "k1",
      secret: "correct.horse",
    });
  });

  it("reads a signature, whatever the order of its parts", () => {
    const { content_sha256: contentSha256, signature, ...rest } = signed;
    const wanted = { kind: "signature", ...rest, contentSha256, signature: Buffer.from(signature, "hex") };
    expect(credentialIn(new Headers({ Authorization: hmac() }))).toEqual(wanted);
    const turned = `weir-hmac-sha256 ${hmac().slice(17).split(", ").toReversed().join(",")}`;
    expect(credentialIn(new Headers({ Authorization: turned }))).toEqual(wanted);
  });

  it("tells no key from a bad one", () => {
    expect(credentialIn(new Headers())).toBe("absent");
    expect(credentialIn(new Headers({ "X-Api-Key": "k1.secret", Cookie: "key=k1.secret" }))).toBe("absent");
  });

  it.each([
    ["an empty header", ""],
    ["another scheme", "Digest k1.secret"],
    ["no scheme", "k1.secret"],
    ["no secret", "Bearer k1"],
    ["an empty secret", "Bearer k1."],
    ["an empty kid", "Bearer .secret"],
    ["a kid with SQL in it", "Bearer k1'--.secret"],
    ["a kid that is too long", `Bearer ${"k".repeat(65)}.secret`],
    ["something behind", "Bearer k1.secret x"],
    ["two of them", "Bearer k1.secret, Bearer k2.secret"],
    ["a very long one", `Bearer k1.${"x".repeat(600)}`],
    ["a very long run of spaces", `Bearer ${" ".repeat(100_000)}`],
    ["Basic that is no base64", "Basic k1:secret"],
    ["Basic with control characters", `Basic ${base64("k1:sec\nret")}`],
    ["Basic without a colon", `Basic ${base64("k1.secret")}`],
    ["a signature without a nonce", hmac().replace(/nonce=[^,]*, /, "")],
    ["a signature with a name twice", hmac().replace("nonce", "kid")],
    ["a signature with one more name", `${hmac()}, admin=true`],
    ["a short nonce", hmac({ nonce: "short" })],
    ["a time that is no number", hmac({ timestamp: "1e9" })],
    ["a short signature", hmac({ signature: "00" })],
  ])("refuses %s", (_, text) => {
    expect(credentialIn(new Headers({ Authorization: text }))).toBe("malformed");
  });

  it("refuses two keys, even if they are the same", () => {
    const headers = { Authorization: "Bearer k1.secret", "X-Amz-Firehose-Access-Key": "k1.secret" };
    expect(credentialIn(new Headers(headers))).toBe("malformed");
  });
});
