import { describe, expect, it } from "vitest";
import type { PendingVerdict } from "../../../src/core/slots/slot.ts";
import { StorageError } from "../../../src/storage/d1.ts";
import { tenantKeys } from "../../../src/security/tenant-keys.ts";
import { Outbox } from "../../../src/tiers/outbox.ts";

const startMs = Date.UTC(2026, 0, 5);

/** A verdict, as far as the outbox looks at it. */
function waiting(revision: number, receivedAtMs: number): PendingVerdict {
  const window = { startMs, endMs: startMs + 3_600_000 };
  const verdict = { threat: "port_scan", entity: `10.0.0.${revision}`, window, revision };
  return { slot: 1, verdict: verdict as PendingVerdict["verdict"], receivedAtMs };
}

function outboxOf(...pending: PendingVerdict[]) {
  const state = { nowMs: startMs, failure: undefined as Error | undefined };
  const alarms: (number | "deleted")[] = [];
  const stored: number[][] = [];
  const shard = {
    get pendingCount() {
      return pending.length;
    },
    pending: () => [...pending],
    acknowledge(revisions: readonly { revision: number }[]) {
      for (const { revision } of revisions)
        pending.splice(
          pending.findIndex(({ verdict }) => verdict.revision === revision),
          1,
        );
    },
  };
  const outbox = new Outbox(shard, {
    clock: { nowMs: () => state.nowMs, wait: async () => {}, chance: () => 1 },
    log: () => {},
    alarm: {
      setAlarm: async (atMs) => void alarms.push(atMs - state.nowMs),
      deleteAlarm: async () => void alarms.push("deleted"),
    },
    tenant: { id: "acme", jurisdiction: null, keys: tenantKeys(new Uint8Array(32), "acme") },
    anomalies: {
      async upsert(_, anomalies) {
        if (state.failure) throw state.failure;
        stored.push(anomalies.map(({ revision }) => revision));
      },
    },
  });
  return { outbox, alarms, stored, state, pending };
}

describe("the outbox", () => {
  it("arms once while something waits, and not at all where nothing does", () => {
    const { outbox, alarms } = outboxOf(waiting(1, startMs));
    outbox.arm();
    outbox.arm();
    expect(alarms).toEqual([5000]);
    const idle = outboxOf();
    idle.outbox.arm();
    expect(idle.alarms).toEqual([]);
  });

  it("writes what waits for more than five seconds, leaves the rest to whoever answered with it", async () => {
    const { outbox, alarms, stored, state, pending } = outboxOf(waiting(1, startMs - 6000), waiting(2, startMs - 1000));
    await outbox.drain();
    expect(stored).toEqual([[1]]);
    expect(alarms).toEqual([5000]);
    state.nowMs += 5000;
    await outbox.drain();
    expect([stored, pending]).toEqual([[[1], [2]], []]);
    expect(alarms).toEqual([5000, 5000, "deleted"]);
  });

  it("writes what seems to come from the future: a clock was set back", async () => {
    const { outbox, stored } = outboxOf(waiting(1, startMs + 600_000));
    await outbox.drain();
    expect(stored).toEqual([[1]]);
  });

  it("waits longer with each failure, a minute from the fourth on, and loses nothing", async () => {
    const { outbox, alarms, stored, state, pending } = outboxOf(waiting(1, startMs - 6000));
    state.failure = new StorageError("Network connection lost");
    for (let i = 0; i < 6; i++) await outbox.drain();
    expect(alarms).toEqual([5000, 1000, 2000, 4000, 60_000, 60_000]);
    expect(pending.length).toBe(1);
    state.failure = undefined;
    await outbox.drain();
    expect([stored, pending]).toEqual([[[1]], []]);
  });

  it("does not hurry where only a person can help", async () => {
    const { outbox, alarms, state } = outboxOf(waiting(1, startMs - 6000));
    state.failure = new StorageError("no such table: anomalies");
    await outbox.drain();
    await outbox.drain();
    expect(alarms).toEqual([5000, 60_000]);
  });
});
