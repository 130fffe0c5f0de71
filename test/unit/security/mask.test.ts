import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatAddress } from "../../../src/core/flow/address.ts";
import { isTold, masked, maskedText } from "../../../src/security/mask.ts";
import { parsePrefix } from "../../../src/security/prefix.ts";

describe("maskedText", () => {
  it.each([
    ["10.1.2.3 knocked on 200 ports of 10.1.2.9.", "10.1.2.0/24 knocked on 200 ports of 10.1.2.0/24."],
    ["10.1.2.0/24", "10.1.2.0/24"],
    ["10.1.0.0/16", "10.1.0.0/16"],
    ["10.1.2.3:443", "10.1.2.0/24:443"],
    ["[2001:db8:1:2::5]:443", "[2001:db8:1::/48]:443"],
    ["2001:db8:1:2::5", "2001:db8:1::/48"],
    ["from 2001:db8:1:2::5: many", "from 2001:db8:1::/48: many"],
    ["2001:db8:1:2::", "2001:db8:1::/48"],
    ["2001:db8:1:2::/64", "2001:db8:1::/48"],
    ["fe80::1%eth0", "fe80::/48%eth0"],
    ["::ffff:10.1.2.3", "10.1.2.0/24"],
    ["2001:DB8:1:2::5,10.1.2.3", "2001:db8:1::/48,10.1.2.0/24"],
    ["at 17:00:00 on 2026-11-22T17:00:00.000Z", "at 17:00:00 on 2026-11-22T17:00:00.000Z"],
    ["12.5 of 300.1.2.3 at 1.2.3", "12.5 of 300.1.2.3 at 1.2.3"],
    ["peer:2001:db8:1:2:3:4:5:6", "peer:2001:db8:1::/48"],
    ["1:2:2001:db8:1:2:3:4:5:6 or 1::2001::5", "::/0 or ::/0"],
    ["a:10.1.2.3:b:c", "a:10.1.2.0/24:b:c"],
  ])("%s", (text, wanted) => {
    expect(maskedText(text)).toBe(wanted);
  });

  it("shows no address, whatever stands around it", () => {
    const word = fc.nat(0xffffffff);
    const v4 = word.map((d) => formatAddress([0, 0, 0xffff, (d | 1) >>> 0]));
    const v6 = fc
      .tuple(word, word, word, word)
      .map(([a, b, c, d]) => formatAddress([(a | 1) >>> 0, b, c, (d | 1) >>> 0]));
    const around = fc.constantFrom("", " ", "to:", ":", "(", ")", ",", ". ", ": ", '"', "=", "[", "]", "->");
    fc.assert(
      fc.property(fc.oneof(v4, v6), around, around, (address, before, behind) => {
        expect(maskedText(`${before}${address}${behind}`)).not.toContain(address);
      }),
    );
  });
});

describe("masked", () => {
  it("cuts addresses wherever they stand", () => {
    const anomaly = {
      entity: "10.1.2.3",
      peers: [{ address: "2001:db8:1:2::5", port: 443, protocol: "tcp" }],
      summary: "10.1.2.3 talks to 2001:db8:1:2::5",
      evidence: { sources: ["10.1.2.3"], by: { "10.1.2.3": { last: "10.1.2.4", flows: 3 } }, none: [null], is: true },
    };
    const cutOff = {
      entity: "10.1.2.0/24",
      peers: [{ address: "2001:db8:1::/48", port: 443, protocol: "tcp" }],
      summary: "10.1.2.0/24 talks to 2001:db8:1::/48",
      evidence: {
        sources: ["10.1.2.0/24"],
        by: { "10.1.2.0/24": { last: "10.1.2.0/24", flows: 3 } },
        none: [null],
        is: true,
      },
    };
    expect(masked(anomaly)).toEqual(cutOff);
  });
});

describe("isTold", () => {
  it.each([
    ["10.1.2.0/24", "masked", true],
    ["10.1.2.0/25", "masked", false],
    ["10.1.2.3", "masked", false],
    ["2001:db8:1::/48", "masked", true],
    ["2001:db8:1::/49", "masked", false],
    ["10.1.2.3", "clear", true],
    ["10.0.0.0/8", "sealed", false],
  ] as const)("%s to %s: %s", (network, view, wanted) => {
    expect(isTold(parsePrefix(network)!, view)).toBe(wanted);
  });
});
