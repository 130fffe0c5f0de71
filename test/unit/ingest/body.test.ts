import { createHash } from "node:crypto";
import { deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { DecodedBody, encodingOf, inflatedBytesMax, rawBytesMax, type Encoding } from "../../../src/ingest/body.ts";

const MiB = 1024 * 1024;
const text = Buffer.from(
  "2 123456789010 eni-1235b8ca 10.0.0.5 10.0.1.1 49152 22 6 1 40 1418530010 1418530070 REJECT OK\n".repeat(8000),
);

/** Bytes that compress to about half. */
function noiseOf(length: number): Uint8Array {
  const noise = new Uint8Array(length);
  let state = 1;
  for (let i = 0; i < length; i++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223;
    noise[i] = state >>> 28;
  }
  return noise;
}

/** What gzip adds to 256 KiB that it does not compress. */
const memberOverheadBytes = gzipSync(noiseOf(262_000), { level: 0 }).length - 262_000;

/** A zstd frame of raw blocks (RFC 8878, 3.1.1.2): workerd's zstdCompressSync fails on input that compresses badly. */
function zstdStored(plain: Uint8Array): Uint8Array {
  const blockMax = 128 * 1024;
  const parts = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 11 << 3])];
  for (let at = 0; at < plain.length; at += blockMax) {
    const block = plain.subarray(at, at + blockMax);
    const header = (block.length << 3) | (at + blockMax >= plain.length ? 1 : 0);
    parts.push(Buffer.from([header, header >> 8, header >> 16]), Buffer.from(block));
  }
  return Buffer.concat(parts);
}

/** A body that arrives in pieces. */
function stream(bytes: Uint8Array, pieceBytes = 5000): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    type: "bytes",
    pull(controller) {
      if (at >= bytes.length) {
        controller.close();
        controller.byobRequest?.respond(0);
        return;
      }
      controller.enqueue(new Uint8Array(bytes.subarray(at, at + pieceBytes)));
      at += pieceBytes;
    },
  });
}

async function read(bytes: Uint8Array, encoding: Encoding, pieceBytes?: number) {
  const body = new DecodedBody(stream(bytes, pieceBytes), encoding);
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return { body, decoded: Buffer.concat(chunks) };
}

const encoders: [string, Encoding, (plain: Uint8Array) => Uint8Array][] = [
  ["identity", "identity", (plain) => plain],
  ["gzip", "gzip", (plain) => gzipSync(plain)],
  ["deflate with zlib wrapper", "deflate", (plain) => deflateSync(plain)],
  ["deflate without", "deflate", (plain) => deflateRawSync(plain)],
  ["zstd", "zstd", (plain) => (plain === text ? zstdCompressSync(plain) : zstdStored(plain))],
];
const compressed = encoders.slice(1);

describe("DecodedBody", () => {
  it.each(encoders)("decodes %s and digests what it decoded", async (_, encoding, encode) => {
    const { body, decoded } = await read(encode(text), encoding);
    expect(body.failure).toBeUndefined();
    expect(decoded.equals(text)).toBe(true);
    expect(body.bytes).toBe(text.length);
    expect(body.digest).toBe(createHash("sha256").update(text).digest("hex"));
  });

  it.each(encoders)("decodes more than a block of %s", async (_, encoding, encode) => {
    const noise = noiseOf(700_000);
    const { body, decoded } = await read(encode(noise), encoding, 64 * 1024);
    expect(body.failure).toBeUndefined();
    expect(decoded.equals(noise)).toBe(true);
  });

  it("decodes gzip in several members, wherever a block ends", async () => {
    const noise = noiseOf(262_144 - memberOverheadBytes);
    const member = gzipSync(noise, { level: 0 });
    expect(member.length).toBe(262_144);
    const { body, decoded } = await read(Buffer.concat([member, gzipSync(text), gzipSync(text)]), "gzip", 64 * 1024);
    expect(body.failure).toBeUndefined();
    expect(decoded.length).toBe(noise.length + 2 * text.length);
  });

  it.each(encoders)("takes no bytes for an empty body in %s", async (_, encoding) => {
    const { body, decoded } = await read(new Uint8Array(0), encoding);
    expect(body.failure).toBeUndefined();
    expect(decoded.length).toBe(0);
    expect(body.digest).toBe(createHash("sha256").digest("hex"));
  });

  it.each(compressed)("refuses %s that is cut short", async (_, encoding, encode) => {
    const whole = encode(text);
    for (const length of [1, whole.length >> 1, whole.length - 1]) {
      const { body } = await read(whole.subarray(0, length), encoding);
      expect(body.failure, `${length} bytes`).toMatchObject({ reason: "corrupt_body", encoding });
      expect(body.digest).toBe("");
    }
  });

  it.each(compressed)("refuses %s with something behind its end, near or far", async (_, encoding, encode) => {
    for (const garbage of [Buffer.from("x"), noiseOf(600_000)]) {
      const { body } = await read(Buffer.concat([encode(text), garbage]), encoding);
      expect(body.failure, `${garbage.length} bytes`).toMatchObject({ reason: "corrupt_body" });
    }
  });

  it.each(compressed)("refuses what is no %s", async (_, encoding) => {
    const { body } = await read(Buffer.from([0xff, ...text.subarray(0, 1000)]), encoding);
    expect(body.failure).toMatchObject({ reason: "corrupt_body", encoding });
  });

  it("refuses gzip with a wrong checksum", async () => {
    const bytes = gzipSync(text);
    bytes[bytes.length - 6] ^= 1;
    expect((await read(bytes, "gzip")).body.failure).toMatchObject({ reason: "corrupt_body" });
  });

  it("takes a raw body of the limit and refuses one byte more", async () => {
    const limit = { name: "raw", value: 16 * MiB, unit: "bytes" };
    expect(rawBytesMax).toBe(limit.value);
    const { body } = await read(new Uint8Array(rawBytesMax), "identity", MiB);
    expect(body.failure).toBeUndefined();
    const over = await read(new Uint8Array(rawBytesMax + 1), "identity", MiB);
    expect(over.body.failure).toEqual({ reason: "limit_exceeded", limit });
  });

  it("refuses a raw body that is announced to be too long without reading it", async () => {
    let pulled = 0;
    const raw = new ReadableStream({ type: "bytes", pull: () => void pulled++ }, { highWaterMark: 0 });
    const body = new DecodedBody(raw, "identity", rawBytesMax + 1);
    for await (const _ of body) expect.unreachable();
    expect(body.failure).toMatchObject({ reason: "limit_exceeded" });
    expect(pulled).toBe(0);
  });

  it.each(["gzip", "zstd"] as const)("stops a %s bomb at the inflated limit", async (encoding) => {
    const plain = new Uint8Array(inflatedBytesMax + 1);
    const bomb = encoding === "gzip" ? gzipSync(plain, { level: 1 }) : zstdCompressSync(plain);
    const body = new DecodedBody(stream(bomb, MiB), encoding);
    let bytes = 0;
    for await (const chunk of body) bytes += chunk.length;
    expect(body.failure).toEqual({
      reason: "limit_exceeded",
      limit: { name: "inflated", value: 64 * MiB, unit: "bytes" },
    });
    expect(bytes).toBeLessThanOrEqual(inflatedBytesMax);
  });

  it("can be left in the middle", async () => {
    for (const [, encoding, encode] of encoders) {
      const body = new DecodedBody(stream(encode(noiseOf(2 * MiB)), MiB), encoding);
      for await (const _ of body) break;
      expect(body.bytes).toBeLessThan(2 * MiB);
      expect(body).toMatchObject({ failure: undefined, digest: "" });
    }
  });
});

describe("encodingOf", () => {
  it.each([
    [undefined, "identity"],
    ["", "identity"],
    ["GZIP", "gzip"],
    [" x-gzip ", "gzip"],
    ["deflate", "deflate"],
    ["zstd", "zstd"],
    ["br", undefined],
    ["gzip, gzip", undefined],
  ])("%s: %s", (header, expected) => expect(encodingOf(header)).toBe(expected));
});

describe("the terms of a body", () => {
  const sent = { identity: text, gzip: gzipSync(text), deflate: deflateSync(text), zstd: zstdStored(text) };
  const failureOf = async (bytes: Uint8Array, encoding: Encoding, sha256: string) => {
    const body = new DecodedBody(stream(bytes), encoding, 0, { sha256 });
    for await (const _ of body);
    return body.failure;
  };
  const digestOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

  it.each(Object.entries(sent) as [Encoding, Uint8Array][])(
    "hold %s to the digest of what was sent",
    async (encoding, bytes) => {
      expect(await failureOf(bytes, encoding, digestOf(bytes))).toBeUndefined();
      const others = [digestOf(new Uint8Array(0)), ...(encoding === "identity" ? [] : [digestOf(text)])];
      for (const other of others)
        expect(await failureOf(bytes, encoding, other)).toEqual({ reason: "unauthenticated" });
    },
  );

  it("hold an empty body to it, too", async () => {
    const empty = new Uint8Array(0);
    expect(await failureOf(empty, "gzip", digestOf(empty))).toBeUndefined();
    expect(await failureOf(empty, "gzip", digestOf(text))).toEqual({ reason: "unauthenticated" });
  });

  it("hold it to a time, and let go of it then", async () => {
    let isCancelled = false;
    const raw = new ReadableStream({
      type: "bytes",
      start: (controller) => controller.enqueue(new Uint8Array(gzipSync(text).subarray(0, 100))),
      cancel: () => void (isCancelled = true),
    });
    const body = new DecodedBody(raw, "gzip", 0, { msMax: 10 });
    for await (const _ of body);
    expect(body.failure).toEqual({ reason: "body_too_slow" });
    expect(isCancelled).toBe(true);
  });
});
