import { describe, expect, it } from "vitest";
import { formatAddress, parseAddress, wordsAt } from "../../../src/core/flow/address.ts";
import { bucketMs, Refused, sourcesKept, startsMax, type Contacts } from "../../../src/core/flow/contacts.ts";
import { Initiator, Outcome, Protocol, Tcp } from "../../../src/core/flow/flow-batch.ts";
import { hashAddress, slotOf } from "../../../src/core/flow/keyed-hash.ts";
import { networkMatcher } from "../../../src/core/flow/networks.ts";
import { batchOf, contactsOf, traceStartMs, type TraceFlow } from "../../support/trace.ts";

describe("addresses", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["::", "::"],
    ["::1", "::1"],
    ["fe80::", "fe80::"],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
    ["1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"],
  ])("writes %s as %s", (text, expected) => expect(formatAddress(parseAddress(text)!)).toBe(expected));

  it.each([
    "",
    "1.2.3",
    "1.2.3.256",
    "1.2.3.4.5",
    ":",
    "1::2::3",
    "12345::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "::g",
  ])("refuses %j", (text) => expect(parseAddress(text)).toBeUndefined());
});

describe("networks", () => {
  const inside = networkMatcher(["10.0.0.0/8", "192.0.2.7", "2001:db8::/33"]);
  it.each([
    ["10.255.0.1", true],
    ["11.0.0.1", false],
    ["192.0.2.7", true],
    ["192.0.2.8", false],
    ["2001:db8:7fff::1", true],
    ["2001:db8:8000::1", false],
  ])("says of %s: %s", (text, expected) => expect(inside(...parseAddress(text)!)).toBe(expected));

  it.each(["10.0.0.0/33", "x/8", "10.0.0.0/", "::/129"])("names %j as no network", (cidr) => {
    expect(() => networkMatcher([cidr])).toThrow(cidr);
  });
});

it("never moves an entity to another slot", () => {
  const hashes = ["10.0.0.1", "203.0.113.9", "2001:db8::1"].map((text) => hashAddress([1, 2], ...parseAddress(text)!));
  expect(hashes.map(slotOf)).toEqual([245, 246, 209]);
});

const base = { source: "10.0.0.1", target: "203.0.113.1", targetPort: 443, sourcePort: 50_000, startMs: traceStartMs };

describe("orient", () => {
  const ends = (flow: Partial<TraceFlow>) => {
    const batch = batchOf([{ ...base, ...flow }]);
    return `${formatAddress(wordsAt(batch.addresses.words, batch.source[0]))}:${batch.sourcePort[0]} ${batch.targetPort[0]}`;
  };
  const unknown = { initiator: Initiator.Unknown };
  it.each<[string, Partial<TraceFlow>, string]>([
    ["keeps what the record proves", { sourcePort: 80, targetPort: 50_000 }, "10.0.0.1:80 50000"],
    ["turns what the record disproves", { initiator: Initiator.Target }, "203.0.113.1:443 50000"],
    [
      "takes the lower port for the service",
      { ...unknown, sourcePort: 53, targetPort: 40_000 },
      "203.0.113.1:40000 53",
    ],
    [
      "knows an amplifier's port, though the other is lower",
      { ...unknown, protocol: Protocol.Udp, sourcePort: 11_211, targetPort: 80 },
      "203.0.113.1:80 11211",
    ],
    ["keeps two ephemeral ports", { ...unknown, sourcePort: 40_000, targetPort: 50_000 }, "10.0.0.1:40000 50000"],
    ["keeps equal ports", { ...unknown, sourcePort: 5060, targetPort: 5060 }, "10.0.0.1:5060 5060"],
    [
      "believes a SYN before the ports",
      { ...unknown, sourcePort: 20, targetPort: 50_000, tcpFlags: Tcp.Syn },
      "10.0.0.1:20 50000",
    ],
    ["knows a SYN+ACK as an answer", { ...unknown, tcpFlags: Tcp.Syn | Tcp.Ack }, "203.0.113.1:443 50000"],
    ["keeps a whole connection's flags", { ...unknown, tcpFlags: Tcp.Syn | Tcp.Ack | Tcp.Fin }, "10.0.0.1:50000 443"],
    [
      "files an echo reply under its request",
      { initiator: Initiator.Target, protocol: Protocol.Icmp, sourcePort: 0, targetPort: 0 },
      "203.0.113.1:0 2048",
    ],
    [
      "takes ICMP of unknown type for an echo request",
      { ...unknown, protocol: Protocol.Icmp, sourcePort: 0, targetPort: 0 },
      "10.0.0.1:0 2048",
    ],
    [
      "turns an unreachable",
      { ...unknown, protocol: Protocol.Icmp, sourcePort: 0, targetPort: 0x303 },
      "203.0.113.1:0 771",
    ],
    [
      "keeps an echo request",
      { ...unknown, protocol: Protocol.Icmp, sourcePort: 0, targetPort: 0x800 },
      "10.0.0.1:0 2048",
    ],
  ])("%s", (_, flow, expected) => expect(ends(flow)).toBe(expected));

  it("turns bytes, packets and ports together", () => {
    const flow = { initiator: Initiator.Target, sourceBytes: 1, targetBytes: 2, sourcePackets: 3, targetPackets: 4 };
    const batch = batchOf([{ ...base, ...flow }]);
    expect([batch.sourceBytes[0], batch.targetBytes[0], batch.sourcePackets[0], batch.targetPackets[0]]).toEqual([
      2, 1, 4, 3,
    ]);
  });
});

describe("fold", () => {
  const sum = (column: Iterable<number>) => [...column].reduce((a, b) => a + b, 0);

  it("joins what shares source, target, service and ten seconds of ends", () => {
    const at = (ms: number): TraceFlow => ({ ...base, startMs: traceStartMs + ms, durationMs: 0 });
    const { pairs } = contactsOf([at(0), at(9_999), at(10_000), { ...at(1), targetPort: 80 }]);
    expect([...pairs.requests]).toEqual([2, 1, 1]);
    expect([...pairs.bucket].map((bucket) => bucket - traceStartMs / bucketMs)).toEqual([0, 1, 0]);
  });

  it("tells answers, failures and lone replies apart", () => {
    const lone = { sourcePackets: 0, sourceBytes: 0, targetPackets: 1, outcome: Outcome.Unknown };
    const { pairs } = contactsOf([
      { ...base },
      { ...base, outcome: Outcome.Refused, targetPackets: 1 },
      { ...base, ...lone, targetBytes: 40 },
      { ...base, ...lone, targetBytes: 60 },
      { ...base, outcome: Outcome.Unknown, tcpFlags: Tcp.Syn },
    ]);
    expect([pairs.requests[0], pairs.replies[0], pairs.answered[0], pairs.failed[0]]).toEqual([3, 2, 2, 3]);
  });

  it("gives a long flow to its last minute by share", () => {
    const { pairs } = contactsOf([{ ...base, durationMs: 600_000, sourceBytes: 1_000_000, sourcePackets: 1000 }]);
    expect([pairs.minuteSourceBytes[0], pairs.minuteSourcePackets[0], pairs.sourceBytes[0]]).toEqual([
      100_000, 100, 1_000_000,
    ]);
  });

  it("keeps the earliest starts of a contact", () => {
    const flows = Array.from({ length: 20 }, (_, i) => ({ ...base, startMs: traceStartMs + 19 - i, durationMs: 0 }));
    const { pairs } = contactsOf(flows);
    expect([...pairs.startMs].map((ms) => ms - traceStartMs)).toEqual(Array.from({ length: startsMax }, (_, i) => i));
    expect(pairs.requests[0]).toBe(20);
  });

  it("keeps the sources of lowest hash of a flooded target", () => {
    const flows = Array.from({ length: 200 }, (_, i) => ({ ...base, source: `198.51.100.${i}`, target: "10.0.0.1" }));
    const { targets, addressHash } = contactsOf(flows);
    expect(targets.length).toBe(1);
    expect(targets.requests[0]).toBe(200);
    const kept = [...targets.sources].map((index) => addressHash[index]);
    const sources = contactsOf(flows).pairs.source;
    const lowest = [...sources].map((index) => addressHash[index]).sort((a, b) => a - b);
    expect(kept).toEqual(lowest.slice(0, sourcesKept));
  });

  it("counts replies that nobody asked for as such, and no source of theirs", () => {
    const reply = { sourcePackets: 0, sourceBytes: 0, targetPackets: 2, targetBytes: 900, outcome: Outcome.Unknown };
    const { pairs, targets }: Contacts = contactsOf([{ ...base, protocol: Protocol.Udp, targetPort: 53, ...reply }]);
    expect([pairs.requests[0], pairs.replies[0], pairs.minuteTargetBytes[0], pairs.startCount[0]]).toEqual([
      0, 1, 900, 0,
    ]);
    expect([targets.requests[0], targets.answered[0], targets.sourceCount[0]]).toEqual([0, 1, 0]);
  });

  it("marks what its own batch shows to be late, for the slot of either side", () => {
    const late = { ...base, startMs: traceStartMs };
    const later = { ...base, startMs: traceStartMs + 700_000 };
    expect([...contactsOf([later, late]).pairs.refused]).toEqual([0, Refused.LateForSource | Refused.LateForTarget]);
    expect([...contactsOf([late, later]).pairs.refused]).toEqual([0, 0]);
    expect([...contactsOf([{ ...later, target: "198.51.100.99" }, late]).pairs.refused]).toEqual([
      0,
      Refused.LateForSource,
    ]);
  });

  it("loses no record, byte or packet", () => {
    const flows = Array.from({ length: 500 }, (_, i) => ({
      ...base,
      targetPort: i % 7,
      sourceBytes: i,
      startMs: traceStartMs + i * 97,
    }));
    const { pairs, targets } = contactsOf(flows);
    expect(sum(pairs.requests)).toBe(500);
    expect(sum(targets.requests)).toBe(500);
    expect(sum(pairs.sourceBytes)).toBe((499 * 500) / 2);
  });
});
