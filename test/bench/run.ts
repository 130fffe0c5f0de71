import { join } from "node:path";
import { gzip } from "../../src/cli/client.ts";
import { projectRoot } from "../../src/cli/local-key.ts";
import { startLocalWorker } from "../../src/cli/local-worker.ts";
import { readLog } from "../../src/cli/read-log.ts";
import { quantile } from "../../src/cli/statistics.ts";
import { startWorkerd } from "../../src/cli/workerd.ts";
import { fastVpc, office } from "../support/generate.ts";
import { billOf, costOf, type Cost } from "./cost.ts";
import { cpuMs, cpuOf, workerdPids } from "./cpu.ts";
import { asFastAsPossible, atRate, Poster } from "./load.ts";
import { inAllFormats } from "./render.ts";
import { restoreFigures, type RestoreFigures } from "./restore.ts";
import { spread, type Spread } from "./spread.ts";
import { stateSize, type StateSize } from "./state.ts";

export interface BenchOptions {
  seed: number;
  rounds: number;
  /** Bodies of 5,000 flows in a round. */
  bodies: number;
}

export interface BenchResult extends BenchOptions {
  /** What one flow costs is workerd's CPU time where the system tells it, else the time on the clock. */
  basis: "cpu" | "wall";
  parse_flows_per_s: { [format: string]: Spread };
  /** µs per flow, on bodies of the same mix; all but `end_to_end` without HTTP, in a workerd of their own. */
  us_per_flow: { [part in Part]: Spread };
  /** CPU of log, seal and keys in percent of that end to end: what a round gives. */
  durability_percent: Spread;
  /** CPU of the security chain, and of sealing alone, likewise. */
  chain_percent: Spread;
  seal_percent: Spread;
  /** One shard touched by each batch, and eight. */
  costs: Cost[];
  /** End to end, on the clock, two requests at a time. */
  wall_flows_per_s: Spread;
  /** End to end, one core. */
  core_flows_per_s: number;
  /** Speed of end to end in percent of that of gunzip and parse: what a round gives, their median. */
  ratio_percent: Spread;
  state: StateSize;
  restore: RestoreFigures;
  latency: {
    batches: number;
    flows_per_batch: number;
    flows_per_s: number;
    p50_ms: number;
    p99_ms: number;
    attacks: number;
    attacks_stored: number;
    attack_p99_ms: number;
  };
}

type Part = "end_to_end" | "gunzip" | "gunzip_parse" | "script" | "detectors" | "log_seal_keys" | "seal" | "chain";

const flowsPerBody = 5000;
const flowsPerSmallBody = 1000;
const internal = ["10.20.0.0/16"];
/** Long ago, so that no record is ahead of its receipt. */
const startMs = Date.UTC(2026, 0, 5, 8);

export async function runBench(options: BenchOptions, say: (text: string) => void): Promise<BenchResult> {
  say("parsing, per format");
  const parse = await parseSpeeds(options);
  const tenants = { throughput: { internal }, spread: { internal, shards: 8 }, latency: { internal } };
  const before = workerdPids();
  const weir = await startLocalWorker({ tenants });
  const weirPid = workerdPids().find((pid) => !before.includes(pid));
  try {
    const alone = await startWorkerd(join(projectRoot, "test/bench/worker/wrangler.toml"), {});
    const alonePid = workerdPids().find((pid) => !before.includes(pid) && pid !== weirPid);
    try {
      say("end to end, and its parts alone");
      const figures = await interleave(options, { weir, weirPid, alone: new Poster(alone.url, "", 1), alonePid }, say);
      say("latency at half the load");
      const latency = await latencies(options, weir.url, weir.keys["latency"], figures.wall_flows_per_s.median / 2);
      const state = stateSize(makeLogs(options, 0), internal);
      say("a full shard that comes back");
      const restore = restoreFigures(options.seed, startMs);
      return { ...options, parse_flows_per_s: parse, ...figures, state, restore, latency };
    } finally {
      await alone.dispose();
    }
  } finally {
    await weir.dispose();
  }
}

/** Of each body in the parts alone: a clock that ticks every 10 ms needs some work to see. */
const repeats = 4;
/** The chain takes some dozen µs. */
const repeatsOf = (part: Part) => (part === "chain" ? 100 * repeats : repeats);
/** Not counted: a server runs for days, its compiler is done after seconds and its state is there. */
const warmRounds = 3;

async function parseSpeeds({ seed, rounds: count }: BenchOptions): Promise<{ [format: string]: Spread }> {
  const samples = inAllFormats(office({ seed, endMs: startMs, hours: 2 }));
  const speeds = samples.map(() => [] as number[]);
  for (let round = -1; round < count; round++) {
    for (const [i, { format, bytes, records }] of samples.entries()) {
      const began = performance.now();
      await readLog([bytes], { format }, () => {});
      if (round >= 0) speeds[i].push((1000 * records) / (performance.now() - began));
    }
  }
  return Object.fromEntries(samples.map(({ format }, i) => [format, spread(speeds[i])]));
}

/** A body every 10 s of event time: a network of 500 flows a second. Its records tell of the minute before. */
const bodyEveryMs = 10_000;

/** The bodies of one round; rounds follow each other. */
function makeBodies(options: BenchOptions, round: number): Uint8Array[] {
  return makeLogs(options, round).map((log) => gzip(Buffer.from(log)));
}

function makeLogs({ seed, bodies }: BenchOptions, round: number): string[] {
  return Array.from({ length: bodies }, (_, i) => {
    const body = round * bodies + i;
    const from = startMs + body * bodyEveryMs;
    return fastVpc({ seed: seed + body, flows: flowsPerBody, startMs: from, spanMs: 60_000 });
  });
}

interface Servers {
  weir: { url: string; keys: { [tenant: string]: string } };
  weirPid: number | undefined;
  alone: Poster;
  alonePid: number | undefined;
}

type Figures = Pick<
  BenchResult,
  | "basis"
  | "us_per_flow"
  | "durability_percent"
  | "chain_percent"
  | "seal_percent"
  | "costs"
  | "wall_flows_per_s"
  | "core_flows_per_s"
  | "ratio_percent"
>;

/** Rounds in which every batch goes to eight shards: rows are counted, so chance has no say. */
const spreadRounds = 3;

async function interleave(options: BenchOptions, servers: Servers, say: (text: string) => void): Promise<Figures> {
  const { weir, weirPid, alone, alonePid } = servers;
  for (const body of makeBodies(options, 0)) await alone.call("PUT", "/", body);
  const flows = options.bodies * flowsPerBody;
  const costs: { [part in Part]: number[] } = {
    end_to_end: [],
    gunzip: [],
    gunzip_parse: [],
    script: [],
    detectors: [],
    log_seal_keys: [],
    seal: [],
    chain: [],
  };
  const wall: number[] = [];
  const paths = {
    gunzip: "/gunzip",
    gunzip_parse: "/parse",
    script: "/script",
    detectors: "/detect",
    log_seal_keys: "/log",
    seal: "/seal",
    chain: "/chain",
  } as const;
  const parts = ["gunzip", "gunzip_parse", "script", "detectors", "log_seal_keys", "seal", "chain"] as const;
  const poster = new Poster(weir.url, weir.keys["throughput"], 2);
  let billBefore = await billOf(poster);
  for (let round = 0; round < warmRounds + options.rounds; round++) {
    const isCounted = round >= warmRounds;
    if (round === warmRounds) billBefore = await billOf(poster);
    say(isCounted ? `  round ${round - warmRounds}` : "  warming up");
    const bodies = makeBodies(options, round);
    const one = await cpuOf(weirPid, () => asFastAsPossible(poster, bodies, flowsPerBody));
    if (isCounted) {
      costs.end_to_end.push(one.us / flows);
      wall.push((flows * 1000) / one.wallMs);
    }
    for (const part of parts) {
      const { us } = await cpuOf(alonePid, () => alone.call("POST", `${paths[part]}?repeats=${repeatsOf(part)}`));
      if (isCounted) costs[part].push(us / (flows * repeatsOf(part)));
    }
  }
  const batches = options.rounds * options.bodies;
  const cpuUsPerFlow = spread(costs.end_to_end).median;
  const bills = [billBefore, await billOf(poster)] as const;
  const one = costOf(...bills, { shards: 1, batches, flowsPerBatch: flowsPerBody, cpuUsPerFlow });
  poster.close();
  say("  eight shards");
  const eight = await spreadCost(options, servers);
  const ratios = costs.end_to_end.map((cost, i) => (100 * costs.gunzip_parse[i]) / cost);
  const percent = (part: Part) => spread(costs.end_to_end.map((cost, i) => (100 * costs[part][i]) / cost));
  return {
    basis: cpuMs(weirPid) === undefined || cpuMs(alonePid) === undefined ? "wall" : "cpu",
    us_per_flow: {
      end_to_end: spread(costs.end_to_end),
      gunzip: spread(costs.gunzip),
      gunzip_parse: spread(costs.gunzip_parse),
      script: spread(costs.script),
      detectors: spread(costs.detectors),
      log_seal_keys: spread(costs.log_seal_keys),
      seal: spread(costs.seal),
      chain: spread(costs.chain),
    },
    durability_percent: percent("log_seal_keys"),
    chain_percent: percent("chain"),
    seal_percent: percent("seal"),
    costs: [one, eight],
    wall_flows_per_s: spread(wall),
    core_flows_per_s: 1e6 / spread(costs.end_to_end).median,
    ratio_percent: spread(ratios),
  };
}

async function spreadCost(options: BenchOptions, { weir, weirPid }: Servers): Promise<Cost> {
  const poster = new Poster(weir.url, weir.keys["spread"], 2);
  const rounds = async (from: number, to: number) => {
    for (let round = from; round < to; round++)
      await asFastAsPossible(poster, makeBodies(options, round), flowsPerBody);
  };
  await rounds(0, 1);
  const before = await billOf(poster);
  const { us } = await cpuOf(weirPid, () => rounds(1, 1 + spreadRounds));
  const batches = spreadRounds * options.bodies;
  const cpuUsPerFlow = us / (batches * flowsPerBody);
  const cost = costOf(before, await billOf(poster), { shards: 8, batches, flowsPerBatch: flowsPerBody, cpuUsPerFlow });
  poster.close();
  return cost;
}

const attackEvery = 20;

async function latencies(
  { seed }: BenchOptions,
  url: string,
  key: string,
  flowsPerS: number,
): Promise<BenchResult["latency"]> {
  const everyMs = (1000 * flowsPerSmallBody) / flowsPerS;
  const count = Math.max(100, Math.min(400, Math.round(5000 / everyMs)));
  const isAttack = (i: number) => i % attackEvery === attackEvery - 1;
  const bodies = Array.from({ length: count }, (_, i) =>
    gzip(
      Buffer.from(
        fastVpc({
          seed: seed + 1_000_000 + i,
          flows: flowsPerSmallBody,
          startMs: startMs + i * 12_000,
          spanMs: 12_000,
          scanShare: isAttack(i) ? 0.5 : 0,
          scanner: `192.0.2.${1 + Math.floor(i / attackEvery)}`,
        }),
      ),
    ),
  );
  const poster = new Poster(url, key, 16);
  const timed = await atRate(poster, bodies, everyMs);
  poster.close();
  const attacks = timed.filter((_, i) => isAttack(i));
  const ms = timed.map((one) => one.ms);
  return {
    batches: count,
    flows_per_batch: flowsPerSmallBody,
    flows_per_s: Math.round(flowsPerS),
    p50_ms: quantile(ms, 0.5) ?? 0,
    p99_ms: quantile(ms, 0.99) ?? 0,
    attacks: attacks.length,
    attacks_stored: attacks.filter(({ answer }) => answer.stored && answer.anomalies.length > 0).length,
    attack_p99_ms:
      quantile(
        attacks.map((one) => one.ms),
        0.99,
      ) ?? 0,
  };
}
