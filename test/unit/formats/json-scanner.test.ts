import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FieldReader } from "../../../src/core/formats/field-values.ts";
import { JSON_DEPTH_MAX, JsonScanner, KeyPaths } from "../../../src/core/formats/json-scanner.ts";

const paths = new KeyPaths([["a.b", "ab"], ["c"], ["a"]]);

function scan(text: string): (string | undefined)[] | undefined {
  const fields = new FieldReader(paths.slotNames);
  const bytes = new TextEncoder().encode(`{"c":9}${text}"1`);
  const end = bytes.length - 2;
  if (!new JsonScanner(paths, fields).scan(bytes, 7, end)) return undefined;
  const value = (slot: number) => new TextDecoder().decode(bytes.subarray(fields.starts[slot], fields.ends[slot]));
  return [0, 1, 2].map((slot) => (fields.starts[slot] < 0 ? undefined : value(slot)));
}

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

const nested = (depth: number) => `${'{"x":'.repeat(depth - 1)}{}${"}".repeat(depth - 1)}`;

describe("the JSON scanner", () => {
  it("finds nested and dotted keys", () => {
    expect(scan('{"a":{"b":1}}')?.[0]).toBe("1");
    expect(scan('{"a.b":"x"}')?.[0]).toBe("x");
    expect(scan(' { "a" : { "x" : { "b" : 1 } , "b" : -1.5e3 } } ')?.[0]).toBe("-1.5e3");
    expect(scan('{"a":{"x":{"b":1}}}')?.[0]).toBeUndefined();
    expect(scan('{"a":[{"b":1}],"c":[2]}')).toEqual([undefined, "[2]", '[{"b":1}]']);
  });

  it("prefers the first name of a slot, and its last value", () => {
    expect(scan('{"ab":1,"a.b":2}')?.[0]).toBe("2");
    expect(scan('{"a.b":2,"ab":1}')?.[0]).toBe("2");
    expect(scan('{"c":1,"c":2}')?.[1]).toBe("2");
  });

  it("takes null for absent and leaves escapes as they stand", () => {
    expect(scan('{"c":null}')).toEqual([undefined, undefined, undefined]);
    expect(scan('{"c":"\\u00e9\\"\\\\"}')?.[1]).toBe('\\u00e9\\"\\\\');
    expect(scan('{"\\u0063":1}')?.[1]).toBeUndefined();
  });

  it("bounds the depth", () => {
    expect(scan(nested(JSON_DEPTH_MAX))).toBeDefined();
    expect(scan(nested(JSON_DEPTH_MAX + 1))).toBeUndefined();
    expect(scan(`{"x":${"[".repeat(100_000)}}`)).toBeUndefined();
  });

  it("accepts exactly the objects that JSON.parse accepts", () => {
    const token = fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      ":",
      ",",
      '"a"',
      '"c":',
      '"',
      "1",
      "-",
      "0",
      ".5",
      "e3",
      "true",
      "null",
      " ",
      "\n",
      "\\",
      '"\\u00e9"',
      '"\\x"',
      "01",
      "+1",
      "fals",
      "\t",
      '"é"',
      '{"a":1}',
      '{"c":[]}',
      "\u0001",
    );
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
        for (const text of [tokens.join(""), `{${tokens.join("")}}`, `{"a":${tokens.join("")}}`]) {
          expect([text, scan(text) !== undefined]).toEqual([text, isObject(text)]);
        }
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), fc.nat({ max: 2 }), (value, indent) => {
        expect(scan(JSON.stringify(value, null, indent))).toBeDefined();
      }),
    );
  });
});
