import { createDurable } from "itty-durable";
import {
  asked,
  failed,
  forgottenMs,
  isForgotten,
  newBreaker,
  succeeded,
  type BreakerState,
} from "../src/inference/breaker-state.ts";
import type { BreakerAnswer, BreakerRpc, BreakerStanding } from "../src/inference/breaker.ts";

/**
 * The circuit breaker of one dependency, for all isolates: who fails tells it, and of all who ask while it is half open one
 * probes. Named by the dependency; called through `breakerObject` only, since any of its methods can be.
 *
 * itty-durable writes nothing by itself here: a transition is stored before it is answered, and reading stores nothing.
 * Every own property is stored, and private ones do not work behind its proxy. An alarm forgets what was quiet for a day.
 */
export class ModelBreaker extends createDurable({ autoPersist: false }) implements BreakerRpc {
  declare state: DurableObjectState;
  /** The only thing that is stored. */
  breaker: BreakerState = newBreaker;

  async ask(): Promise<BreakerAnswer> {
    const { breaker, permission } = asked(this.breaker, Date.now());
    await this.become(breaker);
    return { permission, ...standingOf(breaker, Date.now()) };
  }

  failed(lease: number): Promise<BreakerStanding> {
    return this.become(failed(this.breaker, Date.now(), lease));
  }

  succeeded(lease: number): Promise<BreakerStanding> {
    return this.become(succeeded(this.breaker, lease));
  }

  async standing(): Promise<BreakerStanding> {
    return standingOf(this.breaker, Date.now());
  }

  async alarm(): Promise<void> {
    await this.loadFromStorage();
    if (!isForgotten(this.breaker, Date.now())) {
      await this.setAlarm(Date.now() + forgottenMs);
      return;
    }
    this.breaker = newBreaker;
    await this.state.storage.deleteAll();
  }

  /** In memory at once, so that nobody else sees what was; answered once it is stored. */
  async become(next: BreakerState): Promise<BreakerStanding> {
    if (!isSame(next, this.breaker)) {
      this.breaker = next;
      if ((await this.getAlarm()) === null) await this.setAlarm(Date.now() + forgottenMs);
      await this.persist();
    }
    return standingOf(next, Date.now());
  }
}

function isSame(a: BreakerState, b: BreakerState): boolean {
  return (Object.keys(a) as (keyof BreakerState)[]).every((key) => a[key] === b[key]);
}

function standingOf({ state, failures, lastFailureMs, lease, leaseUntilMs }: BreakerState, nowMs: number) {
  const failedMsAgo = lastFailureMs === 0 ? 0 : Math.max(0, nowMs - lastFailureMs);
  return { state, failures, failedMsAgo, lease, leaseMsLeft: Math.max(0, leaseUntilMs - nowMs) };
}
