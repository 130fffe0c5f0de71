import { allDetectors } from "../../src/core/detectors/index.ts";
import type { Configuration } from "../../src/core/detectors/configuration.ts";
import type { Detector } from "../../src/core/detectors/detector.ts";
import type { Candidate } from "../../src/core/features/candidate.ts";
import { FlowBatch } from "../../src/core/flow/flow-batch.ts";
import { fold } from "../../src/core/flow/fold.ts";
import { networkMatcher } from "../../src/core/flow/networks.ts";
import { orient } from "../../src/core/flow/orient.ts";
import { packContacts } from "../../src/core/flow/pack-contacts.ts";
import { splitContacts } from "../../src/core/flow/split-contacts.ts";
import { Shard } from "../../src/core/shard/shard.ts";
import type { ShardStorage } from "../../src/core/shard/storage.ts";
import { acknowledgementOf, type PendingVerdict } from "../../src/core/slots/slot.ts";
import { severities, type Verdict } from "../../src/core/verdict.ts";
import { copyRow } from "./rows.ts";

export interface PlayOptions {
  internal: readonly string[];
  /** Longest span of event time in one batch, in ms, at a moment of it. */
  spanMs?: (atMs: number) => number;
  /** How late a record may come, in ms. */
  allowanceMs?: number;
  detectors?: readonly Detector[];
  configuration?: Configuration | undefined;
}

/** What stands at the end about one entity in one window, at medium severity or above. */
export interface Alert {
  verdict: Verdict;
  /** What was said of it so far at medium severity or above, the first first. */
  said: Saying[];
}

export interface Saying {
  verdict: Verdict;
  /** The batch that brought it, from 0 on, and that batch's last end. */
  batch: number;
  atMs: number;
}

/** A host as models are shown it. */
export interface ShownAt {
  candidate: Candidate;
  /** The batch that brought it, from 0 on, and that batch's last end. */
  batch: number;
  atMs: number;
}

export interface Played {
  alerts: Alert[];
  /** Hosts that models should look at. */
  shown: ShownAt[];
  flows: number;
  late: number;
  /** Last end of each batch, in ms. No two batches share an end. */
  batchEndsMs: number[];
  seconds: number;
}

const recordsPerBatch = 5000;
const alarmFrom = severities.indexOf("medium");

/** Plays rows through the core in one process, by order of end, as one tenant with one shard would see them. */
export function play(sources: readonly FlowBatch[], options: PlayOptions): Played {
  const { internal, spanMs = () => 10_000, allowanceMs = 600_000, detectors = allDetectors } = options;
  const began = performance.now();
  const rows = ordered(sources);
  const tenant = new Tenant(networkMatcher(internal), allowanceMs, detectors, options.configuration);
  const batchEndsMs: number[] = [];
  const batch = new FlowBatch();
  for (let next = 0; next < rows.count;) {
    batch.clear();
    const firstMs = rows.endMs(next);
    const lastMs = firstMs + spanMs(firstMs);
    while (next < rows.count) {
      const endMs = rows.endMs(next);
      const isFull = batch.length >= recordsPerBatch && endMs > batch.endMs[batch.length - 1];
      if (isFull || endMs >= lastMs) break;
      rows.copy(next++, batch);
    }
    batchEndsMs.push(batch.endMs[batch.length - 1]);
    tenant.take(batch, batchEndsMs.length - 1, batchEndsMs.at(-1)!);
  }
  tenant.end(batchEndsMs.length - 1, batchEndsMs.at(-1) ?? 0);
  return {
    alerts: tenant.alerts(),
    shown: tenant.shown,
    flows: rows.count,
    late: tenant.late,
    batchEndsMs,
    seconds: (performance.now() - began) / 1000,
  };
}

/** Nothing is read back: a scene is played once. */
const noStorage: ShardStorage = { atomically: (work) => work(), read: () => [], write() {}, setAside() {} };
const noBounds = { rowsMax: 2 ** 50, bytesMax: 2 ** 50 };

class Tenant {
  late = 0;
  readonly shown: ShownAt[] = [];
  readonly #isInternal;
  readonly #allowanceMs: number;
  readonly #shard: Shard;
  readonly #configuration: Configuration | undefined;
  readonly #said = new Map<string, Alert>();

  constructor(
    isInternal: ReturnType<typeof networkMatcher>,
    allowanceMs: number,
    detectors: readonly Detector[],
    configuration: Configuration | undefined,
  ) {
    this.#configuration = configuration;
    this.#isInternal = isInternal;
    this.#allowanceMs = allowanceMs;
    this.#shard = new Shard({ storage: noStorage, detectors, log: noBounds });
  }

  take(batch: FlowBatch, number: number, atMs: number): void {
    orient(batch);
    const allowanceMs = this.#allowanceMs;
    const options = { hashKey: [0x01234567, 0x89abcdef] as const, isInternal: this.#isInternal, allowanceMs };
    for (let start = 0, part = 0; start < batch.length; part++) {
      const { contacts, end } = fold(batch, options, start);
      start = end;
      const [mine] = splitContacts(contacts, 1);
      if (!mine) continue;
      const batchKey = number.toString(16).padStart(16, "0").padEnd(64, "0");
      const result = this.#shard.apply(
        {
          batchKey,
          part,
          bodyDigest: batchKey,
          contacts: packContacts(mine),
          allowanceMs,
          receivedAtMs: atMs,
          sentAtMs: atMs,
          acknowledged: [],
          configuration: this.#configuration,
        },
        atMs,
      );
      if (result.status !== "applied") throw new Error(`batch ${number} was ${result.status}`);
      this.late += result.late;
      this.#hear(result.verdicts, number, atMs);
      this.#show(result.candidates, number, atMs);
    }
  }

  end(number: number, atMs: number): void {
    const configuration = this.#configuration;
    this.#hear(this.#shard.end({ receivedAtMs: atMs, acknowledged: [], configuration }), number, atMs);
    this.#show(this.#shard.takeCandidates(), number, atMs);
  }

  #show(candidates: readonly Candidate[], batch: number, atMs: number): void {
    for (const candidate of candidates) this.shown.push({ candidate, batch, atMs });
  }

  alerts(): Alert[] {
    return [...this.#said.values()].filter(({ verdict }) => isAlarm(verdict));
  }

  #hear(pending: readonly PendingVerdict[], batch: number, atMs: number): void {
    for (const { verdict } of pending) {
      const { threat, entity, window } = verdict;
      const name = `${threat} ${entity} ${window.startMs} ${window.endMs}`;
      const said = this.#said.get(name)?.said ?? [];
      if (isAlarm(verdict)) said.push({ verdict, batch, atMs });
      this.#said.set(name, { verdict, said });
    }
    this.#shard.acknowledge(pending.map(acknowledgementOf));
  }
}

function isAlarm({ severity, state }: Verdict): boolean {
  return state !== "withdrawn" && severities.indexOf(severity) >= alarmFrom;
}

/** The rows of several, by end; of equal ends in the order given. */
function ordered(sources: readonly FlowBatch[]) {
  const count = sources.reduce((sum, { length }) => sum + length, 0);
  let firstMs = Infinity;
  for (const { length, endMs } of sources) for (let i = 0; i < length; i++) firstMs = Math.min(firstMs, endMs[i]);
  // End and row share the 53 bits of a number: three days leave room for 34 million rows.
  const keys = new Float64Array(count);
  const offsets: number[] = [];
  let at = 0;
  for (const { length, endMs } of sources) {
    offsets.push(at);
    for (let i = 0; i < length; i++) keys[at] = (endMs[i] - firstMs) * count + at++;
  }
  keys.sort();
  const endMs = (i: number) => (keys[i] - (keys[i] % count)) / count + firstMs;
  const copy = (i: number, to: FlowBatch) => {
    const row = keys[i] % count;
    let source = sources.length - 1;
    while (offsets[source] > row) source--;
    copyRow(sources[source], row - offsets[source], to);
  };
  return { count, endMs, copy };
}
