import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  asked,
  failed,
  failuresMax,
  forgottenMs,
  isForgotten,
  leaseMs,
  newBreaker,
  noLease,
  recoveryMs,
  succeeded,
  type BreakerState,
} from "../../../src/inference/breaker-state.ts";

const startMs = 1_760_000_000_000;

function failing(times: number, breaker: BreakerState = newBreaker, nowMs = startMs): BreakerState {
  return times === 0 ? breaker : failing(times - 1, failed(breaker, nowMs, noLease), nowMs);
}

describe("a circuit breaker", () => {
  it("opens at the fifth failure in a row, and not at the fourth", () => {
    expect(failuresMax).toBe(5);
    expect(asked(failing(4), startMs).permission).toBe("call");
    expect(failing(4).state).toBe("closed");
    expect(failing(5)).toMatchObject({ state: "open", failures: 5, lastFailureMs: startMs });
    expect(asked(failing(5), startMs).permission).toBe("refused");
  });

  it("starts to count anew after a success", () => {
    expect(failing(4, succeeded(failing(4), noLease)).state).toBe("closed");
    expect(failing(5, succeeded(failing(4), noLease)).state).toBe("open");
  });

  it("lets nobody through for 60 s after the last failure, and then one", () => {
    const open = failing(5);
    expect(asked(open, startMs + 60_000).permission).toBe("refused");
    const { breaker, permission } = asked(open, startMs + 60_001);
    expect([permission, breaker.state, breaker.lease]).toEqual(["probe", "half_open", 1]);
    expect(asked(breaker, startMs + 60_001).permission).toBe("refused");
    const later = failed(open, startMs + 1_000, noLease);
    expect(asked(later, startMs + 60_001).permission).toBe("refused");
    expect(asked(later, startMs + 61_001).permission).toBe("probe");
  });

  it("closes with the probe's success, and opens for 60 s with its failure", () => {
    const probedMs = startMs + recoveryMs + 1;
    const { breaker } = asked(failing(5), probedMs);
    expect(succeeded(breaker, breaker.lease)).toMatchObject({ state: "closed", failures: 0 });
    const again = failed(breaker, probedMs + 7, breaker.lease);
    expect(again).toMatchObject({ state: "open", failures: 6, lastFailureMs: probedMs + 7 });
    expect(asked(again, probedMs + 7 + recoveryMs).permission).toBe("refused");
  });

  it("gives the lease to another one after 30 s, and then hears only that one", () => {
    const probedMs = startMs + recoveryMs + 1;
    const first = asked(failing(5), probedMs).breaker;
    expect(asked(first, probedMs + 29_999).permission).toBe("refused");
    const { breaker: second, permission } = asked(first, probedMs + 30_000);
    expect([permission, second.lease]).toEqual(["probe", first.lease + 1]);
    expect(succeeded(second, first.lease)).toBe(second);
    expect(failed(second, probedMs + 30_000, first.lease)).toBe(second);
    expect(succeeded(second, second.lease).state).toBe("closed");
    // Late, but nobody else probes.
    expect(succeeded(first, first.lease).state).toBe("closed");
  });

  it("does not close for a call that was let through before it opened", () => {
    const open = failing(5);
    expect(succeeded(open, noLease)).toBe(open);
    const half = asked(open, startMs + recoveryMs + 1).breaker;
    expect(succeeded(half, noLease)).toBe(half);
    expect(failed(half, startMs + recoveryMs + 2, noLease)).toBe(half);
  });

  it("is forgotten a day after the last failure or lease", () => {
    expect(isForgotten(failing(5), startMs + forgottenMs - 1)).toBe(false);
    expect(isForgotten(failing(5), startMs + forgottenMs)).toBe(true);
    const half = asked(failing(5), startMs + forgottenMs).breaker;
    expect(isForgotten(half, startMs + forgottenMs + leaseMs)).toBe(false);
  });
});

/** One thing that happens to a breaker. A probe's outcome may be that of a lease that is over. */
type Event =
  | { kind: "wait"; ms: number }
  | { kind: "ask" }
  | { kind: "fail" | "succeed"; of: "call" | "latest" | "before" };

const of = fc.constantFrom("call" as const, "latest" as const, "before" as const);
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("wait" as const),
      ms: fc.oneof(fc.nat(1_000), fc.nat(70_000), fc.constantFrom(0, 1, leaseMs, recoveryMs, recoveryMs + 1)),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("ask" as const) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("fail" as const), of }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("succeed" as const), of }) },
);
const events = fc.array(event, { maxLength: 80, size: "max" });

/** The requirement's own breaker, written again from its page with a list of probes beside it: a different shape. */
class Model {
  failures = 0;
  lastFailureMs = -Infinity;
  state = "CLOSED";
  probes: { number: number; sinceMs: number }[] = [];

  ask(nowMs: number): string {
    if (this.state === "CLOSED") return "call";
    if (this.state === "OPEN" && !(nowMs - this.lastFailureMs > 60_000)) return "refused";
    const current = this.probes.at(-1);
    if (this.state === "HALF_OPEN" && current && nowMs < current.sinceMs + 30_000) return "refused";
    this.state = "HALF_OPEN";
    this.probes.push({ number: this.probes.length + 1, sinceMs: nowMs });
    return "probe";
  }

  hear(outcome: "fail" | "succeed", nowMs: number, lease: number): void {
    const isTheProbe = lease === this.probes.at(-1)?.number;
    if (this.state === "HALF_OPEN" && !isTheProbe) return;
    if (outcome === "fail") {
      this.failures++;
      this.lastFailureMs = nowMs;
      if (this.failures >= 5) this.state = "OPEN";
    } else if (this.state !== "OPEN") {
      this.failures = 0;
      this.state = "CLOSED";
    }
  }
}

const names = { closed: "CLOSED", open: "OPEN", half_open: "HALF_OPEN" } as const;

/** What a breaker and the model say, step by step. */
function play(happened: readonly Event[]) {
  const model = new Model();
  let [breaker, nowMs] = [newBreaker, startMs];
  return happened.map((one) => {
    let [permission, wanted] = ["", ""];
    if (one.kind === "wait") nowMs += one.ms;
    else if (one.kind === "ask") {
      wanted = model.ask(nowMs);
      ({ breaker, permission } = asked(breaker, nowMs));
    } else {
      const lease = one.of === "call" ? noLease : Math.max(noLease, breaker.lease - (one.of === "before" ? 1 : 0));
      breaker = one.kind === "fail" ? failed(breaker, nowMs, lease) : succeeded(breaker, lease);
      model.hear(one.kind, nowMs, lease);
    }
    const { state, failures, lease } = breaker;
    return {
      said: [permission, names[state], failures, lease],
      wanted: [wanted, model.state, model.failures, model.probes.length],
    };
  });
}

/** Of each probe: how long before it the lease of the one before ended, and how long ago the last failure was. */
function distancesIn(happened: readonly Event[]) {
  const distances: { sinceLeaseMs: number; sinceFailureMs: number }[] = [];
  let [breaker, nowMs, heldUntilMs, failedAtMs] = [newBreaker, startMs, 0, 0];
  for (const one of happened) {
    if (one.kind === "wait") nowMs += one.ms;
    else if (one.kind === "ask") {
      const answer = asked(breaker, nowMs);
      breaker = answer.breaker;
      if (answer.permission !== "probe") continue;
      distances.push({ sinceLeaseMs: nowMs - heldUntilMs, sinceFailureMs: nowMs - failedAtMs });
      heldUntilMs = nowMs + 30_000;
    } else {
      const { lease } = breaker;
      const next = one.kind === "fail" ? failed(breaker, nowMs, lease) : succeeded(breaker, lease);
      if (next !== breaker) heldUntilMs = 0;
      if (next.failures > breaker.failures) failedAtMs = nowMs;
      breaker = next;
    }
  }
  return distances;
}

describe("whatever happens, in whatever order", () => {
  const runs = { numRuns: 2_000 };

  it("a breaker does as the requirement's does, with one probe at a time", () => {
    const reached = new Set<unknown>();
    const property = fc.property(events, (happened) => {
      const steps = play(happened);
      expect(steps.map(({ said }) => said)).toEqual(steps.map(({ wanted }) => wanted));
      for (const { said } of steps) for (const word of said.slice(0, 2)) reached.add(word);
    });
    fc.assert(property, runs);
    // Else the property holds of nothing.
    const all = ["", "CLOSED", "HALF_OPEN", "OPEN", "call", "probe", "refused"];
    expect([...reached].toSorted()).toEqual(all);
  });

  it("gives no two probes within 30 s of each other, and none within 60 s of a failure that it counted", () => {
    let probes = 0;
    const property = fc.property(events, (happened) => {
      const distances = distancesIn(happened);
      probes += distances.length;
      expect(
        distances.filter(({ sinceLeaseMs, sinceFailureMs }) => sinceLeaseMs < 0 || sinceFailureMs <= 60_000),
      ).toEqual([]);
    });
    fc.assert(property, runs);
    expect(probes).toBeGreaterThan(100);
  });
});
