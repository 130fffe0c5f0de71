import { describe, expect, it } from "vitest";
import { packed, unpacked } from "../../../src/storage/model-package.ts";
import { tinySequence } from "../../support/tiny-models.ts";

describe("a packed model", () => {
  it("is the same when it is unpacked, also from the middle of other bytes", () => {
    const pkg = { ...tinySequence(), card: "# Ein Modell, größer\n" };
    const bytes = packed(pkg);
    expect(unpacked(bytes)).toEqual(pkg);
    const within = new Uint8Array(bytes.length + 10);
    within.set(bytes, 7);
    expect(unpacked(within.subarray(7, 7 + bytes.length))).toEqual(pkg);
  });

  it("has the same bytes each time", () => {
    expect(packed(tinySequence())).toEqual(packed(tinySequence()));
  });

  it("is nothing of another form", () => {
    for (const bytes of [new Uint8Array(), new Uint8Array(100), packed(tinySequence()).slice(1)])
      expect(() => unpacked(bytes)).toThrow("not a packed model");
  });
});
