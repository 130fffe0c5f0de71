import type { Clock, Log } from "../../src/config.ts";
import type { Candidate } from "../../src/core/features/candidate.ts";
import { featureCount } from "../../src/core/features/features.ts";
import type { BreakerRpc, BreakerStanding } from "../../src/inference/breaker.ts";
import { asked, failed, newBreaker, succeeded } from "../../src/inference/breaker-state.ts";
import { Breakers } from "../../src/inference/breaker.ts";
import { ModelInference, type InferenceParts } from "../../src/inference/inference.ts";
import { firstInstances, type Instance } from "../../src/inference/instances.ts";
import type { ModelPackage } from "../../src/inference/model.ts";
import type { ModelsInForce, SeenByModels } from "../../src/inference/registry.ts";
import { Sessions } from "../../src/inference/sessions.ts";
import type { OpenSession } from "../../wasm/onnx-session.ts";
import { runTinyForest, tinyForest } from "./tiny-models.ts";

/** A clock that stands until it is moved; chance is what the test says, and waiting takes no time. */
export function stoppedClock(): Clock & { now: number; drawn: number } {
  const clock = {
    now: Date.UTC(2026, 10, 22, 17),
    drawn: 0,
    nowMs: () => clock.now,
    wait: () => Promise.resolve(),
    chance: () => clock.drawn,
  };
  return clock;
}

/** All breakers' objects, in memory. */
export class MemoryBreakers {
  readonly #clock: Pick<Clock, "nowMs">;
  readonly #breakers = new Map<string, typeof newBreaker>();
  /** `ask remote/a`, `failed remote/a`, … */
  readonly told: string[] = [];

  constructor(clock: Pick<Clock, "nowMs">) {
    this.#clock = clock;
  }

  objectOf = (name: string): BreakerRpc => {
    const now = () => this.#clock.nowMs();
    const standing = (): BreakerStanding => {
      const { state, failures, lastFailureMs, lease, leaseUntilMs } = this.#of(name);
      const failedMsAgo = lastFailureMs === 0 ? 0 : now() - lastFailureMs;
      return { state, failures, failedMsAgo, lease, leaseMsLeft: Math.max(0, leaseUntilMs - now()) };
    };
    const become = (next: typeof newBreaker) => {
      this.#breakers.set(name, next);
      return standing();
    };
    const tell = (what: string) => this.told.push(`${what} ${name}`);
    return {
      ask: async () => {
        tell("ask");
        const { breaker, permission } = asked(this.#of(name), now());
        return { permission, ...become(breaker) };
      },
      failed: async (lease) => (tell("failed"), become(failed(this.#of(name), now(), lease))),
      succeeded: async (lease) => (tell("succeeded"), become(succeeded(this.#of(name), lease))),
      standing: async () => standing(),
    };
  };

  #of(name: string): typeof newBreaker {
    return this.#breakers.get(name) ?? newBreaker;
  }
}

export function candidates(count: number): Candidate[] {
  return Array.from({ length: count }, (_, i) => ({
    slot: i % 256,
    entity: `10.0.0.${i}`,
    reason: "sample" as const,
    window: { startMs: 0, endMs: 3_600_000 },
    isClosed: true,
    vectors: [new Uint8Array(featureCount).fill((i * 37) % 256)],
    peers: [],
    receivedAtMs: 0,
  }));
}

export const forest = tinyForest();

export function instance(id: string, more: Partial<Instance> = {}): Instance {
  return { ...firstInstances[0], id, verified: forest.sha256, ...more };
}

interface Isolate extends Partial<InferenceParts> {
  open?: OpenSession;
  list?: readonly Instance[];
  /** Another isolate, with which it shares clock and objects. */
  beside?: { clock: ReturnType<typeof stoppedClock>; objects: MemoryBreakers };
}

/** An isolate's inference over things in memory. What happens behind the answers waits for `settled`. */
export function inferenceOf(more: Isolate = {}) {
  const { open, list, beside, ...parts } = more;
  const clock = beside?.clock ?? stoppedClock();
  const pending: Promise<unknown>[] = [];
  const events: Parameters<Log>[0][] = [];
  const seen: SeenByModels[] = [];
  const opened: Uint8Array[] = [];
  const released: string[] = [];
  const inForce: { current: ModelPackage | "warming_up" | "missing"; shadow?: ModelPackage } = { current: forest };
  const outside = {
    clock,
    log: (event: Parameters<Log>[0]) => void events.push(event),
    waitUntil: (promise: Promise<unknown>) => void pending.push(promise),
  };
  const models: ModelsInForce = { of: async () => inForce, observe: (_, one) => void seen.push(one) };
  const objects = beside?.objects ?? new MemoryBreakers(clock);
  const breakers = new Breakers({ ...outside, objectOf: objects.objectOf });
  const openTiny: OpenSession = async (onnx) => {
    opened.push(onnx);
    return { run: runTinyForest, release: async () => void released.push("one") };
  };
  // Long, since machines are slow; short for what hangs.
  const limits = { timeoutMs: 60_000 };
  const inference = new ModelInference({
    ...outside,
    models,
    breakers,
    instances: { of: async () => list ?? [instance("inline")] },
    sessions: new Sessions({ ...outside, open: open ?? openTiny }),
    runnerOf: () => ({ run: async ({ inputs }) => ({ outputs: await runTinyForest(inputs) }) }),
    openBearer: () => "opened",
    fetch: () => Promise.reject(new TypeError("not reached")),
    fault: "none",
    ...parts,
    get timeoutMs() {
      return limits.timeoutMs;
    },
  });
  const settled = async () => {
    while (pending.length > 0) await pending.shift();
  };
  const score = (count = 3) => inference.score("isolation_forest", candidates(count));
  /** The first call only opens the session. */
  const warm = async () => {
    await score();
    await settled();
  };
  return { inference, limits, score, warm, settled, clock, events, seen, opened, released, inForce, objects, breakers };
}
