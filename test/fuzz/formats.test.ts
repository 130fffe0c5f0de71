import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formats } from "../../src/core/formats/index.ts";
import { samples } from "../unit/formats/samples.ts";
import { read } from "../unit/formats/reading.ts";

/** Bounded by iterations, so that a slow machine runs the same. */
const numRuns = Number(process.env["WEIR_FUZZ_RUNS"] ?? 400);

const punctuation = Array.from('{}[]",:\\\n\r\t #-.|<>?', (letter) => letter.charCodeAt(0));
const mutation = fc.record({
  at: fc.nat(),
  length: fc.nat({ max: 12 }),
  insert: fc.oneof(
    fc.uint8Array({ maxLength: 6 }),
    fc.array(fc.constantFrom(...punctuation), { maxLength: 4 }),
    fc
      .constantFrom("99999999999999999999", "::", "-1", "1e999", "null", "#fields\tts", "Summary", "0x")
      .map((text) => Array.from(new TextEncoder().encode(text))),
  ),
});

function mutated(body: Uint8Array, mutations: { at: number; length: number; insert: Iterable<number> }[]): Uint8Array {
  const bytes = Array.from(body);
  for (const { at, length, insert } of mutations) bytes.splice(at % (bytes.length + 1), length, ...insert);
  return Uint8Array.from(bytes);
}

describe.each(formats.map(({ id }) => id))("%s under mutation", (id) => {
  const sample = new TextEncoder().encode(samples[id]);

  it("never throws, balances, keeps its columns in range, and reads alike for any cut", () => {
    fc.assert(
      fc.property(
        fc.array(mutation, { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 30 }),
        fc.integer({ min: 10, max: 800 }),
        fc.boolean(),
        (mutations, cuts, lineBytesMax, isAuto) => {
          const body = mutated(sample, mutations);
          const format = isAuto ? "auto" : id;
          const once = read(format, body, { lineBytesMax, recordsMax: 12 });
          expect(read(format, body, { lineBytesMax, recordsMax: 12, cuts })).toEqual(once);
          const { balance, rows } = once;
          expect(balance.received).toBe(balance.accepted + balance.skipped + balance.rejected);
          expect(rows).toHaveLength(balance.accepted);
          for (const row of rows) {
            const counts = [row.sourceBytes, row.targetBytes, row.sourcePackets, row.targetPackets];
            for (const count of [...counts, row.startMs]) expect(Number.isSafeInteger(count) && count >= 0).toBe(true);
            expect(row.endMs).toBeGreaterThanOrEqual(row.startMs);
          }
        },
      ),
      { numRuns },
    );
  });
});
