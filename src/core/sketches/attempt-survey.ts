import { Protocol } from "../flow/flow-batch.ts";
import { serviceOf, serviceProtocol } from "../flow/protocols.ts";
import { Attempt, type AttemptLog } from "./attempt-log.ts";
import type { StratifiedSample } from "./stratified-sample.ts";

/** Attempts of a sample that share something: a target, a service. */
export interface Group {
  /** The first of them in the sample. */
  at: number;
  failed: number;
  /** Of unknown outcome. */
  unknown: number;
  answered: number;
  /** Of those that failed or are unknown: those of which all is known, and of these those that look like late answers. */
  looked: number;
  strays: number;
}

const dnsService = serviceOf(53, Protocol.Udp);

/** Whether flags of the sample's head are those of an attempt. Name lookups of unknown outcome are none: resolvers ask thousands. */
function isAttempt(sample: StratifiedSample, i: number): boolean {
  const flags = sample.flags(i);
  const isUnknown = (flags & (Attempt.Failed | Attempt.Answered)) === 0;
  return (flags & Attempt.Sent) !== 0 && !(isUnknown && sample.label(i) === dnsService);
}

export function isIcmp(service: number): boolean {
  const protocol = serviceProtocol(service);
  return protocol === Protocol.Icmp || protocol === Protocol.Icmp6;
}

/** Ports below are services', or may be: none is a client's. */
const clientPortMin = 1024;

/** Whether a port of the target may be a client's, so that what comes to it may be an answer. */
export function mayBeClients(port: number): boolean {
  return port >= clientPortMin;
}

/** From a service's port to a client's, and no SYN: an answer that came late, or of which the log lost the question. */
function isStray(flags: number, service: number): boolean {
  if ((flags & (Attempt.FromService | Attempt.FromOther)) !== Attempt.FromService) return false;
  return serviceProtocol(service) !== Protocol.Tcp || (flags & Attempt.Failed) === 0;
}

/** Of the attempts of which the sample keeps no more than that they failed, so many may count, by those of which it does. */
function certaintyOf(sample: StratifiedSample): number {
  let [failed, sent] = [0, 0];
  for (let i = 0; i < sample.headSize; i++) {
    if ((sample.flags(i) & Attempt.Failed) === 0) continue;
    failed++;
    if ((sample.flags(i) & Attempt.Sent) !== 0) sent++;
  }
  return failed === 0 ? 1 : sent / failed;
}

function newGroup(at: number): Group {
  return { at, failed: 0, unknown: 0, answered: 0, looked: 0, strays: 0 };
}

/** With nothing seen of what is sampled, there may be so many of it for each element, 95 % of the time: the rule of three. */
const unseenMost = 3;

/** What a log says about groups of attempts, scaled from its sample to all. Attempts "lost" failed, or may have. */
export class AttemptSurvey {
  readonly log: AttemptLog;
  readonly sample: StratifiedSample;
  readonly all = newGroup(0);
  /** Without echoes, which have no port. */
  readonly byTarget = new Map<number | string, Group>();
  readonly byService = new Map<number, Group>();
  /** Targets that have sent something. */
  readonly #awake = new Set<number | string>();
  readonly #unknownFactor: number;
  readonly #scale: number;
  readonly #failedScale: number;

  /** So many attempts of unknown outcome count as one that failed. */
  constructor(log: AttemptLog, unknownFactor: number) {
    this.log = log;
    this.sample = log.sample;
    this.#unknownFactor = unknownFactor;
    this.#scale = log.scale;
    this.#failedScale = log.failedScale;
    const { sample } = this;
    for (let i = 0; i < sample.headSize; i++) if (isAttempt(sample, i)) this.#count(i);
    const certainty = sample.size > sample.headSize ? certaintyOf(sample) : 1;
    for (let i = sample.headSize; i < sample.size; i++) {
      if ((sample.flags(i) & Attempt.Failed) !== 0) this.#countFailed(i, certainty);
    }
  }

  /** The most that any group can have lost, without making groups. */
  static lostAtMost(log: AttemptLog, unknownFactor: number): number {
    const unknown = log.sample.countInHead(Attempt.Sent | Attempt.Failed | Attempt.Answered, Attempt.Sent);
    return log.failed + (unknown * log.scale) / unknownFactor;
  }

  /** Those that failed; those of unknown outcome count for a fraction. */
  lost(group: Group): number {
    return group.failed * this.#failedScale + (group.unknown * this.#scale) / this.#unknownFactor;
  }

  /** The same, of a group that is a small part of a sample: so many at least. */
  lostAtLeast({ failed, unknown }: Group): number {
    const { sample, all } = this;
    return (
      atLeast(failed, all.failed, this.#failedScale) +
      atLeast(unknown, sample.headSize, this.#scale) / this.#unknownFactor
    );
  }

  /** The same of the sample alone. */
  lostSeen({ failed, unknown }: Group): number {
    return failed + unknown / this.#unknownFactor;
  }

  failedIn({ failed }: Group): number {
    return scaled(failed, this.#failedScale);
  }

  unknownIn({ unknown }: Group): number {
    return scaled(unknown, this.#scale);
  }

  answeredIn({ answered }: Group): number {
    return scaled(answered, this.#scale);
  }

  /** Attempts that failed or are unknown, as many as they are. */
  triedIn(group: Group): number {
    return this.failedIn(group) + this.unknownIn(group);
  }

  /** The most that can have been answered of the group of a service, and of a target. */
  answeredOfServiceAtMost(group: Group): number {
    return this.#atMost(group, this.log.answeredOfService(this.sample.label(group.at)));
  }

  answeredOfTargetAtMost(group: Group): number {
    return this.#atMost(group, this.log.answeredAt(group.at));
  }

  /** Of the group of a service, the tenant's own hosts that have sent nothing at all, in the sample. */
  silentTargets(service: number): number {
    const { sample } = this;
    let silent = 0;
    for (let i = 0; i < sample.headSize; i++) {
      if (sample.label(i) !== service || (sample.flags(i) & Attempt.Inside) === 0 || !isAttempt(sample, i)) continue;
      if (!this.#awake.has(sample.addressKey(i))) silent++;
    }
    return silent;
  }

  /** How many targets there are, at least. */
  get targetCount(): number {
    const keys = new Set<number | string>();
    for (let i = 0; i < this.sample.size; i++) if (this.isTried(i)) keys.add(this.sample.addressKey(i));
    return keys.size;
  }

  /** Whether the element is an attempt, as far as the sample knows. */
  isTried(i: number): boolean {
    return i < this.sample.headSize ? isAttempt(this.sample, i) : (this.sample.flags(i) & Attempt.Failed) !== 0;
  }

  #count(i: number): void {
    const { sample, all } = this;
    const flags = sample.flags(i);
    const service = sample.label(i);
    if ((flags & (Attempt.Answered | Attempt.Replied)) !== 0) this.#awake.add(sample.addressKey(i));
    const ofService = groupOf(this.byService, service, i);
    const ofTarget = isIcmp(service) ? undefined : groupOf(this.byTarget, sample.addressKey(i), i);
    tally(all, flags, service);
    tally(ofService, flags, service);
    if (ofTarget) tally(ofTarget, flags, service);
  }

  /** One of which no more is known than that it failed. */
  #countFailed(i: number, certainty: number): void {
    const service = this.sample.label(i);
    this.all.failed += certainty;
    groupOf(this.byService, service, i).failed += certainty;
    if (!isIcmp(service)) groupOf(this.byTarget, this.sample.addressKey(i), i).failed += certainty;
  }

  #atMost({ answered }: Group, counted: number): number {
    return this.sample.isExact ? answered : Math.min(counted, (answered + unseenMost) * this.#scale);
  }
}

/** So many standard deviations below what is expected, 95 % of the time not even chance comes. */
const deviations = 1.64;

/** Of what is sampled, from those seen among `all` in the sample: a part of these varies, all of them do not. */
function atLeast(seen: number, all: number, scale: number): number {
  if (scale === 1 || seen === 0) return seen;
  const deviation = Math.sqrt(seen * Math.max(0, 1 - seen / all));
  return scale * Math.max(0, seen - deviations * deviation);
}

function tally(group: Group, flags: number, service: number): void {
  if ((flags & Attempt.Answered) !== 0) {
    group.answered++;
    return;
  }
  if ((flags & Attempt.Failed) !== 0) group.failed++;
  else group.unknown++;
  group.looked++;
  if (isStray(flags, service)) group.strays++;
}

function groupOf<K>(groups: Map<K, Group>, key: K, at: number): Group {
  let group = groups.get(key);
  if (!group) groups.set(key, (group = newGroup(at)));
  return group;
}

/** One of a kind in the sample is one of a kind, as the ports of a vertical scan have one target. */
function scaled(seen: number, scale: number): number {
  return seen <= 1 ? Math.ceil(seen) : Math.round(seen * scale);
}

/** How much attempts share their targets and their services. */
export interface Shape {
  tried: number;
  lost: number;
  /** Of those answered on the services that were tried in vain. */
  answered: number;
  /** For an attempt in vain, how many others went to the same target, and to the same service. */
  othersOfTarget: number;
  othersOfService: number;
  targets: number;
  services: number;
}

/** Of the attempts in vain, without echoes. */
export function shapeOf(survey: AttemptSurvey): Shape {
  const services = [...survey.byService].flatMap(([service, group]) => (isIcmp(service) ? [] : [group]));
  const lostOnes = services.filter((group) => survey.lostSeen(group) > 0);
  const sum = (valueOf: (group: Group) => number) => lostOnes.reduce((total, group) => total + valueOf(group), 0);
  const seen = sum(({ failed, unknown }) => failed + unknown);
  const whole = { ...newGroup(0), failed: sum(({ failed }) => failed), unknown: sum(({ unknown }) => unknown) };
  const tried = survey.triedIn(whole);
  const others = (groups: Iterable<Group>) => othersOf(groups, seen, tried, survey.sample.isExact);
  const [othersOfTarget, othersOfService] = [others(survey.byTarget.values()), others(lostOnes)];
  return {
    tried,
    lost: survey.lost(whole),
    answered: sum((group) => survey.answeredIn(group)),
    othersOfTarget,
    othersOfService,
    targets: Math.max(lostIn(survey.byTarget.values()), Math.round(tried / (1 + othersOfTarget))),
    services: Math.max(lostOnes.length, Math.round(tried / (1 + othersOfService))),
  };
}

function lostIn(groups: Iterable<Group>): number {
  return [...groups].filter(({ failed, unknown }) => failed + unknown > 0).length;
}

/** By how many pairs of the sample share their group; of a sample, what 97 in 100 chances would leave of them. */
function othersOf(groups: Iterable<Group>, seen: number, tried: number, isExact: boolean): number {
  let pairs = 0;
  for (const { failed, unknown } of groups) pairs += ((failed + unknown) * (failed + unknown - 1)) / 2;
  const certain = isExact ? pairs : Math.max(0, pairs - 2 * Math.sqrt(Math.max(0, pairs)));
  return seen < 2 ? 0 : (2 * tried * certain) / (seen * (seen - 1));
}
