import type { EntityShardRpc } from "../../durable-objects/shard-rpc.ts";
import type { Detector } from "../../src/core/detectors/detector.ts";
import { MemoryStorage } from "../../src/core/shard/memory-storage.ts";
import { blobKinds } from "../../src/core/shard/storage.ts";
import type { ApplyRequest, ApplyResult, EndRequest, EndResult, ShardGauges } from "../../src/core/shard/rpc.ts";
import type { PackedFacts } from "../../src/core/slots/network-facts.ts";
import { Shard } from "../../src/core/shard/shard.ts";
import type { SlotBounds } from "../../src/core/slots/slot.ts";
import type { SlotSet } from "../../src/core/slots/slot-set.ts";
import { Outbox, type OutboxParts } from "../../src/tiers/outbox.ts";
import type { Random } from "../support/random.ts";
import type { FaultKind, Plan } from "./plan.ts";
import type { World } from "./world.ts";

/** A platform's word for what may be tried again. */
class PlatformError extends Error {
  readonly retryable = true;
}

export interface ObjectParts {
  world: World;
  plan: Plan;
  random: Random;
  bounds: SlotBounds | undefined;
  /** In force at the moment: a deploy changes them. */
  detectors: () => readonly Detector[];
  outbox: Omit<OutboxParts, "alarm">;
  /** Told of each batch that has become durable. */
  onApplied: (request: ApplyRequest) => void;
}

/** So few rows that snapshots, and rows that are used again, come up all the time. */
const log = { rowsMax: 6, bytesMax: 1 << 20 };

/** An object with its storage and its alarm, whose memory can be lost wherever it waits. */
export class SimulatedObject implements EntityShardRpc {
  readonly #storage = new MemoryStorage();
  readonly #parts: ObjectParts;
  #memory: { shard: Shard; outbox: Outbox } | undefined;
  /** What survives with the storage. */
  #alarmAtMs: number | undefined;
  #isCalm = false;

  constructor(parts: ObjectParts) {
    this.#parts = parts;
  }

  apply(request: ApplyRequest): Promise<ApplyResult> {
    const { clock } = this.#parts.world;
    return this.#call(
      (shard) => shard.apply(request, clock.nowMs()),
      ({ status }) => {
        if (status === "applied") this.#parts.onApplied(request);
      },
    );
  }

  async end(request: EndRequest): Promise<EndResult> {
    const ended = await this.#call((shard) => {
      shard.end(request);
      return { verdicts: shard.pending(), candidates: shard.takeCandidates() };
    });
    return { ...ended, decidedAtMs: this.#parts.world.clock.nowMs() };
  }

  facts(everything: boolean): Promise<{ facts: PackedFacts }> {
    return this.#call((shard) => ({ facts: shard.facts(everything) }));
  }

  gauges(): Promise<ShardGauges> {
    return this.#call((shard) => shard.gauges());
  }

  exportSlots(slots: SlotSet): Promise<Uint8Array<ArrayBuffer>> {
    return this.#call((shard) => shard.exportSlots(slots, this.#parts.world.clock.nowMs()));
  }

  importSlots(slots: SlotSet, bytes: Uint8Array<ArrayBuffer>, move: number): Promise<void> {
    return this.#call((shard) => shard.importSlots(slots, bytes, move, this.#parts.world.clock.nowMs()));
  }

  /** Memory is gone; the storage is not. */
  die(): void {
    this.#memory = undefined;
  }

  /** Nothing goes wrong any more. */
  calm(): void {
    this.#isCalm = true;
  }

  /** A request, what it changes, and its answer; each can be lost. */
  async #call<T>(work: (shard: Shard) => T, onDurable: (result: T) => void = () => {}): Promise<T> {
    const { world } = this.#parts;
    await world.delay();
    this.#fail("lost_messages");
    if (this.#happens("evictions")) this.die();
    const { shard, outbox } = this.#awake();
    const [before, alarmBefore] = [copyOf(this.#storage), this.#alarmAtMs];
    const result = structuredClone(work(shard));
    outbox.arm();
    if (this.#happens("crashes")) {
      // Before anything was written: the platform holds the answer back until it is.
      this.#undo(before, alarmBefore);
      throw new PlatformError("crashed before the write");
    }
    onDurable(result);
    await world.delay();
    this.#crash();
    await world.delay();
    this.#fail("lost_messages");
    return result;
  }

  #awake(): { shard: Shard; outbox: Outbox } {
    if (this.#memory) return this.#memory;
    const { world, bounds, detectors, outbox } = this.#parts;
    const shard = new Shard({
      storage: this.#storage,
      detectors: detectors(),
      log,

      ...(bounds && { bounds }),
    });
    const memory = { shard, outbox: undefined as unknown as Outbox };
    this.#memory = memory;
    // What a life that is over still does to its alarm is not done.
    const isAlive = () => this.#memory === memory;
    const alarm = {
      setAlarm: async (atMs: number) => {
        if (isAlive()) this.#setAlarm(world.nowMs + atMs - world.clock.nowMs());
      },
      deleteAlarm: async () => {
        if (isAlive()) this.#alarmAtMs = undefined;
      },
    };
    // Nothing leaves an object that died meanwhile: the platform holds messages back until what they rest on is written.
    const upsert: typeof outbox.anomalies.upsert = async (...rows) => {
      if (!isAlive()) throw new PlatformError("the object is gone");
      return outbox.anomalies.upsert(...rows);
    };
    memory.outbox = new Outbox(shard, { ...outbox, alarm, anomalies: { upsert } });
    return memory;
  }

  #setAlarm(atMs: number): void {
    this.#alarmAtMs = atMs;
    this.#parts.world.at(atMs, () => {
      if (this.#alarmAtMs !== atMs) return;
      this.#alarmAtMs = undefined;
      void this.#ring();
      if (this.#happens("double_alarms")) void this.#ring();
    });
  }

  /** At least once: an alarm during which the object dies comes again. */
  async #ring(): Promise<void> {
    const memory = this.#awake();
    const ringing = memory.outbox.drain();
    if (this.#happens("crashes")) {
      await this.#parts.world.delay();
      this.die();
    }
    await ringing;
    if (this.#memory !== memory && this.#alarmAtMs === undefined) this.#setAlarm(this.#parts.world.nowMs + 2000);
  }

  #undo(before: ReturnType<typeof copyOf>, alarmAtMs: number | undefined): void {
    for (const kind of blobKinds) {
      this.#storage.blobs[kind].clear();
      for (const [place, bytes] of before[kind]) this.#storage.blobs[kind].set(place, bytes);
    }
    if (alarmAtMs === undefined) this.#alarmAtMs = undefined;
    else if (alarmAtMs !== this.#alarmAtMs) this.#setAlarm(alarmAtMs);
    this.die();
  }

  #crash(): void {
    if (!this.#happens("crashes")) return;
    this.die();
    throw new PlatformError("crashed before the answer");
  }

  #fail(kind: FaultKind): void {
    if (this.#happens(kind)) throw new PlatformError("Network connection lost");
  }

  #happens(kind: FaultKind): boolean {
    const { plan, random } = this.#parts;
    return !this.#isCalm && plan.faults.has(kind) && random.chance(plan.chance);
  }
}

function copyOf(storage: MemoryStorage) {
  const { log: entries, state, keys, facts } = storage.blobs;
  return { log: new Map(entries), state: new Map(state), keys: new Map(keys), facts: new Map(facts) };
}
