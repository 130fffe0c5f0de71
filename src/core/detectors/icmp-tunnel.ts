import { formatAddress, isGroupAddress } from "../flow/address.ts";
import { bucketMs } from "../flow/contacts.ts";
import { Protocol } from "../flow/flow-batch.ts";
import { formatEntity } from "../flow/prefixes.ts";
import { protocolName } from "../flow/protocols.ts";
import { bitCount } from "../sketches/bit-count.ts";
import { BottomRows } from "../sketches/bottom-rows.ts";
import type { EntityState, EntityWindows, Entry, StateCodec } from "../slots/entity-windows.ts";
import { peersMax, type Finding } from "../verdict.ts";
import type { Detector, SlotContacts } from "./detector.ts";
import { sampledConfidence, samplingErrorPercent } from "./sampling.ts";
import { rounded, scoreOf, severityOf } from "./scoring.ts";
import { windowed } from "./windowed.ts";

export interface IcmpTunnelSettings {
  /** Bytes of echoes between one pair, both ways, within a day. */
  bytesMin: number;
  /** Mean bytes of an echo packet, in the direction where they are larger. A ping has 60 to 98. */
  meanBytesMin: number;
  /** Ten-minute spans of the day in which the pair exchanged echoes. */
  spansMin: number;
  /** By how much the mean sizes of requests and replies differ. The replies to a ping are as large as its requests. */
  asymmetryMin: number;
}

const dayMs = 86_400_000;
const spanMs = 600_000;

/** Peers that a source keeps, those of lowest hash, at 210 bytes each. Who pings more of them a day is a monitor. */
const peersKept = 16;

/** Of each peer; the ten-minute spans of the day are five words of bits. */
const Sum = { BytesOut: 0, BytesIn: 1, PacketsOut: 2, PacketsIn: 3, DurationMs: 4, SamplingRate: 5, Spans: 6 } as const;
const spanWords = 5;
/** A row is a peer. */
const shape = { peers: 1, sums: Sum.Spans + spanWords };

interface EchoState extends EntityState {
  internal: boolean;
  peers: BottomRows;
}

/** In V8's heap, in bytes: of a state without its peers; of a small state, packed, without its peer. Measured. */
const stateBytes = 50;
const packedBytes = 20;

const codec: StateCodec<EchoState> = {
  create: () => ({ touched: false, internal: false, peers: new BottomRows(peersKept, shape) }),
  save(state, writer) {
    writer.u8(state.internal ? 1 : 0);
    state.peers.save(writer);
  },
  load(reader) {
    const internal = reader.u8() === 1;
    return { touched: false, internal, peers: BottomRows.load(peersKept, shape, reader) };
  },
  bytes: ({ peers }) => stateBytes + peers.memoryBytes,
  isSmall: ({ peers }) => peers.size <= 1 && spansOf(peers, 0) <= 1,
  smallBytes: ({ peers }) => packedBytes + peers.packedBytes,
};

/**
 * ICMP tunnel: a pair of hosts, one of them outside, speaks in the payloads of its pings.
 *
 * Method: per source and UTC day, for each peer across the border, sums of echo requests and replies. A finding is a
 * pair whose echoes come to many bytes, go on for long, are answered, are larger than pings are, and whose requests
 * differ from their replies in size: who answers a ping sends back what he was sent, a tunnel's end sends what he has.
 * Bounds: per source and day the 16 peers of lowest hash, 19 numbers each.
 * Misses: tunnels that pad both directions to one size, or carry little; between own hosts; in other types of ICMP; in
 * logs that show the directions as separate records; of sources that ping hundreds of outsiders, most peers.
 * Source: MITRE ATT&CK T1095; sizes that no ping of Windows or Linux has, after Plixer Scrutinizer's ICMP tunnel; that
 * echoes return their data: RFC 792. The thresholds are our own.
 */
export const icmpTunnel: Detector<IcmpTunnelSettings> = {
  id: "icmp_tunnel",
  version: 1,
  isExperimental: true,
  thresholds: {
    bytesMin: {
      unit: "bytes a day",
      default: 1_000_000,
      min: 10_000,
      max: 1e12,
      isWhole: true,
      quiet: 10_000_000,
      sensitive: 200_000,
      raising: "quieter",
      cost: "Tunnels that carry less pass.",
    },
    meanBytesMin: {
      unit: "bytes a packet",
      default: 200,
      min: 100,
      max: 65_535,
      quiet: 500,
      sensitive: 128,
      raising: "quieter",
      cost: "Tunnels of smaller packets pass.",
    },
    spansMin: {
      unit: "ten-minute spans",
      default: 2,
      min: 2,
      max: 144,
      isWhole: true,
      quiet: 6,
      raising: "quieter",
      cost: "Tunnels must last longer.",
    },
    asymmetryMin: {
      unit: "share",
      default: 0.05,
      min: 0.01,
      max: 1,
      quiet: 0.2,
      sensitive: 0.02,
      raising: "quieter",
      cost: "Tunnels that send about as much in a reply as in a request pass.",
    },
  },
  create: (settings, saved) =>
    windowed(
      {
        lengthMs: dayMs,
        codec,
        learn,
        judge,
        interest: ({ peers }) => 1 + peers.total(Sum.BytesOut) + peers.total(Sum.BytesIn),
      },
      settings,
      saved,
    ),
};

function learn({ contacts, pairs: indexes }: SlotContacts, windows: EntityWindows<EchoState>): void {
  const { pairs, addresses, addressHash, internal } = contacts;
  for (const i of indexes) {
    const protocol = pairs.protocol[i];
    if ((protocol !== Protocol.Icmp && protocol !== Protocol.Icmp6) || !isEcho(protocol, pairs.port[i])) continue;
    const [source, target] = [pairs.source[i], pairs.target[i]];
    if (internal[source] === internal[target] || isGroupAddress(addresses, target)) continue;
    const entry = windows.at(addresses, source, pairs.bucket[i]);
    const { peers } = entry.state;
    entry.state.internal = internal[source] === 1;
    const row = peers.row(addressHash[target], protocol);
    if (row < 0) continue;
    peers.addPeer(row, addressHash[target], addresses, target);
    peers.add(row, Sum.BytesOut, pairs.sourceBytes[i]);
    peers.add(row, Sum.BytesIn, pairs.targetBytes[i]);
    peers.add(row, Sum.PacketsOut, pairs.sourcePackets[i]);
    peers.add(row, Sum.PacketsIn, pairs.targetPackets[i]);
    peers.add(row, Sum.DurationMs, pairs.durationMs[i]);
    peers.raise(row, Sum.SamplingRate, pairs.samplingRate[i]);
    const span = Math.floor(((pairs.bucket[i] * bucketMs) % dayMs) / spanMs);
    peers.unite(row, Sum.Spans + (span >>> 5), 1 << (span & 31));
    windows.touch(entry);
    windows.grew(entry);
  }
}

/** Type 8, and 128 and 129 of ICMPv6; replies of type 0 go as requests. */
function isEcho(protocol: number, typeAndCode: number): boolean {
  const type = typeAndCode >>> 8;
  return protocol === Protocol.Icmp ? type === 8 : type === 128 || type === 129;
}

/** Ten-minute spans with echoes: those in which records ended, or as many as the records lasted. */
function spansOf(peers: BottomRows, row: number): number {
  if (row >= peers.size) return 0;
  let ended = 0;
  for (let word = 0; word < spanWords; word++) ended += bitCount(peers.sum(row, Sum.Spans + word));
  return Math.max(ended, Math.min(dayMs / spanMs, Math.floor(peers.sum(row, Sum.DurationMs) / spanMs)));
}

/** What one pair exchanged. */
interface Echoes {
  row: number;
  bytes: number;
  packets: number;
  meanOut: number;
  meanIn: number;
  asymmetry: number;
  spans: number;
}

function echoesOf(peers: BottomRows, row: number): Echoes {
  const [bytesOut, bytesIn] = [peers.sum(row, Sum.BytesOut), peers.sum(row, Sum.BytesIn)];
  const [packetsOut, packetsIn] = [peers.sum(row, Sum.PacketsOut), peers.sum(row, Sum.PacketsIn)];
  const [meanOut, meanIn] = [bytesOut / Math.max(1, packetsOut), bytesIn / Math.max(1, packetsIn)];
  const asymmetry = Math.abs(meanOut - meanIn) / Math.max(1, meanOut, meanIn);
  const spans = spansOf(peers, row);
  return { row, bytes: bytesOut + bytesIn, packets: packetsOut + packetsIn, meanOut, meanIn, asymmetry, spans };
}

/** Of the requests, and of the replies: a flood of pings gets few answers, a tunnel lives on them. */
const answeredShareMin = 0.5;

function isAnswered(peers: BottomRows, row: number): boolean {
  const [out, back] = [peers.sum(row, Sum.PacketsOut), peers.sum(row, Sum.PacketsIn)];
  return out > 0 && back > 0 && Math.min(out, back) >= answeredShareMin * Math.max(out, back);
}

function judge(entry: Entry<EchoState>, settings: Readonly<IcmpTunnelSettings>): Finding | undefined {
  const { peers } = entry.state;
  const tunnels: Echoes[] = [];
  for (let row = 0; row < peers.size; row++) {
    if (!isAnswered(peers, row)) continue;
    const echoes = echoesOf(peers, row);
    const isTunnel =
      echoes.bytes >= settings.bytesMin &&
      Math.max(echoes.meanOut, echoes.meanIn) >= settings.meanBytesMin &&
      echoes.spans >= settings.spansMin &&
      echoes.asymmetry >= settings.asymmetryMin;
    if (isTunnel) tunnels.push(echoes);
  }
  if (tunnels.length === 0) return undefined;
  return findingOf(
    entry,
    tunnels.sort((a, b) => b.bytes - a.bytes || a.row - b.row),
    settings,
  );
}

/** Sizes alone prove no tunnel: a monitor may ask for little and be told much. */
const confidenceOfSizes = 0.7;

function findingOf(
  { address, windowStartMs, state }: Entry<EchoState>,
  tunnels: readonly Echoes[],
  settings: Readonly<IcmpTunnelSettings>,
): Finding {
  const { peers, internal } = state;
  const [worst] = tunnels;
  const samplingRate = peers.sum(worst.row, Sum.SamplingRate);
  const seen = worst.packets / samplingRate;
  const mean = Math.max(worst.meanOut, worst.meanIn);
  const addressOf = (row: number) => formatAddress(peers.peers(row)[0]);
  return {
    threat: "icmp_tunnel",
    detectorVersion: icmpTunnel.version,
    entity: formatEntity(address),
    window: { startMs: windowStartMs, endMs: windowStartMs + dayMs },
    score: rounded(scoreOf(worst.bytes, settings.bytesMin)),
    confidence: sampledConfidence(confidenceOfSizes, seen, samplingRate),
    severity: severityOf(worst.bytes, settings.bytesMin),
    techniques: ["T1095"],
    summary: `echoes of ${worst.bytes} bytes with ${addressOf(worst.row)} within a day, ${Math.round(worst.meanOut)} bytes a request and ${Math.round(worst.meanIn)} a reply`,
    peers: tunnels.slice(0, peersMax).map(({ row }) => {
      return { address: addressOf(row), port: 0, protocol: protocolName(peers.label(row)) };
    }),
    peerCount: tunnels.length,
    evidence: {
      direction: internal ? "outbound" : "inbound",
      bytes_sent: peers.sum(worst.row, Sum.BytesOut),
      bytes_received: peers.sum(worst.row, Sum.BytesIn),
      packets_sent: peers.sum(worst.row, Sum.PacketsOut),
      packets_received: peers.sum(worst.row, Sum.PacketsIn),
      bytes_per_request: rounded(worst.meanOut),
      bytes_per_reply: rounded(worst.meanIn),
      size_asymmetry_share: rounded(worst.asymmetry),
      ten_minute_spans: worst.spans,
      echo_peers: peers.count(),
      echo_peers_error_percent: peers.isExact ? 0 : 27,
      sampling_rate: samplingRate,
      bytes_error_percent: samplingErrorPercent(seen, samplingRate),
    },
    observed: [
      { threshold: "bytesMin", value: worst.bytes },
      { threshold: "meanBytesMin", value: rounded(mean) },
      { threshold: "spansMin", value: worst.spans },
      { threshold: "asymmetryMin", value: rounded(worst.asymmetry) },
    ],
  };
}
