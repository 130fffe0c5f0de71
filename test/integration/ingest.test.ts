import { deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import * as v from "valibot";
import { batchAnswer, endAnswer } from "../../src/api/schemas.ts";
import { unpackContacts } from "../../src/core/flow/pack-contacts.ts";
import { rawBytesMax } from "../../src/ingest/body.ts";
import { StorageError } from "../../src/storage/d1.ts";
import { anomaly, auth, hourMs, store, testApp, vpcLines, verdict } from "./harness.ts";

const path = "/v1/ingest/aws-vpc";

async function answerOf(response: Response) {
  expect(response.status, await response.clone().text()).toBe(200);
  return v.parse(batchAnswer, await response.json());
}

async function problemOf(response: Response) {
  expect(response.headers.get("Content-Type")).toBe("application/problem+json");
  return (await response.json()) as Record<string, unknown>;
}

function platformError(flags: object): Error {
  return Object.assign(new Error("internal error; reference = x"), flags);
}

describe("POST /v1/ingest/{format}", () => {
  it("accounts for every record and applies them once", async () => {
    const { post, shard } = testApp();
    const body = `${vpcLines(3)}2 123456789010 eni-1 10.0.0.5 10.0.1.1 49152 70000 6 1 40 1 2 REJECT OK\n`;
    const answer = await answerOf(await post(path, body));
    expect(answer).toMatchObject({ received: 4, accepted: 3, rejected: 1, duplicate: 0, late: 0, stored: true });
    expect(answer.rejects).toMatchObject([{ line: 4, reason: "out_of_range" }]);
    expect(shard.calls).toHaveLength(1);
    expect(shard.calls[0]).toMatchObject({ batchKey: answer.batch, receivedAtMs: hourMs });
    expect(unpackContacts(shard.calls[0].contacts).pairs.length).toBe(3);
  });

  it("answers a repeat with all that it accepted before as duplicate", async () => {
    const { post } = testApp();
    const first = await answerOf(await post(path, vpcLines(5)));
    const again = await answerOf(await post(path, gzipSync(vpcLines(5)), { "Content-Encoding": "gzip" }));
    expect(again).toMatchObject({ batch: first.batch, received: 5, accepted: 0, duplicate: 5 });
    const other = await answerOf(await post(path, vpcLines(5), auth("admin")));
    expect(other).toMatchObject({ accepted: 5, duplicate: 0 });
  });

  it("scales by the sampling rate that the shipper gives", async () => {
    const rates = async (query: string, headers: Record<string, string> = {}) => {
      const { post, shard } = testApp();
      await answerOf(await post(`${path}${query}`, vpcLines(3), headers));
      const { pairs } = unpackContacts(shard.calls[0].contacts);
      return [...pairs.samplingRate.subarray(0, pairs.length), pairs.sourceBytes[0]];
    };
    expect(await rates("")).toEqual([1, 1, 1, 40]);
    expect(await rates("?sampling_rate=512")).toEqual([512, 512, 512, 512 * 40]);
    expect(await rates("", { "Weir-Sampling-Rate": "8" })).toEqual([8, 8, 8, 8 * 40]);
    expect(await rates("?sampling_rate=1000000", { "Weir-Sampling-Rate": "8" })).toContain(1_000_000);
  });

  it.each(["0", "1000001", "-4", "1e3", "1.5", "all", ""])("refuses the sampling rate %j", async (rate) => {
    const { post, shard } = testApp();
    const detail = "must be a whole number from 1 to 1000000";
    for (const [response, name] of [
      [await post(`${path}?sampling_rate=${rate}`, vpcLines(1)), { parameter: "sampling_rate" }],
      [await post(path, vpcLines(1), { "Weir-Sampling-Rate": rate }), { header: "Weir-Sampling-Rate" }],
    ] as const) {
      expect(response.status).toBe(400);
      expect(await problemOf(response)).toMatchObject({ errors: [{ ...name, detail }] });
    }
    expect(shard.calls).toHaveLength(0);
  });

  it("takes late records out of the accepted ones", async () => {
    const { post, shard } = testApp();
    shard.late = 2;
    expect(await answerOf(await post(path, vpcLines(5)))).toMatchObject({ received: 5, accepted: 3, late: 2 });
  });

  it.each([
    ["gzip", gzipSync],
    ["x-gzip", gzipSync],
    ["deflate", deflateSync],
    ["deflate", deflateRawSync],
    ["zstd", zstdCompressSync],
    ["identity", Buffer.from],
  ] as [string, (text: string) => Uint8Array<ArrayBuffer>][])("reads %s", async (encoding, encode) => {
    const { post } = testApp();
    const response = await post("/v1/ingest/auto", encode(vpcLines(100)), { "Content-Encoding": encoding });
    expect(await answerOf(response)).toMatchObject({ received: 100, accepted: 100 });
  });

  it("applies nothing of a body that is cut short", async () => {
    const { post, shard } = testApp();
    const whole = gzipSync(vpcLines(5000));
    const response = await post(path, whole.subarray(0, whole.length - 8), { "Content-Encoding": "gzip" });
    expect(response.status).toBe(400);
    expect(await problemOf(response)).toMatchObject({ type: "/problems/corrupt-body", encoding: "gzip" });
    expect(shard.calls).toHaveLength(0);
  });

  it("refuses what is over a limit, and names it", async () => {
    const { post, shard } = testApp();
    const raw = await post(path, new Uint8Array(rawBytesMax + 1));
    const bomb = gzipSync(new Uint8Array(64 * 1024 * 1024 + 1), { level: 1 });
    const inflated = await post(path, bomb, { "Content-Encoding": "gzip" });
    const records = await post(path, gzipSync("1\n".repeat(200_001)), { "Content-Encoding": "gzip" });
    const expected = [
      { name: "raw", value: 16_777_216, unit: "bytes" },
      { name: "inflated", value: 67_108_864, unit: "bytes" },
      { name: "records", value: 200_000, unit: "records" },
    ];
    for (const [i, response] of [raw, inflated, records].entries()) {
      expect(response.status).toBe(413);
      expect(await problemOf(response)).toMatchObject({ type: "/problems/limit-exceeded", limit: expected[i] });
    }
    expect(shard.calls).toHaveLength(0);
  });

  it("names the formats it knows when asked for another, or when it recognises none", async () => {
    const { post } = testApp();
    for (const response of [
      await post("/v1/ingest/pcap", vpcLines(1)),
      await post("/v1/ingest/auto", "what is this\n"),
    ]) {
      expect(response.status).toBe(415);
      const { type, known } = await problemOf(response);
      expect(type).toBe("/problems/unknown-format");
      expect(known).toEqual(expect.arrayContaining(["aws-vpc", "zeek-conn", "auto"]));
    }
  });

  it("names the encodings it knows when asked for another", async () => {
    const response = await testApp().post(path, "x", { "Content-Encoding": "br" });
    expect(response.status).toBe(415);
    const known = ["identity", "gzip", "deflate", "zstd", "x-gzip"];
    expect(await problemOf(response)).toMatchObject({ type: "/problems/unsupported-encoding", encoding: "br", known });
  });

  it.each([path, "/v1/ingest/auto"])("answers an empty body to %s with zeros and troubles no shard", async (to) => {
    for (const [body, headers] of [
      [null, {}],
      ["", {}],
      [new Uint8Array(0), { "Content-Encoding": "gzip" }],
    ] as const) {
      const { post, shard } = testApp();
      const answer = await answerOf(await post(to, body, headers));
      expect(answer).toMatchObject({
        received: 0,
        accepted: 0,
        rejected: 0,
        duplicate: 0,
        anomalies: [],
        stored: true,
      });
      expect(shard.calls).toHaveLength(0);
    }
  });

  it("takes the shipper's own name for a batch, and refuses it for another body", async () => {
    const { post } = testApp();
    const named = { "Idempotency-Key": "batch-1" };
    const first = await answerOf(await post(path, vpcLines(5), named));
    expect(await answerOf(await post(path, vpcLines(5), named))).toMatchObject({ batch: first.batch, duplicate: 5 });
    const other = await post(path, vpcLines(6), named);
    expect(other.status).toBe(422);
    expect(await problemOf(other)).toMatchObject({
      type: "/problems/idempotency-conflict",
      idempotency_key: "batch-1",
    });
  });

  it("refuses a bad Idempotency-Key or parameter", async () => {
    const { post } = testApp();
    const key = await post(path, vpcLines(1), { "Idempotency-Key": "x".repeat(256) });
    expect(key.status).toBe(400);
    expect(await problemOf(key)).toMatchObject({ errors: [{ header: "Idempotency-Key" }] });
    const field = await post(`${path}?field=srcaddr`, vpcLines(1));
    expect(field.status).toBe(400);
    expect(await problemOf(field)).toMatchObject({
      errors: [{ parameter: "field", detail: "there is no parameter field" }],
    });
  });

  it("reads columns in the order that fields gives", async () => {
    const { post, shard } = testApp();
    const fields = "dstaddr,srcaddr,srcport,dstport,protocol,packets,bytes,start,end,action";
    const startS = hourMs / 1000 - 60;
    const body = `10.0.1.1 10.0.0.5 49152 22 6 1 40 ${startS} ${startS + 10} REJECT\n`;
    expect(await answerOf(await post(`${path}?fields=${fields}`, body))).toMatchObject({ accepted: 1 });
    expect([...unpackContacts(shard.calls[0].contacts).pairs.port]).toEqual([22]);
  });

  it("rejects records from the future", async () => {
    const { post } = testApp();
    const endS = hourMs / 1000 + 301;
    const body = `2 123456789010 eni-1 10.0.0.5 10.0.1.1 49152 22 6 1 40 ${endS - 10} ${endS} REJECT OK\n`;
    const answer = await answerOf(await post(path, body));
    expect(answer).toMatchObject({ accepted: 0, rejected: 1, rejects: [{ reason: "future" }] });
  });

  it("stores verdicts before it answers", async () => {
    const { post, shard, get } = testApp();
    shard.verdicts = [verdict(), verdict({ entity: "2001:db8::1" })];
    const { anomalies, stored } = await answerOf(await post(path, vpcLines(5)));
    expect(stored).toBe(true);
    expect(anomalies).toHaveLength(2);
    expect(anomalies[0]).toMatchObject({ revision: 1, state: "provisional" });
    const response = await get(`/v1/anomalies/${anomalies[1].id}`);
    expect(await response.json()).toMatchObject({ entity: "2001:db8::1", tenant: "acme" });
  });

  it("answers within 250 ms when D1 is slow, and goes on storing", async () => {
    let release = () => {};
    const slow = new Promise<void>((resolve) => (release = resolve));
    const upsert: typeof store.upsert = async (...row) => slow.then(() => store.upsert(...row));
    const { post, shard, pending, get } = testApp({ anomalies: { ...store, upsert } });
    shard.verdicts = [verdict({ entity: "10.9.9.9" })];
    const { anomalies, stored } = await answerOf(await post(path, vpcLines(5)));
    expect(stored).toBe(false);
    expect((await get(`/v1/anomalies/${anomalies[0].id}`)).status).toBe(404);
    release();
    await Promise.all(pending);
    expect((await get(`/v1/anomalies/${anomalies[0].id}`)).status).toBe(200);
  });

  it("takes the batch when D1 fails, says so and logs it without a payload", async () => {
    const upsert = () => Promise.reject(new StorageError("D1_ERROR: overloaded"));
    const { post, shard, events } = testApp({ anomalies: { ...store, upsert } });
    shard.verdicts = [verdict()];
    expect(await answerOf(await post(path, vpcLines(5)))).toMatchObject({ accepted: 5, stored: false });
    expect(events).toMatchObject([{ level: "error", message: "verdicts not stored", count: 1 }]);
    expect(JSON.stringify(events)).not.toContain("10.0.");
  });

  it("tries a shard once more when the platform says that this may help", async () => {
    const { post, shard } = testApp();
    shard.failures = [platformError({ retryable: true })];
    expect(await answerOf(await post(path, vpcLines(5)))).toMatchObject({ accepted: 5 });
    expect(shard.calls).toHaveLength(2);
  });

  it.each([
    ["overloaded", { overloaded: true, retryable: true }, 1],
    ["shard-unavailable", { retryable: true }, 2],
    ["shard-unavailable", {}, 1],
  ])("answers %s with 503 and Retry-After: %j", async (type, flags, calls) => {
    const { post, shard } = testApp();
    shard.failures = [platformError(flags), platformError(flags), platformError(flags)];
    const response = await post(path, vpcLines(5));
    expect(response.status).toBe(503);
    expect(Number(response.headers.get("Retry-After"))).toBeGreaterThan(0);
    expect(await problemOf(response)).toMatchObject({ type: `/problems/${type}` });
    expect(shard.calls).toHaveLength(calls);
  });

  it("sheds what a shard has no room for, once, with 503 and Retry-After", async () => {
    const { post, shard } = testApp();
    shard.isFull = true;
    const response = await post(path, vpcLines(5));
    expect(response.status).toBe(503);
    expect(Number(response.headers.get("Retry-After"))).toBeGreaterThan(0);
    expect(await problemOf(response)).toMatchObject({ type: "/problems/overloaded" });
    expect(shard.calls).toHaveLength(1);
    shard.isFull = false;
    expect(await answerOf(await post(path, vpcLines(5)))).toMatchObject({ accepted: 5, repaired: false });
  });

  it("tells the shard with the next batch what it stored, and nothing where that failed", async () => {
    const { post, shard } = testApp();
    shard.verdicts = [verdict({ revision: 3 })];
    await post(path, vpcLines(5));
    await post(path, vpcLines(6));
    expect(shard.calls.map(({ acknowledged }) => acknowledged)).toMatchObject([[], [{ slot: 0, revision: 3 }]]);
    const broken = testApp({ anomalies: { ...store, upsert: () => Promise.reject(new StorageError("lost")) } });
    broken.shard.verdicts = [verdict()];
    await broken.post(path, vpcLines(5));
    await broken.post(path, vpcLines(6));
    expect(broken.shard.calls[1].acknowledged).toEqual([]);
  });
});

describe("POST /v1/ingest/end", () => {
  it("stores what the shard says at last", async () => {
    const { post, shard, get } = testApp();
    shard.verdicts = [verdict({ state: "final", revision: 9 })];
    const response = await post("/v1/ingest/end", null);
    expect(response.status).toBe(200);
    const answer = v.parse(endAnswer, await response.json());
    expect(answer).toMatchObject({ anomalies: [{ revision: 9, state: "final" }], stored: true });
    expect(await (await get(`/v1/anomalies/${answer.anomalies[0].id}`)).json()).toMatchObject({ state: "final" });
  });

  it("is 503 when the shard or D1 fails", async () => {
    const { post, shard } = testApp();
    shard.failures = [platformError({})];
    expect((await post("/v1/ingest/end", null)).status).toBe(503);
    const broken = testApp({ anomalies: { ...store, upsert: () => Promise.reject(new StorageError("lost")) } });
    broken.shard.verdicts = [anomaly(1)];
    const response = await broken.post("/v1/ingest/end", null);
    expect(response.status).toBe(503);
    expect(await problemOf(response)).toMatchObject({ type: "/problems/storage-unavailable" });
  });
});
