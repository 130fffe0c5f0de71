import { expect, it } from "vitest";
import { NetworkFacts, type PackedFacts } from "../../../src/core/slots/network-facts.ts";
import { FactsExchange, mergedFacts } from "../../../src/tiers/facts-exchange.ts";

function packed(hash: number, sources: number): PackedFacts {
  const facts = new NetworkFacts();
  facts.ofSlot(0).addSources(hash, sources, 0);
  return facts.packed();
}

function sourcesIn(facts: PackedFacts | undefined, hash: number): number | undefined {
  return facts && NetworkFacts.unpacked(facts).sourcesOf(hash);
}

it("gives every shard what the others know, once, and again where it was lost", () => {
  const exchange = new FactsExchange();
  const [one, other] = [0, 1].map((index) => ({ tenant: "acme", jurisdiction: null, index }));
  expect(exchange.newsFor(other)).toEqual({});
  expect(exchange.hasNews(one, 3)).toBe(true);
  exchange.hear(one, 3, packed(7, 5));
  expect(exchange.hasNews(one, 3)).toBe(false);
  expect(exchange.hasNews(one, 4)).toBe(true);
  expect(sourcesIn(exchange.newsFor(other).facts, 7)).toBe(5);
  expect(exchange.newsFor(other)).toEqual({});
  exchange.lost(other);
  expect(sourcesIn(exchange.newsFor(other).facts, 7)).toBe(5);
  expect(exchange.newsFor({ tenant: "lab", jurisdiction: null, index: 1 })).toEqual({});
});

it("merges what all shards say", () => {
  const merged = mergedFacts([packed(7, 5), packed(7, 9), packed(8, 2)]);
  expect([7, 8, 9].map((hash) => sourcesIn(merged, hash))).toEqual([9, 2, 1]);
});
