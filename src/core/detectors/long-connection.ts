import { formatAddress, isGroupAddress } from "../flow/address.ts";
import type { Contacts } from "../flow/contacts.ts";
import { Protocol } from "../flow/flow-batch.ts";
import { hashService } from "../flow/keyed-hash.ts";
import { formatEntity, neighbourhoodOf } from "../flow/prefixes.ts";
import { protocolName, serviceName, serviceOf, servicePort, serviceProtocol } from "../flow/protocols.ts";
import type { MemoryCodec } from "../slots/entity-memory.ts";
import type { EntityState, Entry, StateCodec } from "../slots/entity-windows.ts";
import { isRare, type FactsOfSlot, type NetworkFacts } from "../slots/network-facts.ts";
import { peersMax, severities, type AddressWords, type Finding, type Severity } from "../verdict.ts";
import type { Detector } from "./detector.ts";
import { HashedRows } from "../sketches/hashed-rows.ts";
import { byAddress } from "./forgetting.ts";
import { rounded, scoreOf, severityOf } from "./scoring.ts";
import { windowed, type Known } from "./windowed.ts";

export interface LongConnectionSettings {
  /** RITA's highest step; only where the peer is out of the ordinary as well. */
  longHoursMin: number;
  /** RITA's second step; on a service that ordinary programs do not hold open, with a second reason. */
  uncommonHoursMin: number;
  /** Remote administration in clear text, to somebody outside. */
  clearTextHoursMin: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const minuteMs = 60_000;

/** From so long on it is worth a line, and worth a word: RITA's first two steps. */
const infoHours = 1;
const lowHours = 4;

/** Connections that a host keeps: of more than the first number, the live and the long ones, down to the second. */
const connectionsMax = 16;
const connectionsKept = 10;
/** New ones between two settlements: of more, those of lowest keyed hash. */
const freshMax = 64;

/** In V8's heap, in bytes: of a state, of a connection with the slack that a growing array has, of a small state, packed. Measured. */
const stateBytes = 250;
const connectionBytes = 130;
const packedBytes = 96;

const Column = {
  Service: 6,
  SourcePort: 7,
  TargetHash: 8,
  Records: 9,
  StartMs: 10,
  EndMs: 11,
  /** Sum of the records' lives. */
  CoveredMs: 12,
  Sent: 13,
  Received: 14,
} as const;
const columns = 15;

interface ConnectionState extends EntityState {
  /** Keyed hash of the host. */
  addressHash: number;
  connections: HashedRows;
}

/** A lone record of less cannot have a finding, nor is it missed at midnight. */
const smallMs = 10 * minuteMs;

const codec: StateCodec<ConnectionState> = {
  create: () => ({ touched: false, addressHash: 0, connections: new HashedRows(columns, freshMax) }),
  save({ addressHash, connections }, writer) {
    writer.u32(addressHash);
    connections.save(writer);
  },
  load: (reader) => ({
    touched: false,
    addressHash: reader.u32(),
    connections: HashedRows.load(columns, freshMax, reader),
  }),
  bytes: ({ connections }) => stateBytes + connectionBytes * connections.size,
  isSmall: ({ connections }) =>
    connections.size === 0 ||
    (connections.size === 1 && connections.get(0, Column.Records) === 1 && spanOf(connections, 0) < smallMs),
  smallBytes: () => packedBytes,
  excess: ({ connections }) => Math.max(0, connections.size - connectionsMax),
  trim({ connections }) {
    const latestMs = latestOf(connections);
    const isUseful = (at: number) =>
      spanOf(connections, at) >= infoHours * hourMs || connections.get(at, Column.EndMs) + gapMs >= latestMs;
    const order = connections
      .positions()
      .sort(
        (x, y) => Number(isUseful(y)) - Number(isUseful(x)) || spanOf(connections, y) - spanOf(connections, x) || x - y,
      );
    connections.keep(order.slice(0, connectionsKept));
  },
};

function spanOf(connections: HashedRows, at: number): number {
  return connections.get(at, Column.EndMs) - connections.get(at, Column.StartMs);
}

function latestOf(connections: HashedRows): number {
  return Math.max(0, ...connections.positions().map((at) => connections.get(at, Column.EndMs)));
}

/** Longest gap between records of one connection, unless its records are longer: the usual longest interval of a log. */
const gapMs = 10 * minuteMs;

/** A connection as far as it is known: across windows. */
interface Carried {
  hash: number;
  startMs: number;
  endMs: number;
  coveredMs: number;
  records: number;
  sent: number;
  received: number;
}

/** A peer that the host has held a connection to. */
interface KnownPeer {
  /** /24, /64. */
  prefix: AddressWords;
  service: number;
  lastMs: number;
  /** Days on which all that was known of it was in alarm, or not over; 0 for one that ended quietly. */
  strangeDays: number;
}

interface Past {
  /** Days on which it had connections that are long, or went on over midnight. */
  days: number;
  /** Open at the end of the last one, the longest first. */
  carried: Carried[];
  /** The latest first. */
  peers: KnownPeer[];
}

/** After so many days a peer is known nevertheless: whoever looked at it let it be. */
const strangeDaysMax = 7;
const carriedMax = 6;
const peersKept = 16;
const pastBytes = 200;
const carriedBytes = 170;
const peerBytes = 170;

const pastCodec: MemoryCodec<Past> = {
  create: () => ({ days: 0, carried: [], peers: [] }),
  save({ days, carried, peers }, writer) {
    writer.u32(days);
    writer.u32(carried.length);
    for (const { hash, startMs, endMs, coveredMs, records, sent, received } of carried) {
      writer.numbers([hash, startMs, endMs, coveredMs, records, sent, received]);
    }
    writer.u32(peers.length);
    for (const { prefix, service, lastMs, strangeDays } of peers) {
      writer.numbers([...prefix, service, lastMs, strangeDays]);
    }
  },
  load(reader) {
    const past: Past = { days: reader.u32(), carried: [], peers: [] };
    for (let left = reader.u32(); left > 0; left--) {
      const [hash, startMs, endMs, coveredMs, records, sent, received] = reader.numbers();
      past.carried.push({ hash, startMs, endMs, coveredMs, records, sent, received });
    }
    for (let left = reader.u32(); left > 0; left--) {
      const [a, b, c, d, service, lastMs, strangeDays] = reader.numbers();
      past.peers.push({ prefix: [a, b, c, d], service, lastMs, strangeDays });
    }
    return past;
  },
  bytes: ({ carried, peers }) => pastBytes + carriedBytes * carried.length + peerBytes * peers.length,
};

/**
 * Long connection: a host inside holds one connection to somebody outside for hours.
 *
 * Method: per host and UTC day, the records of at least 50 s with the same ends and ports are one connection, if
 * together they cover half of the time from its first to its last; what was open at midnight goes on. Length
 * alone is `info` or `low`, since VPNs and chats last all day. `medium` needs a peer out of the ordinary: new to the host
 * and called by two hosts at most, or a service that ordinary programs do not hold open, for longer the less else speaks
 * against it; remote administration in clear text takes an hour and a half. What many hosts call is never more than
 * `low`, nor is a host with a crowd of such peers: a peer-to-peer client.
 * Bounds: per host and day 16 connections of 120 bytes (of more, those that are alive or long; trimmed every five minutes);
 * per host 6 connections over midnight and 16 peers.
 * Misses: logs that slice connections into less than 50 s, or write nothing while a connection is idle; connections
 * that come in from outside, or stay inside; more than ten at once beside longer ones; on a common service, until the
 * network has been watched for a day; two connections from one source port within a day look like one with a gap.
 * Source: RITA (1, 4, 8 and 12 hours); the second reasons are our own.
 */
export const longConnection: Detector<LongConnectionSettings> = {
  id: "long_connection",
  version: 2,
  thresholds: {
    longHoursMin: {
      unit: "hours",
      default: 12,
      min: 1,
      max: 10_000,
      quiet: 24,
      sensitive: 8,
      raising: "quieter",
      cost: "Shorter connections to new and rare peers stay low.",
    },
    uncommonHoursMin: {
      unit: "hours",
      default: 4,
      min: 1,
      max: 10_000,
      quiet: 8,
      sensitive: 2,
      raising: "quieter",
      cost: "Shorter connections on uncommon services stay low.",
    },
    clearTextHoursMin: {
      unit: "hours",
      default: 1.5,
      min: 1,
      max: 10_000,
      quiet: 4,
      sensitive: 1,
      raising: "quieter",
      cost: "Shorter terminal sessions in clear text to somebody outside stay low.",
    },
  },
  create(settings, saved) {
    return windowed<ConnectionState, Past, LongConnectionSettings>(
      {
        lengthMs: dayMs,
        codec,
        memory: pastCodec,
        learn({ contacts, sessions: indexes }, windows) {
          const { sessions, addresses, addressHash, internal } = contacts;
          for (const i of indexes) {
            if (internal[sessions.source[i]] === 0 || internal[sessions.target[i]] === 1) continue;
            const protocol = sessions.protocol[i];
            if (protocol !== Protocol.Tcp && protocol !== Protocol.Udp) continue;
            if (isGroupAddress(addresses, sessions.target[i])) continue;
            const entry = windows.at(addresses, sessions.source[i], sessions.bucket[i]);
            entry.state.addressHash = addressHash[sessions.source[i]];
            const { connections } = entry.state;
            const mayGrow = codec.isSmall(entry.state);
            const { size } = connections;
            const at = addRecord(connections, contacts, i);
            if (mayGrow || connections.size !== size) windows.grew(entry);
            if (at >= 0 && spanOf(connections, at) >= infoHours * hourMs) windows.touch(entry);
          }
        },
        judge: judgeHost,
        interest: ({ connections }) => 1 + Math.max(0, ...connections.positions().map((at) => spanOf(connections, at))),
        remember,
        isRemembered: isLasting,
        tell: tellPeers,
        tellsWhileOpen: true,
      },
      settings,
      saved,
    );
  },
};

/** Hosts whose connections end at other hours than one another's are one crowd of callers all the same. */
function tellPeers({ windowStartMs, state }: Entry<ConnectionState>, facts: FactsOfSlot): void {
  const { addressHash, connections } = state;
  for (const at of connections.positions()) {
    if (spanOf(connections, at) < infoHours * hourMs) continue;
    facts.addSource(connections.get(at, Column.TargetHash), addressHash, windowStartMs);
  }
}

/** Returns the position of its connection, −1 where that is not kept. */
function addRecord(connections: HashedRows, { sessions, addresses, addressHash }: Contacts, i: number): number {
  const [target, port, protocol] = [sessions.target[i], sessions.port[i], sessions.protocol[i]];
  const hash = hashService(hashService(addressHash[target], port, protocol), sessions.sourcePort[i], protocol);
  const at = connections.at(hash, addresses, target);
  if (at < 0) return -1;
  if (connections.isNew) {
    connections.set(at, Column.Service, serviceOf(port, protocol));
    connections.set(at, Column.SourcePort, sessions.sourcePort[i]);
    connections.set(at, Column.TargetHash, addressHash[target]);
    connections.set(at, Column.StartMs, sessions.startMs[i]);
  }
  connections.set(at, Column.StartMs, Math.min(connections.get(at, Column.StartMs), sessions.startMs[i]));
  connections.raise(at, Column.EndMs, sessions.endMs[i]);
  connections.add(at, Column.Records, 1);
  connections.add(at, Column.CoveredMs, sessions.endMs[i] - sessions.startMs[i]);
  connections.add(at, Column.Sent, sessions.sourceBytes[i]);
  connections.add(at, Column.Received, sessions.targetBytes[i]);
  return at;
}

/** One connection, from its true start on. */
interface Connection extends Carried {
  target: AddressWords;
  targetHash: number;
  service: number;
  sourcePort: number;
}

/** Share of its time that records must cover. */
const coveredShareMin = 0.5;

/** Those that are one connection, the longest first. */
function connectionsOf(connections: HashedRows, past: Past | undefined): Connection[] {
  return connections
    .positions()
    .map((at) => connectionAt(connections, at, past))
    .filter((one) => one.coveredMs >= coveredShareMin * lengthOf(one))
    .sort((x, y) => lengthOf(y) - lengthOf(x) || x.hash - y.hash);
}

function connectionAt(connections: HashedRows, at: number, past: Past | undefined): Connection {
  const get = (column: number) => connections.get(at, column);
  const today: Connection = {
    hash: connections.hash(at),
    target: connections.address(at),
    targetHash: get(Column.TargetHash),
    service: get(Column.Service),
    sourcePort: get(Column.SourcePort),
    startMs: get(Column.StartMs),
    endMs: get(Column.EndMs),
    coveredMs: get(Column.CoveredMs),
    records: get(Column.Records),
    sent: get(Column.Sent),
    received: get(Column.Received),
  };
  const before = past?.carried.find(({ hash }) => hash === today.hash);
  if (!before || today.startMs - before.endMs > gapOf(before)) return today;
  return {
    ...today,
    startMs: Math.min(before.startMs, today.startMs),
    coveredMs: before.coveredMs + today.coveredMs,
    records: before.records + today.records,
    sent: before.sent + today.sent,
    received: before.received + today.received,
  };
}

function lengthOf({ startMs, endMs }: Carried): number {
  return endMs - startMs;
}

/** To the minute: where records begin and end is no surer than that. */
function hoursOf(connection: Carried): number {
  return Math.round(lengthOf(connection) / minuteMs) / 60;
}

/** Twice the mean record, which is an interval of the log. */
function gapOf({ coveredMs, records }: Carried): number {
  return Math.max(gapMs, (2 * coveredMs) / records);
}

function isOpenAt(connection: Carried, atMs: number): boolean {
  return connection.endMs + gapOf(connection) >= atMs;
}

function isLasting({ windowStartMs, state }: Entry<ConnectionState>): boolean {
  // Which small ones close depends on what was packed.
  if (codec.isSmall(state)) return false;
  const all = connectionsOf(state.connections, undefined);
  return all.some((one) => hoursOf(one) >= infoHours || isOpenAt(one, windowStartMs + dayMs));
}

function remember({ windowStartMs, state }: Entry<ConnectionState>, past: Past, isAlarm: boolean): void {
  const all = connectionsOf(state.connections, past);
  past.days++;
  past.carried = all
    .filter((one) => isOpenAt(one, windowStartMs + dayMs))
    .slice(0, carriedMax)
    .map(({ hash, startMs, endMs, coveredMs, records, sent, received }) => {
      return { hash, startMs, endMs, coveredMs, records, sent, received };
    });
  for (const one of all) {
    if (hoursOf(one) >= infoHours) meet(past, one, windowStartMs, isAlarm || isOpenAt(one, windowStartMs + dayMs));
  }
  past.peers = past.peers
    .sort((x, y) => y.lastMs - x.lastMs || byAddress(x.prefix, y.prefix) || x.service - y.service)
    .slice(0, peersKept);
}

/** What is strange must not become usual at once, nor may a connection make its own peer known while it goes on. */
function meet(past: Past, { target, service }: Connection, lastMs: number, isStrange: boolean): void {
  const prefix = neighbourhoodOf(...target);
  const peer = past.peers.find((one) => isPeer(one, prefix, service));
  if (!peer) {
    past.peers.push({ prefix, service, lastMs, strangeDays: isStrange ? 1 : 0 });
    return;
  }
  if (!isStrange) peer.strangeDays = 0;
  else if (peer.strangeDays > 0 && peer.lastMs < lastMs)
    peer.strangeDays = Math.min(strangeDaysMax, peer.strangeDays + 1);
  peer.lastMs = lastMs;
}

function isKnown({ strangeDays }: KnownPeer): boolean {
  return strangeDays === 0 || strangeDays >= strangeDaysMax;
}

function isPeer(peer: KnownPeer, prefix: AddressWords, service: number): boolean {
  return peer.service === service && byAddress(peer.prefix, prefix) === 0;
}

/** Ports on which ordinary programs hold connections for hours: web, mail, chat and push, names and time, shells, VPNs. */
const heldPorts = new Set([
  22, 53, 80, 110, 123, 143, 443, 465, 500, 587, 853, 993, 995, 1194, 1701, 1723, 1883, 3478, 4500, 5222, 5223, 5228,
  8080, 8443, 8883, 51820,
]);

/** telnet, rexec, rlogin, rsh. */
const clearTextPorts = new Set([23, 512, 513, 514, 2323]);

/** A keep-alive of a few hundred bytes a minute and no more. */
const trickleBytesPerHour = 60_000;
/** Mostly sent: four to one, and worth carrying away. */
const uploadBytesMin = 10_000_000;
const uploadFactor = 4;

/** Fewer hosts than these are no network to be rare in. */
const networkHostsMin = 5;
/** Of a connection that lasts, more hosts than these make a service of the network, however large that is. */
const holdersMax = 2;
/** Days with long connections from which a host's peers are known. */
const pastDaysMin = 2;
/** Peers on uncommon services beyond which a host talks to a crowd. */
const crowdMin = 5;

type Reason = "clear_text" | "uncommon_service" | "rare_destination" | "new_peer" | "trickle" | "upload";

interface Suspicion {
  connection: Connection;
  reasons: Reason[];
  /** Own hosts that call the peer, as far as is known. */
  sources: number;
  /** Thresholds that it reaches, by name. */
  reached: (keyof LongConnectionSettings)[];
  limitHours: number;
  severity: Severity;
}

function judgeHost(
  entry: Entry<ConnectionState>,
  settings: Readonly<LongConnectionSettings>,
  known: Known<Past>,
): Finding | undefined {
  if (codec.isSmall(entry.state)) return undefined;
  const past = known.memoryOf(entry.address);
  const long = connectionsOf(entry.state.connections, past).filter((one) => hoursOf(one) >= infoHours);
  if (long.length === 0) return undefined;
  const uncommon = long.filter(({ service }) => !heldPorts.has(servicePort(service)));
  const isCrowd = new Set(uncommon.map(({ targetHash }) => targetHash)).size >= crowdMin;
  const suspicions = long.map((connection) =>
    judgeConnection(connection, settings, { past, facts: known.facts, isCrowd }),
  );
  const level = ({ severity }: Suspicion) => severities.indexOf(severity);
  suspicions.sort((x, y) => level(y) - level(x) || lengthOf(y.connection) - lengthOf(x.connection));
  return findingOf(entry, suspicions, past);
}

/** What is known beside the connection itself. */
interface Beside {
  past: Past | undefined;
  facts: NetworkFacts | undefined;
  isCrowd: boolean;
}

function judgeConnection(
  connection: Connection,
  settings: Readonly<LongConnectionSettings>,
  { past, facts, isCrowd }: Beside,
): Suspicion {
  const hours = hoursOf(connection);
  const sources = facts?.sourcesOf(connection.targetHash) ?? 1;
  const isCommon = !isRare(sources, facts);
  const isUnshared = facts !== undefined && facts.hosts >= networkHostsMin && sources <= holdersMax;
  const reasons = reasonsOf(connection, past, isUnshared);
  const has = (...some: Reason[]) => some.some((reason) => reasons.includes(reason));
  const isUncommon = has("uncommon_service");
  const applies = {
    clearTextHoursMin: has("clear_text"),
    uncommonHoursMin: isUncommon && reasons.length > 1,
    longHoursMin: has("uncommon_service", "rare_destination", "new_peer"),
  };
  const names = ["clearTextHoursMin", "uncommonHoursMin", "longHoursMin"] as const;
  const reached = isCommon || isCrowd ? [] : names.filter((name) => applies[name] && hours >= settings[name]);
  const limitHours = reached.length === 0 ? settings.longHoursMin : Math.min(...reached.map((name) => settings[name]));
  const quiet = hours >= lowHours ? "low" : "info";
  const severity = reached.length === 0 ? quiet : severityOf(hours, limitHours);
  return { connection, reasons, sources, reached, limitHours, severity };
}

function reasonsOf(connection: Connection, past: Past | undefined, isUnshared: boolean): Reason[] {
  const { target, service, sent, received } = connection;
  const port = servicePort(service);
  const prefix = neighbourhoodOf(...target);
  const isNew = !past?.peers.some((peer) => isPeer(peer, prefix, service) && isKnown(peer));
  const reasons: Reason[] = [];
  if (clearTextPorts.has(port) && serviceProtocol(service) === Protocol.Tcp) reasons.push("clear_text");
  if (!heldPorts.has(port)) reasons.push("uncommon_service");
  if (isUnshared && isNew) reasons.push("rare_destination");
  if (past && past.days >= pastDaysMin && isNew) reasons.push("new_peer");
  if (sent + received <= trickleBytesPerHour * hoursOf(connection)) reasons.push("trickle");
  if (sent >= uploadBytesMin && sent >= uploadFactor * received) reasons.push("upload");
  return reasons;
}

const words: Record<Reason, string> = {
  clear_text: "remote administration in clear text",
  uncommon_service: "a service that ordinary programs do not hold open",
  rare_destination: "few other hosts call the peer",
  new_peer: "the peer is new to the host",
  trickle: "it hardly carries anything",
  upload: "it mostly carries data out",
};

/** Connections that evidence lists. */
const listedMax = 4;

function findingOf(entry: Entry<ConnectionState>, suspicions: readonly Suspicion[], past: Past | undefined): Finding {
  const [worst] = suspicions;
  const { connection, reasons, severity, limitHours } = worst;
  const hours = hoursOf(connection);
  const named = suspicions.filter((one) => one.severity === severity);
  const peers = peersOf(named);
  const why = reasons.map((reason) => words[reason]);
  return {
    threat: "long_connection",
    detectorVersion: longConnection.version,
    entity: formatEntity(entry.address),
    window: { startMs: entry.windowStartMs, endMs: entry.windowStartMs + dayMs },
    score: rounded(scoreOf(hours, limitHours)),
    confidence: rounded(Math.min(0.9, 0.4 + 0.15 * reasons.length) * coverageOf(connection)),
    severity,
    techniques: reasons.includes("uncommon_service") ? ["T1571", "T1572"] : ["T1572"],
    summary: [
      `one connection of ${rounded(hours)} hours to ${formatAddress(connection.target)} ${serviceName(connection.service)}, ${connection.sent} bytes out and ${connection.received} in`,
      ...why,
    ].join("; "),
    peers: peers.slice(0, peersMax),
    peerCount: peers.length,
    evidence: {
      reasons,
      length_hours: rounded(hours),
      limit_hours: limitHours,
      covered_share: rounded(coverageOf(connection)),
      peer_own_hosts: worst.sources,
      baseline_days: past?.days ?? 0,
      connections: named.slice(0, listedMax).map((one) => evidenceOf(one.connection)),
      long_connections: suspicions.length,
    },
    observed: worst.reached.map((threshold) => ({ threshold, value: rounded(hours) })),
  };
}

function coverageOf(connection: Connection): number {
  return Math.min(1, connection.coveredMs / lengthOf(connection));
}

/** Each service of each target once. */
function peersOf(suspicions: readonly Suspicion[]) {
  const peers = suspicions.map(({ connection: { target, service } }) => ({
    address: formatAddress(target),
    port: servicePort(service),
    protocol: protocolName(serviceProtocol(service)),
  }));
  return [...new Map(peers.map((peer) => [`${peer.address} ${peer.port} ${peer.protocol}`, peer])).values()];
}

function evidenceOf(connection: Connection) {
  const { target, service, sourcePort, startMs, endMs, records, sent, received } = connection;
  return {
    peer: formatAddress(target),
    service: serviceName(service),
    source_port: sourcePort,
    start: new Date(startMs).toISOString(),
    end: new Date(endMs).toISOString(),
    hours: rounded(hoursOf(connection)),
    records,
    sent_bytes: sent,
    received_bytes: received,
  };
}
