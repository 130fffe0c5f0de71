import { bucketMs, type Contacts } from "../flow/contacts.ts";
import { Protocol } from "../flow/flow-batch.ts";
import { hashService } from "../flow/keyed-hash.ts";
import { formatEntity } from "../flow/prefixes.ts";
import { serviceName, serviceOf } from "../flow/protocols.ts";
import { BottomK } from "../sketches/bottom-k.ts";
import type { MemoryCodec } from "../slots/entity-memory.ts";
import type { EntityState, EntityWindows, Entry, StateCodec } from "../slots/entity-windows.ts";
import type { FactsOfSlot, NetworkFacts } from "../slots/network-facts.ts";
import { peersMax, type Finding, type Observed, type Peer, type Severity } from "../verdict.ts";
import type { Detector, SlotContacts } from "./detector.ts";
import { sampledConfidence, samplingErrorPercent } from "./sampling.ts";
import { rounded, scoreOf, severityOf } from "./scoring.ts";
import { windowed, type Known } from "./windowed.ts";

export interface LateralMovementSettings {
  /** Own hosts that one reaches on administration ports for the first time, within a day. */
  newTargetsMin: number;
  /** The same, as a multiple of the most on any day before. */
  habitFactor: number;
  /** Closed days of a host from which it has a past. */
  historyDaysMin: number;
  /** New targets of a host without a past that was itself reached before: what spreads like a worm. */
  firstTargetsMin: number;
  /** Longest time between being reached and reaching on that makes a chain. */
  chainHoursMax: number;
}

const dayMs = 86_400_000;
const hourMs = 3_600_000;

/** How the host of another is entered, by TCP port, and the ATT&CK technique of it. */
const techniques = new Map([
  [22, "T1021.004"],
  [2222, "T1021.004"],
  [23, "T1021"],
  [512, "T1021"],
  [513, "T1021"],
  [514, "T1021"],
  [135, "T1021.003"],
  [139, "T1021.002"],
  [445, "T1021.002"],
  [3389, "T1021.001"],
  [4899, "T1021"],
  [5900, "T1021.005"],
  [5901, "T1021.005"],
  [5985, "T1021.006"],
  [5986, "T1021.006"],
]);

const isAdministration = new Uint8Array(65_536);
for (const port of techniques.keys()) isAdministration[port] = 1;

/** Edges of a day that a host keeps, 28 bytes each, exact up to here: a host that has more is told by its habit. */
const edgesKept = 32;
/** Who came to it on such ports: one or two that are new make a chain. */
const visitorsKept = 16;
const newVisitorsMax = 3;
/** Own hosts from which a service is everybody's: those that watch over others are a handful. */
const commonVisitorsMin = 20;

/** Flags of an edge, that is of a distinct (target, port). */
const Edge = { Failed: 1, Answered: 2 } as const;

interface HostState extends EntityState {
  /** That it made, of whatever kind: a host that makes some is there. */
  requests: number;
  /** Those on administration ports; the label is `labelOf`, so that it merges to the first contact. */
  edges: BottomK;
  /** The same of those of our own that reached it, and how many of their visits it answered. */
  visitors: BottomK;
  visitsAnswered: number;
  /** Its own keyed hash; 0 while nobody came. */
  addressHash: number;
  /** Of its own edges. */
  packets: number;
  samplingRate: number;
}

/** In V8's heap, in bytes: of a state without its samples. Measured. */
const stateBytes = 130;
/** The same of a small one, packed: of it, and of its edge or visitor. */
const packedBytes = 35;
const packedEdgeBytes = 40;
/** Requests up to which a host may be an invented source; one that works makes hundreds a day. */
const smallRequestsMax = 8;

const codec: StateCodec<HostState> = {
  create: () => ({
    touched: false,
    requests: 0,
    edges: new BottomK(edgesKept),
    visitors: new BottomK(visitorsKept),
    visitsAnswered: 0,
    addressHash: 0,
    packets: 0,
    samplingRate: 1,
  }),
  save({ requests, edges, visitors, visitsAnswered, addressHash, packets, samplingRate }, writer) {
    for (const sum of [requests, visitsAnswered, packets]) writer.f64(sum);
    writer.u32(samplingRate);
    writer.u32(addressHash);
    edges.save(writer);
    visitors.save(writer);
  },
  load(reader) {
    return {
      touched: false,
      requests: reader.f64(),
      visitsAnswered: reader.f64(),
      packets: reader.f64(),
      samplingRate: reader.u32(),
      addressHash: reader.u32(),
      edges: BottomK.load(edgesKept, reader),
      visitors: BottomK.load(visitorsKept, reader),
    };
  },
  bytes: ({ edges, visitors }) => stateBytes + edges.memoryBytes + visitors.memoryBytes,
  isSmall: ({ requests, edges, visitors }) => requests <= smallRequestsMax && edges.size + visitors.size <= 1,
  smallBytes: ({ edges, visitors }) => packedBytes + packedEdgeBytes * (edges.size + visitors.size),
};

/** Bits of a host's known edges, and bits set for each: of 200 edges, one in 60 that is new counts as known. */
const knownWords = 64;
const bitsPerEdge = 3;

/** A host's past. */
interface Past {
  /** Closed days on which it was there. */
  days: number;
  /** Closed days that it learnt from. */
  learnt: number;
  /** Most new targets of a quiet day after the first, when each is new; fades. */
  newMost: number;
  /** A Bloom filter of edges and visitors; empty while there was none. */
  known: number[];
}

/** By so much a habit fades in a day. */
const fadingShare = 6 / 7;

/** In V8's heap, in bytes: of a past, and of a word of its filter. */
const pastBytes = 110;
const wordBytes = 10;

const pastCodec: MemoryCodec<Past> = {
  create: () => ({ days: 0, learnt: 0, newMost: 0, known: [] }),
  save({ days, learnt, newMost, known }, writer) {
    writer.u32(days);
    writer.u32(learnt);
    writer.f64(newMost);
    writer.words(known);
  },
  load: (reader) => ({ days: reader.u32(), learnt: reader.u32(), newMost: reader.f64(), known: reader.words() }),
  bytes: ({ known }) => pastBytes + wordBytes * known.length,
};

/** Positions of an edge's bits, from its keyed hash. */
function bitsOf(hash: number): number[] {
  return Array.from({ length: bitsPerEdge }, (_, i) => hashService(hash, i, 0) % (32 * knownWords));
}

function isKnown(past: Past | undefined, hash: number): boolean {
  if (!past || past.known.length === 0) return false;
  return bitsOf(hash).every((bit) => (past.known[bit >>> 5] & (1 << (bit & 31))) !== 0);
}

function know(past: Past, hash: number): void {
  if (past.known.length === 0) past.known = Array<number>(knownWords).fill(0);
  for (const bit of bitsOf(hash)) past.known[bit >>> 5] = (past.known[bit >>> 5] | (1 << (bit & 31))) >>> 0;
}

/** One who comes is another matter than one that is reached. */
function visitHash(hash: number): number {
  return (hash ^ 0x5bd1e995) >>> 0;
}

/** Bucket of the day, and port: a day has 8,640 buckets. */
function labelOf(bucketOfDay: number, port: number): number {
  return bucketOfDay * 65_536 + port;
}

function labelPort(label: number): number {
  return label & 65_535;
}

/**
 * Lateral movement: somebody goes from host to host inside, over the ports that administrators use.
 *
 * Method: per own host and UTC day, the distinct (target, administration port) among our own that it reached, and who of
 * our own reached it, each with the time of the first contact. What it did on closed days is known to it (a Bloom
 * filter), and how many new targets a day of it has at most; servers that many others reach as well do not count. A fan
 * of new targets that answered, `newTargetsMin` and twice its habit, is `medium`. So is a chain: a host that somebody
 * new reached, and that itself reaches somebody new over the same port within hours. A fan after such a visit is one
 * level worse. A host without two closed days has no past: it stays `low`, unless it was reached first and then spreads
 * like a worm.
 * Bounds: per host and day 32 edges and 16 visitors of 28 bytes, counts are exact up to there and ±18 % beyond; per host
 * a filter of 256 bytes once it has such edges. Of more than 64 sources within ten seconds, visitors may be unseen.
 * Misses: steps to hosts that are known to each other; fewer than five new targets without a chain; a chain that changes
 * the port, waits for hours, crosses midnight (UTC), or goes on before the record of the first login ends; hosts that
 * reach new ones every day; hosts behind one address.
 * Source: Neil et al., Scan Statistics for the Online Detection of Locally Anomalous Subgraphs, Technometrics 55(4) 2013
 * (stars and paths of edges that are new); the numbers are our own.
 */
export const lateralMovement: Detector<LateralMovementSettings> = {
  id: "lateral_movement",
  version: 1,
  thresholds: {
    newTargetsMin: {
      unit: "targets a day",
      default: 5,
      min: 2,
      max: 10_000,
      isWhole: true,
      quiet: 8,
      sensitive: 4,
      raising: "quieter",
      cost: "Movement to fewer new hosts passes, unless they form a chain.",
    },
    habitFactor: {
      unit: "times the most new targets of a usual day",
      default: 2,
      min: 1,
      max: 100,
      quiet: 3,
      raising: "quieter",
      cost: "Hosts that often reach new ones may reach more.",
    },
    historyDaysMin: {
      unit: "days",
      default: 2,
      min: 1,
      max: 14,
      isWhole: true,
      quiet: 7,
      raising: "quieter",
      cost: "Hosts that are new on the network stay low for longer.",
    },
    firstTargetsMin: {
      unit: "targets a day",
      default: 20,
      min: 5,
      max: 10_000,
      isWhole: true,
      quiet: 50,
      raising: "quieter",
      cost: "Worms on a network that is not known yet are found later.",
    },
    chainHoursMax: {
      unit: "hours",
      default: 4,
      min: 0.01,
      max: 24,
      quiet: 1,
      raising: "louder",
      cost: "Logins that have nothing to do with each other look like a chain.",
    },
  },
  create(settings, saved) {
    return windowed<HostState, Past, LateralMovementSettings>(
      {
        lengthMs: dayMs,
        codec,
        memory: pastCodec,
        learn,
        judge,
        interest: ({ edges, visitors }) => 1 + edges.count() + visitors.size,
        isRemembered: ({ state }) => !codec.isSmall(state),
        remember: ({ state }, past, isAlarm) => remember(state, past, isAlarm),
        tell: ({ state, windowStartMs }, facts) => tellVisitors(state, windowStartMs, facts),
      },
      settings,
      saved,
    );
  },
};

function learn(
  { contacts, outbound, inside, targets: targetIndexes }: SlotContacts,
  days: EntityWindows<HostState>,
): void {
  const { pairs, targets, internal } = contacts;
  for (const i of outbound) addPresence(days, contacts, i);
  for (const i of inside) {
    const entry = addPresence(days, contacts, i);
    if (isAdministration[pairs.port[i]] === 0 || pairs.protocol[i] !== Protocol.Tcp) continue;
    addEdge(entry, contacts, i);
    days.touch(entry);
    days.grew(entry);
  }
  for (const i of targetIndexes) {
    if (isAdministration[targets.port[i]] === 0 || targets.protocol[i] !== Protocol.Tcp) continue;
    if (internal[targets.target[i]] === 1) addVisits(days, contacts, i);
  }
}

function addPresence(days: EntityWindows<HostState>, { pairs, addresses }: Contacts, i: number): Entry<HostState> {
  const entry = days.at(addresses, pairs.source[i], pairs.bucket[i]);
  const { state } = entry;
  if (state.requests <= smallRequestsMax) days.grew(entry);
  state.requests += pairs.requests[i];
  return entry;
}

function addEdge({ state, windowStartMs }: Entry<HostState>, contacts: Contacts, i: number): void {
  const { pairs, addresses, addressHash } = contacts;
  const [target, port] = [pairs.target[i], pairs.port[i]];
  const flags = (pairs.failed[i] > 0 ? Edge.Failed : 0) | (pairs.answered[i] > 0 ? Edge.Answered : 0);
  const label = labelOf(pairs.bucket[i] - windowStartMs / bucketMs, port);
  state.edges.add(hashService(addressHash[target], port, Protocol.Tcp), addresses, target, label, flags);
  state.packets += pairs.sourcePackets[i];
  state.samplingRate = Math.max(state.samplingRate, pairs.samplingRate[i]);
}

/** What came from outside alone leaves no trace, or every address that is scanned would have a state. */
function addVisits(days: EntityWindows<HostState>, contacts: Contacts, i: number): void {
  const { targets, addresses, addressHash, internal } = contacts;
  const port = targets.port[i];
  const first = targets.sourcesAt[i];
  const sources = targets.sources.subarray(first, first + targets.sourceCount[i]);
  const answered = targets.answered[i] - targets.externalAnswered[i];
  if (answered === 0 && !sources.some((source) => internal[source] === 1)) return;
  const entry = days.at(addresses, targets.target[i], targets.bucket[i]);
  const { state, windowStartMs } = entry;
  const label = labelOf(targets.bucket[i] - windowStartMs / bucketMs, port);
  state.addressHash = addressHash[targets.target[i]];
  state.visitsAnswered += answered;
  for (const source of sources) {
    if (internal[source] === 0) continue;
    state.visitors.add(hashService(addressHash[source], port, Protocol.Tcp), addresses, source, label, 0);
  }
  days.touch(entry);
  days.grew(entry);
}

/** How many of our own came, by service: the fact is filed under the hash that the edge has at its source. */
function tellVisitors({ visitors, addressHash }: HostState, atMs: number, facts: FactsOfSlot): void {
  const perPort = new Map<number, number>();
  for (const i of positions(visitors)) {
    const port = labelPort(visitors.label(i));
    perPort.set(port, (perPort.get(port) ?? 0) + visitors.count() / visitors.size);
  }
  for (const [port, count] of perPort) {
    facts.addSources(hashService(addressHash, port, Protocol.Tcp), Math.round(count), atMs);
  }
}

/** Edges of a day that are new and answered, and how they compare with the others. */
interface NewEdges {
  /** Positions in the sample: of each new target the first, by time. */
  targets: number[];
  /** All of them, by time. */
  edges: number[];
  /** Of all edges: answered, and those that only failed. */
  answered: number;
  failed: number;
  /** Edges to servers that many others reach as well. */
  common: number;
  /** New targets, estimated beyond what is kept. */
  count: number;
}

/** `isCommon` tells of an edge's hash whether many others reach the same. */
function newEdgesOf({ edges }: HostState, past: Past | undefined, isCommon = (_hash: number) => false): NewEdges {
  const found: NewEdges = { targets: [], edges: [], answered: 0, failed: 0, common: 0, count: 0 };
  for (let i = 0; i < edges.size; i++) {
    if ((edges.flags(i) & Edge.Answered) === 0) {
      if ((edges.flags(i) & Edge.Failed) !== 0) found.failed++;
      continue;
    }
    found.answered++;
    if (isKnown(past, edges.hash(i))) continue;
    if (isCommon(edges.hash(i))) found.common++;
    else found.edges.push(i);
  }
  found.edges.sort((a, b) => edges.label(a) - edges.label(b) || a - b);
  const seen = new Set<number>();
  for (const i of found.edges) {
    const host = edges.firstWithAddress(i);
    if (seen.size < seen.add(host).size) found.targets.push(i);
  }
  found.count = Math.round((found.targets.length * edges.count()) / Math.max(1, edges.size));
  return found;
}

/** Somebody new came, and then the host reached others that are new, over the same port. */
interface Chain {
  /** Position of the visitor. */
  visitor: number;
  /** Positions of the edges, by time. */
  links: number[];
  /** From the visit to the first of them. */
  hours: number;
}

function chainOf(state: HostState, found: NewEdges, past: Past | undefined, hoursMax: number): Chain | undefined {
  const { visitors, visitsAnswered } = state;
  if (found.edges.length === 0 || visitsAnswered === 0) return undefined;
  const fresh = positions(visitors).filter((i) => !isKnown(past, visitHash(visitors.hash(i))));
  // A server has many that are new, on its first day at least.
  if (fresh.length > newVisitorsMax) return undefined;
  let best: Chain | undefined;
  for (const visitor of fresh) {
    const links = linksAfter(state, visitor, found, hoursMax);
    if (links.length === 0 || (best && links.length <= best.links.length)) continue;
    best = { visitor, links, hours: hoursBetween(visitors.label(visitor), state.edges.label(links[0])) };
  }
  return best;
}

function linksAfter(
  { visitors, edges }: HostState,
  visitor: number,
  { edges: fresh }: NewEdges,
  hoursMax: number,
): number[] {
  const label = visitors.label(visitor);
  const from = String(visitors.address(visitor));
  return fresh.filter((i) => {
    const hours = hoursBetween(label, edges.label(i));
    const isSamePort = labelPort(edges.label(i)) === labelPort(label);
    return isSamePort && hours > 0 && hours <= hoursMax && String(edges.address(i)) !== from;
  });
}

function positions({ size }: BottomK): number[] {
  return Array.from({ length: size }, (_, i) => i);
}

/** From the bucket of one label to that of another. */
function hoursBetween(first: number, second: number): number {
  return ((Math.floor(second / 65_536) - Math.floor(first / 65_536)) * bucketMs) / hourMs;
}

type Kind = "fan_out" | "chain" | "spreading";

interface Judgement {
  kind: Kind;
  value: number;
  threshold: number;
  severity: Severity;
  found: NewEdges;
  chain: Chain | undefined;
  hasPast: boolean;
  past: Past | undefined;
  observed: Observed[];
}

function judge(
  entry: Entry<HostState>,
  settings: Readonly<LateralMovementSettings>,
  known: Known<Past>,
): Finding | undefined {
  const { state } = entry;
  if (state.edges.size === 0) return undefined;
  const past = known.memoryOf(entry.address);
  const found = judgedEdges(state, past, known.facts, settings);
  // Mostly failed is a scan.
  if (found.count === 0 || found.failed > found.answered) return undefined;
  const chain = chainOf(state, found, past, settings.chainHoursMax);
  const hasPast = past !== undefined && past.days >= settings.historyDaysMin;
  const judged = hasPast ? judgeWithPast(found, chain, past, settings) : judgeWithoutPast(found, chain, settings);
  return judged && findingOf(entry, { ...judged, found, chain, hasPast, past }, settings);
}

/** New servers that everybody reaches are left out; but nobody comes to need so many of them within a day. */
function judgedEdges(
  state: HostState,
  past: Past | undefined,
  facts: NetworkFacts | undefined,
  { firstTargetsMin }: Readonly<LateralMovementSettings>,
): NewEdges {
  const all = newEdgesOf(state, past);
  if (!facts || all.count >= firstTargetsMin) return all;
  return newEdgesOf(state, past, (hash) => facts.sourcesOf(hash) >= commonVisitorsMin);
}

type Ruling = Pick<Judgement, "kind" | "value" | "threshold" | "severity" | "observed">;

function judgeWithPast(
  found: NewEdges,
  chain: Chain | undefined,
  past: Past,
  settings: Readonly<LateralMovementSettings>,
): Ruling | undefined {
  const { newTargetsMin, habitFactor } = settings;
  const usual = habitFactor * past.newMost;
  const threshold = Math.max(newTargetsMin, usual);
  const value = found.count;
  if (value >= threshold) {
    const severity = severityOf(value, threshold, chain ? 1 : 0);
    const observed = [{ threshold: "newTargetsMin", value }];
    if (past.newMost > 0) observed.push({ threshold: "habitFactor", value: rounded(value / past.newMost) });
    return { kind: "fan_out", value, threshold, severity, observed };
  }
  // A host that reaches new ones on most days has been reached before it by chance.
  if (!chain || value <= past.newMost) return undefined;
  const observed = [
    { threshold: "chainHoursMax", value: rounded(chain.hours) },
    { threshold: "historyDaysMin", value: past.days },
  ];
  return { kind: "chain", value: chain.links.length, threshold: 1, severity: "medium", observed };
}

function judgeWithoutPast(
  found: NewEdges,
  chain: Chain | undefined,
  settings: Readonly<LateralMovementSettings>,
): Ruling | undefined {
  const { newTargetsMin, firstTargetsMin } = settings;
  const value = found.count;
  if (chain && value >= firstTargetsMin) {
    const observed = [
      { threshold: "firstTargetsMin", value },
      { threshold: "chainHoursMax", value: rounded(chain.hours) },
    ];
    return {
      kind: "spreading",
      value,
      threshold: firstTargetsMin,
      severity: severityOf(value, firstTargetsMin),
      observed,
    };
  }
  if (value < newTargetsMin) return undefined;
  const observed = [{ threshold: "newTargetsMin", value }];
  return { kind: "fan_out", value, threshold: newTargetsMin, severity: "low", observed };
}

/** How much is known of what is usual: after a week, enough. */
const daysForCertainty = 7;

function certaintyOf({ past, found, hasPast }: Judgement): number {
  const share = found.answered / (found.answered + found.failed);
  const days = Math.min(daysForCertainty, past?.days ?? 0);
  return share * (hasPast ? 0.5 + (0.45 * days) / daysForCertainty : 0.4);
}

function findingOf(entry: Entry<HostState>, judged: Judgement, settings: Readonly<LateralMovementSettings>): Finding {
  const { edges, packets, samplingRate } = entry.state;
  const { kind, found, chain, past, value, threshold } = judged;
  const named = chain && kind === "chain" ? chain.links : found.targets;
  const seen = packets / samplingRate;
  const used = new Set(named.map((i) => techniques.get(labelPort(edges.label(i)))!));
  return {
    threat: "lateral_movement",
    detectorVersion: lateralMovement.version,
    entity: formatEntity(entry.address),
    window: { startMs: entry.windowStartMs, endMs: entry.windowStartMs + dayMs },
    score: rounded(scoreOf(value, threshold)),
    confidence: sampledConfidence(certaintyOf(judged), seen, samplingRate),
    severity: judged.severity,
    techniques: [...new Set([...[...used].sort(), "T1021"])],
    summary: summaryOf(entry, judged),
    peers: peersOf(edges, named),
    peerCount: Math.max(Math.min(peersMax, named.length), kind === "chain" ? named.length : found.count),
    evidence: {
      kind,
      new_targets: found.count,
      new_targets_min: settings.newTargetsMin,
      threshold: rounded(threshold),
      baseline_days: past?.days ?? 0,
      baseline_new_targets_max: rounded(past?.newMost ?? 0),
      has_baseline: judged.hasPast,
      edges_answered: found.answered,
      edges_failed: found.failed,
      edges_total: edges.count(),
      edges_to_new_servers: found.common,
      visitors: entry.state.visitors.count(),
      chain: chain ? chainEvidence(entry, chain) : false,
      new_edges_sample: found.edges.slice(0, sampleMax).map((i) => edgeEvidence(entry, edges, i)),
      sampling_rate: samplingRate,
      count_error_percent: edges.isExact ? samplingErrorPercent(seen, samplingRate) : edgesErrorPercent,
    },
    observed: judged.observed,
  };
}

const edgesErrorPercent = Math.round(100 / Math.sqrt(edgesKept - 2));
/** Edges that evidence lists. */
const sampleMax = 6;
const linksMax = 3;

function edgeEvidence({ windowStartMs }: Entry<HostState>, sample: BottomK, i: number) {
  const label = sample.label(i);
  return {
    address: formatEntity(sample.address(i)),
    service: serviceName(serviceOf(labelPort(label), Protocol.Tcp)),
    first: new Date(windowStartMs + Math.floor(label / 65_536) * bucketMs).toISOString(),
  };
}

function chainEvidence(entry: Entry<HostState>, { visitor, links, hours }: Chain) {
  return {
    reached_by: edgeEvidence(entry, entry.state.visitors, visitor),
    reached_then: links.slice(0, linksMax).map((i) => edgeEvidence(entry, entry.state.edges, i)),
    hours: rounded(hours),
  };
}

function summaryOf({ state }: Entry<HostState>, { kind, found, chain, past, hasPast }: Judgement): string {
  const about = state.edges.isExact ? "" : "about ";
  const fan = `${about}${found.count} hosts reached for the first time on administration ports within a day`;
  const before = hasPast
    ? `, ${Math.round(past!.newMost)} at most on a usual day`
    : "; the host has no past to compare";
  if (!chain) return fan + before;
  const from = formatEntity(state.visitors.address(chain.visitor));
  const service = serviceName(serviceOf(labelPort(state.visitors.label(chain.visitor)), Protocol.Tcp));
  const way = `reached by ${from} on ${service} for the first time`;
  const after = `${Math.max(1, Math.round(chain.hours * 60))} minutes later`;
  if (kind !== "chain") return `${fan}${before}; it was ${way}, ${after} it began on ${service} itself`;
  const next = formatEntity(state.edges.address(chain.links[0]));
  return `${way}, ${after} it reached ${next} on ${service}, for the first time too`;
}

function peersOf(edges: BottomK, named: readonly number[]): Peer[] {
  return named.slice(0, peersMax).map((i) => ({
    address: formatEntity(edges.address(i)),
    port: labelPort(edges.label(i)),
    protocol: "tcp",
  }));
}

function remember(state: HostState, past: Past, isAlarm: boolean): void {
  const { edges, visitors, requests } = state;
  const found = newEdgesOf(state, past);
  past.newMost *= fadingShare;
  // On the first day all is new, and an alarm is no habit.
  if (past.learnt > 0 && !isAlarm) past.newMost = Math.max(past.newMost, found.count);
  past.learnt++;
  if (requests > smallRequestsMax) past.days++;
  for (let i = 0; i < edges.size; i++) if ((edges.flags(i) & Edge.Answered) !== 0) know(past, edges.hash(i));
  for (let i = 0; i < visitors.size; i++) know(past, visitHash(visitors.hash(i)));
}
