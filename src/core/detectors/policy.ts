import { formatAddress } from "../flow/address.ts";
import { Protocol } from "../flow/flow-batch.ts";
import { hashService } from "../flow/keyed-hash.ts";
import { formatEntity } from "../flow/prefixes.ts";
import { protocolName, serviceName, serviceOf } from "../flow/protocols.ts";
import type { BottomRows } from "../sketches/bottom-rows.ts";
import type { EntityWindows, Entry } from "../slots/entity-windows.ts";
import { rowsCodec, type RowsState } from "../slots/rows-codec.ts";
import { peersMax, type Finding, type Peer } from "../verdict.ts";
import type { Detector, SlotContacts } from "./detector.ts";
import { sampledConfidence, samplingErrorPercent } from "./sampling.ts";
import { rounded, scoreOf, severityOf } from "./scoring.ts";
import { windowed } from "./windowed.ts";

export interface PolicySettings {
  /** Exchanges over one service in one direction within a day. A few may be somebody's mistake. */
  exchangesMin: number;
}

const dayMs = 86_400_000;

/** A service that should not cross the border, by its registered port. */
interface Service {
  name: string;
  port: number;
  protocol: number;
  /** The most specific technique that uses it. */
  technique: string;
  /** Clients have ordinary reasons to use it on servers of others. */
  isUsualOutbound?: true;
}

/** What controls hosts, opens their files or says passwords aloud. */
const services: readonly Service[] = [
  { name: "FTP", port: 21, protocol: Protocol.Tcp, technique: "T1040", isUsualOutbound: true },
  { name: "telnet", port: 23, protocol: Protocol.Tcp, technique: "T1040" },
  { name: "TFTP", port: 69, protocol: Protocol.Udp, technique: "T1040" },
  { name: "MSRPC", port: 135, protocol: Protocol.Tcp, technique: "T1021.003" },
  { name: "SMB", port: 139, protocol: Protocol.Tcp, technique: "T1021.002" },
  { name: "SNMP", port: 161, protocol: Protocol.Udp, technique: "T1040", isUsualOutbound: true },
  { name: "SMB", port: 445, protocol: Protocol.Tcp, technique: "T1021.002" },
  { name: "rexec", port: 512, protocol: Protocol.Tcp, technique: "T1040" },
  { name: "rlogin", port: 513, protocol: Protocol.Tcp, technique: "T1040" },
  { name: "rsh", port: 514, protocol: Protocol.Tcp, technique: "T1040" },
  { name: "NFS", port: 2049, protocol: Protocol.Tcp, technique: "T1021" },
  { name: "RDP", port: 3389, protocol: Protocol.Tcp, technique: "T1021.001", isUsualOutbound: true },
  { name: "RDP", port: 3389, protocol: Protocol.Udp, technique: "T1021.001", isUsualOutbound: true },
  { name: "VNC", port: 5900, protocol: Protocol.Tcp, technique: "T1021.005", isUsualOutbound: true },
];

const portMax = 5900;
/** By port, whether any of them has it: most contacts fail this test. */
const isListed = new Uint8Array(portMax + 1);
for (const { port } of services) isListed[port] = 1;

/** The service's place in the list; −1 where it has none. */
function indexOf(port: number, protocol: number): number {
  if (port > portMax || isListed[port] === 0) return -1;
  return services.findIndex((service) => service.port === port && service.protocol === protocol);
}

/** The low bits of a row's label; the service's place in the list lies above them. */
const Direction = { Outbound: 1, Inbound: 2 } as const;

/** Rows that a host keeps: more services than hosts speak across the border at once, 500 bytes each. */
const rowsKept = 7;

const Sum = { Exchanges: 0, SamplingRate: 1 } as const;
/** A row is a service in one direction, its peers are outsiders. */
const shape = { peers: 8, sums: 2 };

const codec = rowsCodec(rowsKept, shape, Sum.Exchanges);

/**
 * Policy: a service that belongs inside crosses the border, and is answered.
 *
 * Method: per own host and UTC day, for each service of a short list and each direction, the exchanges with outsiders that
 * were answered. Nothing is learnt: that a file share or a remote desktop speaks with outsiders is the finding. Servers
 * of others that clients have ordinary reasons to use (FTP, SNMP, RDP, VNC) make it one level lower.
 * Bounds: per host and day 7 services in a direction with 8 outsiders each, 45 numbers. Which outsiders are told of may
 * follow the cut where more than 64 hosts call one service within ten seconds, some of them our own; the counts never do.
 * Misses: these services on other ports, or in tunnels; single exchanges; versions, since SNMP's third one is safe and
 * looks alike; logs that do not show answers.
 * Source: MITRE ATT&CK T1021, T1040, T1133; the services are those that CISA's BOD 23-02 wants off the internet, but for
 * the web, SSH and X11, and with MSRPC, rexec and NFS. The threshold is our own.
 */
export const policy: Detector<PolicySettings> = {
  id: "policy",
  version: 1,
  isExperimental: true,
  thresholds: {
    exchangesMin: {
      unit: "exchanges a day",
      default: 3,
      min: 2,
      max: 1_000_000,
      isWhole: true,
      quiet: 20,
      sensitive: 2,
      raising: "quieter",
      cost: "Services that are used across the border less often pass.",
    },
  },
  create: (settings, saved) =>
    windowed(
      { lengthMs: dayMs, codec, learn, judge, interest: ({ rows }) => 1 + rows.total(Sum.Exchanges) },
      settings,
      saved,
    ),
};

function learn(slot: SlotContacts, windows: EntityWindows<RowsState>): void {
  learnOutbound(slot, windows);
  learnInbound(slot, windows);
}

function learnOutbound({ contacts, outbound }: SlotContacts, windows: EntityWindows<RowsState>): void {
  const { pairs, addresses, addressHash } = contacts;
  for (const i of outbound) {
    const port = pairs.port[i];
    if (port > portMax || isListed[port] === 0 || pairs.answered[i] === 0) continue;
    const service = indexOf(port, pairs.protocol[i]);
    if (service < 0) continue;
    const entry = windows.at(addresses, pairs.source[i], pairs.bucket[i]);
    const { rows } = entry.state;
    const row = rowOf(rows, addressHash[pairs.source[i]], service, Direction.Outbound);
    if (row < 0) continue;
    rows.add(row, Sum.Exchanges, pairs.answered[i]);
    rows.raise(row, Sum.SamplingRate, pairs.samplingRate[i]);
    rows.addPeer(row, addressHash[pairs.target[i]], addresses, pairs.target[i]);
    windows.touch(entry);
    windows.grew(entry);
  }
}

function learnInbound({ contacts, targets: indexes }: SlotContacts, windows: EntityWindows<RowsState>): void {
  const { targets, addresses, addressHash, internal } = contacts;
  for (const i of indexes) {
    const port = targets.port[i];
    if (port > portMax || isListed[port] === 0 || targets.externalAnswered[i] === 0) continue;
    const service = indexOf(port, targets.protocol[i]);
    const target = targets.target[i];
    if (service < 0 || internal[target] === 0) continue;
    const entry = windows.at(addresses, target, targets.bucket[i]);
    const { rows } = entry.state;
    const row = rowOf(rows, addressHash[target], service, Direction.Inbound);
    if (row < 0) continue;
    rows.add(row, Sum.Exchanges, targets.externalAnswered[i]);
    rows.raise(row, Sum.SamplingRate, targets.samplingRate[i]);
    const end = targets.sourcesAt[i] + targets.sourceCount[i];
    for (let s = targets.sourcesAt[i]; s < end; s++) {
      const source = targets.sources[s];
      if (internal[source] === 0) rows.addPeer(row, addressHash[source], addresses, source);
    }
    windows.touch(entry);
    windows.grew(entry);
  }
}

/** The host's row of the service in that direction; −1 where it has more than it keeps. */
function rowOf(rows: BottomRows, hostHash: number, service: number, direction: number): number {
  const label = 4 * service + direction;
  return rows.row(hashService(hostHash, label, 0), label);
}

function serviceOfRow(rows: BottomRows, row: number): Service {
  return services[rows.label(row) >>> 2];
}

function isInbound(rows: BottomRows, row: number): boolean {
  return (rows.label(row) & Direction.Inbound) !== 0;
}

/** A service in one direction that was used often enough. */
interface Breach {
  row: number;
  service: Service;
  direction: "inbound" | "outbound";
  exchanges: number;
  /** Levels of severity that it goes beyond, or stays below, what the exchanges say. */
  raise: number;
}

function judge(entry: Entry<RowsState>, settings: Readonly<PolicySettings>): Finding | undefined {
  const { rows } = entry.state;
  const breaches: Breach[] = [];
  for (let row = 0; row < rows.size; row++) {
    const exchanges = rows.sum(row, Sum.Exchanges);
    // Of a log of lone replies nobody is known to have asked.
    if (exchanges < settings.exchangesMin || rows.peerCount(row) === 0) continue;
    const service = serviceOfRow(rows, row);
    const direction = isInbound(rows, row) ? "inbound" : "outbound";
    const raise = direction === "outbound" && service.isUsualOutbound ? -1 : 0;
    breaches.push({ row, service, direction, exchanges, raise });
  }
  if (breaches.length === 0) return undefined;
  return findingOf(entry, breaches.sort(byWeight), settings);
}

function byWeight(a: Breach, b: Breach): number {
  return b.raise - a.raise || b.exchanges - a.exchanges || a.row - b.row;
}

/** A port tells its service, and datagrams tell it less surely: their senders may be forged. */
const confidenceOfPort = { [Protocol.Tcp]: 0.8, [Protocol.Udp]: 0.6 } as Readonly<Record<number, number>>;

function findingOf(
  { address, windowStartMs, state }: Entry<RowsState>,
  breaches: readonly Breach[],
  settings: Readonly<PolicySettings>,
): Finding {
  const { rows } = state;
  const [{ row, service, direction, exchanges, raise }] = breaches;
  const samplingRate = rows.sum(row, Sum.SamplingRate);
  // Beyond those that are kept the number is rough; each of them was answered once, as a rule.
  const isExact = rows.peerCount(row) < shape.peers;
  const outsiders = isExact ? rows.peerCount(row) : Math.max(shape.peers, Math.min(rows.peerCount(row), exchanges));
  const who = `${isExact ? "" : "about "}${outsiders} outsider${outsiders === 1 ? "" : "s"}`;
  const peers = peersOf(rows, breaches);
  return {
    threat: "policy",
    detectorVersion: policy.version,
    entity: formatEntity(address),
    window: { startMs: windowStartMs, endMs: windowStartMs + dayMs },
    score: rounded(scoreOf(exchanges, settings.exchangesMin)),
    confidence: sampledConfidence(confidenceOfPort[service.protocol], exchanges, samplingRate),
    // One or a thousand: that it is open is what is to be closed.
    severity: severityOf(1, 1, raise),
    techniques: techniquesOf(breaches),
    summary: `${service.name} ${direction === "inbound" ? "answered to" : "used with"} ${who} within a day, ${exchanges} exchanges`,
    peers,
    peerCount: Math.max(peers.length, outsiders),
    evidence: {
      direction,
      service: serviceName(serviceOf(service.port, service.protocol)),
      exchanges_answered: exchanges,
      outsiders,
      outsiders_error_percent: isExact ? 0 : 41,
      services: breaches.map((breach) => ({
        service: serviceName(serviceOf(breach.service.port, breach.service.protocol)),
        direction: breach.direction,
        exchanges_answered: breach.exchanges,
      })),
      sampling_rate: samplingRate,
      exchanges_error_percent: samplingErrorPercent(exchanges, samplingRate),
    },
    observed: [{ threshold: "exchangesMin", value: exchanges }],
  };
}

function techniquesOf(breaches: readonly Breach[]): string[] {
  const own = breaches.map(({ service }) => service.technique);
  const isReached = breaches.some(({ direction }) => direction === "inbound");
  return [...new Set([...own, ...(isReached ? ["T1133"] : []), "T1021"])];
}

/** The outsiders of the worst breach first. */
function peersOf(rows: BottomRows, breaches: readonly Breach[]): Peer[] {
  const all = breaches.flatMap(({ row, service: { port, protocol } }) =>
    rows.peers(row).map((words) => ({ address: formatAddress(words), port, protocol: protocolName(protocol) })),
  );
  return all.slice(0, peersMax);
}
