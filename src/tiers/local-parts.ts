import type { EntityShardRpc } from "../../durable-objects/shard-rpc.ts";
import { consoleLog, readConfig, type Clock, type Config, type Log } from "../config.ts";
import { unconfigured } from "../core/detectors/configuration.ts";
import { allDetectors } from "../core/detectors/index.ts";
import { MemoryStorage } from "../core/shard/memory-storage.ts";
import type { ApplyRequest, ApplyResult, EndRequest, EndResult, ShardGauges } from "../core/shard/rpc.ts";
import type { PackedFacts } from "../core/slots/network-facts.ts";
import { Shard } from "../core/shard/shard.ts";
import { severities, type Anomaly } from "../core/verdict.ts";
import type { Owner, Tenant } from "../security/tenant.ts";
import { liesIn } from "../security/prefix.ts";
import { tenantKeys } from "../security/tenant-keys.ts";
import type { AnomalyPage, AnomalyQuery, AnomalyStore, Position, StoredAnomaly } from "../storage/anomalies.ts";
import { openDoors } from "./admission.ts";
import { Acknowledgements } from "./acknowledgements.ts";
import { namedConfiguration } from "./configurations.ts";
import { FactsExchange } from "./facts-exchange.ts";
import { Outbox, type OutboxParts } from "./outbox.ts";
import { shardName, type ShardRef } from "./shard-call.ts";
import type { ProcessParts } from "./store-verdicts.ts";

export interface LocalOptions {
  /** By name. `internal`: a tenant's own networks; without it, the private ones. */
  tenants: { readonly [tenant: string]: { readonly internal?: readonly string[] | undefined } };
  /** 32 bytes. */
  masterKey: Uint8Array;
  allowanceMs: number;
  /** Of each tenant. */
  shards: number;
  clock?: Clock;
  log?: Log;
}

export interface LocalParts extends ProcessParts {
  /** One of the tenants, with keys that follow from the master key. */
  tenant: (id: string) => Tenant;
}

/**
 * Everything that processing needs, within this process and its memory: real shards, and a store that ends with it.
 *
 * @throws ConfigError as the Worker would of such settings.
 */
export function localParts({ clock = new LocalClock(), log = consoleLog, ...options }: LocalOptions): LocalParts {
  const config = configOf(options);
  const tenants = new Map(
    [...config.tenants].map(([id, settings]) => [id, { ...settings, keys: tenantKeys(config.masterKey, id) }] as const),
  );
  const anomalies = new MemoryAnomalies(clock);
  const shards = new Map<string, LocalShard>();
  const shardOf = (ref: ShardRef) => {
    const known = shards.get(shardName(ref));
    if (known) return known;
    const made = new LocalShard({ clock, log, tenant: tenants.get(ref.tenant)!, anomalies });
    shards.set(shardName(ref), made);
    return made;
  };
  return {
    config,
    clock,
    log,
    tenant: (id) => tenants.get(id)!,
    shardOf,
    doors: openDoors(),
    acknowledgements: new Acknowledgements(),
    facts: new FactsExchange(),
    configurations: { inForce: async (tenant) => namedConfiguration(tenant, unconfigured) },
    anomalies,
    waitUntil: () => {},
  };
}

function configOf({ tenants, masterKey, allowanceMs, shards }: Omit<LocalOptions, "clock" | "log">): Config {
  const settings = Object.entries(tenants).map(([tenant, { internal }]) => [
    tenant,
    { shards, ...(internal && { internal }) },
  ]);
  return readConfig({
    TENANTS: Object.fromEntries(settings),
    MASTER_KEY: Buffer.from(masterKey).toString("base64"),
    LATENESS_ALLOWANCE_S: allowanceMs / 1000,
  });
}

/** A clock that stands until it is set, and never goes back. Who waits goes on once it has come so far. */
export class LocalClock implements Clock {
  #nowMs = 0;
  #waiting: { untilMs: number; goOn: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wait(ms: number): Promise<void> {
    return new Promise((goOn) => this.#waiting.push({ untilMs: this.#nowMs + ms, goOn }));
  }

  chance(): number {
    return 0;
  }

  set(nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    const due = this.#waiting.filter(({ untilMs }) => untilMs <= this.#nowMs);
    this.#waiting = this.#waiting.filter(({ untilMs }) => untilMs > this.#nowMs);
    for (const { goOn } of due) goOn();
  }
}

/** As the Durable Object around the same `Shard`; its alarm goes off before the next call, once its time has come. */
class LocalShard implements EntityShardRpc {
  readonly #storage = new MemoryStorage();
  readonly #parts: OutboxParts;
  #shard!: Shard;
  #outbox!: Outbox;
  #alarmAtMs = Number.POSITIVE_INFINITY;

  constructor(parts: Omit<OutboxParts, "alarm">) {
    const alarm = {
      setAlarm: async (atMs: number) => void (this.#alarmAtMs = atMs),
      deleteAlarm: async () => void (this.#alarmAtMs = Number.POSITIVE_INFINITY),
    };
    this.#parts = { ...parts, alarm };
    this.#start();
  }

  async apply(request: ApplyRequest): Promise<ApplyResult> {
    await this.#ring();
    const result = this.#change(() => this.#shard.apply(request, this.#parts.clock.nowMs()));
    this.#outbox.arm();
    return result;
  }

  async end(request: EndRequest): Promise<EndResult> {
    await this.#ring();
    this.#change(() => this.#shard.end(request));
    this.#outbox.arm();
    return {
      verdicts: this.#shard.pending(),
      candidates: this.#shard.takeCandidates(),
      decidedAtMs: this.#parts.clock.nowMs(),
    };
  }

  async facts(everything: boolean): Promise<{ facts: PackedFacts }> {
    await this.#ring();
    return { facts: this.#shard.facts(everything) };
  }

  async gauges(): Promise<ShardGauges> {
    await this.#ring();
    return this.#shard.gauges();
  }

  #start(): void {
    this.#shard = new Shard({ storage: this.#storage, detectors: allDetectors });
    this.#outbox = new Outbox(this.#shard, this.#parts);
  }

  async #ring(): Promise<void> {
    if (this.#alarmAtMs <= this.#parts.clock.nowMs()) await this.#outbox.drain();
  }

  /** What throws has changed half of the memory: it starts again from its storage, where nothing is half done. */
  #change<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#start();
      throw error;
    }
  }
}

/** Anomalies in memory, by tenant and id. */
class MemoryAnomalies implements AnomalyStore {
  readonly #clock: Clock;
  readonly #tenants = new Map<string, Map<string, StoredAnomaly>>();
  #storedRevision = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async upsert(tenant: Owner, anomalies: readonly Anomaly[]): Promise<void> {
    const rows = this.#rowsOf(tenant);
    for (const anomaly of anomalies) {
      const before = rows.get(anomaly.id);
      if (before && before.revision >= anomaly.revision) continue;
      rows.set(anomaly.id, { ...anomaly, storedRevision: ++this.#storedRevision, storedAtMs: this.#clock.nowMs() });
    }
  }

  async list(tenant: Owner, query: AnomalyQuery): Promise<AnomalyPage> {
    const { order, behind, limit } = query;
    const sign = order === "oldest_first" ? 1 : -1;
    const found = [...this.#rowsOf(tenant).values()]
      .filter((one) => isWanted(one, query) && (!behind || sign * compare(one, behind) > 0))
      .sort((a, b) => sign * compare(a, b));
    const anomalies = found.slice(0, limit);
    return { anomalies, next: found.length > limit ? anomalies.at(-1) : undefined };
  }

  async get(tenant: Owner, id: string): Promise<StoredAnomaly | undefined> {
    return this.#rowsOf(tenant).get(id);
  }

  #rowsOf({ id }: Owner): Map<string, StoredAnomaly> {
    const rows = this.#tenants.get(id) ?? new Map<string, StoredAnomaly>();
    this.#tenants.set(id, rows);
    return rows;
  }
}

function isWanted({ threat, severity, entity, peers, window }: StoredAnomaly, query: AnomalyQuery): boolean {
  const { threats, severityMin, sinceMs, untilMs } = query;
  if (threats.length > 0 && !threats.includes(threat)) return false;
  if (severities.indexOf(severity) < severities.indexOf(severityMin)) return false;
  if (window.endMs < sinceMs || window.endMs >= untilMs) return false;
  if (query.entity && !liesIn(query.entity, entity)) return false;
  return !query.peer || peers.some(({ address }) => liesIn(query.peer!, address));
}

function compare(a: Position, b: Position): number {
  return a.storedRevision - b.storedRevision || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}
