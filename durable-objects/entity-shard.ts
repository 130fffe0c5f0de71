import { DurableObject } from "cloudflare:workers";
import { consoleLog, readConfig, systemClock } from "../src/config.ts";
import { allDetectors } from "../src/core/detectors/index.ts";
import { Shard } from "../src/core/shard/shard.ts";
import type { ApplyRequest, ApplyResult, EndRequest, EndResult, ShardGauges } from "../src/core/shard/rpc.ts";
import type { PackedFacts } from "../src/core/slots/network-facts.ts";
import { localKeyProvider } from "../src/security/key-provider.ts";
import { DataKeyring, KeysDestroyed, type Keyring } from "../src/security/keyring.ts";
import type { Jurisdiction, Owner } from "../src/security/tenant.ts";
import type { TenantKeys } from "../src/security/tenant-keys.ts";
import { d1AnomalyStore } from "../src/storage/d1-anomaly-store.ts";
import { d1DataKeyStore } from "../src/storage/d1-data-keys.ts";
import { databasesOf } from "../src/storage/databases.ts";
import { Outbox } from "../src/tiers/outbox.ts";
import type { EntityShardRpc, ResealedBlobs, ShardKeysRpc } from "./shard-rpc.ts";
import { SqlShardStorage } from "./sql-shard-storage.ts";

/** Bytes of blobs that are sealed anew in one call: 0.1 s of CPU. */
const resealedBytesMax = 16 * 1024 * 1024;
/** When an alarm is tried again, in ms, that found no keys. */
const alarmAgainMs = 60_000;

/** An object that has its keys. */
interface Live {
  /** As they were read last. */
  keys: TenantKeys;
  storage: SqlShardStorage;
  shard: Shard;
  outbox: Outbox;
}

/** Of all objects of an isolate. */
let keyring: Keyring | undefined;

/**
 * The memory of one tenant's entities, or of a part of them: an actor around a `Shard` of the core.
 *
 * Named `tenant/index`. Memory is a cache of what its SQLite holds: whatever goes wrong, the object drops it and starts
 * again from there. What lies there is sealed: until the object has read the tenant's keys, calls fail.
 */
export class EntityShard extends DurableObject<Env> implements EntityShardRpc, ShardKeysRpc {
  readonly #owner: Omit<Owner, "keys">;
  readonly #keyring: Keyring;
  #live: Live | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const name = ctx.id.name!;
    const jurisdiction = (ctx.id.jurisdiction ?? null) as Jurisdiction | null;
    this.#owner = { id: name.slice(0, name.lastIndexOf("/")), jurisdiction };
    this.#keyring = keyring ??= keyringOf(env);
  }

  async apply(request: ApplyRequest): Promise<ApplyResult> {
    const { shard, outbox } = this.#live ?? (await this.#awake());
    const result = this.#change(() => shard.apply(request, systemClock.nowMs()));
    outbox.arm();
    return result;
  }

  async end(request: EndRequest): Promise<EndResult> {
    const { shard, outbox } = this.#live ?? (await this.#awake());
    this.#change(() => shard.end(request));
    outbox.arm();
    // All that waits: whoever repeats a call that got lost wants what that one brought.
    return { verdicts: shard.pending(), candidates: shard.takeCandidates(), decidedAtMs: systemClock.nowMs() };
  }

  async facts(everything: boolean): Promise<{ facts: PackedFacts }> {
    const { shard } = this.#live ?? (await this.#awake());
    return { facts: shard.facts(everything) };
  }

  async gauges(): Promise<ShardGauges> {
    const { shard, outbox } = this.#live ?? (await this.#awake());
    const gauges = shard.gauges();
    return { ...gauges, rows_written: { ...gauges.rows_written, alarm: outbox.alarmsSet } };
  }

  async reseal(): Promise<ResealedBlobs> {
    const live = this.#live ?? (await this.#awake());
    live.keys = await this.#keyring.reload(this.#owner);
    return this.#change(() => live.storage.reseal(live.keys.seals.state, resealedBytesMax));
  }

  async destroy(): Promise<void> {
    if (!(await this.#isShredded())) throw new Error("the tenant has keys: its objects are not deleted");
    this.#live = undefined;
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
  }

  override async alarm(): Promise<void> {
    const { storage } = this.ctx;
    try {
      const live = this.#live ?? (await this.#awake());
      live.keys = await this.#keyring.of(this.#owner);
      await live.outbox.drain();
    } catch (error) {
      if (error instanceof KeysDestroyed) return;
      const { name, message } = error as Error;
      const event = { message: "alarm put off", shard: this.ctx.id.name, error: `${name}: ${message}` };
      consoleLog({ level: "error", ...event });
      // The platform itself would give up after some tries.
      await storage.setAlarm(systemClock.nowMs() + alarmAgainMs);
    }
  }

  /** With keys that are read now: older ones might not open what is there. @throws StorageError, KeysDestroyed */
  async #awake(): Promise<Live> {
    // What throws in there would reset the object; so it comes out as a value.
    const woken = await this.ctx.blockConcurrencyWhile(async () => {
      if (this.#live) return this.#live;
      try {
        return (this.#live = this.#start(await this.#keyring.reload(this.#owner)));
      } catch (error) {
        return error as Error;
      }
    });
    if (woken instanceof Error) throw woken;
    return woken;
  }

  #start(keys: TenantKeys): Live {
    const name = this.ctx.id.name!;
    const storage = new SqlShardStorage(this.ctx.storage, keys.seals.state, name);
    const shard = new Shard({ storage, detectors: allDetectors });
    report(name, shard);
    const live = { keys, storage, shard } as Live;
    live.outbox = new Outbox(shard, {
      clock: systemClock,
      log: consoleLog,
      alarm: this.ctx.storage,
      tenant: {
        ...this.#owner,
        get keys() {
          return live.keys;
        },
      },
      anomalies: d1AnomalyStore({ db: databasesOf(this.env).of(this.#owner.jurisdiction), clock: systemClock }),
    });
    return live;
  }

  async #isShredded(): Promise<boolean> {
    try {
      await this.#keyring.reload(this.#owner);
      return false;
    } catch (error) {
      if (error instanceof KeysDestroyed) return true;
      throw error;
    }
  }

  /** What throws has changed half of the memory: the object starts again from its storage, where nothing is half done. */
  #change<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const { name, message, stack } = error as Error;
      consoleLog({
        level: "error",
        message: "shard restarts",
        shard: this.ctx.id.name,
        error: `${name}: ${message}`,
        stack,
      });
      this.ctx.abort(`${name}: ${message}`);
      throw error;
    }
  }
}

function keyringOf(env: Env): Keyring {
  const provider = localKeyProvider(readConfig(env).masterKeys);
  const store = d1DataKeyStore({ db: env.DB, clock: systemClock });
  return new DataKeyring({ clock: systemClock, log: consoleLog, provider, store });
}

function report(name: string, { restored: { setAside, lost, entries } }: Shard): void {
  if (setAside === 0) return;
  const message = "blobs set aside: they could not be read";
  consoleLog({ level: "error", message, shard: name, set_aside: setAside, lost_slots: lost.length, replayed: entries });
}
