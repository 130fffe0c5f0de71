import { formatAddress } from "../flow/address.ts";
import { Protocol } from "../flow/flow-batch.ts";
import { hashService } from "../flow/keyed-hash.ts";
import { formatEntity } from "../flow/prefixes.ts";
import { protocolName, serviceName, serviceOf, servicePort, serviceProtocol } from "../flow/protocols.ts";
import type { MemoryCodec } from "../slots/entity-memory.ts";
import type { EntityWindows, Entry } from "../slots/entity-windows.ts";
import { rowsCodec, type RowsState } from "../slots/rows-codec.ts";
import { peersMax, type Finding } from "../verdict.ts";
import type { Detector, SlotContacts } from "./detector.ts";
import { sampledConfidence, samplingErrorPercent } from "./sampling.ts";
import { rounded, scoreOf, severityOf } from "./scoring.ts";
import { windowed, type Known } from "./windowed.ts";

export interface RareServiceSettings {
  /** Exchanges in which the new service answered, within a day. */
  exchangesMin: number;
  /** Closed days on which the host served anything, before what it serves is called new. */
  baselineDaysMin: number;
}

const dayMs = 86_400_000;

/** Services of a day that a host keeps, those of lowest hash, at 120 bytes each. A domain controller has some twenty. */
const servicesKept = 28;
/** Services that are remembered of a host, at 36 bytes each: those that were served last. */
const servicesRemembered = 64;
/** From here on stacks take the ports of clients: what answers there is the other end of something, more often than not. */
const clientPortMin = 32_768;

const Sum = { Answered: 0, External: 1, SamplingRate: 2 } as const;
/** A row is a service, its peer a client. */
const shape = { peers: 1, sums: 3 };

const codec = rowsCodec(servicesKept, shape, Sum.Answered);

interface ServedMemory {
  /** Closed days on which the host served. */
  days: number;
  /** Some day it served more than is kept of a day: no service of it can be called new. */
  isUnbounded: boolean;
  /** By service, the last day, since 1970, on which it was served. */
  lastDays: Map<number, number>;
}

/** In V8's heap, in bytes: of a memory without its services, and of a service. Measured. */
const memoryBytes = 240;
const rememberedBytes = 36;

const memory: MemoryCodec<ServedMemory> = {
  create: () => ({ days: 0, isUnbounded: false, lastDays: new Map() }),
  save({ days, isUnbounded, lastDays }, writer) {
    writer.u32(days);
    writer.u8(isUnbounded ? 1 : 0);
    writer.words([...lastDays].flat());
  },
  load(reader) {
    const [days, isUnbounded, words] = [reader.u32(), reader.u8() === 1, reader.words()];
    const lastDays = new Map<number, number>();
    for (let i = 0; i < words.length; i += 2) lastDays.set(words[i], words[i + 1]);
    return { days, isUnbounded, lastDays };
  },
  bytes: ({ lastDays }) => memoryBytes + rememberedBytes * lastDays.size,
};

/**
 * Rare service: a host of our own answers on a port on which it never answered before.
 *
 * Method: per own host and UTC day, the services on which it answered, and how often; beyond the day, which ones it
 * served on closed days. A finding is a service that is not among these, on a host that has served for some days. It is
 * told of on its first day, and known from the next one on. One that outsiders reached is `medium`, others are `low`.
 * Bounds: per host and day the 28 services of lowest hash, per host 64 services that were served last; a host that has
 * more in a day is called a host of anything and never judged again. Ports from 32,768 on are left out.
 * Misses: hosts that never served before, as long as they have no baseline; what answers once a day; services behind a
 * known port; logs that do not show answers.
 * Source: MITRE ATT&CK T1571, T1543; learning which services a host serves, then telling of others, after ntopng's
 * service map. The thresholds are our own.
 */
export const rareService: Detector<RareServiceSettings> = {
  id: "rare_service",
  version: 1,
  isExperimental: true,
  thresholds: {
    exchangesMin: {
      unit: "exchanges a day",
      default: 5,
      min: 2,
      max: 1_000_000,
      isWhole: true,
      quiet: 20,
      sensitive: 2,
      raising: "quieter",
      cost: "New services that are used less pass.",
    },
    baselineDaysMin: {
      unit: "days",
      default: 2,
      min: 1,
      max: 30,
      isWhole: true,
      quiet: 7,
      raising: "quieter",
      cost: "New services of hosts that are not known for so long pass.",
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
        interest: ({ rows }) => 1 + rows.total(Sum.Answered),
        remember,
        // Small states may be packed, and then show nothing when their window closes.
        isRemembered: ({ state }) => !codec.isSmall(state),
      },
      settings,
      saved,
    ),
};

function learn({ contacts, targets: indexes }: SlotContacts, windows: EntityWindows<RowsState>): void {
  const { targets, addresses, addressHash, internal } = contacts;
  for (const i of indexes) {
    const [port, protocol, target] = [targets.port[i], targets.protocol[i], targets.target[i]];
    if (targets.answered[i] === 0 || port >= clientPortMin || internal[target] === 0) continue;
    if (protocol !== Protocol.Tcp && protocol !== Protocol.Udp) continue;
    const entry = windows.at(addresses, target, targets.bucket[i]);
    const { rows: services } = entry.state;
    const row = services.row(hashService(addressHash[target], port, protocol), serviceOf(port, protocol));
    if (row < 0) continue;
    services.add(row, Sum.Answered, targets.answered[i]);
    services.add(row, Sum.External, targets.externalAnswered[i]);
    services.raise(row, Sum.SamplingRate, targets.samplingRate[i]);
    const end = targets.sourcesAt[i] + targets.sourceCount[i];
    for (let s = targets.sourcesAt[i]; s < end; s++) {
      const source = targets.sources[s];
      services.addPeer(row, addressHash[source], addresses, source);
    }
    windows.touch(entry);
    windows.grew(entry);
  }
}

function remember({ state: { rows: services }, windowStartMs }: Entry<RowsState>, known: ServedMemory): void {
  const { lastDays } = known;
  known.days++;
  if (!services.isExact) known.isUnbounded = true;
  const day = windowStartMs / dayMs;
  for (let row = 0; row < services.size; row++) lastDays.set(services.label(row), day);
  if (lastDays.size <= servicesRemembered) return;
  const oldest = [...lastDays].sort(([s, a], [t, b]) => a - b || s - t).slice(0, lastDays.size - servicesRemembered);
  for (const [service] of oldest) lastDays.delete(service);
}

/** A service that is not remembered. */
interface NewService {
  row: number;
  service: number;
  answered: number;
  external: number;
}

function judge(
  entry: Entry<RowsState>,
  settings: Readonly<RareServiceSettings>,
  all: Known<ServedMemory>,
): Finding | undefined {
  const { rows: services } = entry.state;
  if (!services.isExact || services.total(Sum.Answered) < settings.exchangesMin) return undefined;
  const known = all.memoryOf(entry.address);
  if (!known || known.days < settings.baselineDaysMin || known.isUnbounded) return undefined;
  const fresh: NewService[] = [];
  for (let row = 0; row < services.size; row++) {
    const service = services.label(row);
    const [answered, external] = [services.sum(row, Sum.Answered), services.sum(row, Sum.External)];
    // Of a log of lone replies nobody is known to have asked.
    if (answered < settings.exchangesMin || services.peerCount(row) === 0 || known.lastDays.has(service)) continue;
    fresh.push({ row, service, answered, external });
  }
  return fresh.length === 0 ? undefined : findingOf(entry, fresh.sort(byReach), known, settings);
}

/** What outsiders reached first, then what was used most. */
function byReach(a: NewService, b: NewService): number {
  return Number(b.external > 0) - Number(a.external > 0) || b.answered - a.answered || a.service - b.service;
}

/** What is new after one day is often just seldom: half as sure after two as after ever so many. */
const baselineHalfDays = 2;

function findingOf(
  { address, windowStartMs, state: { rows: services } }: Entry<RowsState>,
  fresh: readonly NewService[],
  known: ServedMemory,
  settings: Readonly<RareServiceSettings>,
): Finding {
  const [{ row, service, answered, external }] = fresh;
  const samplingRate = services.sum(row, Sum.SamplingRate);
  const reached = external > 0 ? `, ${external} of them from outside` : "";
  const peers = fresh.slice(0, peersMax).map((one) => ({
    address: formatAddress(services.peers(one.row)[0]),
    port: servicePort(one.service),
    protocol: protocolName(serviceProtocol(one.service)),
  }));
  return {
    threat: "rare_service",
    detectorVersion: rareService.version,
    entity: formatEntity(address),
    window: { startMs: windowStartMs, endMs: windowStartMs + dayMs },
    score: rounded(scoreOf(answered, settings.exchangesMin)),
    confidence: sampledConfidence(known.days / (known.days + baselineHalfDays), answered, samplingRate),
    // How much it is used says little about how bad it is.
    severity: severityOf(1, 1, external > 0 ? 0 : -1),
    techniques: ["T1571", "T1543"],
    summary: `answered ${answered} times on ${serviceName(service)}${reached}, which it did on none of ${known.days} days before`,
    peers,
    peerCount: Math.max(peers.length, services.peerCount(row)),
    evidence: {
      service: serviceName(service),
      exchanges_answered: answered,
      exchanges_from_outside: external,
      new_services: fresh.slice(0, peersMax).map((one) => {
        return { service: serviceName(one.service), exchanges_answered: one.answered };
      }),
      services_of_day: services.size,
      services_known: known.lastDays.size,
      baseline_days: known.days,
      sampling_rate: samplingRate,
      exchanges_error_percent: samplingErrorPercent(answered, samplingRate),
    },
    observed: [
      { threshold: "exchangesMin", value: answered },
      { threshold: "baselineDaysMin", value: known.days },
    ],
  };
}
