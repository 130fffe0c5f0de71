import type { Clock, Log } from "../config.ts";
import { retryDelayMs, type FailureKind } from "../core/retry.ts";
import { acknowledgementOf, type Acknowledgement, type PendingVerdict } from "../core/slots/slot.ts";
import type { AnomalyStore } from "../storage/anomalies.ts";
import { StorageError } from "../storage/d1.ts";
import type { Owner } from "../security/tenant.ts";
import { anomalyOf } from "./anomaly.ts";
import { unasked } from "./ask-models.ts";

/** How long a verdict waits for the acknowledgement of whoever answered with it, in ms. */
export const outboxDelayMs = 5000;

/** Verdicts of one write, 2 KiB each. */
const writeMax = 500;

export interface OutboxParts {
  clock: Clock;
  log: Log;
  /** Wakes the object: at least once, at the time that was set last. */
  alarm: { setAlarm(atMs: number): Promise<void>; deleteAlarm(): Promise<void> };
  tenant: Owner;
  anomalies: Pick<AnomalyStore, "upsert">;
}

/** Whose verdicts are written: those of a shard. */
interface PendingVerdicts {
  readonly pendingCount: number;
  pending(): PendingVerdict[];
  acknowledge(stored: readonly Acknowledgement[]): void;
}

/**
 * Writes the verdicts of a shard of which nobody has said that they are stored. What waits is part of the shard's
 * state, so nothing is kept here that could be lost.
 */
export class Outbox {
  readonly #shard: PendingVerdicts;
  readonly #parts: OutboxParts;
  /** Times that an alarm was set: each is billed as a row. */
  alarmsSet = 0;
  #isArmed = false;
  /** In a row; of the last one, whether trying again may help. */
  #failures = 0;
  #kind: FailureKind = "transient";

  constructor(shard: PendingVerdicts, parts: OutboxParts) {
    this.#shard = shard;
    this.#parts = parts;
  }

  /**
   * Sees to it that what waits is looked at; called in the same turn in which it began to wait, so that a restart finds
   * either both or neither. Not awaited: the platform holds answers back until all of it is written.
   */
  arm(): void {
    if (this.#isArmed || this.#shard.pendingCount === 0) return;
    this.#isArmed = true;
    void this.#setAlarm(this.#parts.clock.nowMs() + outboxDelayMs);
  }

  /** When the alarm goes off, once or twice. */
  async drain(): Promise<void> {
    const { alarm, clock } = this.#parts;
    // Arm first, then work: if this ends here, the next alarm takes over.
    const delayMs = this.#failures > 0 ? retryDelayMs(this.#failures, this.#kind, clock.chance()) : outboxDelayMs;
    await this.#setAlarm(clock.nowMs() + delayMs);
    this.#isArmed = true;
    const nowMs = clock.nowMs();
    // Whoever answered with the newest may still be writing them; a clock that was set back makes nothing new.
    const isNew = ({ receivedAtMs }: PendingVerdict) => receivedAtMs <= nowMs && receivedAtMs > nowMs - outboxDelayMs;
    const waiting = this.#shard.pending().filter((one) => !isNew(one));
    for (let from = 0; from < waiting.length; from += writeMax) {
      if (!(await this.#write(waiting.slice(from, from + writeMax)))) return;
    }
    this.#failures = 0;
    if (this.#shard.pendingCount > 0) return;
    this.#isArmed = false;
    await alarm.deleteAlarm();
  }

  #setAlarm(atMs: number): Promise<void> {
    this.alarmsSet++;
    return this.#parts.alarm.setAlarm(atMs);
  }

  async #write(verdicts: readonly PendingVerdict[]): Promise<boolean> {
    const { anomalies, tenant, log } = this.#parts;
    try {
      const context = { tenant: tenant.id, idKey: tenant.keys.anomalyId };
      const rows = verdicts.map(({ verdict, receivedAtMs }) =>
        anomalyOf(verdict, unasked("written_later"), { ...context, receivedAtMs, decidedAtMs: receivedAtMs }),
      );
      await anomalies.upsert(tenant, rows);
    } catch (error) {
      this.#failures++;
      this.#kind = error instanceof StorageError ? error.kind : "permanent";
      log({
        level: "error",
        message: "outbox: verdicts not stored",
        tenant: tenant.id,
        count: verdicts.length,
        error: (error as Error).message,
      });
      return false;
    }
    this.#shard.acknowledge(verdicts.map(acknowledgementOf));
    return true;
  }
}
