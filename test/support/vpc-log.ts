import type { Connection, Scene, Sent } from "./connection.ts";
import type { Log } from "./log.ts";

const windowMs = 60_000;
const headerBytes = { tcp: 40, udp: 28 };
const protocolNumber = { tcp: 6, udp: 17 };

interface Record {
  startMs: number;
  endMs: number;
  packets: number;
  bytes: number;
}

/**
 * The scene as AWS logs it, version 2 in its default order: each interface of the own network writes, for each
 * direction and each minute, one record of every 5-tuple. What passes between two own hosts is logged twice.
 */
export function vpcLog({ connections }: Scene): Log {
  const records = new Map<string, Record>();
  for (const connection of connections) {
    const { source, target, outcome } = connection;
    const there = `${source} ${target} ${connection.sourcePort} ${connection.targetPort} ${protocolNumber[connection.protocol]}`;
    const back = `${target} ${source} ${connection.targetPort} ${connection.sourcePort} ${protocolNumber[connection.protocol]}`;
    for (const host of [source, target]) {
      if (!isOwn(host)) continue;
      if (outcome === "blocked") {
        add(records, `${interfaceOf(host)} ${there} REJECT`, connection, connection.sent);
        continue;
      }
      add(records, `${interfaceOf(host)} ${there} ACCEPT`, connection, connection.sent);
      add(records, `${interfaceOf(host)} ${back} ACCEPT`, connection, connection.received);
    }
  }
  const rows = [...records].map(([key, r]) => ({
    key,
    r,
    start: Math.floor(r.startMs / 1000),
    end: Math.floor(r.endMs / 1000),
  }));
  rows.sort((a, b) => a.end - b.end || a.start - b.start);
  return {
    header: [],
    endMs: rows.map((row) => row.end * 1000),
    lines: rows.map(({ key, r, start, end }) => {
      const [eni, source, target, sourcePort, targetPort, protocol, action] = key.split(" ");
      return `2 123456789012 ${eni} ${source} ${target} ${sourcePort} ${targetPort} ${protocol} ${r.packets} ${r.bytes} ${start} ${end} ${action} OK`;
    }),
  };
}

/** Adds what one side sent to the records of the minutes in which it was sent, the minute's number being in the key. */
function add(records: Map<string, Record>, key: string, connection: Connection, sent: Sent): void {
  if (sent.packets === 0) return;
  const spans = spansOf(connection, sent.packets);
  let packetsDone = 0;
  let bytesDone = 0;
  spans.forEach(([startMs, endMs], i) => {
    const packets = Math.round((sent.packets * (i + 1)) / spans.length) - packetsDone;
    const bytes = Math.round((sent.bytes * (i + 1)) / spans.length) - bytesDone;
    packetsDone += packets;
    bytesDone += bytes;
    if (packets === 0) return;
    const total = bytes + packets * headerBytes[connection.protocol];
    const minuteKey = `${key} ${Math.floor(startMs / windowMs)}`;
    const found = records.get(minuteKey);
    if (found === undefined) {
      records.set(minuteKey, { startMs, endMs, packets, bytes: total });
      return;
    }
    found.startMs = Math.min(found.startMs, startMs);
    found.endMs = Math.max(found.endMs, endMs);
    found.packets += packets;
    found.bytes += total;
  });
}

/** The parts of a connection's life that lie in different minutes; no more of them than there are packets. */
function spansOf({ startMs, endMs, activityMs }: Connection, packets: number): [number, number][] {
  if (activityMs !== undefined) return activityMs.map((at) => [at, at]);
  const spans: [number, number][] = [];
  for (let at = startMs; ;) {
    const next = (Math.floor(at / windowMs) + 1) * windowMs;
    spans.push([at, Math.min(endMs, next - 1)]);
    if (next > endMs) break;
    at = next;
  }
  return spans.length > packets ? [[startMs, Math.min(endMs, startMs + windowMs - 1)]] : spans;
}

function isOwn(host: string): boolean {
  return host.startsWith("10.") || host.startsWith("fd00:");
}

/** An interface's name, from its host's address. */
function interfaceOf(host: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < host.length; i++) hash = Math.imul(hash ^ host.charCodeAt(i), 0x01000193);
  return `eni-0${(hash >>> 0).toString(16).padStart(8, "0")}${host.length.toString(16).padStart(8, "0")}`;
}
