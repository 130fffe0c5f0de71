import { describe, expect, it } from "vitest";
import { AddressTable } from "../../../src/core/flow/address-table.ts";
import { parseAddress, wordsAt } from "../../../src/core/flow/address.ts";
import { EntityTable } from "../../../src/core/flow/entity-table.ts";
import { noSlot, slotCount, slotOf } from "../../../src/core/flow/keyed-hash.ts";
import { networkMatcher } from "../../../src/core/flow/networks.ts";
import { formatEntity, homePrefixOf, neighbourhoodOf } from "../../../src/core/flow/prefixes.ts";

describe("prefixes", () => {
  it.each([
    ["10.1.2.3", "10.1.2.0/24", "10.1.2.0/24"],
    ["0.0.0.0", "0.0.0.0/24", "0.0.0.0/24"],
    ["255.255.255.255", "255.255.255.0/24", "255.255.255.0/24"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1::/48", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8::/48", "2001:db8::/64"],
    ["::1", "::/48", "::/64"],
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff::/48", "ffff:ffff:ffff:ffff::/64"],
  ])("of %s are %s at home and %s as a neighbourhood", (address, home, neighbourhood) => {
    const words = parseAddress(address)!;
    expect(formatEntity(homePrefixOf(...words))).toBe(home);
    expect(formatEntity(neighbourhoodOf(...words))).toBe(neighbourhood);
  });

  it.each(["192.0.2.7", "2001:db8::7", "::", "::1", "fe80::ffff:1", "2001:db8::ffff:ffff:0:31"])(
    "are never taken for the address %s",
    (address) => expect(formatEntity(parseAddress(address)!)).toBe(address),
  );

  it("have words of their own: no two of them, and no address, share them", () => {
    const addresses = ["10.1.2.0", "10.1.2.255", "10.1.3.0", "2001:db8:1::", "2001:db8:1:1::", "2001:db8:2::"];
    const words = addresses.map((address) => parseAddress(address)!);
    const homes = new Set(words.map((all) => homePrefixOf(...all).join()));
    const neighbourhoods = new Set(words.filter(([a]) => a !== 0).map((all) => neighbourhoodOf(...all).join()));
    expect([homes.size, neighbourhoods.size]).toEqual([4, 3]);
    const all = new Set([...homes, ...neighbourhoods, ...words.map((one) => one.join())]);
    expect(all.size).toBe(4 + 3 + 6);
  });

  it("are words that are whole and unsigned, for the highest addresses too", () => {
    for (const address of ["255.255.255.255", "ffff:ffff:ffff:ffff::"]) {
      const words = parseAddress(address)!;
      for (const word of [...homePrefixOf(...words), ...neighbourhoodOf(...words)]) expect(word).toBe(word >>> 0);
    }
  });
});

function tableOf(addresses: readonly string[]) {
  const table = new AddressTable();
  for (const address of addresses) table.intern(...parseAddress(address)!);
  return new EntityTable(table, [0x01234567, 0x89abcdef], networkMatcher(["10.0.0.0/8", "2001:db8:1::/48"]));
}

const slotsOf = ({ hash }: EntityTable) => [...hash].map(slotOf);

describe("the entities of a batch", () => {
  it("share a slot where they are neighbours outside, and are told apart by hash", () => {
    const table = tableOf(Array.from({ length: 200 }, (_, i) => `198.51.100.${i}`));
    expect(new Set(slotsOf(table)).size).toBe(1);
    expect(new Set(table.hash).size).toBe(200);
    const v6 = tableOf(Array.from({ length: 200 }, (_, i) => `2001:db8:2:7:${i}::1`));
    expect(new Set(slotsOf(v6)).size).toBe(1);
    expect(new Set(v6.hash).size).toBe(200);
  });

  it("are spread over the slots where they are no neighbours, or our own", () => {
    const many = 2000;
    const networks = tableOf(Array.from({ length: many }, (_, i) => `198.${18 + (i >> 8)}.${i & 255}.1`));
    const own = tableOf(Array.from({ length: many }, (_, i) => `10.0.${i >> 8}.${i & 255}`));
    const own6 = tableOf(Array.from({ length: many }, (_, i) => `2001:db8:1::${i.toString(16)}`));
    for (const table of [networks, own, own6]) {
      const filled = new Set(slotsOf(table)).size;
      expect(filled).toBeGreaterThan(0.95 * slotCount);
    }
  });

  it("have prefixes where they are our own hosts, one for all neighbours", () => {
    const table = tableOf(["10.0.0.1", "10.0.0.2", "10.0.1.1", "2001:db8:1::1", "2001:db8:1:9::1", "203.0.113.1"]);
    const prefixes = Array.from({ length: 6 }, (_, i) => table.prefixOf(i));
    expect(prefixes).toEqual([6, 6, 7, 8, 8, -1]);
    expect(Array.from({ length: 6 }, (_, i) => table.prefixOf(i))).toEqual(prefixes);
    const { addresses, addressHash, internal } = table.columns();
    const texts = [6, 7, 8].map((i) => formatEntity(wordsAt(addresses, i)));
    expect(texts).toEqual(["10.0.0.0/24", "10.0.1.0/24", "2001:db8:1::/48"]);
    expect([...internal]).toEqual([1, 1, 1, 1, 1, 0, 1, 1, 1]);
    const slots = [0, 1, 2, 3, 4, 5].map((i) => table.prefixSlot(i));
    expect(slots).toEqual([6, 6, 7, 8, 8].map((i) => slotOf(addressHash[i])).concat(noSlot));
  });

  it("know the slot of a prefix that was not asked for before", () => {
    const table = tableOf(["10.0.0.1"]);
    const slot = table.prefixSlot(0);
    expect(slot).toBeLessThan(slotCount);
    expect(slot).toBe(slotOf(table.columns().addressHash[1]));
  });

  it("have no prefix where they are groups", () => {
    const table = new AddressTable();
    table.intern(...parseAddress("224.0.0.1")!);
    table.intern(...parseAddress("ff02::1")!);
    const everything = new EntityTable(table, [1, 2], () => true);
    expect([0, 1].map((i) => [everything.prefixOf(i), everything.prefixSlot(i)])).toEqual([
      [-1, noSlot],
      [-1, noSlot],
    ]);
  });

  it("are as they were where nobody asked for a prefix", () => {
    const table = tableOf(["10.0.0.1", "203.0.113.1"]);
    const { addresses, addressHash, internal } = table.columns();
    expect([addresses.length, addressHash.length, internal.length]).toEqual([8, 2, 2]);
  });
});
