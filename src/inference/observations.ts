import type { AgreementReport, DriftReport, Observed } from "../../durable-objects/model-registry-rpc.ts";
import type { Clock, Log } from "../config.ts";
import type { Candidate } from "../core/features/candidate.ts";
import { features, levelMax } from "../core/features/features.ts";
import { agreementPMax, partOf } from "./drift.ts";
import type { Histogram, ModelName, ModelOpinion, ModelPackage } from "./model.ts";

/** Between two reports of an isolate, in ms: so the registry, which is one object, is asked little. */
const reportEveryMs = 60_000;
/** Rows after which a report does not wait for that. */
const rowsMax = 10_000;
/** Days, models and versions that are counted at a time, 2 KiB each: two days, and a promotion on each. */
const keysMax = 16;

/** What is counted: windows that chance chose, once they are over. Others were chosen for being strange. */
export type ObservedInput = Pick<Candidate, "vectors" | "reason" | "isClosed">;

/** What a version made of rows, in their order. */
export interface Seen {
  package: ModelPackage;
  opinions: readonly ModelOpinion[];
}

export interface ObservationsParts {
  clock: Clock;
  log: Log;
  /** Keeps the isolate alive until the promise settles. */
  waitUntil(promise: Promise<unknown>): void;
  /** To the registry. */
  send(report: Observed): Promise<void>;
}

/**
 * Counts what models see and say, and now and then tells the registry, behind a request: at most once a minute, or when
 * `rowsMax` rows were counted. An isolate that is evicted takes with it what it counted since its last report.
 */
export class Observations {
  readonly #parts: ObservationsParts;
  #drift = new Map<string, DriftTally>();
  #agreement = new Map<string, AgreementReport>();
  #rows = 0;
  #reportedAtMs = -Infinity;

  constructor(parts: ObservationsParts) {
    this.#parts = parts;
  }

  add(model: ModelName, inputs: readonly ObservedInput[], current: Seen, shadow?: Seen): void {
    const nowMs = this.#parts.clock.nowMs();
    const day = new Date(nowMs).toISOString().slice(0, 10);
    const tally = this.#tallyOf(day, model, current.package);
    inputs.forEach((input, i) => {
      if (tally && input.reason === "sample" && input.isClosed) tally.add(input, current.opinions[i].score);
    });
    if (shadow?.opinions.length === current.opinions.length) this.#compare(day, model, current, shadow);
    this.#rows += inputs.length;
    const isDue = nowMs < this.#reportedAtMs || nowMs >= this.#reportedAtMs + reportEveryMs;
    if (isDue || this.#rows >= rowsMax) this.#report(nowMs);
  }

  #tallyOf(day: string, model: ModelName, of: ModelPackage): DriftTally | undefined {
    const key = `${day} ${model} ${of.sha256}`;
    let tally = this.#drift.get(key);
    if (!tally && this.#drift.size < keysMax) this.#drift.set(key, (tally = new DriftTally(day, of)));
    return tally;
  }

  #compare(day: string, model: ModelName, current: Seen, shadow: Seen): void {
    const [ours, theirs] = [current.package.sha256, shadow.package.sha256];
    const key = `${day} ${model} ${ours} ${theirs}`;
    let counts = this.#agreement.get(key);
    if (!counts) {
      if (this.#agreement.size >= keysMax) return;
      const nothing = { rows: 0, both: 0, neither: 0, only_current: 0, only_shadow: 0, p_difference: 0 };
      this.#agreement.set(key, (counts = { day, model, current: ours, shadow: theirs, ...nothing }));
    }
    current.opinions.forEach(({ p_value }, i) => {
      const other = shadow.opinions[i].p_value;
      counts.rows++;
      counts.p_difference += Math.abs(p_value - other);
      const isStrange = p_value <= agreementPMax;
      if (isStrange === other <= agreementPMax) counts[isStrange ? "both" : "neither"]++;
      else counts[isStrange ? "only_current" : "only_shadow"]++;
    });
  }

  /** What cannot be told is lost: what drifts, drifts on. */
  #report(nowMs: number): void {
    const drift = [...this.#drift.values()].map((tally) => tally.counts).filter(({ rows }) => rows > 0);
    const agreement = [...this.#agreement.values()];
    this.#drift = new Map();
    this.#agreement = new Map();
    this.#rows = 0;
    this.#reportedAtMs = nowMs;
    if (drift.length === 0 && agreement.length === 0) return;
    const sending = this.#parts
      .send({ drift, agreement })
      .catch((error: Error) =>
        this.#parts.log({ level: "warn", message: "observations of models lost", error: error.message }),
      );
    this.#parts.waitUntil(sending);
  }
}

/** The counts of one version on one day. */
class DriftTally {
  readonly counts: DriftReport & { score: number[]; features: Record<string, number[]> };
  readonly #score: Histogram;
  readonly #features: readonly { index: number; histogram: Histogram; counts: number[] }[];

  constructor(day: string, { name, sha256, calibration }: ModelPackage) {
    const { drift } = calibration;
    const known = features.flatMap((feature, index) => {
      const histogram = drift.features[feature.name];
      return histogram ? [{ name: feature.name, index, histogram, counts: zeros(histogram) }] : [];
    });
    this.#score = drift.score;
    this.#features = known;
    const byName = Object.fromEntries(known.map((feature) => [feature.name, feature.counts]));
    this.counts = { day, model: name, sha256, rows: 0, score: zeros(drift.score), features: byName };
  }

  add({ vectors }: ObservedInput, score: number): void {
    const latest = vectors.at(-1);
    if (!latest) return;
    this.counts.rows++;
    this.counts.score[partOf(this.#score, score)]++;
    for (const { index, histogram, counts } of this.#features) counts[partOf(histogram, latest[index] / levelMax)]++;
  }
}

function zeros({ shares }: Histogram): number[] {
  return shares.map(() => 0);
}
