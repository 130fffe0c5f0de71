import { env } from "cloudflare:test";
import type { EntityShardRpc } from "../../durable-objects/shard-rpc.ts";
import { createApp } from "../../src/api/app.ts";
import type { ApiDeps } from "../../src/api/deps.ts";
import { readConfig, type Clock, type Log } from "../../src/config.ts";
import type { ApplyRequest, ApplyResult, EndResult, ShardGauges } from "../../src/core/shard/rpc.ts";
import type { PackedFacts } from "../../src/core/slots/network-facts.ts";
import type { Anomaly, Verdict } from "../../src/core/verdict.ts";
import { MemoryStorage } from "../../src/core/shard/memory-storage.ts";
import { Shard } from "../../src/core/shard/shard.ts";
import type { Tenant } from "../../src/security/tenant.ts";
import { keyring } from "../../src/security/tenant-keys.ts";
import { d1AnomalyStore } from "../../src/storage/d1-anomaly-store.ts";
import type { ConfigurationStore } from "../../src/storage/configurations.ts";
import { d1ConfigurationStore } from "../../src/storage/d1-configuration-store.ts";
import { Acknowledgements } from "../../src/tiers/acknowledgements.ts";
import { Configurations } from "../../src/tiers/configurations.ts";
import { FactsExchange } from "../../src/tiers/facts-exchange.ts";

/** 2026-11-22T17:00:00Z */
export const hourMs = Date.UTC(2026, 10, 22, 17);

export const config = readConfig(env);
const keysOf = keyring(config.masterKey);
export const clock: Clock & { now: number } = {
  now: hourMs,
  nowMs: () => clock.now,
  wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  chance: () => 0,
};
/** As a request finds them. */
export const acme: Tenant = { ...config.tenants.get("acme")!, keys: await keysOf("acme") };
export const lab: Tenant = { ...config.tenants.get("lab")!, keys: await keysOf("lab") };
export const store = d1AnomalyStore({ db: env.DB, clock });

export function auth(kid: "admin" | "shipper" | "viewer" | "other"): Record<string, string> {
  return { Authorization: `Bearer ${kid}.secret` };
}

/** Remembers batches as a shard does, and says what the test wants it to say. */
class FakeShard implements EntityShardRpc {
  calls: ApplyRequest[] = [];
  late = 0;
  isFull = false;
  verdicts: Verdict[] = [];
  /** Thrown by the next calls, in order. */
  failures: Error[] = [];
  readonly #seen = new Map<string, string>();

  async apply(request: ApplyRequest): Promise<ApplyResult> {
    this.calls.push(request);
    this.#failMaybe();
    if (this.isFull) return { status: "overloaded" };
    const digest = this.#seen.get(request.batchKey);
    if (digest !== undefined)
      return digest === request.bodyDigest ? { status: "duplicate", late: this.late } : { status: "conflict" };
    this.#seen.set(request.batchKey, request.bodyDigest);
    const { receivedAtMs } = request;
    const verdicts = this.verdicts.map((one) => ({ slot: 0, verdict: one, receivedAtMs }));
    return { status: "applied", late: this.late, repaired: false, verdicts, factsRevision: 0, decidedAtMs: clock.now };
  }

  async end(): Promise<EndResult> {
    this.#failMaybe();
    const verdicts = this.verdicts.map((one) => ({ slot: 0, verdict: one, receivedAtMs: clock.now }));
    return { verdicts, decidedAtMs: clock.now };
  }

  async facts(): Promise<{ facts: PackedFacts }> {
    return { facts: new Shard({ storage: new MemoryStorage(), detectors: [] }).facts(true) };
  }

  async gauges(): Promise<ShardGauges> {
    return new Shard({ storage: new MemoryStorage(), detectors: [] }).gauges();
  }

  #failMaybe(): void {
    const failure = this.failures.shift();
    if (failure) throw failure;
  }
}

/** Of an isolate that has just started. */
export function configurationsOf(of: ConfigurationStore = d1ConfigurationStore({ db: env.DB, clock })): Configurations {
  return new Configurations({ clock, log: () => {}, store: of, waitUntil: () => {} });
}

/** An app over the real D1 and a fake shard. */
export function testApp(more: Partial<ApiDeps> = {}) {
  const shard = new FakeShard();
  const events: Parameters<Log>[0][] = [];
  const pending: Promise<unknown>[] = [];
  const app = createApp({
    config,
    clock,
    log: (event) => void events.push(event),
    keysOf,
    shardOf: () => shard,
    acknowledgements: new Acknowledgements(),
    facts: new FactsExchange(),
    configurations: configurationsOf(),
    anomalies: store,
    waitUntil: (promise) => void pending.push(promise),
    ...more,
  });
  const post = (path: string, body: BodyInit | null, headers: Record<string, string> = {}) =>
    app.request(path, { method: "POST", body, headers: { ...auth("shipper"), ...headers } });
  const get = (path: string, headers: Record<string, string> = auth("viewer")) => app.request(path, { headers });
  return { app, shard, events, pending, post, get };
}

export function verdict(more: Partial<Verdict> = {}): Verdict {
  return {
    threat: "port_scan",
    detectorVersion: 1,
    configVersion: "5b2e81c09d41f3a7",
    entity: "10.0.0.5",
    window: { startMs: hourMs - 3_600_000, endMs: hourMs },
    score: 0.97,
    confidence: 0.9,
    severity: "high",
    techniques: ["T1046"],
    summary: "10.0.0.5 knocked on 200 ports of 10.0.1.1",
    peers: [{ address: "10.0.1.1", port: 0, protocol: "tcp" }],
    peerCount: 1,
    evidence: { ports: 200, ports_min: 15 },
    state: "provisional",
    revision: 1,
    completeness: { late_records: 0, evicted_entities: 0, folded_contacts: 0, warming_up: false },
    ...more,
  };
}

/** An anomaly whose id is `n` in hex. */
export function anomaly(n: number, more: Partial<Anomaly> = {}): Anomaly {
  return {
    ...verdict(),
    id: n.toString(16).padStart(32, "0"),
    tenant: "acme",
    receivedAtMs: hourMs - 20,
    decidedAtMs: hourMs - 10,
    tiers: [{ tier: 1, ran: true, reason: null }],
    ...more,
  };
}

/** VPC flow-log lines: `count` records that the parser accepts. */
export function vpcLines(count: number, from = 0): string {
  const startS = hourMs / 1000 - 600;
  const line = (i: number) =>
    `2 123456789010 eni-1 10.0.0.5 10.0.1.${i % 250} 49152 ${1 + (i % 60_000)} 6 1 40 ${startS} ${startS + 10} REJECT OK\n`;
  return Array.from({ length: count }, (_, i) => line(from + i)).join("");
}
