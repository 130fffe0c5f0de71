import { quantile, median } from "../../src/cli/statistics.ts";
import type { Pipeline } from "../../src/tiers/pipeline.ts";
import { rssMb, type Server } from "./server.ts";
import type { Shipper } from "./shipper.ts";

/** What a run looked like at one time. */
export interface Sample {
  /** Since the run began. */
  atMs: number;
  rss_mb: number | null;
  /** Sums over shards, but for the fullest slot, and the log of the shard that has most of it. */
  entities: number;
  state_bytes: number;
  slot_state_bytes_max: number;
  evicted_entities: number;
  late_records: number;
  log_rows: number;
  log_bytes: number;
  batch_keys: number;
  pending_verdicts: number;
}

/** A gauge that was found above its bound. */
export interface BrokenCap {
  gauge: string;
  shard: number;
  value: number;
  bound: number;
}

const capped = [
  ["slot_state_bytes_max", "slot_state_bytes_hard"],
  ["log_rows", "log_rows"],
  ["log_bytes", "log_bytes"],
  ["batch_keys", "batch_keys"],
  ["pending_verdicts", "pending_verdicts"],
] as const;

export const sampleEveryMs = 10_000;

/** Looks every ten seconds at memory and gauges. */
export class Sampler {
  readonly samples: Sample[] = [];
  /** The worst of each gauge. */
  readonly broken = new Map<string, BrokenCap>();
  bounds: Pipeline["bounds"] | undefined;
  readonly #server: Server;
  readonly #shipper: Shipper;
  readonly #startMs = performance.now();

  constructor(server: Server, shipper: Shipper) {
    this.#server = server;
    this.#shipper = shipper;
  }

  async sample(): Promise<Pipeline> {
    const pipeline = await this.#shipper.get<Pipeline>("/v1/pipeline");
    const { shards, bounds } = pipeline;
    this.bounds = bounds;
    for (const shard of shards) {
      for (const [gauge, bound] of capped) {
        if (shard[gauge] <= bounds[bound] || shard[gauge] <= (this.broken.get(gauge)?.value ?? 0)) continue;
        this.broken.set(gauge, { gauge, shard: shard.shard, value: shard[gauge], bound: bounds[bound] });
      }
    }
    const sum = (of: (shard: (typeof shards)[number]) => number) => shards.reduce((total, one) => total + of(one), 0);
    const most = (of: (shard: (typeof shards)[number]) => number) => Math.max(...shards.map(of));
    this.samples.push({
      atMs: performance.now() - this.#startMs,
      rss_mb: rssMb(this.#server.pid) ?? null,
      entities: sum((one) => one.entities),
      state_bytes: sum((one) => one.state_bytes),
      slot_state_bytes_max: most((one) => one.slot_state_bytes_max),
      evicted_entities: sum((one) => one.evicted_entities),
      late_records: sum((one) => one.late_records),
      log_rows: most((one) => one.log_rows),
      log_bytes: most((one) => one.log_bytes),
      batch_keys: most((one) => one.batch_keys),
      pending_verdicts: sum((one) => one.pending_verdicts),
    });
    return pipeline;
  }
}

/** Memory over a run; nulls where the system does not tell. */
export interface MemoryFigures {
  rss_mb_at_20_percent: number | null;
  rss_mb_at_50_percent: number | null;
  rss_mb_at_end: number | null;
  rss_mb_max: number | null;
  /** MB a minute, the median slope between two samples: a heap that is swept now and then moves it little. */
  slope_after_first_quarter: number | null;
  slope_after_first_half: number | null;
}

export function memoryFigures(samples: readonly Sample[]): MemoryFigures {
  const known = samples.flatMap(({ atMs, rss_mb }) => (rss_mb === null ? [] : [{ atMs, mb: rss_mb }]));
  const endMs = known.at(-1)?.atMs ?? 0;
  const at = (share: number) => known.find(({ atMs }) => atMs >= share * endMs)?.mb ?? null;
  return {
    rss_mb_at_20_percent: at(0.2),
    rss_mb_at_50_percent: at(0.5),
    rss_mb_at_end: at(1),
    rss_mb_max: quantile(
      known.map(({ mb }) => mb),
      1,
    ),
    slope_after_first_quarter: slope(known.filter(({ atMs }) => atMs >= endMs / 4)),
    slope_after_first_half: slope(known.filter(({ atMs }) => atMs >= endMs / 2)),
  };
}

/** Theil and Sen: the median of the slopes between all two points, in MB a minute. */
function slope(points: readonly { atMs: number; mb: number }[]): number | null {
  const slopes = points.flatMap((a, i) => points.slice(i + 1).map((b) => ((b.mb - a.mb) * 60_000) / (b.atMs - a.atMs)));
  return median(slopes);
}
