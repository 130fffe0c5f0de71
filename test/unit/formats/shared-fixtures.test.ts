import { describe, expect, it } from "vitest";
import { Initiator, Outcome } from "../../../src/core/flow/flow-batch.ts";
import { read } from "./reading.ts";
import { hasShared, missing, sharedBytes, sharedFiles, sharedText } from "./shared.ts";

interface Expected {
  file: string;
  n: number;
  start: string;
  end: string;
  src_ip?: string;
  src_port?: number;
  dst_ip?: string;
  dst_port?: number;
  iana?: number;
  proto?: string;
  bytes?: number;
  packets?: number;
  outcome?: string;
  log_status?: string;
}

const expectedCore = hasShared
  ? sharedText("formats", "elastic", "expected-core.jsonl")
      .trim()
      .split("\n")
      .map((line): Expected => JSON.parse(line))
  : [];

const uncompressed = (address: string) => address.replace(/^::ffff:/, "");
const ms = (time: string) => Math.floor(Date.parse(time));

describe.skipIf(!hasShared)(`elastic's fixtures${missing}`, () => {
  const files = [...new Set(expectedCore.map(({ file }) => file))];
  it.each(files.filter((file) => /^(aws|gcp)/.test(file)))("%s: reads what Elastic reads", (file) => {
    const expected = expectedCore.filter((row) => row.file === file);
    const { rows, balance, failure } = read("auto", sharedBytes("formats", "elastic", file));
    expect(failure).toBeUndefined();
    const flows = expected.filter(({ src_ip }) => src_ip !== undefined);
    expect(balance).toMatchObject({ accepted: flows.length, skipped: expected.length - flows.length, rejects: [] });
    for (const [index, flow] of flows.entries()) {
      expect(rows[index]).toMatchObject({
        source: uncompressed(flow.src_ip ?? ""),
        target: uncompressed(flow.dst_ip ?? ""),
        sourcePort: flow.src_port,
        targetPort: flow.dst_port,
        protocol: flow.iana ?? 6,
        startMs: ms(flow.start),
        endMs: ms(flow.end),
        sourceBytes: flow.bytes,
        sourcePackets: flow.packets,
        outcome: /deny|reject/i.test(flow.outcome ?? "") ? Outcome.Blocked : Outcome.Unknown,
      });
    }
  });
});

describe.skipIf(!hasShared)(`zeek's baselines${missing}`, () => {
  const files = sharedFiles("formats", "zeek").filter((file) => file !== "COPYING");

  it.each(files)("%s: every row is accepted or rejected for a reason", (file) => {
    const expected = file.endsWith(".gz") ? "zeek-conn-json" : "zeek-conn";
    const bytes = sharedBytes("formats", "zeek", file);
    // One baseline is two words, `history` and a history: nothing to recognise.
    const isTooShort = file.includes("gnutella");
    expect(read("auto", bytes).format).toBe(isTooShort ? undefined : expected);
    const { balance } = read(expected, bytes);
    expect(balance.received).toBe(balance.accepted + balance.rejected + balance.skipped);
    for (const reject of balance.rejects) {
      // Baselines hide times, and some have no columns of times and addresses.
      const { line: _, ...why } = reject;
      expect([
        { reason: "missing_field", field: "ts" },
        { reason: "missing_field", field: "id.orig_h" },
        { reason: "not_a_time", field: "ts", value: "XXXXXXXXXX.XXXXXX" },
      ]).toContainEqual(why);
    }
    if (file.endsWith(".gz")) return;
    const lines = sharedText("formats", "zeek", file).trim().split("\n");
    const records = lines.filter((line) => !line.startsWith("#") && !/^(ts|uid|history|_write_ts)(\t|$)/.test(line));
    expect(balance.received).toBe(records.length);
  });

  it("accepts the 1,250 rows of OCSF's sample", () => {
    const { balance } = read("auto", sharedBytes("formats", "zeek", "ocsf-sample-1250-rows.conn.log.gz"));
    expect(balance).toEqual({ received: 1250, accepted: 1250, skipped: 0, rejected: 0, rejects: [] });
  });

  it("reads the baselines' rows once their times are given back", () => {
    for (const file of files.filter((name) => name.endsWith(".log"))) {
      const text = sharedText("formats", "zeek", file).replaceAll("XXXXXXXXXX.XXXXXX", "1700000000.000000");
      const { balance } = read("zeek-conn", text);
      for (const reject of balance.rejects) expect({ file, ...reject }).toMatchObject({ reason: "missing_field" });
    }
  });
});

describe.skipIf(!hasShared)(`OCSF's examples${missing}`, () => {
  const vpc = {
    source: "1.2.3.4",
    target: "172.31.2.52",
    sourcePort: 56_858,
    targetPort: 39_938,
    protocol: 6,
    startMs: 1_649_721_732_000,
    endMs: 1_649_721_788_000,
    sourceBytes: 40,
    targetBytes: 0,
    sourcePackets: 1,
    targetPackets: 0,
    tcpFlags: 2,
    outcome: Outcome.Blocked,
    initiator: Initiator.Source,
    recordId: "",
  };

  it("reads VPC records as CSV", () => {
    const { rows, format } = read("auto", sharedBytes("formats", "ocsf", "aws-vpc", "vpcflowlog.raw"));
    expect(format).toBe("aws-vpc");
    expect(rows).toEqual([vpc]);
  });

  it("reads VPC records as JSON", () => {
    const { rows, format } = read("auto", sharedBytes("formats", "ocsf", "aws-vpc-dataprepper", "vpcflowlog.raw"));
    expect(format).toBe("json");
    expect(rows).toEqual([vpc]);
  });

  it("reads a pretty-printed Zeek record like OCSF", () => {
    const ocsf: {
      start_time: number;
      src_endpoint: { ip: string; port: number };
      dst_endpoint: { ip: string; port: number };
      traffic: { bytes_in: number; packets_in: number; bytes_out: number; packets_out: number };
    } = JSON.parse(sharedText("formats", "ocsf", "zeek-conn", "conn_log.ocsf"));
    const { rows, format } = read("auto", sharedBytes("formats", "ocsf", "zeek-conn", "conn_log.raw"));
    expect(format).toBe("zeek-conn-json");
    expect(rows).toHaveLength(1);
    // OCSF's example is 20 minutes late.
    expect(Math.floor(rows[0].startMs / 1000)).toBe(ocsf.start_time - 1200);
    expect(rows[0]).toMatchObject({
      source: ocsf.src_endpoint.ip,
      sourcePort: ocsf.src_endpoint.port,
      target: ocsf.dst_endpoint.ip,
      targetPort: ocsf.dst_endpoint.port,
      endMs: rows[0].startMs + 65_338,
      sourceBytes: ocsf.traffic.bytes_out,
      targetBytes: ocsf.traffic.bytes_in,
      sourcePackets: ocsf.traffic.packets_out,
      targetPackets: ocsf.traffic.packets_in,
      outcome: Outcome.Answered,
      initiator: Initiator.Source,
    });
  });
});

describe.skipIf(!hasShared)(`OpenTelemetry's and RITA's fixtures${missing}`, () => {
  it("skips NODATA", () => {
    const { balance } = read("auto", sharedBytes("formats", "otel", "valid_vpc_flow_log.log"));
    expect(balance).toEqual({ received: 1, accepted: 0, skipped: 1, rejected: 0, rejects: [] });
  });

  it("rejects a line with too few fields and names the first that is missing", () => {
    const { balance } = read("auto", sharedBytes("formats", "otel", "vpc_flow_log_too_few_fields.log"));
    expect(balance.rejects).toEqual([{ reason: "missing_field", field: "log-status", line: 2 }]);
  });

  it("does not take prose for a log", () => {
    const prose = sharedBytes("formats", "rita", "text_file", "conn.log");
    expect(read("auto", prose).failure).toEqual({ reason: "unknown_format" });
    const { balance } = read("zeek-conn", prose);
    expect(balance.accepted).toBe(0);
    expect(balance.rejected).toBeGreaterThan(0);
  });

  it.each(["conn.log", "conn_top.log", "conn_json.log"])("reads the truncated %s up to its end", (file) => {
    const { balance, failure } = read("auto", sharedBytes("formats", "rita", "truncated", file));
    expect(failure).toBeUndefined();
    expect(balance.accepted).toBeGreaterThan(0);
    expect(balance.rejected).toBe(balance.rejects.length);
    for (const reject of balance.rejects)
      expect(["malformed", "missing_field", "out_of_range"]).toContain(reject.reason);
  });

  it("rejects ports beyond 65535", () => {
    const { balance } = read("auto", sharedBytes("formats", "rita", "truncated", "conn_json.log"));
    expect(balance.rejects).toContainEqual({ reason: "out_of_range", field: "id.orig_p", value: "93145", line: 3 });
  });

  it.each(["conn.log", "open_conn.log"])("reads RITA's %s whole", (file) => {
    expect(read("auto", sharedBytes("formats", "rita", "json", file)).balance.rejects).toEqual([]);
  });
});
