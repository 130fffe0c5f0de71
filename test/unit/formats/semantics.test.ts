import { describe, expect, it } from "vitest";
import { Initiator, Outcome, Tcp } from "../../../src/core/flow/flow-batch.ts";
import { read, type Row } from "./reading.ts";

const initiators = Object.keys(Initiator);
const outcomes = Object.keys(Outcome);

/** `Answered by Source`: the outcome of the only row, and who began. */
function told({ rows, balance }: { rows: Row[]; balance: { rejects: unknown[] } }): string {
  expect(balance.rejects).toEqual([]);
  expect(rows).toHaveLength(1);
  return `${outcomes[rows[0].outcome]} by ${initiators[rows[0].initiator]}`;
}

const vpcLine = (rest: string) => `3 1 eni 10.0.0.1 10.0.0.2 1024 22 6 3 180 1700000000 1700000060 ${rest}`;

const vpcLineOfAllFields = (flags: number | string) =>
  vpcLine(`ACCEPT OK vpc subnet i ${flags} IPv4 - - r az - - - - ingress 1`);

const rejectedFlow = (address: string, protocol: number, packets: string) =>
  `3 1 eni ${address} 10.0.0.2 1024 22 ${protocol} ${packets} 180 1700000000 1700000060 REJECT OK a b c 18 x`;

describe("aws-vpc", () => {
  it("tells a SYN from a SYN+ACK by the flags, and REJECT from ACCEPT", () => {
    expect(told(read("aws-vpc", vpcLineOfAllFields(2)))).toBe("Unknown by Source");
    expect(told(read("aws-vpc", vpcLineOfAllFields(3)))).toBe("Unknown by Source");
    expect(told(read("aws-vpc", vpcLineOfAllFields(19)))).toBe("Unknown by Target");
    expect(told(read("aws-vpc", vpcLineOfAllFields(0)))).toBe("Unknown by Unknown");
    expect(told(read("aws-vpc", vpcLineOfAllFields("-")))).toBe("Unknown by Unknown");
    expect(told(read("aws-vpc", vpcLine("REJECT OK")))).toBe("Blocked by Unknown");
  });

  it("reads configured columns, in either spelling, up to the first header", () => {
    const fields = ["dstaddr", "srcaddr", "srcport", "dstport", "protocol", "start", "end", "log_status", "tcp_flags"];
    const body = "10.0.0.2 10.0.0.1 1024 22 6 1700000000 1700000060 OK 2\nsrcaddr dstaddr start\n10.0.0.9 - 1\n";
    const { rows, balance } = read("aws-vpc", body, { options: { fields } });
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ source: "10.0.0.1", target: "10.0.0.2", sourcePackets: 0, tcpFlags: 2 });
    expect(balance.rejects).toEqual([{ reason: "missing_field", field: "dstaddr", line: 3 }]);
  });

  it("reads ordinary lines in one pass as it reads the others field by field", () => {
    for (const protocol of [1, 6, 17, 47]) {
      const rows = [rejectedFlow("10.0.0.1", protocol, "3"), rejectedFlow("::ffff:10.0.0.1", protocol, "3.0")].map(
        (text) => read("aws-vpc", text).rows,
      );
      expect(rows[0]).toHaveLength(1);
      expect(rows[1]).toEqual(rows[0]);
    }
  });

  it.each([
    [["10.0.0.256"], "not_an_address", "srcaddr"],
    [["10.0.0.1", "10.0.0.2", "65536"], "out_of_range", "srcport"],
    [["10.0.0.1", "10.0.0.2", "1", "x"], "not_a_number", "dstport"],
    [["10.0.0.1", "10.0.0.2", "1", "2", "256"], "out_of_range", "protocol"],
    [["10.0.0.1", "10.0.0.2", "1", "2", "6", "-3"], "out_of_range", "packets"],
    [["10.0.0.1", "10.0.0.2", "1", "2", "6", "1", "9007199254740993"], "out_of_range", "bytes"],
    [["10.0.0.1", "10.0.0.2", "1", "2", "6", "1", "1", "soon"], "not_a_time", "start"],
    [["10.0.0.1", "10.0.0.2", "1", "2", "6", "1", "1", "100", "99"], "out_of_range", "end"],
    [["10.0.0.1", "10.0.0.2", "1", "2", "6", "1", "1", "100", "99000000000"], "not_a_time", "end"],
  ])("rejects %j: %s of %s", (given, reason, field) => {
    const ordinary = ["10.0.0.1", "10.0.0.2", "1", "2", "6", "1", "1", "1700000000", "1700000001"];
    const odd = `2 1 eni ${[...given, ...ordinary.slice(given.length)].join(" ")} ACCEPT OK`;
    expect(read("aws-vpc", odd).balance.rejects).toEqual([expect.objectContaining({ reason, field, line: 1 })]);
  });
});

const connOf = (fields: Record<string, unknown>) =>
  read(
    "zeek-conn-json",
    JSON.stringify({
      ts: 1_700_000_000.5,
      id: { orig_h: "10.0.0.1", orig_p: 1024, resp_h: "10.0.0.2", resp_p: 22 },
      proto: "tcp",
      ...fields,
    }),
  );

const icmpOf = (type: number, other: number, ip = "10.0.0.2") => {
  const id = { orig_h: ip, orig_p: type, resp_h: ip, resp_p: other };
  const { rows } = connOf({ id, proto: "icmp", conn_state: "OTH", orig_pkts: 1, resp_pkts: 1 });
  return [rows[0].protocol, rows[0].targetPort >> 8, rows[0].targetPort & 255, outcomes[rows[0].outcome]];
};

describe("zeek", () => {
  it.each([
    ["SF", "ShADadFf", "Answered by Source"],
    ["S0", "S", "Unanswered by Source"],
    ["S1", "^hADad", "Answered by Source"],
    ["SH", "F", "Unanswered by Unknown"],
    ["SH", "SDAF", "Unknown by Source"],
    ["S0", "SA", "Unknown by Source"],
    ["REJ", "Sr", "Refused by Source"],
    ["REJ", "^r", "Refused by Unknown"],
    ["RSTO", "ShR", "Answered by Source"],
    ["RSTR", "SAr", "Refused by Source"],
    ["RSTR", "SAdr", "Answered by Source"],
    ["RSTOS0", "SR", "Unanswered by Source"],
    ["RSTRH", "^hr", "Refused by Unknown"],
    ["OTH", "H", "Unknown by Target"],
    ["OTH", "s", "Unknown by Target"],
    ["OTH", "Ss", "Unknown by Unknown"],
    ["OTH", "C", "Unknown by Unknown"],
    ["SHR", "hfA", "Unknown by Source"],
  ])("TCP %s %s: %s", (conn_state, history, expected) => {
    expect(told(connOf({ conn_state, history, orig_pkts: 3, resp_pkts: 3 }))).toBe(expected);
  });

  it.each([
    ["udp", "SF", "Dd", 1, 1, "Answered by Source"],
    ["udp", "SF", "^dD", 1, 1, "Answered by Unknown"],
    ["udp", "SF", "dD", 1, 1, "Answered by Unknown"],
    ["udp", "S0", "D", 1, 0, "Unanswered by Unknown"],
    ["udp", "SHR", "^d", 0, 1, "Unknown by Unknown"],
  ])("%s %s %s: %#", (proto, conn_state, history, orig_pkts, resp_pkts, expected) => {
    expect(told(connOf({ proto, conn_state, history, orig_pkts, resp_pkts }))).toBe(expected);
  });

  it("keeps type and code of ICMP, and knows that counterparts are no codes", () => {
    expect(icmpOf(8, 0)).toEqual([1, 8, 0, "Answered"]);
    expect(icmpOf(3, 3)).toEqual([1, 3, 3, "Unknown"]);
    expect(icmpOf(11, 0)).toEqual([1, 11, 0, "Unknown"]);
    expect(icmpOf(13, 14)).toEqual([1, 13, 0, "Unknown"]);
    expect(icmpOf(14, 15)).toEqual([1, 14, 15, "Unknown"]);
    expect(icmpOf(135, 136, "fe80::1")).toEqual([58, 135, 0, "Unknown"]);
    expect(icmpOf(128, 129, "fe80::1")).toEqual([58, 128, 0, "Answered"]);
    expect(icmpOf(1, 4, "fe80::1")).toEqual([58, 1, 4, "Unknown"]);
  });

  it("counts one packet for a side that sent where packets are not logged", () => {
    const answered = connOf({ conn_state: "SF" }).rows[0];
    expect([answered.sourcePackets, answered.targetPackets]).toEqual([1, 1]);
    const unanswered = connOf({ conn_state: "S0" }).rows[0];
    expect([unanswered.sourcePackets, unanswered.targetPackets]).toEqual([1, 0]);
  });

  it("adds the duration before it cuts to milliseconds", () => {
    const { rows } = connOf({ ts: 1_700_000_000.0009, duration: 0.0002 });
    expect([rows[0].startMs, rows[0].endMs]).toEqual([1_700_000_000_000, 1_700_000_000_001]);
  });

  it("skips other streams, rejects what is no conn record, and takes names as they are", () => {
    expect(connOf({ _path: "ssl" }).balance.skipped).toBe(1);
    expect(connOf({ query: "example.org" }).balance.skipped).toBe(1);
    expect(connOf({ query: "example.org", conn_state: "SF" }).rows).toHaveLength(1);
    expect(connOf({ id: {}, id_orig_h: "10.0.0.300" }).balance.rejects).toEqual([
      { reason: "not_an_address", field: "id_orig_h", value: "10.0.0.300", line: 1 },
    ]);
    expect(connOf({ proto: "unknown_transport", ip_proto: 89 }).rows[0].protocol).toBe(89);
  });

  it("reads text without a header, with labels, under other names and separators", () => {
    const row = "1700000000.5\tC1\t10.0.0.1\t1024\t10.0.0.2\t22\ttcp\t-\t1.5\t1\t2\tSF\tT\tT\t0\tShA\t3\t9\t4\t9\t";
    expect(told(read("auto", `${row}-   Malicious   C&C`))).toBe("Answered by Source");
    const mapped = "#separator ,\n#path,conn\n#fields,_write_ts,src,src_port,dst,dst_port,proto,ts\n";
    const { rows } = read("zeek-conn", `${mapped}1,10.0.0.1,1,10.0.0.2,2,udp,5.5\n#fields,ts\n5\n`);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ source: "10.0.0.1", targetPort: 2, startMs: 5500 });
    expect(read("zeek-conn", `#path\tdns\n${row}\n#path\tconn\n${row}`).balance).toMatchObject({
      skipped: 1,
      accepted: 1,
    });
  });
});

const eventTold = (proto: string, source: string, target: string, packets: [number, number]) =>
  told(
    read(
      "suricata-eve",
      JSON.stringify({
        event_type: "flow",
        src_ip: "10.0.0.1",
        src_port: 1024,
        dest_ip: "10.0.0.2",
        dest_port: 22,
        proto,
        icmp_type: 8,
        flow: {
          start: "2023-11-14T22:13:20Z",
          end: "2023-11-14T22:13:20Z",
          pkts_toserver: packets[0],
          pkts_toclient: packets[1],
        },
        tcp: { tcp_flags_ts: source, tcp_flags_tc: target },
      }),
    ),
  );

describe("suricata", () => {
  it.each([
    ["TCP", "1b", "1b", [5, 5], "Answered by Source"],
    ["TCP", "02", "00", [1, 0], "Unanswered by Source"],
    ["TCP", "02", "14", [1, 1], "Refused by Source"],
    ["TCP", "12", "00", [3, 0], "Unknown by Target"],
    ["TCP", "12", "04", [1, 1], "Unknown by Target"],
    ["TCP", "18", "18", [5, 5], "Answered by Unknown"],
    ["TCP", "10", "02", [1, 1], "Answered by Target"],
    ["UDP", "00", "00", [1, 1], "Answered by Source"],
    ["UDP", "00", "00", [1, 0], "Unanswered by Unknown"],
    ["ICMP", "00", "00", [1, 0], "Unanswered by Source"],
  ] as const)("%s %s %s: %#", (proto, source, target, packets, expected) => {
    expect(eventTold(proto, source, target, [packets[0], packets[1]])).toBe(expected);
  });
});

const argusRow = (proto: string, dir: string, state: string, packets: number, bytes: number, source: number) =>
  read(
    "argus-binetflow",
    `1700000000,1,${proto},10.0.0.1,0x8,${dir},10.0.0.2,22,${state},,,${packets},${bytes},${source}`,
  );

const packetShares = (packets: number, bytes: number, source: number) => {
  const { sourcePackets, targetPackets } = argusRow("udp", " <->", "CON", packets, bytes, source).rows[0];
  return [sourcePackets, targetPackets];
};

describe("argus", () => {
  it.each([
    ["tcp", "  ->", "FSPA_FSPA", 10, 1000, 400, "Answered by Source"],
    ["tcp", "  ->", "S_RA", 2, 120, 60, "Refused by Source"],
    ["tcp", "  ->", "S_", 3, 180, 180, "Unanswered by Source"],
    ["tcp", " <?>", "PA_PA", 10, 1000, 400, "Answered by Unknown"],
    ["tcp", " <?>", "SPA_SPA", 10, 1000, 400, "Answered by Unknown"],
    ["tcp", "  <-", "SPA_SPA", 10, 1000, 400, "Answered by Target"],
    ["tcp", "  ->", "REQ", 1, 60, 60, "Unanswered by Source"],
    ["tcp", "  ->", "S0", 31, 900, 400, "Unanswered by Source"],
    ["tcp", "  ->", "ACC", 1, 58, 58, "Unknown by Target"],
    ["tcp", "  ->", "ACC", 3, 180, 120, "Answered by Source"],
    ["tcp", "  ->", "FIN", 9, 900, 400, "Answered by Source"],
    ["tcp", "  ->", "FIN", 1, 54, 54, "Unanswered by Source"],
    ["tcp", "  ->", "RST", 1, 54, 54, "Unanswered by Source"],
    ["tcp", "  ->", "RST", 2, 112, 58, "Refused by Source"],
    ["tcp", "  ->", "RST", 3, 166, 112, "Refused by Source"],
    ["tcp", "  ->", "RST", 3, 170, 112, "Answered by Source"],
    ["tcp", "  ->", "RST", 6, 374, 194, "Unknown by Source"],
    ["tcp", "  ->", "RST", 71, 53_044, 1965, "Answered by Source"],
    ["tcp", "  ?>", "RST", 1, 54, 54, "Unanswered by Unknown"],
    ["udp", " <->", "CON", 2, 200, 80, "Answered by Source"],
    ["udp", "  ->", "INT", 1, 80, 80, "Unanswered by Unknown"],
    ["icmp", " <->", "ECO", 2, 200, 100, "Answered by Source"],
    ["icmp", "  ->", "ECO", 2, 200, 200, "Unanswered by Source"],
    ["icmp", "  ->", "URP", 2, 200, 200, "Unknown by Unknown"],
  ])("%s %s %s of %i packets, %i bytes, %i the source's: %s", (proto, dir, state, packets, bytes, source, expected) => {
    expect(told(argusRow(proto, dir, state, packets, bytes, source))).toBe(expected);
  });

  it("shares the packets by the bytes, at least one each", () => {
    expect(packetShares(10, 1000, 400)).toEqual([4, 6]);
    expect(packetShares(2, 100_000, 1)).toEqual([1, 1]);
    expect(packetShares(5, 100, 100)).toEqual([5, 0]);
    expect(packetShares(5, 100, 0)).toEqual([0, 5]);
  });

  it("reads the two bytes of an ICMP port as code and type", () => {
    const header = "StartTime,Proto,SrcAddr,Sport,DstAddr,Dport,TotPkts,TotBytes,Label\n";
    const { rows } = read(
      "auto",
      `${header}5,icmp,1.1.1.1,0x0d03,2.2.2.2,0,1,1,a\n5,ipv6-icmp,fe80::1,143,ff02::16,0,1,1,"a,b"\n`,
    );
    expect(rows.map(({ protocol, targetPort }) => [protocol, targetPort])).toEqual([
      [1, (3 << 8) | 13],
      [58, 143 << 8],
    ]);
  });

  it("skips what is no IP", () => {
    const mac = "1700000000,1,mystery,0:1:2:3:4:5,,->,6:7:8:9:a:b,,INT,,,1,60,60";
    expect(read("argus-binetflow", mac).balance.skipped).toBe(1);
    expect(argusRow("mystery", "->", "INT", 1, 1, 1).balance.rejected).toBe(1);
  });
});

describe("nfdump", () => {
  it("reads version 1.7's columns, and ICMP as type.code", () => {
    const header = "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n";
    const body = `${header}2023-11-14 22:13:20.250,1.500,ICMP,10.0.0.1,0,10.0.0.2,3.1,1,60,1\n`;
    expect(read("auto", body).rows).toMatchObject([{ targetPort: (3 << 8) | 1, endMs: 1_700_000_001_750 }]);
  });

  it.each([
    ["....S.", 5, 0, "Unknown by Source"],
    ["...A..S.", 1, 0, "Unknown by Target"],
    ["...AP.SF", 9, 0, "Unknown by Unknown"],
    ["...AP.SF", 9, 7, "Answered by Unknown"],
  ])("flags %s of %i packets, %i back: %s", (flags, packets, back, expected) => {
    const times = "2023-11-14 22:13:20,2023-11-14 22:13:20,0.000";
    const line = `${times},10.0.0.1,10.0.0.2,1024,22,TCP,${flags},0,0,${packets},1,${back},1`;
    expect(told(read("nfdump-csv", line))).toBe(expected);
  });

  it("does not take the summary for records", () => {
    const { balance } = read("nfdump-csv", "ts,te,td,sa\nSummary\nflows,bytes\n1,2\n");
    expect(balance.received).toBe(0);
  });

  it("keeps all eight flags", () => {
    const { rows } = read(
      "nfdump-json",
      `{"first":"2023-11-14T22:13:20","last":"2023-11-14T22:13:20","proto":6,"src_port":1,"dst_port":2,
        "tcp_flags":"CE....S.","src4_addr":"10.0.0.1","dst4_addr":"10.0.0.2"}`,
    );
    expect(rows[0].tcpFlags).toBe(128 | 64 | Tcp.Syn);
  });
});

const jsonFlow = (fields: Record<string, unknown>) =>
  read("json", JSON.stringify({ src_ip: "10.0.0.1", dst_ip: "10.0.0.2", proto: "tcp", sport: 1, dport: 2, ...fields }));

describe("json", () => {
  it("finds start and end, or what they follow from", () => {
    const times = (fields: Record<string, unknown>) =>
      jsonFlow(fields).rows.map(({ startMs, endMs }) => [startMs, endMs]);
    expect(times({ start: 1_700_000_000, end: 1_700_000_001 })).toEqual([[1_700_000_000_000, 1_700_000_001_000]]);
    expect(times({ start: "2023-11-14T22:13:20Z", duration: 0.25 })).toEqual([[1_700_000_000_000, 1_700_000_000_250]]);
    expect(times({ end: 1_700_000_001_000, duration: "1" })).toEqual([[1_700_000_000_000, 1_700_000_001_000]]);
    expect(times({ timestamp: 1_700_000_000 })).toEqual([[1_700_000_000_000, 1_700_000_000_000]]);
    expect(times({ timestamp: 5, event: { duration: 2_500_000 } })).toEqual([[5000, 5002]]);
    expect(jsonFlow({}).balance.rejects).toEqual([{ reason: "missing_field", field: "@timestamp", line: 1 }]);
  });

  it("splits sums of both directions", () => {
    const { rows } = jsonFlow({ time: 1, bytes: 100, dst_bytes: 30, network: { packets: 5 }, out_packets: 2 });
    expect(rows[0]).toMatchObject({ sourceBytes: 70, targetBytes: 30, sourcePackets: 3, targetPackets: 2 });
    expect(jsonFlow({ time: 1, bytes: 10, dst_bytes: 30 }).balance.rejects).toEqual([
      { reason: "out_of_range", field: "bytes", value: "10", line: 1 },
    ]);
  });

  it.each([
    [{ tcp_flags: 2 }, "Unknown by Source"],
    [{ tcp_flags: "0x12", packets: 1 }, "Unknown by Target"],
    [{ tcp_flags: "SA", packets: 9 }, "Unknown by Unknown"],
    [{ action: "Deny" }, "Blocked by Unknown"],
    [{ action: "ACCEPT", bytes_received: 9 }, "Answered by Unknown"],
    [{ event: { action: "network_flow" } }, "Unknown by Unknown"],
  ])("%j: %s", (fields, expected) => {
    expect(told(jsonFlow({ time: 1, ...fields }))).toBe(expected);
  });

  it("takes numbers as strings, integers as decimals, and nulls for nothing", () => {
    const { rows } = jsonFlow({ time: "1.5", sport: "80", bytes: 1e3, packets: 3.0, action: null, src_bytes: null });
    expect(rows[0]).toMatchObject({ startMs: 1500, sourcePort: 80, sourceBytes: 1000, sourcePackets: 3 });
    expect(jsonFlow({ time: 1, packets: 1.5 }).balance.rejects[0]).toMatchObject({ reason: "out_of_range" });
    expect(jsonFlow({ time: 1, sport: true }).balance.rejects[0]).toMatchObject({ reason: "not_a_number" });
  });
});
