import type { Contacts } from "../../flow/contacts.ts";
import { Protocol } from "../../flow/flow-batch.ts";
import { hashService } from "../../flow/keyed-hash.ts";
import { LoginAttempts } from "../../sketches/login-attempts.ts";
import { LoginVisits } from "../../sketches/login-visits.ts";
import type { EntityWindows, Entry } from "../../slots/entity-windows.ts";
import type { SlotContacts } from "../detector.ts";
import { habitAttemptsMin, servicesMax, type LoginState } from "./login-state.ts";
import { isGuarded, isWatched, Service, services } from "./services.ts";
import { visitsJudgedFrom } from "./settings.ts";

/** Ports first: most contacts are of a port that nobody guesses passwords on. */
export function learn(slot: SlotContacts, days: EntityWindows<LoginState>): void {
  learnAttempts(slot, days);
  learnSessions(slot, days);
  learnVisits(slot, days);
}

function learnAttempts({ contacts, pairs: indexes }: SlotContacts, days: EntityWindows<LoginState>): void {
  const { pairs, internal } = contacts;
  for (const i of indexes) {
    const service = services[pairs.port[i]];
    if (service === Service.Crowded || pairs.protocol[i] !== Protocol.Tcp) continue;
    if (isWatched(service, internal[pairs.target[i]])) addAttempts(days, contacts, i);
  }
}

function learnSessions({ contacts, sessions: indexes }: SlotContacts, days: EntityWindows<LoginState>): void {
  const { sessions, internal } = contacts;
  for (const i of indexes) {
    const service = services[sessions.port[i]];
    if (service === Service.Crowded || sessions.protocol[i] !== Protocol.Tcp) continue;
    if (isWatched(service, internal[sessions.target[i]])) addSession(days, contacts, i);
  }
}

function learnVisits({ contacts, targets: indexes }: SlotContacts, days: EntityWindows<LoginState>): void {
  const { targets, internal } = contacts;
  for (const i of indexes) {
    if (!isGuarded(services[targets.port[i]]) || targets.protocol[i] !== Protocol.Tcp) continue;
    if (internal[targets.target[i]] === 1) addVisits(days, contacts, i);
  }
}

/** Login services first, then by keyed hash: what has a lower rank displaces what has a higher one, for good. */
function rankOf(port: number, ownHash: number): number {
  const rank = hashService(ownHash, port, Protocol.Tcp) >>> 1;
  return services[port] === Service.Other ? rank + 2 ** 31 : rank;
}

/** Whether there is room for one more of that rank: the one that it outranks most goes, for good. */
function makeRoom(kept: Map<number, { rank: number }>, rank: number): boolean {
  if (kept.size < servicesMax) return true;
  const [last, { rank: greatest }] = [...kept].reduce((a, b) => (b[1].rank > a[1].rank ? b : a));
  if (greatest < rank) return false;
  return kept.delete(last);
}

function addAttempts(days: EntityWindows<LoginState>, contacts: Contacts, i: number): void {
  const { pairs, addresses, addressHash, internal } = contacts;
  const source = pairs.source[i];
  const entry = days.at(addresses, source, pairs.bucket[i]);
  const { state, windowStartMs } = entry;
  state.internal = internal[source] === 1;
  state.requests += pairs.requests[i];
  const attempts = attemptsOf(days, entry, pairs.port[i], addressHash[source]);
  if (!attempts) return touchJudged(days, entry);
  if (attempts.add(contacts, i, windowStartMs)) days.grew(entry);
  if (attempts.count >= habitAttemptsMin) state.isJudged = true;
  touchJudged(days, entry);
}

function addSession(days: EntityWindows<LoginState>, contacts: Contacts, i: number): void {
  const { sessions, addresses, addressHash } = contacts;
  const source = sessions.source[i];
  const entry = days.at(addresses, source, sessions.bucket[i]);
  attemptsOf(days, entry, sessions.port[i], addressHash[source])?.addSession(contacts, i);
  touchJudged(days, entry);
}

function addVisits(days: EntityWindows<LoginState>, contacts: Contacts, i: number): void {
  const { targets, addresses, addressHash } = contacts;
  const target = targets.target[i];
  const entry = days.at(addresses, target, targets.bucket[i]);
  const { state, windowStartMs } = entry;
  state.internal = true;
  state.visitRequests += targets.requests[i];
  const visits = visitsOf(days, entry, targets.port[i], addressHash[target]);
  if (!visits) return touchJudged(days, entry);
  if (visits.add(contacts, i, windowStartMs)) days.grew(entry);
  if (visits.count >= visitsJudgedFrom) state.isJudged = true;
  touchJudged(days, entry);
}

/** What has never had enough for a finding is not looked at: that is most of what the Internet's noise comes to. */
function touchJudged(days: EntityWindows<LoginState>, entry: Entry<LoginState>): void {
  if (entry.state.isJudged) days.touch(entry);
}

function attemptsOf(
  days: EntityWindows<LoginState>,
  entry: Entry<LoginState>,
  port: number,
  ownHash: number,
): LoginAttempts | undefined {
  const { attempts } = entry.state;
  const known = attempts.get(port);
  if (known) return known;
  const rank = rankOf(port, ownHash);
  if (!makeRoom(attempts, rank)) return undefined;
  const made = new LoginAttempts(port, rank);
  attempts.set(port, made);
  days.grew(entry);
  return made;
}

function visitsOf(
  days: EntityWindows<LoginState>,
  entry: Entry<LoginState>,
  port: number,
  ownHash: number,
): LoginVisits | undefined {
  const { visits } = entry.state;
  const known = visits.get(port);
  if (known) return known;
  const rank = rankOf(port, ownHash);
  if (!makeRoom(visits, rank)) return undefined;
  const made = new LoginVisits(port, rank);
  visits.set(port, made);
  days.grew(entry);
  return made;
}
