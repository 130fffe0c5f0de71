import { formatAddress } from "../flow/address.ts";
import { bucketMs, type Contacts } from "../flow/contacts.ts";
import { Protocol } from "../flow/flow-batch.ts";
import { formatEntity } from "../flow/prefixes.ts";
import { bitCount } from "../sketches/bit-count.ts";
import type { MemoryCodec } from "../slots/entity-memory.ts";
import type { EntityState, EntityWindows, Entry, StateCodec } from "../slots/entity-windows.ts";
import { peersMax, severities, type AddressWords, type Finding, type Observed, type Severity } from "../verdict.ts";
import type { Detector, SlotContacts } from "./detector.ts";
import { HashedRows } from "../sketches/hashed-rows.ts";
import { sampledConfidence, samplingErrorPercent } from "./sampling.ts";
import { rounded, scoreOf, severityOf } from "./scoring.ts";
import { windowed, type Known } from "./windowed.ts";

export interface DnsTunnelSettings {
  /** Queries from which their mean size says something. */
  queriesMin: number;
  /**
   * Mean bytes of a query. A lookup of an IPv6 address' name, the longest that ordinary programs ask for by the hundred,
   * has 129 with IPv4's headers; logs that count payload alone show less.
   */
  queryBytesMin: number;
  /** Sent to one server while it is asked: two queries of 150 bytes a second. */
  bytesPerSecondMin: number;
  /** Sent to one server within an hour, whatever the size of a query: about 25,000 ordinary ones. */
  bulkBytesMin: number;
  /** So many times what the host sent a server before, in an hour at most. */
  bulkFactor: number;
}

const hourMs = 3_600_000;
const minuteMs = 60_000;
const dnsPort = 53;

/** Servers that a host keeps within an hour: those of lowest keyed hash. Who asks more than these is a resolver. */
const serversMax = 16;

/** What one server was asked; the minutes are bits. */
const Column = {
  Queries: 6,
  Sent: 7,
  Received: 8,
  Packets: 9,
  TcpBytes: 10,
  DurationMs: 11,
  MinutesLow: 12,
  MinutesHigh: 13,
} as const;
const columns = 14;
const minutesPerColumn = 30;

interface QueryState extends EntityState {
  servers: HashedRows;
  /** What our own hosts sent to it as a server. */
  servedBytes: number;
  /** Sent to all servers. */
  sentBytes: number;
  /** Greatest sampling rate. */
  samplingRate: number;
}

/** Fewer have no finding, whatever the settings: the least value of `queriesMin`. */
const judgedFromQueries = 50;
/** A host that asked one server no more than this, or was asked no more, did one thing. */
const smallQueriesMax = 4;
const smallServedBytesMax = 512;

/** In V8's heap, in bytes: of a state, of a server, of a small state, packed. Measured. */
const stateBytes = 320;
const serverBytes = 125;
const packedBytes = 70;

const codec: StateCodec<QueryState> = {
  create: () => ({
    touched: false,
    servers: new HashedRows(columns, serversMax),
    servedBytes: 0,
    sentBytes: 0,
    samplingRate: 1,
  }),
  save({ servers, servedBytes, sentBytes, samplingRate }, writer) {
    for (const sum of [servedBytes, sentBytes]) writer.f64(sum);
    writer.u32(samplingRate);
    servers.save(writer);
  },
  load(reader) {
    return {
      touched: false,
      servedBytes: reader.f64(),
      sentBytes: reader.f64(),
      samplingRate: reader.u32(),
      servers: HashedRows.load(columns, serversMax, reader),
    };
  },
  bytes: ({ servers }) => stateBytes + serverBytes * servers.size,
  isSmall: ({ servers, servedBytes }) =>
    servedBytes <= smallServedBytesMax &&
    (servers.size === 0 || (servers.size === 1 && queriesOf(servers, 0) <= smallQueriesMax)),
  smallBytes: () => packedBytes,
};

/** Quiet hours with lookups that a host's habit is taken from: a day of them. */
const hoursKept = 24;
/** Hours from which the habit is known. */
const habitHoursMin = 6;

/** Most that the host sent to one server, per hour, the oldest first. */
interface Habit {
  bytes: number[];
}

const habitBytes = 90;
const habitHourBytes = 12;

const habitCodec: MemoryCodec<Habit> = {
  create: () => ({ bytes: [] }),
  save: ({ bytes }, writer) => writer.numbers(bytes),
  load: (reader) => ({ bytes: reader.numbers() }),
  bytes: ({ bytes }) => habitBytes + habitHourBytes * bytes.length,
};

/**
 * DNS tunnel: a host inside carries more through port 53 than names.
 *
 * Method: per host and hour, for each server that it asks on port 53 (UDP and TCP), queries, packets, bytes both ways and
 * the minutes in which it asked. Two shapes: large queries (mean bytes per packet beyond what names need, at a rate that
 * is kept up), whether each query is a record or thousands of them share one; and bulk (far more bytes than names of an
 * hour take), a multiple of the host's own habit, or, where that is not known, more than the answers. A host that
 * is asked about as much as it asks is a resolver, and its clients are judged in its place.
 * Bounds: per host and hour 16 servers of 100 bytes; beyond them a sample, since a resolver asks thousands; per host the
 * last 24 hours.
 * Misses: slow tunnels (below `bytesPerSecondMin` while they last); downloads through small queries; tunnels of a host
 * that asks more than 16 servers itself, mostly; DNS over TLS or HTTPS; logs that count bytes but not packets, where one
 * record holds many queries.
 * Source: the features of Flowmon's DNS anomalies (bytes per flow, packets per flow, share of TCP, servers out of the
 * ordinary, producer/consumer ratio on port 53). The thresholds are our own, from what names can take.
 */
export const dnsTunnel: Detector<DnsTunnelSettings> = {
  id: "dns_tunnel",
  version: 1,
  thresholds: {
    queriesMin: {
      unit: "queries an hour",
      default: 200,
      min: judgedFromQueries,
      max: 1_000_000,
      isWhole: true,
      quiet: 1000,
      sensitive: 100,
      raising: "quieter",
      cost: "Tunnels of fewer queries pass.",
    },
    queryBytesMin: {
      unit: "bytes a query",
      default: 130,
      min: 60,
      max: 1500,
      quiet: 150,
      sensitive: 110,
      raising: "quieter",
      cost: "Tunnels with smaller queries pass, unless they are bulk.",
    },
    bytesPerSecondMin: {
      unit: "bytes a second",
      default: 300,
      min: 1,
      max: 1_000_000,
      quiet: 1000,
      sensitive: 100,
      raising: "quieter",
      cost: "Slower tunnels pass.",
    },
    bulkBytesMin: {
      unit: "bytes an hour",
      default: 2_000_000,
      min: 100_000,
      max: 1_000_000_000_000,
      isWhole: true,
      quiet: 10_000_000,
      sensitive: 1_000_000,
      raising: "quieter",
      cost: "Tunnels of small queries are found only if they carry more.",
    },
    bulkFactor: {
      unit: "times the largest usual hour",
      default: 5,
      min: 1,
      max: 1000,
      raising: "quieter",
      cost: "Hosts that ask much every hour may ask more.",
    },
  },
  create(settings, saved) {
    return windowed<QueryState, Habit, DnsTunnelSettings>(
      {
        lengthMs: hourMs,
        codec,
        memory: habitCodec,
        learn,
        judge: judgeHost,
        interest: ({ sentBytes }) => 1 + sentBytes,
        remember({ state }, habit, isAlarm) {
          // What is found strange must not become usual.
          if (isAlarm) return;
          habit.bytes = [...habit.bytes, mostSent(state.servers)].slice(-hoursKept);
        },
        // Which small ones close depends on what was packed.
        isRemembered: ({ state }) => state.servers.size > 0 && !codec.isSmall(state),
      },
      settings,
      saved,
    );
  },
};

function learn({ contacts, targets, outbound, inside }: SlotContacts, windows: EntityWindows<QueryState>): void {
  learnQueries(windows, contacts, outbound);
  learnQueries(windows, contacts, inside);
  learnServed(windows, contacts, targets);
}

function learnQueries(windows: EntityWindows<QueryState>, contacts: Contacts, indexes: Uint32Array): void {
  const { pairs, addresses } = contacts;
  for (const i of indexes) {
    if (pairs.port[i] !== dnsPort || !isDnsTransport(pairs.protocol[i])) continue;
    const entry = windows.at(addresses, pairs.source[i], pairs.bucket[i]);
    const { state } = entry;
    const wasSmall = codec.isSmall(state);
    const { size } = state.servers;
    const queries = addQueries(state, contacts, i);
    if (state.servers.size !== size || codec.isSmall(state) !== wasSmall) windows.grew(entry);
    if (queries >= judgedFromQueries) windows.touch(entry);
  }
}

/** What our own asked of one of our own. */
function learnServed(windows: EntityWindows<QueryState>, contacts: Contacts, indexes: Uint32Array): void {
  const { targets, addresses, internal } = contacts;
  for (const i of indexes) {
    if (targets.port[i] !== dnsPort || targets.internalBytes[i] === 0) continue;
    if (internal[targets.target[i]] === 0) continue;
    const entry = windows.at(addresses, targets.target[i], targets.bucket[i]);
    const wasSmall = codec.isSmall(entry.state);
    entry.state.servedBytes += targets.internalBytes[i];
    if (codec.isSmall(entry.state) !== wasSmall) windows.grew(entry);
  }
}

function isDnsTransport(protocol: number): boolean {
  return protocol === Protocol.Udp || protocol === Protocol.Tcp;
}

/** Returns how many queries the server has had, 0 where it is not kept. */
function addQueries(state: QueryState, { pairs, addresses, addressHash }: Contacts, i: number): number {
  const target = pairs.target[i];
  state.sentBytes += pairs.sourceBytes[i];
  state.samplingRate = Math.max(state.samplingRate, pairs.samplingRate[i]);
  const { servers } = state;
  const row = servers.at(addressHash[target], addresses, target);
  if (row < 0) return 0;
  servers.add(row, Column.Queries, pairs.requests[i]);
  servers.add(row, Column.Sent, pairs.sourceBytes[i]);
  servers.add(row, Column.Received, pairs.targetBytes[i]);
  servers.add(row, Column.Packets, pairs.sourcePackets[i]);
  if (pairs.protocol[i] === Protocol.Tcp) servers.add(row, Column.TcpBytes, pairs.sourceBytes[i]);
  servers.add(row, Column.DurationMs, pairs.durationMs[i]);
  const minute = Math.floor(((pairs.bucket[i] * bucketMs) % hourMs) / minuteMs);
  servers.unite(row, Column.MinutesLow + Math.floor(minute / minutesPerColumn), 1 << (minute % minutesPerColumn));
  return queriesOf(servers, row);
}

/** Packets where the log counts them: one record may hold thousands of queries. */
function queriesOf(servers: HashedRows, row: number): number {
  return Math.max(servers.get(row, Column.Queries), servers.get(row, Column.Packets));
}

function mostSent(servers: HashedRows): number {
  let most = 0;
  for (let row = 0; row < servers.size; row++) most = Math.max(most, servers.get(row, Column.Sent));
  return most;
}

/** What one server was asked, as one thing. */
interface Talk {
  server: AddressWords;
  hash: number;
  queries: number;
  seenQueries: number;
  sent: number;
  received: number;
  tcpShare: number;
  activeS: number;
  queryBytes: number;
  bytesPerSecond: number;
}

function talkOf({ servers, samplingRate }: QueryState, row: number): Talk {
  const sum = (column: number) => servers.get(row, column);
  const server = servers.address(row);
  const queries = queriesOf(servers, row);
  const minutes = bitCount(sum(Column.MinutesLow)) + bitCount(sum(Column.MinutesHigh));
  // It began and ended somewhere within a minute: a whole one less in the mean. Long records end in few minutes.
  const activeS = Math.max(60 * Math.max(1, minutes - 1), Math.min(hourMs, sum(Column.DurationMs)) / 1000);
  return {
    server,
    hash: servers.hash(row),
    queries,
    seenQueries: queries / samplingRate,
    sent: sum(Column.Sent),
    received: sum(Column.Received),
    tcpShare: sum(Column.Sent) === 0 ? 0 : sum(Column.TcpBytes) / sum(Column.Sent),
    activeS,
    queryBytes: sum(Column.Sent) / queries,
    bytesPerSecond: sum(Column.Sent) / activeS,
  };
}

/** Of what it asks, a resolver was asked at least this share by our own hosts; the rest are its own lookups. */
const servedShareMin = 0.5;
/** Names are answered by more than they take; a tunnel's answers are hardly larger than what it carries out. */
const bulkRatioMin = 0.8;

type Kind = "large_queries" | "bulk";

interface Suspicion {
  talk: Talk;
  kinds: Kind[];
  /** What the bytes of an hour are held against. */
  bulkLimit: number;
  severity: Severity;
  score: number;
}

function judgeHost(
  entry: Entry<QueryState>,
  settings: Readonly<DnsTunnelSettings>,
  known: Known<Habit>,
): Finding | undefined {
  const { state } = entry;
  if (state.servedBytes >= servedShareMin * state.sentBytes) return undefined;
  const rows = suspectRows(state, settings);
  if (rows.length === 0) return undefined;
  const habit = known.memoryOf(entry.address)?.bytes ?? [];
  const suspicions = rows.flatMap((row) => judgeTalk(talkOf(state, row), settings, habit) ?? []);
  if (suspicions.length === 0) return undefined;
  const level = ({ severity }: Suspicion) => severities.indexOf(severity);
  suspicions.sort((x, y) => level(y) - level(x) || y.score - x.score || y.talk.sent - x.talk.sent);
  return findingOf(entry, suspicions, settings, {
    habit,
    sources: known.facts?.sourcesOf(suspicions[0].talk.hash) ?? 1,
  });
}

const noRows: readonly number[] = [];

/** Servers that sums alone do not clear, which is nearly all of them: a host is judged each time that it asks. */
function suspectRows(
  { servers, samplingRate }: QueryState,
  { queriesMin, queryBytesMin, bulkBytesMin }: Readonly<DnsTunnelSettings>,
): readonly number[] {
  let rows = noRows;
  for (let row = 0; row < servers.size; row++) {
    const queries = queriesOf(servers, row);
    const sent = servers.get(row, Column.Sent);
    if (queries / samplingRate < queriesMin) continue;
    if (sent / queries >= queryBytesMin || sent >= bulkBytesMin) rows = [...rows, row];
  }
  return rows;
}

function judgeTalk(talk: Talk, settings: Readonly<DnsTunnelSettings>, habit: readonly number[]): Suspicion | undefined {
  const { queriesMin, queryBytesMin, bytesPerSecondMin, bulkBytesMin, bulkFactor } = settings;
  if (talk.seenQueries < queriesMin) return undefined;
  const hasHabit = habit.length >= habitHoursMin;
  const bulkLimit = hasHabit ? Math.max(bulkBytesMin, bulkFactor * Math.max(...habit)) : bulkBytesMin;
  const isLarge = talk.queryBytes >= queryBytesMin && talk.bytesPerSecond >= bytesPerSecondMin;
  const isBulk = talk.sent >= bulkLimit;
  const isProved = isBulk && (hasHabit || talk.sent >= bulkRatioMin * talk.received);
  if (!isLarge && !isBulk) return undefined;
  const kinds: Kind[] = [];
  if (isLarge) kinds.push("large_queries");
  if (isBulk) kinds.push("bulk");
  const [value, limit] = isLarge ? [talk.bytesPerSecond, bytesPerSecondMin] : [talk.sent, bulkLimit];
  const severity = isLarge || isProved ? severityOf(value, limit) : "low";
  return { talk, kinds, bulkLimit, severity, score: rounded(scoreOf(value, limit)) };
}

/** What is known beside the hour itself. */
interface Before {
  habit: readonly number[];
  /** Own hosts that ask the server, as far as is known. */
  sources: number;
}

/** Minutes from which a rate has been kept up. */
const steadyMinutes = 10;

function findingOf(
  entry: Entry<QueryState>,
  suspicions: readonly Suspicion[],
  settings: Readonly<DnsTunnelSettings>,
  before: Before,
): Finding {
  const { samplingRate } = entry.state;
  const [worst] = suspicions;
  const { talk, severity, score } = worst;
  const named = suspicions.filter((one) => one.severity === severity);
  const certainty = talk.activeS >= 60 * steadyMinutes ? 0.9 : 0.7;
  return {
    threat: "dns_tunnel",
    detectorVersion: dnsTunnel.version,
    entity: formatEntity(entry.address),
    window: { startMs: entry.windowStartMs, endMs: entry.windowStartMs + hourMs },
    score,
    confidence: sampledConfidence(certainty, talk.seenQueries, samplingRate),
    severity,
    techniques: ["T1071.004", "T1572", "T1048"],
    summary: `${Math.round(talk.queries)} packets of ${Math.round(talk.queryBytes)} bytes in the mean sent to port 53 of ${formatAddress(talk.server)} within an hour, ${Math.round(talk.bytesPerSecond)} bytes a second while it lasted, ${Math.round(talk.received)} bytes back`,
    peers: named.slice(0, peersMax).map((one) => ({
      address: formatAddress(one.talk.server),
      port: dnsPort,
      protocol: one.talk.tcpShare > 0.5 ? "tcp" : "udp",
    })),
    peerCount: named.length,
    evidence: {
      ...evidenceOf(worst, settings),
      baseline_hours: before.habit.length,
      usual_bytes_max: before.habit.length === 0 ? "unknown" : Math.max(...before.habit),
      server_own_hosts: before.sources,
      servers_asked: entry.state.servers.size,
      servers_exact: entry.state.servers.size < serversMax,
      served_bytes: entry.state.servedBytes,
      sampling_rate: samplingRate,
      bytes_error_percent: samplingErrorPercent(talk.seenQueries, samplingRate),
    },
    observed: observedOf(worst, before.habit),
  };
}

function evidenceOf({ talk, kinds, bulkLimit }: Suspicion, settings: Readonly<DnsTunnelSettings>) {
  return {
    kinds,
    queries: talk.queries,
    query_bytes_mean: rounded(talk.queryBytes),
    query_bytes_min: settings.queryBytesMin,
    sent_bytes: talk.sent,
    received_bytes: talk.received,
    producer_consumer_ratio: rounded((talk.sent - talk.received) / (talk.sent + talk.received)),
    active_seconds: Math.round(talk.activeS),
    bytes_per_second: rounded(talk.bytesPerSecond),
    bytes_per_second_min: settings.bytesPerSecondMin,
    bulk_limit_bytes: Math.round(bulkLimit),
    tcp_share: rounded(talk.tcpShare),
  };
}

function observedOf({ talk, kinds }: Suspicion, habit: readonly number[]): Observed[] {
  const observed: Observed[] = [{ threshold: "queriesMin", value: Math.floor(talk.seenQueries) }];
  if (kinds.includes("large_queries")) {
    observed.push({ threshold: "queryBytesMin", value: rounded(talk.queryBytes) });
    observed.push({ threshold: "bytesPerSecondMin", value: rounded(talk.bytesPerSecond) });
  }
  if (kinds.includes("bulk")) {
    observed.push({ threshold: "bulkBytesMin", value: talk.sent });
    if (habit.length >= habitHoursMin && Math.max(...habit) > 0) {
      observed.push({ threshold: "bulkFactor", value: rounded(talk.sent / Math.max(...habit)) });
    }
  }
  return observed;
}
