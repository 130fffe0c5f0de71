import { describe, expect, it } from "vitest";
import { read } from "./reading.ts";
import { hasShared, missing, sharedBytes, sharedFiles, sharedText } from "./shared.ts";

interface Truth {
  format: string;
  rows: number;
}

/** Records that are well but no flows: argus's management and ARP rows, one NODATA; Suricata's other events. */
const skipped: Record<string, number> = {
  "argus_cerber-udp-6892-sweep.binetflow.gz": 1,
  "argus_ddos-synack-reflection.binetflow.gz": 4,
  "argus_emotet-icedid-2018-11-14.binetflow.gz": 1,
  "argus_ftp-bruteforce-2.binetflow.gz": 3,
  "argus_iodine.binetflow.gz": 3,
  "argus_nmap-half-open-scan.binetflow.gz": 4,
  "argus_nmap-null-scan.binetflow.gz": 4,
  "argus_nmap-syn-fin-scan.binetflow.gz": 7,
  "argus_slips-test4-iot-scan.binetflow.gz": 2,
  "argus_ssh-bruteforce-2.binetflow.gz": 9,
  "argus_ssh-bruteforce.binetflow.gz": 1,
  "argus_test-cc-2s-beacon.binetflow.gz": 1,
  "argus_wincc-s7-polling.binetflow.gz": 1,
  "aws-vpc_usw2-rejects.log.gz": 1,
  "suricata_slips-test6.eve.json.gz": 1488,
};

const files = sharedFiles("captures").filter((name) => name.endsWith(".gz"));

describe.skipIf(!hasShared)(`captures${missing}`, () => {
  const truth: Record<string, Truth> = JSON.parse(hasShared ? sharedText("captures", "truth.json") : "{}");

  it.each(files)("%s: is recognised, rejects nothing, and every row counts", (file) => {
    const { format, rows } = truth[file];
    const { balance, rows: accepted, ...reading } = read("auto", sharedBytes("captures", file));
    expect(reading).toEqual({ format, failure: undefined });
    expect(balance.rejects).toEqual([]);
    expect(balance.skipped).toBe(skipped[file] ?? 0);
    // The truth counts argus's and VPC's rows that are no flows, but of Suricata's events the flows only.
    expect(format === "suricata-eve" ? balance.accepted : balance.received).toBe(rows);
    expect(balance.received).toBe(balance.accepted + balance.skipped);
    expect(accepted).toHaveLength(balance.accepted);
  });
});
