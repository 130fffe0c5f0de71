import { describe, expect, it } from "vitest";
import { hashAddress } from "../../../src/core/flow/keyed-hash.ts";
import { BottomRows } from "../../../src/core/sketches/bottom-rows.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";
import { Random } from "../../support/random.ts";

const shape = { peers: 3, sums: 3 };
const addresses = Uint32Array.from({ length: 4 * 500 }, (_, w) => [0, 0, 0xffff, 0x0a000000 + w][w % 4]);
const hashOf = (index: number) => hashAddress([1, 2], 0, 0, 0xffff, addresses[4 * index + 3]);

interface Addition {
  service: number;
  peer: number;
  bytes: number;
}

function tableOf(additions: readonly Addition[], k = 8): BottomRows {
  const table = new BottomRows(k, shape);
  for (const { service, peer, bytes } of additions) {
    const row = table.row(Math.imul(service, 0x9e3779b1) >>> 0, service);
    if (row < 0) continue;
    table.addPeer(row, hashOf(peer), addresses, peer);
    table.add(row, 0, bytes);
    table.raise(row, 1, bytes);
    table.unite(row, 2, 1 << (bytes & 31));
  }
  return table;
}

function bytesOf(table: BottomRows): Uint8Array {
  const writer = new StateWriter();
  table.save(writer);
  return writer.bytes();
}

const random = new Random(1);
const additions = Array.from({ length: 600 }, () => ({
  service: random.int(1, 30),
  peer: random.int(0, 499),
  bytes: random.int(0, 1e6),
}));

describe("rows of lowest hash", () => {
  it("are the same in any order of additions", () => {
    const inOrder = bytesOf(tableOf(additions));
    for (const seed of [2, 3, 4]) expect(bytesOf(tableOf(new Random(seed).shuffled(additions)))).toEqual(inOrder);
  });

  it("are exact below their bound: sums, maxima, sets", () => {
    const table = tableOf(additions, 100);
    expect([table.size, table.isExact, table.count()]).toEqual([30, true, 30]);
    for (let row = 0; row < table.size; row++) {
      const own = additions.filter(({ service }) => service === table.label(row));
      expect(table.sum(row, 0)).toBe(own.reduce((sum, { bytes }) => sum + bytes, 0));
      expect(table.sum(row, 1)).toBe(Math.max(...own.map(({ bytes }) => bytes)));
      expect(table.sum(row, 2)).toBe(own.reduce((bits, { bytes }) => (bits | (1 << (bytes & 31))) >>> 0, 0));
      const lowest = [...new Set(own.map(({ peer }) => peer))].sort((a, b) => hashOf(a) - hashOf(b)).slice(0, 3);
      expect(table.peers(row).map(([, , , d]) => d)).toEqual(lowest.map((peer) => addresses[4 * peer + 3]));
    }
    expect(table.total(0)).toBe(additions.reduce((sum, { bytes }) => sum + bytes, 0));
  });

  it("say about how many there were beyond it", () => {
    const many = Array.from({ length: 1000 }, (_, service) => ({ service, peer: 1, bytes: 1 }));
    const table = tableOf(many, 64);
    expect([table.size, table.isExact]).toEqual([64, false]);
    expect(Math.abs(table.count() - 1000)).toBeLessThan(300);
  });

  it.each([
    [0, 0],
    [1, 1],
    [2, 2],
  ])("count %i peers exactly", (peers, expected) => {
    const table = tableOf(Array.from({ length: peers }, (_, peer) => ({ service: 1, peer, bytes: 1 })));
    expect(table.peerCount(table.row(0x9e3779b1, 1))).toBe(expected);
  });

  it("count more peers than they keep by the greatest hash kept", () => {
    const table = new BottomRows(1, { peers: 64, sums: 0 });
    const row = table.row(1, 1);
    for (let peer = 0; peer < 500; peer++) table.addPeer(row, hashOf(peer), addresses, peer);
    expect(Math.abs(table.peerCount(row) - 500)).toBeLessThan(150);
    expect(table.peers(row)).toHaveLength(64);
  });

  it("merge the labels of one hash to the least", () => {
    const table = new BottomRows(4, shape);
    for (const label of [7, 5, 9]) table.row(1, label);
    expect([table.size, table.label(0)]).toEqual([1, 5]);
  });

  it("are what they were once saved and loaded", () => {
    const table = tableOf(additions);
    const again = BottomRows.load(8, shape, new StateReader(bytesOf(table)));
    expect(bytesOf(again)).toEqual(bytesOf(table));
    expect([again.memoryBytes, again.packedBytes]).toEqual([table.memoryBytes, table.packedBytes]);
  });
});
