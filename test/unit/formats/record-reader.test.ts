import { describe, expect, it } from "vitest";
import { FlowBatch } from "../../../src/core/flow/flow-batch.ts";
import type { Format } from "../../../src/core/formats/format.ts";
import { RecordReader } from "../../../src/core/formats/record-reader.ts";
import { namedFormat, read } from "./reading.ts";
import { samples } from "./samples.ts";

const flow = (end: number, bytes = 1) => `2 1 eni 10.0.0.1 10.0.0.2 1 2 6 1 ${bytes} 1700000000 ${end} ACCEPT OK\n`;
const object = (fields: Record<string, unknown> = {}) =>
  JSON.stringify({ src_ip: "10.0.0.1", dst_ip: "10.0.0.2", proto: 1, time: 1_700_000_000, ...fields });
const counts = (balance: { received: number; accepted: number; rejected: number }) =>
  `${balance.accepted}+${balance.rejected}=${balance.received}`;

describe("lines", () => {
  it("need no end, and may end in \\r\\n", () => {
    const line = flow(1_700_000_001).trim();
    expect(read("aws-vpc", `${line}\r\n${line}`).rows).toHaveLength(2);
    expect(read("aws-vpc", `${line}\n${line}\r`).rows).toHaveLength(2);
  });

  it("are rejected once when too long, in one chunk or in many", () => {
    const body = flow(1_700_000_001) + "9".repeat(500) + "\n" + flow(1_700_000_002);
    for (const cuts of [[], Array.from({ length: 700 }, () => 1), [150, 150, 150, 150]]) {
      const { rows, balance } = read("aws-vpc", body, { lineBytesMax: 100, cuts });
      expect(rows).toHaveLength(2);
      expect(balance.rejects).toEqual([{ reason: "line_too_long", limit_bytes: 100, line: 2 }]);
    }
  });

  it("may be as long as the limit, terminator aside", () => {
    const line = flow(1_700_000_001).trim();
    for (const end of ["", "\n", "\r\n"]) {
      expect(read("aws-vpc", line + end, { lineBytesMax: line.length }).rows).toHaveLength(1);
      expect(read("aws-vpc", line + end, { lineBytesMax: line.length - 1 }).rows).toHaveLength(0);
    }
  });

  it("are counted from 1, blank and comment lines too", () => {
    const { balance } = read("aws-vpc", `\n# comment\n\n2 1 eni\n`);
    expect(balance.rejects).toEqual([{ reason: "missing_field", field: "srcaddr", line: 4 }]);
  });
});

describe("the balance", () => {
  it("is zero for an empty body, and for one of blanks and comments", () => {
    const zero = { received: 0, accepted: 0, skipped: 0, rejected: 0, rejects: [] };
    for (const body of ["", "\n\r\n  \n", "\ufeff", "# nothing\n"]) {
      expect(read("auto", body)).toMatchObject({ balance: zero, failure: undefined });
    }
    expect(read("json", " \n ").balance).toEqual(zero);
    expect(read("json", "[]").balance).toEqual(zero);
  });

  it("keeps the first 20 rejects", () => {
    const { balance } = read("aws-vpc", "9 x\n".repeat(30));
    expect(balance.rejected).toBe(30);
    expect(balance.rejects.map(({ line }) => line)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  it("rejects records that end in the future, and keeps no row of them", () => {
    const { rows, balance } = read("aws-vpc", flow(1_700_000_060) + flow(1_700_000_061), {
      latestEndMs: 1_700_000_060_000,
    });
    expect(rows).toHaveLength(1);
    expect(balance.rejects).toEqual([
      { reason: "future", end: "2023-11-14T22:14:21.000Z", latest: "2023-11-14T22:14:20.000Z", line: 2 },
    ]);
  });

  it("rejects what is no UTF-8, and only that", () => {
    const bad = new Uint8Array([...new TextEncoder().encode(`{"a":"`), 0xed, 0xa0, 0x80, 34, 125, 10]);
    const body = new Uint8Array([...new TextEncoder().encode(`${object({ a: "é" })}\n`), ...bad]);
    const { rows, balance } = read("json", body);
    expect(rows).toHaveLength(1);
    expect(balance.rejects).toEqual([{ reason: "invalid_utf8", line: 2 }]);
  });
});

describe("failures", () => {
  it("stops at one record too many, whatever the record is", () => {
    const body = `${flow(1_700_000_001)}2 x\n${flow(1_700_000_002)}`;
    expect(read("aws-vpc", body, { recordsMax: 3 }).failure).toBeUndefined();
    const { rows, balance, failure } = read("aws-vpc", body, { recordsMax: 2 });
    expect(failure).toEqual({ reason: "too_many_records", limit: 2 });
    expect([rows.length, balance.received]).toEqual([1, 2]);
  });

  it("ignores what comes after", () => {
    const batch = new FlowBatch(4);
    const reader = new RecordReader({ format: "auto", batch, recordsMax: 1, latestEndMs: 1e15 });
    reader.push(new TextEncoder().encode("prose, and more of it\n".repeat(300)));
    expect(reader.failure).toEqual({ reason: "unknown_format" });
    reader.push(new TextEncoder().encode(flow(1_700_000_001)));
    expect(reader.end().received).toBe(0);
    expect(reader.end()).toBe(reader.end());
  });

  it("reads nothing after the end", () => {
    const batch = new FlowBatch(4);
    const reader = new RecordReader({ format: namedFormat("aws-vpc"), batch, recordsMax: 9, latestEndMs: 1e15 });
    reader.push(new TextEncoder().encode(flow(1_700_000_001)));
    expect(reader.end().accepted).toBe(1);
    reader.push(new TextEncoder().encode(flow(1_700_000_001)));
    expect(reader.end().accepted).toBe(1);
  });
});

describe("JSON records", () => {
  it.each([
    ["one a line", `${object()}\n${object()}\n`],
    ["an array on one line", `[${object()},${object()}]`],
    ["an array of lines", `[\n${object()},\n${object()}\n]\n`],
    ["pretty-printed", `[${object()},${object()}]`.replaceAll(",", ",\n  ").replaceAll("{", "{\n")],
    ["back to back", `${object()}${object()}`],
    ["pretty-printed, back to back", `${object()} ${object()}`.replaceAll(",", "\n,\n")],
    ["one object over lines", `${object({ nested: { a: ["}", "{"] } })}\n\n${object()}`.replaceAll(",", ",\n")],
  ])("come %s", (_, body) => {
    expect(counts(read("json", body).balance)).toBe("2+0=2");
    expect(counts(read("auto", `\ufeff \n${body}`).balance)).toBe("2+0=2");
  });

  it("on lines: a broken one costs only itself", () => {
    const { balance } = read("json", `${object()}\n{"src_ip":"10\n${object()}\n`);
    expect(counts(balance)).toBe("2+1=3");
    expect(balance.rejects[0]).toMatchObject({ reason: "malformed", line: 2 });
  });

  it("in arrays: what is no object is a record of its own", () => {
    const { balance } = read("json", `[${object()}, 1, "x",\nnull, ${object()}]`);
    expect(counts(balance)).toBe("2+3=5");
    expect(balance.rejects.map(({ line }) => line)).toEqual([1, 1, 2]);
  });

  it("in arrays: broken ones end at a line end within a string, or before a line that begins with a brace", () => {
    const { balance } = read("json", `[\n{"src_ip":"10,\n${object()},\n{"src_ip":"1"\n${object()}\n]`);
    expect(counts(balance)).toBe("2+2=4");
    expect(balance.rejects.map(({ line }) => line)).toEqual([2, 4]);
  });

  it("too long are rejected once and skipped to their end", () => {
    const long = object({ x: "y{".repeat(300) });
    for (const body of [`[${object()},${long},${object()}]`, `${object()}\n${long}\n${object()}\n`]) {
      for (const cuts of [[], Array.from({ length: 900 }, () => 1)]) {
        const { balance } = read("json", body, { lineBytesMax: 200, cuts });
        expect(counts(balance)).toBe("2+1=3");
        expect(balance.rejects[0].reason).toBe("line_too_long");
      }
    }
  });

  it("begin on the line of their first byte", () => {
    const { balance } = read("json", `[\n\n{"a":\n1},\n  {"b":2}]`);
    expect(balance.rejects.map(({ line }) => line)).toEqual([3, 5]);
  });

  it("are read alike one a line and pretty-printed", () => {
    const lines = samples["suricata-eve"].trim().split("\n");
    const pretty = lines.map((line) => JSON.stringify(JSON.parse(line), null, 2)).join("\n");
    expect(read("auto", pretty).rows).toEqual(read("auto", lines.join("\n")).rows);
  });
});

describe("a sampling rate", () => {
  const reads = (samplingRate?: number) => {
    const batch = new FlowBatch();
    const vpc = namedFormat("aws-vpc").parser({});
    let rate = 0;
    /** Tells a rate of its own in every second record. */
    const format: Format = {
      ...namedFormat("aws-vpc"),
      parser: () => ({
        parse(bytes, start, end, to) {
          const parsed = vpc.parse(bytes, start, end, to);
          to.samplingRate[to.length - 1] = rate++ % 2 === 0 ? 1 : 100;
          return parsed;
        },
      }),
    };
    const reader = new RecordReader({ format, batch, recordsMax: 9, latestEndMs: 1e15, samplingRate });
    reader.push(new TextEncoder().encode(flow(1_700_000_001) + flow(1_700_000_002)));
    reader.end();
    return [...batch.samplingRate.subarray(0, batch.length)];
  };

  it("is what the record says, or what the shipper says if that is more", () => {
    expect(reads()).toEqual([1, 100]);
    expect(reads(50)).toEqual([50, 100]);
    expect(reads(1000)).toEqual([1000, 1000]);
  });
});
