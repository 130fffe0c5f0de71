import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FlowBatch } from "../../../src/core/flow/flow-batch.ts";
import { ACCEPTED, type Format, NOT_A_RECORD, SKIPPED } from "../../../src/core/formats/format.ts";
import { formatById, formats, recogniseFormat } from "../../../src/core/formats/index.ts";
import { samples } from "./samples.ts";
import { read, rowsOf } from "./reading.ts";

declare global {
  interface ImportMeta {
    /** Vite's: the modules of the files that match, in node and in workerd. */
    glob(pattern: string, options: { eager: true }): Record<string, Record<string, unknown>>;
  }
}

function isFormat(value: unknown): value is Format {
  return typeof value === "object" && value !== null && "recognise" in value;
}

/** A batch whose columns hold junk, so that a column left unset shows. */
function poisoned(junk: number): FlowBatch {
  const batch = new FlowBatch(64);
  for (const column of Object.values(batch)) {
    if (column instanceof Uint8Array || column instanceof Uint16Array) column.fill(junk);
    else if (column instanceof Uint32Array || column instanceof Float64Array) column.fill(junk);
  }
  return batch;
}

describe("the list of formats", () => {
  it("has every format of the folder", () => {
    const modules = import.meta.glob("../../../src/core/formats/*.ts", { eager: true });
    const ids = Object.values(modules)
      .flatMap((module) => Object.values(module))
      .filter(isFormat)
      .map(({ id }) => id);
    expect(formats.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  });

  it("names each format once", () => {
    expect(new Set(formats.map(({ id }) => id)).size).toBe(formats.length);
    for (const format of formats) expect(formatById(format.id)).toBe(format);
    expect(formatById("pcap")).toBeUndefined();
  });

  it("has a sample of each", () => {
    expect(Object.keys(samples).toSorted()).toEqual(formats.map(({ id }) => id).toSorted());
  });
});

describe.each(formats.map((format) => [format.id, format] as const))("%s", (id, format) => {
  const sample = new TextEncoder().encode(samples[id]);
  const whole = read(id, sample);

  it("reads its sample, and the sample has rows and odd records", () => {
    expect(whole.rows.length).toBeGreaterThan(1);
    expect(whole.balance.received).toBe(whole.balance.accepted + whole.balance.skipped + whole.balance.rejected);
  });

  it("is recognised, and by no other format", () => {
    expect(recogniseFormat(sample)?.id).toBe(id);
    expect(formats.filter((other) => other.recognise(sample.subarray(0, 4096))).map((other) => other.id)).toEqual([id]);
    const withMark = new Uint8Array([0xef, 0xbb, 0xbf, 10, ...sample]);
    expect(recogniseFormat(withMark)?.id).toBe(id);
    expect(read("auto", withMark).rows).toEqual(whole.rows);
  });

  it("gives the same for any cut of the body", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 90 }), { maxLength: 80 }), fc.boolean(), (cuts, isAuto) => {
        const { rows, balance } = read(isAuto ? "auto" : id, sample, { cuts });
        expect({ rows, balance }).toEqual({ rows: whole.rows, balance: whole.balance });
      }),
      { numRuns: 60 },
    );
  });

  it("gives the same byte by byte, and with `\\r\\n`", () => {
    expect(read("auto", sample, { cuts: Array.from(sample, () => 1) })).toEqual(whole);
    const { rows, balance } = read(id, samples[id].replaceAll("\n", "\r\n"));
    expect({ rows, counts: { ...balance, rejects: 0 } }).toEqual({
      rows: whole.rows,
      counts: { ...whole.balance, rejects: 0 },
    });
  });

  it("gives the same for a damaged body, however it is cut", () => {
    const damage = fc.tuple(fc.nat({ max: sample.length - 1 }), fc.constantFrom(0, 10, 34, 44, 92, 123, 125, 200));
    const cut = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 60 });
    fc.assert(
      fc.property(fc.array(damage, { maxLength: 6 }), cut, fc.integer({ min: 20, max: 500 }), (damages, cuts, max) => {
        const body = sample.slice();
        for (const [at, byte] of damages) body[at] = byte;
        const once = read(id, body, { lineBytesMax: max });
        expect(read(id, body, { lineBytesMax: max, cuts })).toEqual(once);
        expect(once.balance.received).toBe(once.balance.accepted + once.balance.skipped + once.balance.rejected);
      }),
      { numRuns: 150 },
    );
  });

  it("sets every column of a row", () => {
    expect(read(id, sample, { batch: poisoned(0xaa) }).rows).toEqual(read(id, sample, { batch: poisoned(0x55) }).rows);
  });

  it("gives the same in a batch whose rows had ids of other records", () => {
    const batch = new FlowBatch(4);
    const line = samples["zeek-conn"].split("\n")[3];
    expect(read("zeek-conn", `${line}\n`.repeat(20), { batch }).rows[19].recordId).not.toBe("");
    batch.clear();
    expect(read(id, sample, { batch }).rows).toEqual(whole.rows);
  });

  it("gives records an id if they carry one, and none if not", () => {
    const carrying = ["zeek-conn", "zeek-conn-json", "suricata-eve", "json"];
    const ids = whole.rows.map(({ recordId }) => recordId).filter((recordId) => recordId !== "");
    expect(ids.length > 0).toBe(carrying.includes(id));
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("leaves the batch as it was, addresses too, unless it accepts", () => {
    const parser = format.parser({});
    const batch = new FlowBatch(4);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: sample.length }), (junk, at) => {
        const bytes = new Uint8Array([...sample.subarray(at, at + 150), ...junk]);
        const before = { rows: rowsOf(batch), addresses: batch.addresses.count };
        const parsed = parser.parse(bytes, 0, bytes.length, batch);
        expect(batch.length).toBe(parsed === ACCEPTED ? 1 : 0);
        const after = { rows: rowsOf(batch), addresses: batch.addresses.count };
        expect(parsed === ACCEPTED ? before : after).toEqual(before);
        batch.length = 0;
      }),
      { numRuns: 150 },
    );
  });

  it("reads nothing outside of the record", () => {
    const lines = format.framing === "lines" ? samples[id].split("\n") : [samples[id].slice(0, 90)];
    for (const line of lines) {
      for (let length = 0; length <= Math.min(line.length, 160); length += 3) {
        const record = new TextEncoder().encode(line.slice(0, length));
        const alone = new FlowBatch(4);
        const within = new FlowBatch(4);
        const parsed = format.parser({}).parse(record, 0, record.length, alone);
        const padded = new TextEncoder().encode(`0"9:${line.slice(0, length)}1"}.0`);
        expect(format.parser({}).parse(padded, 4, 4 + record.length, within)).toEqual(parsed);
        expect(rowsOf(within)).toEqual(rowsOf(alone));
      }
    }
  });

  it("answers nothing but the verdicts of the contract on random bytes", () => {
    const parser = format.parser({});
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        const parsed = parser.parse(bytes, 0, bytes.length, new FlowBatch(4));
        const verdicts: unknown[] = [ACCEPTED, SKIPPED, NOT_A_RECORD];
        expect(verdicts.includes(parsed) || typeof parsed === "object").toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});
