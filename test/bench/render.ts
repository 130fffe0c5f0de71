import type { Connection, Scene } from "../support/connection.ts";
import { logBytes, vpcLog, zeekLog } from "../support/generate.ts";

/** The same traffic in every format, for measuring parsers. */
export function inAllFormats(scene: Scene): { format: string; bytes: Uint8Array; records: number }[] {
  const { connections } = scene;
  const lines = (format: string, head: string[], line: (connection: Connection, i: number) => string) => {
    const log = { header: head, lines: connections.map(line), endMs: [] };
    return { format, bytes: logBytes(log), records: connections.length };
  };
  const vpc = vpcLog(scene);
  const zeek = zeekLog(scene);
  return [
    { format: "aws-vpc", bytes: logBytes(vpc), records: vpc.lines.length },
    { format: "zeek-conn", bytes: logBytes(zeek), records: zeek.lines.length },
    lines("zeek-conn-json", [], (c, i) => JSON.stringify(zeekJson(c, i))),
    lines("suricata-eve", [], (c, i) => JSON.stringify(suricata(c, i))),
    lines(
      "argus-binetflow",
      ["StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes"],
      argus,
    ),
    lines("nfdump-csv", ["ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt"], nfdump),
    lines("nfdump-json", [], (c) => JSON.stringify(nfdumpJson(c))),
    lines("json", [], (c) => JSON.stringify(plain(c))),
  ];
}

const seconds = (ms: number) => (ms / 1000).toFixed(6);
const bare = (ms: number) => new Date(ms).toISOString().replace("T", " ").replace("Z", "");

function zeekJson(c: Connection, i: number): object {
  return {
    ts: c.startMs / 1000,
    uid: `C${i.toString(36).padStart(17, "x")}`,
    "id.orig_h": c.source,
    "id.orig_p": c.sourcePort,
    "id.resp_h": c.target,
    "id.resp_p": c.targetPort,
    proto: c.protocol,
    duration: (c.endMs - c.startMs) / 1000,
    orig_bytes: c.sent.bytes,
    resp_bytes: c.received.bytes,
    conn_state: c.outcome === "answered" ? "SF" : "S0",
    missed_bytes: 0,
    history: c.outcome === "answered" ? "ShADadFf" : "S",
    orig_pkts: c.sent.packets,
    orig_ip_bytes: c.sent.bytes + 40 * c.sent.packets,
    resp_pkts: c.received.packets,
    resp_ip_bytes: c.received.bytes + 40 * c.received.packets,
  };
}

function suricata(c: Connection, i: number): object {
  return {
    timestamp: new Date(c.endMs).toISOString().replace("Z", "000+0000"),
    flow_id: 1_000_000_000 + i,
    in_iface: "eth0",
    event_type: "flow",
    src_ip: c.source,
    src_port: c.sourcePort,
    dest_ip: c.target,
    dest_port: c.targetPort,
    proto: c.protocol.toUpperCase(),
    flow: {
      pkts_toserver: c.sent.packets,
      pkts_toclient: c.received.packets,
      bytes_toserver: c.sent.bytes,
      bytes_toclient: c.received.bytes,
      start: new Date(c.startMs).toISOString().replace("Z", "000+0000"),
      end: new Date(c.endMs).toISOString().replace("Z", "000+0000"),
      age: Math.round((c.endMs - c.startMs) / 1000),
      state: c.outcome === "answered" ? "closed" : "new",
      reason: "timeout",
    },
  };
}

function argus(c: Connection): string {
  const packets = c.sent.packets + c.received.packets;
  const state = c.outcome === "answered" ? "FSPA_FSPA" : "S_";
  const start = bare(c.startMs).replaceAll("-", "/");
  return `${start},${seconds(c.endMs - c.startMs)},${c.protocol},${c.source},${c.sourcePort},   ->,${c.target},${c.targetPort},${state},0,0,${packets},${c.sent.bytes + c.received.bytes},${c.sent.bytes}`;
}

function nfdump(c: Connection): string {
  const flags = c.outcome === "answered" ? "...AP.SF" : "......S.";
  return `${bare(c.startMs)},${bare(c.endMs)},${seconds(c.endMs - c.startMs)},${c.source},${c.target},${c.sourcePort},${c.targetPort},${c.protocol.toUpperCase()},${flags},0,0,${c.sent.packets},${c.sent.bytes},${c.received.packets},${c.received.bytes}`;
}

function nfdumpJson(c: Connection): object {
  const family = c.source.includes(":") ? "6" : "4";
  return {
    type: "FLOW",
    export_sysid: 1,
    first: new Date(c.startMs).toISOString().replace("Z", ""),
    last: new Date(c.endMs).toISOString().replace("Z", ""),
    in_packets: c.sent.packets,
    in_bytes: c.sent.bytes,
    proto: c.protocol === "tcp" ? 6 : 17,
    tcp_flags: c.outcome === "answered" ? "...AP.SF" : "......S.",
    src_port: c.sourcePort,
    dst_port: c.targetPort,
    [`src${family}_addr`]: c.source,
    [`dst${family}_addr`]: c.target,
  };
}

function plain(c: Connection): object {
  return {
    start: new Date(c.startMs).toISOString(),
    end: new Date(c.endMs).toISOString(),
    source: { ip: c.source, port: c.sourcePort, bytes: c.sent.bytes, packets: c.sent.packets },
    destination: { ip: c.target, port: c.targetPort, bytes: c.received.bytes, packets: c.received.packets },
    network: { transport: c.protocol },
    event: { start: new Date(c.startMs).toISOString(), end: new Date(c.endMs).toISOString() },
  };
}
