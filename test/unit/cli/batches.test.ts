import { describe, expect, it } from "vitest";
import { batches, type Batch } from "../../../src/cli/batches.ts";

async function cut(text: string, records: number, chunkBytes = 1 << 20): Promise<(Batch & { text: string })[]> {
  const bytes = new TextEncoder().encode(text);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) chunks.push(bytes.slice(at, at + chunkBytes));
  const out: (Batch & { text: string })[] = [];
  for await (const batch of batches(chunks, records))
    out.push({ ...batch, text: new TextDecoder().decode(batch.body) });
  return out;
}

describe("batches", () => {
  it("puts the names of VPC columns in front of every batch", async () => {
    const head = "version srcaddr dstaddr srcport dstport protocol packets bytes start end";
    const lines = ["2 a", "2 b", "2 c"].map((start) => `${start} 1`);
    const [first, second] = await cut([head, ...lines].join("\n"), 2);
    expect(first.text).toBe(`${head}\n${lines[0]}\n${lines[1]}\n`);
    expect(second.text).toBe(`${head}\n${lines[2]}`);
    expect([first.records, second.records]).toEqual([2, 1]);
  });

  it("puts Zeek's # lines in front, and the new ones after they changed", async () => {
    const log = ["#fields\tts", "1", "2", "#close\tx", "#fields\tts\tuid", "3", "4", "5", ""].join("\n");
    const texts = (await cut(log, 2)).map((batch) => batch.text);
    expect(texts).toEqual([
      "#fields\tts\n1\n2\n#close\tx\n#fields\tts\tuid\n",
      "#fields\tts\tuid\n3\n4\n",
      "#fields\tts\tuid\n5\n",
    ]);
  });

  it("says where in the log a line of the body stood", async () => {
    const [, second] = await cut(["#fields\tts", "1", "2", "3", "4"].join("\n"), 2);
    // Line 2 of the second body is line 4 of the log.
    expect(2 + second.lineOffset).toBe(4);
  });

  it("keeps the header of CSV and not nfdump's summary", async () => {
    const head = "ts,te,td,sa,da,sp,dp,pr,flg";
    const row = "2020-01-01 00:00:00,x";
    const log = [head, row, row, "Summary", "flows,bytes,packets,avg_bps,avg_pps,avg_bpp", "2,1,1,1,1,1", ""];
    const texts = (await cut(log.join("\n"), 2)).map((batch) => batch.text);
    expect(texts.every((text) => text.startsWith(`${head}\n`))).toBe(true);
    expect(texts).toHaveLength(2);
  });

  it("cuts arrays into arrays, wherever the input is cut", async () => {
    const records = [{ a: "x}]\\" }, { a: { b: [1] } }, { a: '"' }];
    for (const chunkBytes of [1, 7, 1000]) {
      const parts = await cut(JSON.stringify(records, null, 2), 2, chunkBytes);
      expect(parts.map((part) => JSON.parse(part.text))).toEqual([records.slice(0, 2), records.slice(2)]);
    }
  });

  it("cuts objects that span lines, and leaves what is cut short to the server", async () => {
    const texts = (await cut('{\n"a": 1}\n{"a":\n2}\n{"a": ', 2)).map((batch) => batch.text);
    expect(texts).toEqual(['{\n"a": 1}\n{"a":\n2}', '{"a": ']);
  });

  it("ignores a byte order mark and makes nothing of nothing", async () => {
    expect((await cut("\uFEFF#fields\tts\n1\n2", 1)).map((batch) => batch.text)).toEqual([
      "#fields\tts\n1\n",
      "#fields\tts\n2",
    ]);
    expect(await cut("", 5)).toEqual([]);
    expect(await cut("\n\n", 5)).toEqual([]);
  });
});
