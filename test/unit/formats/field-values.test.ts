import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readAddress } from "../../../src/core/formats/address-values.ts";
import { quoted } from "../../../src/core/formats/field-values.ts";
import { readHex, readUnsigned } from "../../../src/core/formats/number-values.ts";
import { protocolNumber } from "../../../src/core/formats/protocol-names.ts";
import { NO_TIME, readEpoch, readSeconds, readTime } from "../../../src/core/formats/time-values.ts";
import { hasHighByte, isUtf8 } from "../../../src/core/formats/utf8.ts";

const encoder = new TextEncoder();

function on<T>(reader: (bytes: Uint8Array, start: number, end: number) => T, text: string): T {
  const bytes = encoder.encode(`7${text}7`);
  return reader(bytes, 1, bytes.length - 1);
}

function words(text: string): string | undefined {
  const out = new Uint32Array(4);
  const isAddress = on((bytes, start, end) => readAddress(bytes, start, end, out, 0), text);
  return isAddress ? Array.from(out, (word) => word.toString(16)).join(" ") : undefined;
}

describe("numbers", () => {
  it("reads unsigned decimals and nothing else", () => {
    expect(on(readUnsigned, "0")).toBe(0);
    expect(on(readUnsigned, "9007199254740991")).toBe(Number.MAX_SAFE_INTEGER);
    for (const text of ["", "-1", "+1", "1.0", "1e3", " 1", "0x1"]) expect(on(readUnsigned, text)).toBe(-1);
  });

  it("reads hexadecimal with and without prefix", () => {
    expect(on(readHex, "0x0303")).toBe(0x303);
    expect(on(readHex, "1B")).toBe(27);
    for (const text of ["", "0x", "g"]) expect(on(readHex, text)).toBe(-1);
  });
});

describe("times", () => {
  it("counts the digits of decimal seconds instead of multiplying", () => {
    expect(on(readSeconds, "0.1")).toBe(100_000);
    expect(on(readSeconds, "1700000000.999999")).toBe(1_700_000_000_999_999);
    expect(on(readSeconds, "1700000000.9999999")).toBe(1_700_000_000_999_999);
    expect(on(readSeconds, "4.6e-05")).toBe(46);
  });

  it("agrees with decimal arithmetic on any number of microseconds", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 8e15 }), (us) => {
        const text = `${Math.floor(us / 1e6)}.${String(us % 1e6).padStart(6, "0")}`;
        expect(on(readSeconds, text)).toBe(us);
      }),
    );
  });

  it("agrees with the platform on any date", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 7e12 }), fc.integer({ min: -1439, max: 1439 }), (ms, offset) => {
        const iso = new Date(ms).toISOString();
        expect(on(readTime, iso)).toBe(ms * 1000);
        expect(on(readTime, iso.replace("T", " ").replaceAll("-", "/").replace("Z", ""))).toBe(ms * 1000);
        const minutes = Math.abs(offset);
        const zone = `${String(Math.floor(minutes / 60)).padStart(2, "0")}${String(minutes % 60).padStart(2, "0")}`;
        const utc = ms - offset * 60_000;
        if (utc < 0) return;
        expect(on(readTime, iso.replace("Z", (offset < 0 ? "-" : "+") + zone))).toBe(utc * 1000);
      }),
    );
  });

  it.each([
    ["2021-06-06T15:59:46.457984+0200", "2021-06-06T13:59:46.457Z"],
    ["2021-06-06T15:59:46+02:00", "2021-06-06T13:59:46.000Z"],
    ["2021-06-06 15:59:46-01", "2021-06-06T16:59:46.000Z"],
    ["2024-02-29T00:00:00z", "2024-02-29T00:00:00.000Z"],
  ])("reads %s", (text, iso) => {
    expect(Math.floor(on(readTime, text) / 1000)).toBe(Date.parse(iso));
  });

  it.each([
    "",
    "-",
    "XXXXXXXXXX.XXXXXX",
    "2021-13-01T00:00:00",
    "2023-02-29T00:00:00",
    "2021-01-01T24:00:00",
    "2021-01-01T00:00:00.",
    "2021-01-01T00:00:00+2",
    "2021-01-01T00:00:00+02000",
    "2021-01/01T00:00:00",
    "1969-12-31T23:59:59Z",
    "2021-01-01",
    "-5",
    "1.2.3",
    "9999999999999999",
  ])("takes %j for no time", (text) => {
    expect(on(readTime, text)).toBe(NO_TIME);
  });

  it("tells the unit of an epoch by its digits", () => {
    const us = 1_700_000_000_123_456;
    expect(on(readEpoch, "1700000000.123456")).toBe(us);
    expect(on(readEpoch, "1700000000123")).toBe(us - 456);
    expect(on(readEpoch, "1700000000123456")).toBe(us);
    expect(on(readEpoch, "1700000000123456789")).toBe(us);
    expect(on(readEpoch, "170000000012345678901")).toBe(NO_TIME);
    expect(on(readEpoch, "1700000000123x")).toBe(NO_TIME);
  });
});

describe("addresses", () => {
  it.each([
    ["0.0.0.0", "0 0 ffff 0"],
    ["255.255.255.255", "0 0 ffff ffffffff"],
    ["::ffff:1.2.3.4", "0 0 ffff 1020304"],
    ["::", "0 0 0 0"],
    ["::1", "0 0 0 1"],
    ["1::", "10000 0 0 0"],
    ["2001:db8::8d6e:3477:df66:f105", "20010db8 0 8d6e3477 df66f105"],
    ["1:2:3:4:5:6:7:8", "10002 30004 50006 70008"],
    ["1:2:3:4:5:6:7::", "10002 30004 50006 70000"],
    ["fe80::1%eth0", "fe800000 0 0 1"],
    ["FE80::ABCD", "fe800000 0 0 abcd"],
    ["64:ff9b::192.0.2.1", "64ff9b 0 0 c0000201"],
  ])("reads %s", (text, expected) => {
    expect(words(text)).toBe(expected);
  });

  it.each([
    "",
    "-",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "1.2..4",
    "01.2.3.4",
    " 1.2.3.4",
    "1.2.3.4 ",
    "x1.2.3.4",
    ":",
    ":::",
    ":1",
    "1:",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "12345::",
    "::1.2.3",
    "1.2.3.4::",
    "1:2:3:4:5:6:7:1.2.3.4",
    "fe80::1%",
    "g::",
    "00:1d:09:5b:d6:84",
  ])("takes %j for no address", (text) => {
    expect(words(text)).toBeUndefined();
  });

  it("reads back any address, however it is compressed", () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        expect(words(text)).toBeDefined();
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }), (groups) => {
        const plain = groups.map((group) => group.toString(16)).join(":");
        const url = new URL(`http://[${plain}]/`).hostname.slice(1, -1);
        expect(words(url)).toBe(words(plain));
      }),
    );
  });
});

describe("protocols", () => {
  it.each([
    ["tcp", 6],
    ["UDP", 17],
    ["ICMP6", 58],
    ["ipv6-icmp", 58],
    ["rtcp", 17],
    ["132", 132],
    ["256", -1],
    ["6x", -1],
    ["telepathy", -1],
    ["", -1],
  ])("reads %j as %i", (text, number) => {
    expect(on(protocolNumber, text)).toBe(number);
  });
});

describe("UTF-8", () => {
  it("agrees with the platform", () => {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    const fragment = fc.oneof(
      fc.uint8Array({ maxLength: 5 }),
      fc.string({ unit: "binary", maxLength: 3 }).map((text) => encoder.encode(text)),
      fc.constantFrom([0xc0, 0x80], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xf0, 0x9f]),
    );
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 4 }), fc.nat({ max: 7 }), (fragments, offset) => {
        const content = fragments.flatMap((part) => Array.from(part));
        const bytes = new Uint8Array([...Array.from({ length: offset }, () => 200), ...content]).subarray(offset);
        let isValid = true;
        try {
          decoder.decode(bytes);
        } catch {
          isValid = false;
        }
        expect(isUtf8(bytes, 0, bytes.length)).toBe(isValid);
        expect(hasHighByte(bytes)).toBe(content.some((byte) => byte >= 128));
      }),
      { numRuns: 500 },
    );
  });

  it("quotes at most 64 bytes, whole characters", () => {
    const long = "é".repeat(40);
    expect(on(quoted, long)).toBe("é".repeat(32));
    expect(on(quoted, `x${long}`)).toBe(`x${"é".repeat(31)}`);
    expect(on(quoted, "a😀€")).toBe("a😀€");
  });
});
