import { mkdtempSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { projectRoot } from "../../src/cli/local-key.ts";
import { quantile } from "../../src/cli/statistics.ts";
import { bundle } from "../../src/cli/workerd.ts";
import { Random } from "../support/random.ts";
import { Killer, type Kill } from "./killer.ts";
import { ship, type Shipped } from "./lanes.ts";
import { memoryFigures, Sampler, sampleEveryMs, type BrokenCap, type MemoryFigures, type Sample } from "./samples.ts";
import { Server, soakSecrets, type ServerOptions } from "./server.ts";
import { Shipper, type Try } from "./shipper.ts";
import { Traffic } from "./traffic.ts";
import { conclude, differences, type Conclusion } from "./verdicts.ts";

export interface SoakOptions {
  minutes: number;
  /** 0: nobody is killed. */
  kills: number;
  entities: number;
  seed: number;
  /** Flows a second. */
  rate: number;
  shards: number;
}

export interface SoakResult extends SoakOptions {
  /** How long the load lasted. */
  load_s: number;
  shipped: Shipped;
  /** Distinct addresses in what was sent. */
  distinct_entities: number;
  latency: Latency;
  memory: MemoryFigures;
  caps: { broken: BrokenCap[]; slot_state_bytes_max: number; slot_state_bytes_hard: number };
  samples: readonly Sample[];
  last: Sample;
  kill: KillResult | null;
}

interface Latency {
  requests: number;
  p50_ms: number;
  p99_ms: number;
  max_ms: number;
  /** Requests over a second, not counting those around a kill. */
  slow: { path: string; at_s: number; ms: number }[];
  /** Answers other than 200, and failures, by kind. */
  others: { [outcome: string]: number };
}

export interface KillResult {
  kills: Kill[];
  killed: Conclusion;
  undisturbed: Conclusion;
  only_killed: string[];
  only_undisturbed: string[];
  late_records: number;
  evicted_entities: number;
}

export const flowsPerBody = 5000;
const slowMs = 1000;

/** Event time from one body to the next: hours close every other minute, or sooner where there is little time. */
const soakBodyMs = 30_000;
const killBodyMs = 90_000;
/** Bodies that may be under way at once, with `killBodyMs` less than what may be late. */
const aheadMax = 4;

type Say = (text: string) => void;

export async function soak(options: SoakOptions, say: Say): Promise<SoakResult> {
  const folder = mkdtempSync(join(tmpdir(), "weir-soak-"));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  process.once("exit", removeFolder);
  try {
    say("building the Worker");
    const script = await bundle(join(projectRoot, "wrangler.toml"), join(folder, "worker"));
    const { shards } = options;
    const secrets = soakSecrets();
    const settings = (name: string) => {
      const state = join(folder, name);
      mkdirSync(state);
      return { state, script, secrets, shards };
    };
    const isKilling = options.kills > 0;
    const traffic = new Traffic({
      ...options,
      flowsPerBody,
      bodies: Math.ceil((options.minutes * 60 * options.rate) / flowsPerBody),
      bodyMs: isKilling ? killBodyMs : soakBodyMs,
      // So few that no slot is full: what is forgotten for lack of room may depend on order.
      core: isKilling ? 500 : 2000,
      targetsPerSweep: isKilling ? 150 : 3000,
    });
    return await load(options, traffic, settings("state"), say, (bodies) => {
      say(`the same ${bodies} bodies in the same order, undisturbed`);
      return replay(traffic, bodies, settings("undisturbed"));
    });
  } finally {
    process.off("exit", removeFolder);
    removeFolder();
  }
}

type Undisturbed = (bodies: number) => Promise<Conclusion>;

async function load(
  options: SoakOptions,
  traffic: Traffic,
  settings: ServerOptions,
  say: Say,
  undisturbed: Undisturbed,
): Promise<SoakResult> {
  const { minutes, kills, rate } = options;
  const server = new Server(settings);
  await server.start();
  const shipper = new Shipper(server);
  const probe = new Shipper(server);
  const sampler = new Sampler(server, probe);
  const killer = new Killer(server, shipper, probe, new Random(options.seed).fork("kills"));
  const stopping = new AbortController();
  try {
    const startMs = performance.now();
    const spanMs = minutes * 60_000;
    let isKilling = kills > 0;
    const watching = watch(sampler, shipper, () => killer.kills.length, stopping.signal, say);
    // The last one strikes while the input is ended.
    const killing = killer.spread(Math.max(0, kills - 1), 0.95 * spanMs).finally(() => (isKilling = false));
    const shipping = ship(traffic, shipper, {
      lanes: kills > 0 ? 2 : 3,
      everyMs: (1000 * flowsPerBody) / rate,
      aheadMax,
      goesOn: () => performance.now() - startMs < spanMs || (isKilling && performance.now() - startMs < 3 * spanMs),
    });
    const [shipped] = await Promise.all([shipping, killing]);
    const load_s = (performance.now() - startMs) / 1000;
    stopping.abort();
    await watching;
    await sampler.sample();
    const tries = [...shipper.tries, ...probe.tries];
    const last = sampler.samples.at(-1)!;
    const kill = kills > 0 ? await endAndKill(killer, shipper, say, () => undisturbed(shipped.bodies)) : undefined;
    return {
      ...options,
      load_s,
      shipped,
      distinct_entities: traffic.entities(shipped.bodies),
      latency: latencyOf(tries, killer.kills, startMs),
      memory: memoryFigures(sampler.samples),
      caps: {
        broken: [...sampler.broken.values()],
        slot_state_bytes_max: Math.max(...sampler.samples.map((sample) => sample.slot_state_bytes_max)),
        slot_state_bytes_hard: sampler.bounds!.slot_state_bytes_hard,
      },
      samples: sampler.samples,
      last,
      kill: kill ? { ...kill, late_records: last.late_records, evicted_entities: last.evicted_entities } : null,
    };
  } finally {
    stopping.abort();
    shipper.close();
    probe.close();
    await server.stop();
  }
}

async function endAndKill(
  killer: Killer,
  shipper: Shipper,
  say: Say,
  undisturbed: () => Promise<Conclusion>,
): Promise<Omit<KillResult, "late_records" | "evicted_entities">> {
  say("ending the input, with a kill while that is under way");
  // It waits for the next request, so it has to be first. The last verdicts take some seconds to be stored: time for the
  // other run.
  const striking = killer.strike().then(undisturbed);
  const [killed, other] = await Promise.all([conclude(shipper), striking]);
  return { kills: killer.kills, killed, undisturbed: other, ...differences(killed, other) };
}

/** What the same bodies come to where nobody is killed. */
async function replay(traffic: Traffic, bodies: number, settings: ServerOptions): Promise<Conclusion> {
  const server = new Server(settings);
  await server.start();
  const shipper = new Shipper(server);
  try {
    const shipped = await ship(traffic, shipper, {
      lanes: 1,
      everyMs: 0,
      aheadMax,
      goesOn: (sent) => sent < bodies,
    });
    if (shipped.notAcknowledged.length > 0) throw new Error(shipped.notAcknowledged[0]);
    return await conclude(shipper);
  } finally {
    shipper.close();
    await server.stop();
  }
}

/** Samples until it is stopped, and says something once a minute. */
async function watch(
  sampler: Sampler,
  shipper: Shipper,
  kills: () => number,
  signal: AbortSignal,
  say: Say,
): Promise<void> {
  const startMs = performance.now();
  let saidMs = 0;
  for (let next = 1; !signal.aborted; next++) {
    await sleep(Math.max(0, startMs + next * sampleEveryMs - performance.now()), undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    await sampler.sample();
    const { atMs, ...sample } = sampler.samples.at(-1)!;
    if (atMs - saidMs < 60_000 - sampleEveryMs / 2) continue;
    saidMs = atMs;
    const recent = shipper.tries.filter(({ startedMs }) => startedMs > performance.now() - 60_000).map(({ ms }) => ms);
    const figures = [
      `${(atMs / 60_000).toFixed(0)} min`,
      `RSS ${sample.rss_mb === null ? "unknown" : `${sample.rss_mb.toFixed(0)} MB`}`,
      `${sample.entities} states, ${(sample.state_bytes / 1e6).toFixed(1)} MB, fullest slot ${sample.slot_state_bytes_max} bytes`,
      `evicted ${sample.evicted_entities}`,
      `log ${sample.log_rows} rows, ${(sample.log_bytes / 1e6).toFixed(1)} MB`,
      `keys ${sample.batch_keys}`,
      `pending ${sample.pending_verdicts}`,
      `p50 ${quantile(recent, 0.5)?.toFixed(0) ?? "-"} ms, p99 ${quantile(recent, 0.99)?.toFixed(0) ?? "-"} ms`,
      ...(kills() > 0 ? [`${kills()} kills`] : []),
    ];
    say(figures.join(" · "));
  }
}

/** Of answered requests; what a kill touched is no measure of anything. */
function latencyOf(tries: readonly Try[], kills: readonly Kill[], startMs: number): Latency {
  const others: Latency["others"] = {};
  for (const { outcome } of tries) if (outcome !== 200) others[outcome] = (others[outcome] ?? 0) + 1;
  const isTouched = ({ startedMs, ms }: Try) =>
    kills.some(({ atMs, untilMs }) => startedMs <= untilMs && startedMs + ms >= atMs);
  const undisturbed = tries.filter((one) => !isTouched(one));
  const ms = undisturbed.map((one) => one.ms);
  return {
    requests: tries.length,
    p50_ms: quantile(ms, 0.5) ?? 0,
    p99_ms: quantile(ms, 0.99) ?? 0,
    max_ms: quantile(ms, 1) ?? 0,
    slow: undisturbed
      .filter((one) => one.ms > slowMs)
      .map(({ path, startedMs, ms: took }) => ({ path, at_s: (startedMs - startMs) / 1000, ms: took })),
    others,
  };
}
