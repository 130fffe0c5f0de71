import { LoginAttempts } from "../../sketches/login-attempts.ts";
import { LoginVisits } from "../../sketches/login-visits.ts";
import type { EntityState, StateCodec } from "../../slots/entity-windows.ts";
import { visitsJudgedFrom } from "./settings.ts";

/**
 * Services of a source, and of a target, between two settlements: all that are known for logins, for a scan tries each,
 * and of others those of lowest hash. Then those that answered most stay.
 */
export const servicesMax = 48;
const attemptsKept = 4;
const visitsKept = 2;
/** In V8's heap, in bytes: of a state without its services. Measured. */
const stateBytes = 200;
/** Of a small state, packed, without its services. */
const packedBytes = 20;
const smallServicesMax = 2;

export interface LoginState extends EntityState {
  internal: boolean;
  /** Over all services. */
  requests: number;
  visitRequests: number;
  attempts: Map<number, LoginAttempts>;
  visits: Map<number, LoginVisits>;
  /** Whether some service has had enough, once at least, for a finding. Not saved: it follows from the services. */
  isJudged: boolean;
}

/** Attempts of a day from which it counts: fewer have no finding, whatever the settings. */
export const habitAttemptsMin = 5;

function isEnough({ attempts, visits }: LoginState): boolean {
  for (const { count } of attempts.values()) if (count >= habitAttemptsMin) return true;
  for (const { count } of visits.values()) if (count >= visitsJudgedFrom) return true;
  return false;
}

export const codec: StateCodec<LoginState> = {
  create: () => ({
    touched: false,
    internal: false,
    requests: 0,
    visitRequests: 0,
    attempts: new Map(),
    visits: new Map(),
    isJudged: false,
  }),
  save(state, writer) {
    writer.u8(state.internal ? 1 : 0);
    writer.u32(state.requests);
    writer.u32(state.visitRequests);
    writer.u8(state.attempts.size);
    for (const one of state.attempts.values()) one.save(writer);
    writer.u8(state.visits.size);
    for (const one of state.visits.values()) one.save(writer);
  },
  load(reader) {
    const state = codec.create();
    state.internal = reader.u8() === 1;
    state.requests = reader.u32();
    state.visitRequests = reader.u32();
    for (let left = reader.u8(); left > 0; left--) {
      const one = LoginAttempts.load(reader);
      state.attempts.set(one.port, one);
    }
    for (let left = reader.u8(); left > 0; left--) {
      const one = LoginVisits.load(reader);
      state.visits.set(one.port, one);
    }
    state.isJudged = isEnough(state);
    return state;
  },
  bytes({ attempts, visits }) {
    let bytes = stateBytes;
    for (const { memoryBytes } of attempts.values()) bytes += memoryBytes;
    for (const { memoryBytes } of visits.values()) bytes += memoryBytes;
    return bytes;
  },
  isSmall({ attempts, visits }) {
    if (attempts.size + visits.size > smallServicesMax) return false;
    for (const one of attempts.values()) if (!one.isSmall) return false;
    for (const one of visits.values()) if (!one.isSmall) return false;
    return true;
  },
  smallBytes({ attempts, visits }) {
    let bytes = packedBytes;
    for (const one of attempts.values()) bytes += one.packedBytes;
    for (const one of visits.values()) bytes += one.packedBytes;
    return bytes;
  },
  excess: ({ attempts, visits }) => Math.max(0, attempts.size - attemptsKept) + Math.max(0, visits.size - visitsKept),
  trim({ attempts, visits }) {
    keepMost(attempts, attemptsKept);
    keepMost(visits, visitsKept);
  },
};

/** Leaves the services of most answered requests, then of most requests; ties go to the lower port. */
function keepMost<T extends { port: number; count: number; requests: number }>(
  all: Map<number, T>,
  kept: number,
): void {
  const order = [...all.values()].sort((a, b) => b.count - a.count || b.requests - a.requests || a.port - b.port);
  for (const { port } of order.slice(kept)) all.delete(port);
}

/** Answered requests, by it or from outside to it. */
export function interest({ attempts, visits }: LoginState): number {
  let answered = 1;
  for (const { count } of attempts.values()) answered += count;
  for (const { count } of visits.values()) answered += count;
  return answered;
}
