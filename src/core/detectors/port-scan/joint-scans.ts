import { formatAddress, isGroupAddress } from "../../flow/address.ts";
import { bucketMs } from "../../flow/contacts.ts";
import { hashService } from "../../flow/keyed-hash.ts";
import { neighbourhoodOf } from "../../flow/prefixes.ts";
import { protocolName, serviceOf, serviceProtocol } from "../../flow/protocols.ts";
import { Attempt } from "../../sketches/attempt-log.ts";
import { AttemptSurvey, type Group } from "../../sketches/attempt-survey.ts";
import { bitCount } from "../../sketches/bit-count.ts";
import { keyOf, type RecentKeys } from "../../sketches/recent-keys.ts";
import type { StratifiedSample } from "../../sketches/stratified-sample.ts";
import type { EntityWindows, Entry } from "../../slots/entity-windows.ts";
import { peersMax, type Finding, type Observed } from "../../verdict.ts";
import type { SlotContacts } from "../detector.ts";
import { rounded, scoreOf, severityOf } from "../scoring.ts";
import type { Windowed } from "../windowed.ts";
import { confidenceOf, findingOf, shownMax, topServices } from "./finding.ts";
import { dayLimits, dayOfNetwork, scanIn } from "./scan.ts";
import { version, type PortScanSettings } from "./settings.ts";
import { dayMs, jointCodec, netFailuresMin, type JointState } from "./states.ts";

type JointScans = Windowed<JointState, undefined, PortScanSettings>;

const dayBuckets = dayMs / bucketMs;

/** Of each network outside, what its addresses tried in vain. Entities are its first addresses: windows are quickest by these. */
export function networkScans(recent: RecentKeys, hasFound: (network: Entry<JointState>) => boolean): JointScans {
  return {
    lengthMs: dayMs,
    codec: jointCodec,
    learn: (contacts, windows) => learnNetworks(contacts, windows, recent),
    judge: (entry, settings) => judgeNetwork(entry, settings, hasFound),
    interest: ({ log }) => 1 + log.failed,
  };
}

/** Of each host of our own, who tried what on it. */
export function targetScans(recent: RecentKeys): JointScans {
  return {
    lengthMs: dayMs,
    codec: jointCodec,
    learn: (contacts, windows) => learnTargets(contacts, windows, recent),
    judge: judgeTarget,
    interest: ({ log }) => 1 + log.failed,
  };
}

/** Whether anything failed that came from outside. */
export function concernsNetworks({ contacts, pairs: all }: SlotContacts): boolean {
  const { pairs, internal } = contacts;
  for (const i of all) if (internal[pairs.source[i]] === 0 && pairs.failed[i] > 0) return true;
  return false;
}

/** Whether anything reached our own. */
export function concernsTargets({ contacts, targets: all }: SlotContacts): boolean {
  const { targets, internal } = contacts;
  for (const i of all) if (internal[targets.target[i]] === 1) return true;
  return false;
}

function learnNetworks({ contacts, pairs: all }: SlotContacts, windows: EntityWindows<JointState>, recent: RecentKeys) {
  const { pairs, addresses, addressHash, internal } = contacts;
  // The first address of the network at hand: two in turn, since windows know the last one by its index.
  const networks = new Uint32Array(8);
  let last = -1;
  let at = 0;
  for (const i of all) {
    const source = pairs.source[i];
    if (internal[source] === 1 || pairs.failed[i] === 0) continue;
    const [target, rate] = [pairs.target[i], pairs.samplingRate[i]];
    if (isGroupAddress(addresses, target)) continue;
    const hash = hashService(addressHash[target], pairs.port[i], pairs.protocol[i]);
    const window = Math.floor(pairs.bucket[i] / dayBuckets);
    if (recent.has(hash, keyOf(addressHash[source], rate, window))) continue;
    if (source !== last) setFirstAddress(addresses, 4 * source, networks, 4 * (at = 1 - at));
    last = source;
    const entry = windows.at(networks, at, pairs.bucket[i]);
    const { state } = entry;
    const flags = Attempt.Sent | Attempt.Failed | (internal[target] === 1 ? Attempt.Inside : 0);
    const service = serviceOf(pairs.port[i], pairs.protocol[i]);
    const isNewAttempt = state.log.add(hash, addresses, target, service, flags);
    const isNewSource = state.sources.add(addressHash[source], addresses, source, 0, pieceOf(hash));
    note(entry, windows, isNewAttempt || isNewSource, rate);
  }
}

/** As `neighbourhoodOf`, but an address. */
function setFirstAddress(addresses: Uint32Array, w: number, networks: Uint32Array, to: number): void {
  const isV4 = addresses[w] === 0 && addresses[w + 1] === 0 && addresses[w + 2] === 0xffff;
  networks[to] = addresses[w];
  networks[to + 1] = addresses[w + 1];
  networks[to + 2] = isV4 ? 0xffff : 0;
  networks[to + 3] = isV4 ? addresses[w + 3] & 0xffffff00 : 0;
}

function learnTargets(
  { contacts, targets: all }: SlotContacts,
  windows: EntityWindows<JointState>,
  recent: RecentKeys,
) {
  const { targets, addresses, addressHash, internal } = contacts;
  for (const i of all) {
    const target = targets.target[i];
    if (internal[target] === 0 || isGroupAddress(addresses, target)) continue;
    const rate = targets.samplingRate[i];
    const hash = hashService(addressHash[target], targets.port[i], targets.protocol[i]);
    const window = Math.floor(targets.bucket[i] / dayBuckets);
    const flags =
      Attempt.Inside |
      (targets.requests[i] > 0 ? Attempt.Sent : 0) |
      (targets.failed[i] > 0 ? Attempt.Failed : 0) |
      (targets.answered[i] > 0 ? Attempt.Answered : 0);
    if (!recent.has(hash, keyOf(addressHash[target], 256 * rate + flags, window))) {
      const entry = windows.at(addresses, target, targets.bucket[i]);
      const service = serviceOf(targets.port[i], targets.protocol[i]);
      note(entry, windows, entry.state.log.add(hash, addresses, target, service, flags), rate);
    }
    const end = targets.sourcesAt[i] + targets.sourceCount[i];
    for (let s = targets.sourcesAt[i]; s < end; s++) {
      const source = targets.sources[s];
      if (recent.has(hash, keyOf(addressHash[source], 0, window))) continue;
      const entry = windows.at(addresses, target, targets.bucket[i]);
      note(entry, windows, entry.state.sources.add(addressHash[source], addresses, source, 0, pieceOf(hash)), rate);
    }
  }
}

function note(entry: Entry<JointState>, windows: EntityWindows<JointState>, isNews: boolean, rate: number): void {
  const { state } = entry;
  if (!isNews && rate <= state.samplingRate) return;
  state.samplingRate = Math.max(state.samplingRate, rate);
  windows.touch(entry);
  windows.grew(entry);
}

const pieces = 8;

/** Which of the eight flags stands for an attempt. */
function pieceOf(hash: number): number {
  return 1 << (hash & (pieces - 1));
}

/** How many attempts a set of flags stands for, about, by linear counting; all eight for 22 and more. */
function attemptsOf(flags: number): number {
  return -pieces * Math.log(1 - Math.min(pieces - 0.5, bitCount(flags)) / pieces);
}

/** How much half of the sources tried at least. */
function medianTried(sources: StratifiedSample): number {
  const tried = Array.from({ length: sources.headSize }, (_, i) => attemptsOf(sources.flags(i)));
  return tried.sort((a, b) => a - b)[tried.length >> 1] ?? 0;
}

/** A /64 is one hand's; of a /24, the addresses are taken for one where each tried several things. */
function judgeNetwork(
  network: Entry<JointState>,
  settings: PortScanSettings,
  hasFound: (network: Entry<JointState>) => boolean,
): Finding | undefined {
  const { address, windowStartMs, state } = network;
  const { log, sources, samplingRate } = state;
  const sourceCount = sources.count();
  if (sourceCount < settings.networkSourcesMin) return undefined;
  const isOneHand = address[2] !== 0xffff;
  const scan = scanIn(log, isOneHand ? dayLimits : dayOfNetwork, settings);
  if (!scan || hasFound(network)) return undefined;
  const median = medianTried(sources);
  const isShared = isOneHand || median >= settings.portsPerSourceMin;
  const prefix = neighbourhoodOf(...address);
  const finding = findingOf(scan, { address: prefix, windowStartMs, lengthMs: dayMs, isOurs: false, samplingRate });
  const observed: Observed[] = [...scan.hit.observed, { threshold: "networkSourcesMin", value: sourceCount }];
  if (!isOneHand) observed.push({ threshold: "portsPerSourceMin", value: rounded(median) });
  return {
    ...finding,
    severity: isShared ? finding.severity : "low",
    summary: `${aboutOf(sources)}${sourceCount} addresses of the network: ${finding.summary}`,
    observed,
    evidence: { ...finding.evidence, kind: "distributed", shape: scan.hit.kind, ...participantsOf(sources, median) },
  };
}

/** Strangers have nothing in common: half of them try one port or two. A shared scan is their opposite. */
function judgeTarget(entry: Entry<JointState>, settings: PortScanSettings): Finding | undefined {
  const { log, sources } = entry.state;
  const { distributedPortsMin, distributedSourcesMin, portsPerSourceMin, portsMin, unknownFactor } = settings;
  if (log.sample.size < distributedPortsMin && log.sample.isExact) return undefined;
  const sourceCount = sources.count();
  if (sourceCount < distributedSourcesMin) return undefined;
  if (AttemptSurvey.lostAtMost(log, unknownFactor) < distributedPortsMin) return undefined;
  const survey = new AttemptSurvey(log, unknownFactor);
  const [group] = survey.byTarget.values();
  const value = group ? survey.lost(group) : 0;
  if (value < distributedPortsMin || value - survey.answeredIn(group) < netFailuresMin) return undefined;
  const median = medianTried(sources);
  // Those that try more are found one by one, or are a flood.
  const isShared = median >= portsPerSourceMin && median < portsMin;
  return {
    ...targetFinding(entry, survey, group, median),
    score: rounded(scoreOf(value, distributedPortsMin)),
    severity: isShared ? severityOf(value, distributedPortsMin) : "low",
    observed: [
      { threshold: "distributedPortsMin", value: rounded(value) },
      { threshold: "distributedSourcesMin", value: sourceCount },
      { threshold: "portsPerSourceMin", value: rounded(median) },
    ],
  };
}

/** That sources share their work is inferred from how much each does. */
const sharedConfidence = 0.8;

function targetFinding(
  { address, windowStartMs, state: { sources, samplingRate } }: Entry<JointState>,
  survey: AttemptSurvey,
  group: Group,
  median: number,
): Omit<Finding, "score" | "severity"> {
  const sourceCount = sources.count();
  const { confidence, reasons } = confidenceOf(group, survey.triedIn(group), samplingRate);
  const peers = Array.from({ length: Math.min(peersMax, sources.headSize) }, (_, i) => ({
    address: formatAddress(sources.address(i)),
    port: 0,
    protocol: protocolName(serviceProtocol(survey.sample.label(group.at))),
  }));
  const about = survey.sample.isExact ? "" : "about ";
  return {
    threat: "port_scan",
    detectorVersion: version,
    entity: formatAddress(address),
    window: { startMs: windowStartMs, endMs: windowStartMs + dayMs },
    confidence: rounded(sharedConfidence * confidence),
    techniques: ["T1046"],
    summary: `${about}${survey.triedIn(group)} ports of this host tried by ${aboutOf(sources)}${sourceCount} sources within a day, by half of them ${Math.round(median)} or more each; ${survey.answeredIn(group)} answered`,
    peers,
    peerCount: sourceCount,
    evidence: {
      kind: "distributed",
      window: "day",
      shape: "vertical",
      ports_failed: survey.failedIn(group),
      ports_unknown: survey.unknownIn(group),
      ports_answered: survey.answeredIn(group),
      ...participantsOf(sources, median),
      services: topServices(survey),
      count_error_percent: survey.sample.isExact ? 0 : 13,
      ...reasons,
    },
  };
}

function aboutOf({ isExact }: StratifiedSample): string {
  return isExact ? "" : "about ";
}

function participantsOf(sources: StratifiedSample, median: number) {
  const sample = Array.from({ length: Math.min(shownMax, sources.headSize) }, (_, i) =>
    formatAddress(sources.address(i)),
  );
  return {
    sources: sources.count(),
    sources_error_percent: sources.isExact ? 0 : 18,
    source_sample: sample,
    attempts_per_source_median: rounded(median),
  };
}
