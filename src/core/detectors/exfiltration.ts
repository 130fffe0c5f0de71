import { formatAddress, isGroupAddress } from "../flow/address.ts";
import type { Contacts } from "../flow/contacts.ts";
import { formatEntity, neighbourhoodOf } from "../flow/prefixes.ts";
import { protocolName, serviceName, serviceOf, servicePort, serviceProtocol } from "../flow/protocols.ts";
import { HashedRows } from "../sketches/hashed-rows.ts";
import type { MemoryCodec } from "../slots/entity-memory.ts";
import type { EntityState, Entry, StateCodec } from "../slots/entity-windows.ts";
import { isRare, type NetworkFacts } from "../slots/network-facts.ts";
import { peersMax, severities, type AddressWords, type Finding, type Observed, type Peer } from "../verdict.ts";
import type { Detector } from "./detector.ts";
import { byAddress } from "./forgetting.ts";
import { sampledConfidence, samplingErrorPercent } from "./sampling.ts";
import { rounded, scoreOf, severityOf } from "./scoring.ts";
import { windowed, type Known } from "./windowed.ts";

export interface ExfiltrationSettings {
  /** Sent to one destination within a day: Slips' default for one of its windows. */
  uploadBytesMin: number;
  /** So many times what the host sent before, on its days at most. */
  baselineFactor: number;
  /** From here on no habit excuses it. */
  ceilingBytes: number;
  /** Producer/consumer ratio of a destination, −1 (it only sends) to 1 (it only receives): 0.6 is four to one. */
  ratioMin: number;
  /** By so much must the ratio of the host as a whole exceed that of its usual day. */
  ratioShiftMin: number;
  /** The same as `uploadBytesMin`, for a host of which no habit is known. */
  firstUploadBytesMin: number;
}

const dayMs = 86_400_000;

/** A day with less has no finding, whatever the settings: the least value of `uploadBytesMin`. */
const judgedFromBytes = 1_000_000;

/** Destinations that a host keeps: beyond the first number, the ones it sent most to, down to the second. */
const destinationsMax = 32;
const destinationsKept = 20;
/** New ones that it may have between two settlements: of more, those of lowest keyed hash. A crawler's five minutes. */
const freshDestinationsMax = 256;

/** In V8's heap, in bytes: of a state, and of a destination with the slack that a growing array has. Measured. */
const stateBytes = 330;
const destinationBytes = 105;
/** The same of a small state, packed. */
const packedBytes = 62;

/** Columns of a destination. */
const Column = { Service: 6, Sent: 7, Received: 8 } as const;
const destinationColumns = 9;
const severalServices = 0;

/** What a host exchanged with the outside on one day, in exchanges that it began. */
interface UploadState extends EntityState {
  requests: number;
  sentBytes: number;
  receivedBytes: number;
  sentPackets: number;
  /** Greatest sampling rate. */
  samplingRate: number;
  destinations: HashedRows;
}

const codec: StateCodec<UploadState> = {
  create: () => ({
    touched: false,
    requests: 0,
    sentBytes: 0,
    receivedBytes: 0,
    sentPackets: 0,
    samplingRate: 1,
    destinations: new HashedRows(destinationColumns, freshDestinationsMax),
  }),
  save({ requests, sentBytes, receivedBytes, sentPackets, samplingRate, destinations }, writer) {
    for (const sum of [requests, sentBytes, receivedBytes, sentPackets]) writer.f64(sum);
    writer.u32(samplingRate);
    destinations.save(writer);
  },
  load(reader) {
    return {
      touched: false,
      requests: reader.f64(),
      sentBytes: reader.f64(),
      receivedBytes: reader.f64(),
      sentPackets: reader.f64(),
      samplingRate: reader.u32(),
      destinations: HashedRows.load(destinationColumns, freshDestinationsMax, reader),
    };
  },
  bytes: ({ destinations }) => stateBytes + destinationBytes * destinations.size,
  isSmall: ({ requests, sentBytes, destinations }) =>
    requests <= 2 && destinations.size <= 1 && sentBytes < judgedFromBytes,
  smallBytes: () => packedBytes,
  excess: ({ destinations }) => Math.max(0, destinations.size - destinationsMax),
  trim({ destinations }) {
    destinations.keep(bySent(destinations, destinations.positions()).slice(0, destinationsKept));
  },
};

function addPair(state: UploadState, contacts: Contacts, i: number): void {
  const { pairs } = contacts;
  state.requests += pairs.requests[i];
  state.sentBytes += pairs.sourceBytes[i];
  state.receivedBytes += pairs.targetBytes[i];
  state.sentPackets += pairs.sourcePackets[i];
  state.samplingRate = Math.max(state.samplingRate, pairs.samplingRate[i]);
  addDestination(state.destinations, contacts, i);
}

function addDestination(destinations: HashedRows, { pairs, addresses, addressHash }: Contacts, i: number): void {
  const target = pairs.target[i];
  const at = destinations.at(addressHash[target], addresses, target);
  if (at < 0) return;
  const service = serviceOf(pairs.port[i], pairs.protocol[i]);
  if (destinations.isNew) destinations.set(at, Column.Service, service);
  else if (destinations.get(at, Column.Service) !== service) destinations.set(at, Column.Service, severalServices);
  destinations.add(at, Column.Sent, pairs.sourceBytes[i]);
  destinations.add(at, Column.Received, pairs.targetBytes[i]);
}

/** Most bytes first; ties go by hash. */
function bySent(destinations: HashedRows, positions: number[]): number[] {
  const sent = (at: number) => destinations.get(at, Column.Sent);
  return positions.sort((x, y) => sent(y) - sent(x) || x - y);
}

function mostSent(destinations: HashedRows): number {
  return Math.max(0, ...destinations.positions().map((at) => destinations.get(at, Column.Sent)));
}

/** Quiet days that a host's habit is taken from: its largest upload and its middle ratio. */
const daysKept = 14;
/** Destinations that a host is known to send to; a host has a few that get a megabyte a day. */
const knownMax = 16;
/** After so many days of alarm a destination is known: whoever looked at it let it be. */
const alarmDaysMax = 7;
/** A destination is new again after so long. */
const knownForMs = 30 * dayMs;

interface KnownDestination {
  /** /24, /64: services answer from several addresses of one. */
  prefix: AddressWords;
  lastMs: number;
  /** Most that it got on a quiet day; 0 where there was none. */
  bytesMax: number;
  alarmDays: number;
}

/** Of quiet days, the oldest first. */
interface Habit {
  /** Producer/consumer ratio of each. */
  ratios: number[];
  /** Most that a destination got that was new on that day; 0 on the first, when each of them was. */
  newBytes: number[];
  known: KnownDestination[];
}

const habitBytes = 330;
const habitDayBytes = 24;
const knownBytes = 190;

const habitCodec: MemoryCodec<Habit> = {
  create: () => ({ ratios: [], newBytes: [], known: [] }),
  save({ ratios, newBytes, known }, writer) {
    writer.numbers(ratios);
    writer.numbers(newBytes);
    writer.u32(known.length);
    for (const { prefix, lastMs, bytesMax, alarmDays } of known) {
      for (const word of prefix) writer.u32(word);
      writer.f64(lastMs);
      writer.f64(bytesMax);
      writer.u8(alarmDays);
    }
  },
  load(reader) {
    const habit: Habit = { ratios: reader.numbers(), newBytes: reader.numbers(), known: [] };
    for (let left = reader.u32(); left > 0; left--) {
      const prefix = [reader.u32(), reader.u32(), reader.u32(), reader.u32()] as const;
      habit.known.push({ prefix, lastMs: reader.f64(), bytesMax: reader.f64(), alarmDays: reader.u8() });
    }
    return habit;
  },
  bytes: ({ ratios, known }) => habitBytes + habitDayBytes * ratios.length + knownBytes * known.length,
};

/**
 * Exfiltration: a host inside sends much to a destination outside that hardly answers.
 *
 * Method: per host and UTC day, what each destination (addresses of one /24 or /64 together) got and gave. One that got
 * at least `uploadBytesMin`, four times what it gave, is held against the host's habit, its last 14 quiet days: is the
 * volume a multiple of the most that such a destination ever got (that one itself if it is known, else any new one)?
 * Is it new to the host, and not common in the network? Did the host as a whole turn from consumer to producer? Two of
 * the three are `medium`, one is `low`, none is a habit. Without a habit, only what is very large, nearly all one way
 * and most of what the host sent reaches `medium`.
 * Bounds: per host and day 32 destinations of 72 bytes (those of most bytes, trimmed every five minutes, so that a
 * destination beyond them loses what it got since); per host 14 days and 16 known destinations.
 * Misses: less than `uploadBytesMin` a day; uploads dealt among many prefixes; to a destination that the host sends as
 * much to every day, or that many hosts use; what strangers fetch from our own servers; a single day's start while the
 * same host opens more than 256 new destinations in five minutes.
 * Source: Bullard & Gerth, PCR: A New Flow Metric, FloCon 2014 (ratio, and its shift); Slips (100 MB to one address);
 * Elastic's rare destination. The factor, the ceiling and the first day's limit are our own.
 */
export const exfiltration: Detector<ExfiltrationSettings> = {
  id: "exfiltration",
  version: 1,
  thresholds: {
    uploadBytesMin: {
      unit: "bytes a day",
      default: 100_000_000,
      min: judgedFromBytes,
      max: 1_000_000_000_000_000,
      isWhole: true,
      quiet: 500_000_000,
      sensitive: 50_000_000,
      raising: "quieter",
      cost: "Smaller uploads to one destination pass.",
    },
    baselineFactor: {
      unit: "times the largest usual upload",
      default: 3,
      min: 1,
      max: 1000,
      quiet: 5,
      sensitive: 2,
      raising: "quieter",
      cost: "Uploads that are little larger than usual ones have one reason less.",
    },
    ceilingBytes: {
      unit: "bytes a day",
      default: 20_000_000_000,
      min: judgedFromBytes,
      max: 1_000_000_000_000_000,
      isWhole: true,
      raising: "quieter",
      cost: "Hosts that send much every day may send more.",
    },
    ratioMin: {
      unit: "producer/consumer ratio",
      default: 0.6,
      min: 0,
      max: 1,
      quiet: 0.8,
      raising: "quieter",
      cost: "Uploads to destinations that answer more pass.",
    },
    ratioShiftMin: {
      unit: "difference of ratios",
      default: 0.5,
      min: 0.05,
      max: 2,
      raising: "quieter",
      cost: "Hosts that turn from consumer to producer by less have one reason less.",
    },
    firstUploadBytesMin: {
      unit: "bytes a day",
      default: 2_000_000_000,
      min: judgedFromBytes,
      max: 1_000_000_000_000_000,
      isWhole: true,
      quiet: 10_000_000_000,
      sensitive: 1_000_000_000,
      raising: "quieter",
      cost: "On a host's first days, smaller uploads stay low.",
    },
  },
  create(settings, saved) {
    return windowed<UploadState, Habit, ExfiltrationSettings>(
      {
        lengthMs: dayMs,
        codec,
        memory: habitCodec,
        learn({ contacts, outbound }, windows) {
          const { pairs, addresses } = contacts;
          for (const i of outbound) {
            if (isGroupAddress(addresses, pairs.target[i])) continue;
            const entry = windows.at(addresses, pairs.source[i], pairs.bucket[i]);
            const { state } = entry;
            const mayGrow = codec.isSmall(state);
            const { size } = state.destinations;
            addPair(state, contacts, i);
            if (mayGrow || state.destinations.size !== size) windows.grew(entry);
            if (state.sentBytes >= judgedFromBytes) windows.touch(entry);
          }
        },
        judge: judgeHost,
        interest: ({ destinations }) => 1 + mostSent(destinations),
        remember,
        // Which small ones close depends on what was packed.
        isRemembered: ({ state }) => !codec.isSmall(state),
      },
      settings,
      saved,
    );
  },
};

/** (sent − received) / (sent + received): 1 for a pure producer, −1 for a pure consumer. */
function ratioOf(sent: number, received: number): number {
  return sent + received === 0 ? 0 : (sent - received) / (sent + received);
}

/** Destinations of one neighbourhood, most bytes first. */
interface Upload {
  prefix: AddressWords;
  members: number[];
  sent: number;
  received: number;
}

function uploadsOf(destinations: HashedRows): Upload[] {
  const uploads = new Map<string, Upload>();
  for (let at = 0; at < destinations.size; at++) {
    const prefix = neighbourhoodOf(...destinations.address(at));
    const key = prefix.join();
    let upload = uploads.get(key);
    if (!upload) uploads.set(key, (upload = { prefix, members: [], sent: 0, received: 0 }));
    upload.members.push(at);
    upload.sent += destinations.get(at, Column.Sent);
    upload.received += destinations.get(at, Column.Received);
  }
  for (const { members } of uploads.values()) bySent(destinations, members);
  return [...uploads.values()].sort((x, y) => y.sent - x.sent || byAddress(x.prefix, y.prefix));
}

function remember({ windowStartMs, state }: Entry<UploadState>, habit: Habit, wasAlarm: boolean): void {
  let newBytes = 0;
  // What is found strange must not become usual at once; but where nothing is usual yet, it may be just that.
  const isAlarm = wasAlarm && hasHabit(habit);
  for (const { prefix, sent } of uploadsOf(state.destinations)) {
    if (sent < judgedFromBytes) break;
    const known = destinationIn(habit, prefix) ?? { prefix, lastMs: 0, bytesMax: 0, alarmDays: 0 };
    if (known.lastMs === 0) habit.known.push(known);
    if (!isKnown(known)) newBytes = Math.max(newBytes, sent);
    known.lastMs = windowStartMs;
    if (isAlarm) known.alarmDays = Math.min(alarmDaysMax, known.alarmDays + 1);
    else known.bytesMax = Math.max(known.bytesMax, sent);
  }
  habit.known = habit.known
    .filter(({ lastMs }) => lastMs + knownForMs > windowStartMs)
    .sort((x, y) => y.lastMs - x.lastMs || y.bytesMax - x.bytesMax || byAddress(x.prefix, y.prefix))
    .slice(0, knownMax);
  if (isAlarm) return;
  habit.newBytes = [...habit.newBytes, habit.ratios.length === 0 ? 0 : newBytes].slice(-daysKept);
  habit.ratios = [...habit.ratios, ratioOf(state.sentBytes, state.receivedBytes)].slice(-daysKept);
}

function destinationIn(habit: Habit, prefix: AddressWords): KnownDestination | undefined {
  return habit.known.find((known) => byAddress(known.prefix, prefix) === 0);
}

function isKnown({ bytesMax, alarmDays }: KnownDestination): boolean {
  return bytesMax > 0 || alarmDays >= alarmDaysMax;
}

/** Quiet days from which a host's habit is known. */
const habitDaysMin = 2;

function hasHabit({ ratios }: Habit): boolean {
  return ratios.length >= habitDaysMin;
}

/** Of a host without one: nearly all one way, and most of what it sent. */
const firstRatioMin = 0.8;
const firstShareMin = 0.5;

type Reason = "above_baseline" | "new_destination" | "turned_producer";

/** An upload, and what speaks against it. */
interface Suspicion {
  upload: Upload;
  ratio: number;
  reasons: Reason[];
  /** What its bytes are held against, and the largest usual upload that follows from. */
  limit: number;
  usualBytes: number;
  isKnown: boolean;
  /** Own hosts that call it, as far as is known. */
  sources: number;
  isAlarm: boolean;
}

/** What the host as a whole did, and usually does. */
interface HostDay {
  state: UploadState;
  habit: Habit | undefined;
  /** Whether the habit is known. */
  isUsual: boolean;
  ratio: number;
  usualRatio: number;
}

function judgeHost(
  entry: Entry<UploadState>,
  settings: Readonly<ExfiltrationSettings>,
  known: Known<Habit>,
): Finding | undefined {
  const { state } = entry;
  if (state.sentBytes < settings.uploadBytesMin) return undefined;
  const habit = known.memoryOf(entry.address);
  const day: HostDay = {
    state,
    habit,
    isUsual: habit !== undefined && hasHabit(habit),
    ratio: ratioOf(state.sentBytes, state.receivedBytes),
    usualRatio: medianOf(habit?.ratios ?? []),
  };
  const suspicions = uploadsOf(state.destinations)
    .filter(({ sent, received }) => sent >= settings.uploadBytesMin && ratioOf(sent, received) >= settings.ratioMin)
    .map((upload) =>
      day.isUsual ? byHabit(upload, day, settings, known.facts) : bySize(upload, day, settings, known.facts),
    )
    .filter(({ reasons }) => reasons.length > 0 || !day.isUsual)
    .sort((x, y) => Number(y.isAlarm) - Number(x.isAlarm) || y.reasons.length - x.reasons.length);
  return suspicions.length === 0 ? undefined : findingOf(entry, day, suspicions, settings);
}

function medianOf(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const sorted = values.toSorted((x, y) => x - y);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

function byHabit(
  upload: Upload,
  day: HostDay,
  settings: Readonly<ExfiltrationSettings>,
  facts: NetworkFacts | undefined,
): Suspicion {
  const { uploadBytesMin, baselineFactor, ceilingBytes, ratioShiftMin } = settings;
  const known = destinationIn(day.habit!, upload.prefix);
  const isKnownOne = known !== undefined && isKnown(known);
  const usualBytes = isKnownOne ? known.bytesMax : Math.max(...day.habit!.newBytes);
  const limit = Math.max(uploadBytesMin, Math.min(baselineFactor * usualBytes, ceilingBytes));
  const sources = sourcesOf(upload, day.state.destinations, facts);
  const reasons: Reason[] = [];
  if (upload.sent >= limit) reasons.push("above_baseline");
  if (!isKnownOne && isRare(sources, facts)) reasons.push("new_destination");
  if (day.ratio - day.usualRatio >= ratioShiftMin) reasons.push("turned_producer");
  return {
    upload,
    ratio: ratioOf(upload.sent, upload.received),
    reasons,
    limit,
    usualBytes,
    isKnown: isKnownOne,
    sources,
    isAlarm: reasons.length >= 2,
  };
}

function bySize(
  upload: Upload,
  { state, habit }: HostDay,
  { firstUploadBytesMin, uploadBytesMin }: Readonly<ExfiltrationSettings>,
  facts: NetworkFacts | undefined,
): Suspicion {
  const limit = Math.max(uploadBytesMin, firstUploadBytesMin);
  const ratio = ratioOf(upload.sent, upload.received);
  const sources = sourcesOf(upload, state.destinations, facts);
  const isMost = upload.sent >= firstShareMin * state.sentBytes;
  const known = habit && destinationIn(habit, upload.prefix);
  const isKnownOne = known !== undefined && isKnown(known);
  const isNewOne = !isKnownOne && isRare(sources, facts);
  const isAlarm = upload.sent >= limit && ratio >= firstRatioMin && isMost && isNewOne;
  return { upload, ratio, reasons: [], limit, usualBytes: known?.bytesMax ?? 0, isKnown: isKnownOne, sources, isAlarm };
}

function sourcesOf({ members }: Upload, destinations: HashedRows, facts: NetworkFacts | undefined): number {
  return Math.max(1, ...members.map((at) => facts?.sourcesOf(destinations.hash(at)) ?? 1));
}

function findingOf(
  entry: Entry<UploadState>,
  day: HostDay,
  suspicions: readonly Suspicion[],
  settings: Readonly<ExfiltrationSettings>,
): Finding {
  const { state, isUsual } = day;
  const [worst] = suspicions;
  const { upload, limit } = worst;
  const named = suspicions.filter(({ isAlarm }) => isAlarm === worst.isAlarm);
  const members = named.flatMap((one) => one.upload.members);
  const score = scoreOf(upload.sent, limit);
  const days = day.habit?.ratios.length ?? 0;
  const certainty = isUsual ? 0.6 + (0.4 * days) / daysKept : 0.4;
  return {
    threat: "exfiltration",
    detectorVersion: exfiltration.version,
    entity: formatEntity(entry.address),
    window: { startMs: entry.windowStartMs, endMs: entry.windowStartMs + dayMs },
    score: rounded(worst.isAlarm ? Math.max(0.5, score) : score),
    confidence: sampledConfidence(certainty, seenPackets(state), state.samplingRate),
    severity: severityFor(worst, isUsual),
    techniques: isWeb(state.destinations.get(upload.members[0], Column.Service))
      ? ["T1567", "T1048", "T1041"]
      : ["T1048", "T1041"],
    summary: summaryOf(worst, day),
    peers: members.slice(0, peersMax).map((at) => peerOf(state.destinations, at)),
    peerCount: members.length,
    evidence: evidenceOf(worst, day, settings),
    observed: observedOf(worst, day),
  };
}

/** Packets sent that were seen, not what they stand for. */
function seenPackets({ sentPackets, samplingRate }: UploadState): number {
  return sentPackets / samplingRate;
}

/** Two reasons make it high at most; of a host without a habit, size is the only one. */
function severityFor({ upload, limit, reasons, isAlarm }: Suspicion, isUsual: boolean): Finding["severity"] {
  if (!isAlarm) return "low";
  if (!isUsual || !reasons.includes("above_baseline")) return "medium";
  const severity = severityOf(upload.sent, limit);
  return reasons.length === 2 && severities.indexOf(severity) > severities.indexOf("high") ? "high" : severity;
}

function isWeb(service: number): boolean {
  return servicePort(service) === 443 || servicePort(service) === 80;
}

function summaryOf({ upload, ratio, reasons, usualBytes, isKnown: known }: Suspicion, day: HostDay): string {
  const { destinations } = day.state;
  const to = formatAddress(destinations.address(upload.members[0]));
  const more = upload.members.length > 1 ? ` and ${upload.members.length - 1} of its neighbours` : "";
  const head = `${megabytes(upload.sent)} MB sent to ${to}${more} in a day, ${megabytes(upload.received)} MB received (ratio ${rounded(ratio)})`;
  if (!day.isUsual) return `${head}; the host's habits are not known yet`;
  const words = {
    above_baseline: `the most it usually sends to ${known ? "it" : "a new destination"} is ${megabytes(usualBytes)} MB`,
    new_destination: "the destination is new to the host",
    turned_producer: `the host's ratio rose from ${rounded(day.usualRatio)} to ${rounded(day.ratio)}`,
  };
  return [head, ...reasons.map((reason) => words[reason])].join("; ");
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 100_000) / 10;
}

/** Port 0 and protocol 0 where there were several. */
function peerOf(destinations: HashedRows, at: number): Peer {
  const service = destinations.get(at, Column.Service);
  return {
    address: formatAddress(destinations.address(at)),
    port: servicePort(service),
    protocol: protocolName(serviceProtocol(service)),
  };
}

/** Destinations that evidence lists. */
const listedMax = 4;

function evidenceOf(worst: Suspicion, day: HostDay, settings: Readonly<ExfiltrationSettings>) {
  const { upload, ratio, reasons, limit, usualBytes, sources } = worst;
  const { state, habit, isUsual } = day;
  return {
    reasons,
    sent_bytes: upload.sent,
    received_bytes: upload.received,
    producer_consumer_ratio: rounded(ratio),
    limit_bytes: Math.round(limit),
    usual_bytes: usualBytes,
    upload_bytes_min: settings.uploadBytesMin,
    destination_known: worst.isKnown,
    destination_own_hosts: sources,
    host_sent_bytes: state.sentBytes,
    host_received_bytes: state.receivedBytes,
    host_ratio: rounded(day.ratio),
    host_ratio_usual: habit ? rounded(day.usualRatio) : "unknown",
    baseline_days: habit?.ratios.length ?? 0,
    baseline_known: isUsual,
    destinations: upload.members.slice(0, listedMax).map((at) => ({
      address: formatAddress(state.destinations.address(at)),
      service: serviceText(state.destinations.get(at, Column.Service)),
      sent_bytes: state.destinations.get(at, Column.Sent),
      received_bytes: state.destinations.get(at, Column.Received),
    })),
    sampling_rate: state.samplingRate,
    bytes_error_percent: samplingErrorPercent(seenPackets(state), state.samplingRate),
  };
}

function serviceText(service: number): string {
  return service === 0 ? "several" : serviceName(service);
}

function observedOf({ upload, ratio, reasons, usualBytes, isAlarm }: Suspicion, day: HostDay): Observed[] {
  const observed: Observed[] = [
    { threshold: "uploadBytesMin", value: upload.sent },
    { threshold: "ratioMin", value: rounded(ratio) },
  ];
  if (!day.isUsual && isAlarm) observed.push({ threshold: "firstUploadBytesMin", value: upload.sent });
  if (reasons.includes("above_baseline") && usualBytes > 0) {
    observed.push({ threshold: "baselineFactor", value: rounded(upload.sent / usualBytes) });
  }
  if (reasons.includes("turned_producer")) {
    observed.push({ threshold: "ratioShiftMin", value: rounded(day.ratio - day.usualRatio) });
  }
  return observed;
}
