import { formatAddress } from "../flow/address.ts";
import { hashService } from "../flow/keyed-hash.ts";
import { formatEntity } from "../flow/prefixes.ts";
import { protocolName, serviceName, serviceOf, servicePort, serviceProtocol } from "../flow/protocols.ts";
import { BottomK } from "../sketches/bottom-k.ts";
import { BottomRows } from "../sketches/bottom-rows.ts";
import type { MemoryCodec } from "../slots/entity-memory.ts";
import type { EntityState, EntityWindows, Entry, StateCodec } from "../slots/entity-windows.ts";
import { peersMax, type Finding, type Peer } from "../verdict.ts";
import type { Detector, SlotContacts } from "./detector.ts";
import { sampledConfidence, samplingErrorPercent } from "./sampling.ts";
import { rounded, scoreOf, severityOf } from "./scoring.ts";
import { windowed, type Known } from "./windowed.ts";

export interface InternalFanInSettings {
  /** Bytes that own hosts sent to the one within a day. */
  bytesMin: number;
  /** Own hosts that sent them. */
  sourcesMin: number;
  /** What the day must come to, as a multiple of the greatest day before. */
  baselineFactorMin: number;
  /** Closed days of the host that make a baseline. */
  baselineDaysMin: number;
}

const dayMs = 86_400_000;

/** Sources of a day that a host keeps, those of lowest hash, at 75 bytes each: enough to tell many from few. */
const sourcesKept = 32;
/** Services of a day that it keeps, at 44 bytes each: to say over which one most came. */
const servicesKept = 12;

const Sum = { Bytes: 0 } as const;
/** A row is a service. */
const shape = { peers: 0, sums: 1 };

interface FanInState extends EntityState {
  bytes: number;
  /** Of the last minute of each record that reached it, by whomever: a floor of what was seen. */
  packets: number;
  samplingRate: number;
  services: BottomRows;
  /** All of them, flagged where they are our own. */
  sources: BottomK;
}

const ownFlag = 1;

/** In V8's heap, in bytes: of a state without its rows and sources; of a small one, packed. Measured. */
const stateBytes = 100;
const packedBytes = 75;

const codec: StateCodec<FanInState> = {
  create: () => ({
    touched: false,
    bytes: 0,
    packets: 0,
    samplingRate: 0,
    services: new BottomRows(servicesKept, shape),
    sources: new BottomK(sourcesKept),
  }),
  save({ bytes, packets, samplingRate, services, sources }, writer) {
    writer.f64(bytes);
    writer.f64(packets);
    writer.u32(samplingRate);
    services.save(writer);
    sources.save(writer);
  },
  load: (reader) => ({
    touched: false,
    bytes: reader.f64(),
    packets: reader.f64(),
    samplingRate: reader.u32(),
    services: BottomRows.load(servicesKept, shape, reader),
    sources: BottomK.load(sourcesKept, reader),
  }),
  bytes: ({ services, sources }) => stateBytes + services.memoryBytes + sources.memoryBytes,
  isSmall: ({ services, sources }) => isSmall(services, sources),
  smallBytes: () => packedBytes,
};

function isSmall(services: BottomRows, sources: BottomK): boolean {
  return sources.size <= 1 && services.size <= 1;
}

interface FanInMemory {
  /** Closed days on which it was sent anything by more than one host. */
  days: number;
  /** Of the greatest of them. */
  bytesPeak: number;
}

/** In V8's heap, in bytes. Measured. */
const memoryBytes = 64;

const memory: MemoryCodec<FanInMemory> = {
  create: () => ({ days: 0, bytesPeak: 0 }),
  save({ days, bytesPeak }, writer) {
    writer.u32(days);
    writer.f64(bytesPeak);
  },
  load: (reader) => ({ days: reader.u32(), bytesPeak: reader.f64() }),
  bytes: () => memoryBytes,
};

/**
 * Internal fan-in: many own hosts send much to one of them that is not known for it; data is staged there, it may be.
 *
 * Method: per own host and UTC day, the bytes that own hosts sent to its services, and how many hosts did; beyond the day,
 * the greatest closed day before. A finding is a day of many bytes from many hosts that is a multiple of it. The day is
 * remembered, so a new file server is told of once. Without a baseline of some days it is `low`.
 * Bounds: per host and day a bottom-k sample of 32 sources and the 12 services of lowest hash; two numbers per host.
 * Misses: what the host fetches itself; what few hosts send; staging on a server that is sent as much every day. A host
 * is a source whether it sent much or little. Who grows by less than the multiple each day is never told of.
 * Source: MITRE ATT&CK T1074.002; the volume of a host among its own, held against its baseline, after the data hoarding
 * events of Cisco Secure Network Analytics. The thresholds are our own.
 */
export const internalFanIn: Detector<InternalFanInSettings> = {
  id: "internal_fan_in",
  version: 1,
  isExperimental: true,
  thresholds: {
    bytesMin: {
      unit: "bytes a day",
      default: 1_000_000_000,
      min: 10_000_000,
      max: 1e15,
      isWhole: true,
      quiet: 10_000_000_000,
      sensitive: 200_000_000,
      raising: "quieter",
      cost: "Smaller collections pass.",
    },
    sourcesMin: {
      unit: "sources",
      default: 5,
      min: 2,
      max: 1000,
      isWhole: true,
      quiet: 10,
      sensitive: 3,
      raising: "quieter",
      cost: "Collections from fewer hosts pass.",
    },
    baselineFactorMin: {
      unit: "times the greatest day before",
      default: 5,
      min: 1,
      max: 1e6,
      quiet: 10,
      sensitive: 3,
      raising: "quieter",
      cost: "Collections on hosts that are sent much anyway pass.",
    },
    baselineDaysMin: {
      unit: "days",
      default: 2,
      min: 1,
      max: 30,
      isWhole: true,
      quiet: 7,
      raising: "quieter",
      cost: "Hosts that are not known for so long make no alert.",
    },
  },
  create: (settings, saved) =>
    windowed(
      {
        lengthMs: dayMs,
        codec,
        memory,
        learn,
        judge,
        interest: ({ bytes }) => 1 + bytes,
        remember({ state }, known) {
          known.days++;
          known.bytesPeak = Math.max(known.bytesPeak, state.bytes);
        },
        // Small states may be packed, and then show nothing when their window closes.
        isRemembered: ({ state }) => !isSmall(state.services, state.sources),
      },
      settings,
      saved,
    ),
};

function learn({ contacts, targets: indexes }: SlotContacts, windows: EntityWindows<FanInState>): void {
  const { targets, addresses, addressHash, internal } = contacts;
  for (const i of indexes) {
    const target = targets.target[i];
    if (targets.internalBytes[i] === 0 || internal[target] === 0) continue;
    const [port, protocol] = [targets.port[i], targets.protocol[i]];
    const entry = windows.at(addresses, target, targets.bucket[i]);
    const { services, sources } = entry.state;
    entry.state.bytes += targets.internalBytes[i];
    entry.state.packets += targets.minutePackets[i];
    entry.state.samplingRate = Math.max(entry.state.samplingRate, targets.samplingRate[i]);
    const service = serviceOf(port, protocol);
    const row = services.row(hashService(addressHash[target], port, protocol), service);
    if (row >= 0) services.add(row, Sum.Bytes, targets.internalBytes[i]);
    const end = targets.sourcesAt[i] + targets.sourceCount[i];
    for (let s = targets.sourcesAt[i]; s < end; s++) {
      const source = targets.sources[s];
      sources.add(addressHash[source], addresses, source, service, internal[source] === 1 ? ownFlag : 0);
    }
    windows.touch(entry);
    windows.grew(entry);
  }
}

/** Positions of our own among the sources that are kept. */
function ownSources(sources: BottomK): number[] {
  return Array.from({ length: sources.size }, (_, i) => i).filter((i) => (sources.flags(i) & ownFlag) !== 0);
}

/** What the day is held against. */
interface Baseline {
  days: number;
  isKnown: boolean;
  /** Of this day, over the greatest one before. */
  factor: number;
}

function judge(
  entry: Entry<FanInState>,
  settings: Readonly<InternalFanInSettings>,
  known: Known<FanInMemory>,
): Finding | undefined {
  const { bytes, sources } = entry.state;
  if (bytes < settings.bytesMin) return undefined;
  const own = ownSources(sources);
  const sourceCount = Math.round((own.length * sources.count()) / Math.max(1, sources.size));
  if (sourceCount < settings.sourcesMin) return undefined;
  const { days, bytesPeak } = known.memoryOf(entry.address) ?? { days: 0, bytesPeak: 0 };
  const factor = bytes / Math.max(1, bytesPeak);
  if (days > 0 && factor < settings.baselineFactorMin) return undefined;
  const baseline = { days, isKnown: days >= settings.baselineDaysMin, factor };
  return findingOf(entry, { own, sourceCount }, baseline, settings);
}

const [confidenceOfBaseline, confidenceWithout] = [0.6, 0.3];

function findingOf(
  { address, windowStartMs, state }: Entry<FanInState>,
  { own, sourceCount }: { own: readonly number[]; sourceCount: number },
  { days, isKnown, factor }: Baseline,
  settings: Readonly<InternalFanInSettings>,
): Finding {
  const { bytes, services, sources, samplingRate } = state;
  const seen = state.packets / samplingRate;
  const about = sources.isExact ? "" : "about ";
  const service = largestService(services);
  const before = days > 0 ? `${rounded(factor)} times its greatest day before` : "no day of it is known";
  return {
    threat: "internal_fan_in",
    detectorVersion: internalFanIn.version,
    entity: formatEntity(address),
    window: { startMs: windowStartMs, endMs: windowStartMs + dayMs },
    score: rounded(scoreOf(bytes, settings.bytesMin)),
    confidence: sampledConfidence(isKnown ? confidenceOfBaseline : confidenceWithout, seen, samplingRate),
    severity: isKnown ? severityOf(bytes, settings.bytesMin) : "low",
    techniques: ["T1074.002", "T1074"],
    summary: `${bytes} bytes from ${about}${sourceCount} own hosts within a day, most over ${serviceName(service)}; ${before}`,
    peers: own.slice(0, peersMax).map((i) => peerOf(sources, i)),
    peerCount: Math.max(sourceCount, Math.min(own.length, peersMax)),
    evidence: {
      bytes_received: bytes,
      sources: sourceCount,
      sources_error_percent: sources.isExact ? 0 : 18,
      service: serviceName(service),
      services: services.count(),
      baseline_days: days,
      times_greatest_day: days > 0 ? rounded(factor) : 0,
      bytes_of_greatest_day: days > 0 ? Math.round(bytes / factor) : 0,
      sampling_rate: samplingRate,
      bytes_error_percent: samplingErrorPercent(seen, samplingRate),
    },
    observed: [
      { threshold: "bytesMin", value: bytes },
      { threshold: "sourcesMin", value: sourceCount },
      ...(days > 0 ? [{ threshold: "baselineFactorMin", value: rounded(factor) }] : []),
      ...(isKnown ? [{ threshold: "baselineDaysMin", value: days }] : []),
    ],
  };
}

/** Over which most came, of those that are kept. */
function largestService(services: BottomRows): number {
  let largest = 0;
  for (let row = 1; row < services.size; row++) {
    if (services.sum(row, Sum.Bytes) > services.sum(largest, Sum.Bytes)) largest = row;
  }
  return services.label(largest);
}

function peerOf(sources: BottomK, i: number): Peer {
  const service = sources.label(i);
  return {
    address: formatAddress(sources.address(i)),
    port: servicePort(service),
    protocol: protocolName(serviceProtocol(service)),
  };
}
