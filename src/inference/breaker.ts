import type { Clock, Log } from "../config.ts";
import { asked, failed, mayProbe, newBreaker, noLease, succeeded, type BreakerState } from "./breaker-state.ts";
import type { Permission } from "./breaker-state.ts";
import { ModelInferenceError } from "./model.ts";
import { within } from "../within.ts";

/** How long an isolate goes by what a breaker's object said, in ms: calls that it lets through meanwhile may be too many. */
export const freshMs = 5_000;
/** How long a call waits for the object, in ms: longer than most answers take, and little beside a call's timeout. */
const askMsMax = 250;
/** How long the object may take to hear of an outcome, in ms: nobody waits for it. */
const tellMsMax = 2_000;
/** Outcomes that wait to be told: more than open a breaker; the oldest are forgotten. */
const untoldMax = 16;
/** Breakers that an isolate remembers, 500 bytes each: those asked for last. */
const breakersMax = 1_000;

/** How a breaker stands, with durations in place of times: no two clocks are compared. */
export interface BreakerStanding {
  state: BreakerState["state"];
  failures: number;
  /** ms since the last failure, 0 where there was none. */
  failedMsAgo: number;
  lease: number;
  /** ms that the lease still holds. */
  leaseMsLeft: number;
}

export interface BreakerAnswer extends BreakerStanding {
  permission: Permission;
}

/** What isolates ask of a breaker's object; it implements it, tests may replace it. Arguments are scalars. */
export interface BreakerRpc {
  /** Asks for a call, and takes the lease where that is a probe. */
  ask(): Promise<BreakerAnswer>;
  failed(lease: number): Promise<BreakerStanding>;
  succeeded(lease: number): Promise<BreakerStanding>;
  /** Changes nothing. */
  standing(): Promise<BreakerStanding>;
}

export interface BreakersParts {
  clock: Clock;
  log: Log;
  /** Keeps the isolate alive until the promise settles. */
  waitUntil(promise: Promise<unknown>): void;
  /** The object of a dependency. */
  objectOf(name: string): BreakerRpc;
}

/** The right to make one call. Whoever has it says how it went; a probe that is never heard of costs its lease. */
export interface Permit {
  /** Of the object; `noLease` unless the call is its probe. */
  readonly lease: number;
  /** Of the isolate itself, while the object cannot be reached. */
  readonly ownLease: number;
}

export type Guarded<T> = { ran: true; value: T } | { ran: false; reason: "breaker_open" };

/** The circuit breakers of everything outside, by the dependency's name: ASCII, as in `model/isolation_forest/1f2e…`, `d1`. */
export class Breakers {
  readonly #parts: BreakersParts;
  readonly #known = new Map<string, Breaker>();

  constructor(parts: BreakersParts) {
    this.#parts = parts;
  }

  of(name: string): Breaker {
    const breaker = this.#known.get(name) ?? new Breaker(name, this.#parts);
    this.#known.delete(name);
    this.#known.set(name, breaker);
    if (this.#known.size > breakersMax) this.#known.delete([...this.#known.keys()][0]);
    return breaker;
  }

  /** As the object has it. Throws where it cannot be reached. */
  standing(name: string): Promise<BreakerStanding> {
    return within(tellMsMax, this.#parts.objectOf(name).standing());
  }
}

type Outcome = { kind: "failed" | "succeeded"; lease: number };

/**
 * One dependency's breaker, as an isolate sees it: what its object said last, at most `freshMs` ago, and what happened here
 * since. The object hears of every failure, and of a success where it counts failures; of most calls it hears nothing.
 * While it cannot be reached, the isolate goes by its own.
 */
export class Breaker {
  readonly #name: string;
  readonly #parts: BreakersParts;
  #breaker = newBreaker;
  #freshUntilMs = 0;
  #isReachable = true;
  readonly #untold: Outcome[] = [];
  /** Until when somebody else asks or tells: a time, since requests end without notice. */
  #askingUntilMs = 0;
  #tellingUntilMs = 0;

  constructor(name: string, parts: BreakersParts) {
    this.#name = name;
    this.#parts = parts;
  }

  /** Makes a call if it may be made. Errors pass through; those that `isFailure` knows are counted. */
  async call<T>(work: () => Promise<T>, isFailure = isInferenceError): Promise<Guarded<T>> {
    const permit = await this.permit();
    if (!permit) return { ran: false, reason: "breaker_open" };
    try {
      const value = await work();
      this.succeeded(permit);
      return { ran: true, value };
    } catch (error) {
      if (isFailure(error)) this.failed(permit);
      throw error;
    }
  }

  /** Undefined where the call may not be made. Never rejects. */
  async permit(): Promise<Permit | undefined> {
    const nowMs = this.#parts.clock.nowMs();
    // Nobody could have closed it before it may be probed.
    if (this.#breaker.state === "open" && !mayProbe(this.#breaker, nowMs)) return undefined;
    if (nowMs < this.#freshUntilMs && (!this.#isReachable || this.#breaker.state !== "open")) return this.#ownPermit();
    // Requests cannot wait for another one's I/O.
    if (nowMs < this.#askingUntilMs) return this.#breaker.state === "closed" ? ownPermit : undefined;
    this.#askingUntilMs = nowMs + askMsMax;
    const answer = await this.#ask();
    this.#askingUntilMs = 0;
    this.#freshUntilMs = this.#parts.clock.nowMs() + freshMs;
    this.#isReachable = answer !== undefined;
    if (!answer) return this.#ownPermit();
    if (this.#untold.length === 0) this.#adopt(answer);
    if (answer.permission === "refused") return undefined;
    return { lease: answer.permission === "probe" ? answer.lease : noLease, ownLease: noLease };
  }

  failed({ lease, ownLease }: Permit): void {
    this.#breaker = failed(this.#breaker, this.#parts.clock.nowMs(), Math.max(lease, ownLease));
    this.#tell({ kind: "failed", lease });
  }

  succeeded({ lease, ownLease }: Permit): void {
    const counts = this.#breaker.failures > 0;
    this.#breaker = succeeded(this.#breaker, Math.max(lease, ownLease));
    if (counts) this.#tell({ kind: "succeeded", lease });
  }

  #ownPermit(): Permit | undefined {
    const { breaker, permission } = asked(this.#breaker, this.#parts.clock.nowMs());
    // What the object let others probe, they probe.
    if (permission === "probe" && this.#isReachable) return undefined;
    this.#breaker = breaker;
    if (permission === "refused") return undefined;
    return permission === "probe" ? { lease: noLease, ownLease: breaker.lease } : ownPermit;
  }

  async #ask(): Promise<BreakerAnswer | undefined> {
    try {
      return await within(askMsMax, this.#parts.objectOf(this.#name).ask());
    } catch (error) {
      this.#unreachable(error as Error);
      return undefined;
    }
  }

  #tell(outcome: Outcome): void {
    this.#untold.push(outcome);
    if (this.#untold.length > untoldMax) this.#untold.shift();
    const nowMs = this.#parts.clock.nowMs();
    if (nowMs < this.#tellingUntilMs) return;
    this.#tellingUntilMs = nowMs + tellMsMax;
    this.#parts.waitUntil(this.#tellAll());
  }

  /** In order, one by one. What the object answers holds unless more has happened since. */
  async #tellAll(): Promise<void> {
    const { clock } = this.#parts;
    try {
      for (let outcome = this.#untold[0]; outcome; outcome = this.#untold[0]) {
        const { kind, lease } = outcome;
        const standing = await within(tellMsMax, this.#parts.objectOf(this.#name)[kind](lease));
        if (this.#untold[0] === outcome) this.#untold.shift();
        if (this.#untold.length === 0) this.#adopt(standing);
        this.#tellingUntilMs = clock.nowMs() + tellMsMax;
      }
    } catch (error) {
      // The isolate counted them; what the object does not know, it will learn from the next failures.
      this.#untold.length = 0;
      this.#unreachable(error as Error);
    }
    this.#tellingUntilMs = 0;
  }

  #adopt({ state, failures, failedMsAgo, lease, leaseMsLeft }: BreakerStanding): void {
    const nowMs = this.#parts.clock.nowMs();
    const lastFailureMs = failures > 0 ? nowMs - failedMsAgo : 0;
    this.#breaker = { state, failures, lastFailureMs, lease, leaseUntilMs: nowMs + leaseMsLeft };
  }

  #unreachable({ message }: Error): void {
    const event = { level: "warn", message: "breaker not reached: going by its own count", name: this.#name } as const;
    this.#parts.log({ ...event, error: message });
  }
}

const ownPermit: Permit = { lease: noLease, ownLease: noLease };

function isInferenceError(error: unknown): boolean {
  return error instanceof ModelInferenceError;
}
