import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { blindIndex, tokenHead, type IndexFamily } from "../../../src/security/blind-index.ts";
import { parsePrefix } from "../../../src/security/prefix.ts";

const keyOf = (version: number, fill = version) => ({ version, key: new Uint8Array(32).fill(fill) });
const index = blindIndex([keyOf(1)]);
const search = (network: string, by = index, family: IndexFamily = "source_ip") =>
  by.tokensFor(family, parsePrefix(network)!);

describe("blindIndex", () => {
  it.each([
    ["10.1.2.3", ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3"]],
    ["10.1.2.0/24", ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24"]],
    ["2001:db8:1:2::5", ["2001:db8::/32", "2001:db8:1::/48", "2001:db8:1:2::/64", "2001:db8:1:2::5"]],
    ["2001:db8:1::/48", ["2001:db8::/32", "2001:db8:1::/48"]],
    ["host", []],
  ])("has a token of %s for each indexed prefix", (address, prefixes) => {
    expect(index.tokensOf("source_ip", [address])).toEqual(prefixes.flatMap((prefix) => search(prefix)!));
  });

  it.each([
    ["10.1.0.0/20", "10.1.0.0/16"],
    ["10.1.2.4/30", "10.1.2.0/24"],
    ["10.0.0.0/9", "10.0.0.0/8"],
    ["2001:db8:1:2:3::/80", "2001:db8:1:2::/64"],
  ])("searches %s by the nearest shorter prefix", (network, prefix) => {
    expect(search(network)).toEqual(search(prefix));
  });

  it.each(["10.0.0.0/7", "0.0.0.0/0", "2001:d00::/24", "::/0"])("has nothing so short as %s", (network) => {
    expect(search(network)).toBeUndefined();
  });

  it("tells families, keys and prefixes apart, and repeats none", () => {
    const all = [
      ...index.tokensOf("source_ip", ["10.1.2.3"]),
      ...index.tokensOf("destination_ip", ["10.1.2.3"]),
      ...blindIndex([keyOf(1, 9)]).tokensOf("source_ip", ["10.1.2.3"]),
    ];
    expect(new Set(all).size).toBe(12);
    expect(all.every((token) => /^00000001[0-9a-f]{32}$/.test(token))).toBe(true);
    expect(index.tokensOf("source_ip", ["10.1.2.3", "10.1.2.3", "10.1.2.4"])).toHaveLength(5);
  });

  it("writes with the newest key and searches with each", () => {
    const both = blindIndex([keyOf(1), keyOf(2)]);
    expect(both.tokensOf("source_ip", ["10.1.2.3"]).every((token) => token.startsWith(tokenHead(2)))).toBe(true);
    expect(search("10.1.2.3", both)).toEqual([...search("10.1.2.3")!, ...search("10.1.2.3", blindIndex([keyOf(2)]))!]);
    expect(tokenHead(2) > search("10.1.2.3")![0]).toBe(true);
  });

  it("finds every address of a network by a token of the network", () => {
    const v4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((octets) => octets.join("."));
    fc.assert(
      fc.property(v4, fc.integer({ min: 8, max: 32 }), (address, length) => {
        const [token] = search(`${address}/${length}`)!;
        expect(index.tokensOf("source_ip", [address])).toContain(token);
      }),
    );
  });

  it("derives the same in every runtime: stored tokens depend on it", () => {
    expect(search("10.0.0.0/8")).toMatchInlineSnapshot(`
      [
        "00000001cb3ad74ee86aa302edaf1f196dc4fa2c",
      ]
    `);
  });
});
