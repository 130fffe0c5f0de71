import { describe, expect, it } from "vitest";
import { contains, cut, formatPrefix, isV4, liesIn, parsePrefix } from "../../../src/security/prefix.ts";

const prefix = (text: string) => parsePrefix(text)!;

describe("prefixes", () => {
  it.each([
    ["10.0.0.5", 128, "10.0.0.5"],
    ["10.0.0.5/8", 104, "10.0.0.0/8"],
    ["0.0.0.0/0", 96, "0.0.0.0/0"],
    ["2001:db8::5", 128, "2001:db8::5"],
    ["2001:db8:1:2:3::/48", 48, "2001:db8:1::/48"],
    ["::/0", 0, "::/0"],
    ["::ffff:10.0.0.0/104", 104, "10.0.0.0/8"],
  ])("reads %s", (text, bits, canonical) => {
    expect(prefix(text).bits).toBe(bits);
    expect(formatPrefix(prefix(text))).toBe(canonical);
    expect(isV4(prefix(text))).toBe(canonical.includes("."));
  });

  it.each(["", "host", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.5/", "10.0.0.5/8/8", "1:2"])(
    "refuses %j",
    (text) => {
      expect(parsePrefix(text)).toBeUndefined();
    },
  );

  it("know what lies in them", () => {
    expect(liesIn(prefix("10.0.0.0/8"), "10.1.2.0/24")).toBe(true);
    expect(liesIn(prefix("10.1.2.0/24"), "10.0.0.0/8")).toBe(false);
    expect(liesIn(prefix("10.1.2.3"), "10.1.2.0/24")).toBe(false);
    expect(liesIn(prefix("2001:db8::/32"), "2001:db9::1")).toBe(false);
    expect(liesIn(prefix("::/0"), "10.0.0.1")).toBe(true);
    expect(liesIn(prefix("::/0"), "nobody")).toBe(false);
    expect(contains(prefix("0.0.0.0/0"), prefix("::1"))).toBe(false);
    expect(formatPrefix(cut(prefix("10.1.2.3/16"), 120))).toBe("10.1.0.0/16");
  });
});
