import { createHash } from "node:crypto";
import { anomalyJson } from "../api/anomaly-json.ts";
import { ConfigError } from "../config.ts";
import { FlowBatch } from "../core/flow/flow-batch.ts";
import { orient } from "../core/flow/orient.ts";
import { digestOf } from "../tiers/digest.ts";
import { askModels } from "../tiers/ask-models.ts";
import { endInput } from "../tiers/end-input.ts";
import type { Tenant } from "../security/tenant.ts";
import { learnBatch, type LearntBatch } from "../tiers/learn-batch.ts";
import { LocalClock, localParts } from "../tiers/local-parts.ts";
import { outboxDelayMs } from "../tiers/outbox.ts";
import { storeVerdicts, type ProcessParts } from "../tiers/store-verdicts.ts";
import type { StoredAnomaly } from "../storage/anomalies.ts";
import { anomalyTable } from "./anomalies.ts";
import type { Balance } from "./client.ts";
import { command, wholeNumber } from "./command.ts";
import { Failure } from "./failure.ts";
import { openInput } from "./input.ts";
import { formatNamed, readLog } from "./read-log.ts";
import { thousands } from "./table.ts";

/** The same for everybody, so that digests compare; it keeps no secret. */
const defaultKey = "00".repeat(32);

export const replay = command({
  meta: { name: "replay", description: "Run logs through the core in this process: what is found, and its digest" },
  variadic: true,
  args: {
    file: { type: "positional", description: "Flow logs, plain, .gz or .zst, in order; - is the standard input" },
    digest: { type: "boolean", description: "Only the digest of the final verdicts on stdout, the rest on stderr" },
    cut: { type: "string", default: "5000", description: "Records in a batch, across files" },
    shards: { type: "string", default: "1", description: "Shards that share the entities" },
    shuffle: { type: "string", description: "Put all records into an order that follows from this number" },
    duplicate: { type: "string", default: "0", description: "Probability that a batch comes twice" },
    format: { type: "string", default: "auto", description: "Format of the files" },
    fields: { type: "string", description: "Column names of a text format without a header, by commas" },
    allowance: { type: "string", default: "600", description: "How late a record may come, in seconds" },
    internal: { type: "string", description: "Own networks, by commas; the private ones unless told" },
    tenant: { type: "string", default: "replay", description: "Tenant under whose keys it runs" },
    key: { type: "string", description: "Master key, 64 hex digits; zeros unless told" },
  },
  async run({ args }) {
    const cut = wholeNumber("cut", args.cut, 1, 200_000);
    const seed = args.shuffle === undefined ? undefined : wholeNumber("shuffle", args.shuffle, 0, 0xffff_ffff);
    const repeatShare = probability("duplicate", args.duplicate);
    formatNamed(args.format);
    const { tenant } = args;
    const clock = new LocalClock();
    const parts = inUsage(() =>
      localParts({
        tenants: { [tenant]: { internal: args.internal?.split(",") } },
        masterKey: keyOf(args.key ?? defaultKey),
        allowanceMs: wholeNumber("allowance", args.allowance, 0, 86_400) * 1000,
        shards: wholeNumber("shards", args.shards, 1, 64),
        clock,
      }),
    );
    const { records, balance } = await readFiles(args._, args.format, args.fields?.split(","));
    const order = Uint32Array.from({ length: records.length }, (_, row) => row);
    if (seed !== undefined) shuffle(order, new Random(seed));
    const run = new Run(parts, clock, parts.tenant(tenant), balance);
    for (const batch of withRepeats(cutsOf(records, order, cut), repeatShare, new Random((seed ?? 1) + 1))) {
      await run.learn(records, batch);
    }
    const final = await run.end();
    const report = args.digest ? process.stderr : process.stdout;
    report.write(`${anomalyTable(final.map(anomalyJson))}\n\n${balanceText(balance, final.length)}\n`);
    if (balance.late > 0) process.stderr.write(`${lateText(balance.late)}\n`);
    if (args.digest) process.stdout.write(`${digestOf(final)}\n`);
  },
});

function probability(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value <= 1))
    throw new Failure(`--${name} takes a number from 0 to 1, not ${text}.`, 2);
  return value;
}

function keyOf(hex: string): Uint8Array {
  if (!/^[0-9a-f]{64}$/i.test(hex)) throw new Failure("--key takes 64 hex digits.", 2);
  return Buffer.from(hex, "hex");
}

export function inUsage<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new Failure(`--tenant or --internal is wrong: ${error.detail}.`, 2);
  }
}

/** All records of the files in one batch, as logged. */
export async function readFiles(paths: readonly string[], format: string, fields: readonly string[] | undefined) {
  if (paths.length === 0) throw new Failure("Say which files to replay.", 2);
  const records = new FlowBatch();
  const balance: Balance = { received: 0, accepted: 0, rejected: 0, skipped: 0, duplicate: 0, late: 0, sampled: 0 };
  for (const path of paths) {
    const { chunks } = await openInput(path);
    const summary = await readLog(chunks, { format, ...(fields && { fields }) }, (rows) => {
      for (let row = 0; row < rows.length; row++) append(records, rows, row);
    });
    balance.received += summary.received;
    balance.rejected += summary.rejected;
    balance.skipped += summary.skipped;
  }
  return { records, balance };
}

type Column = "sourcePort";

/** Every column but the two of addresses, by name. */
const columns = Object.entries(new FlowBatch(1))
  .filter(([name, column]) => ArrayBuffer.isView(column) && name !== "source" && name !== "target")
  .map(([name]) => name as Column);

export function append(to: FlowBatch, from: FlowBatch, row: number): void {
  const at = to.add();
  to.source[at] = addressIn(to, from, from.source[row]);
  to.target[at] = addressIn(to, from, from.target[row]);
  for (const column of columns) to[column][at] = from[column][row];
}

function addressIn(to: FlowBatch, { addresses: { words } }: FlowBatch, index: number): number {
  const w = 4 * index;
  return to.addresses.intern(words[w], words[w + 1], words[w + 2], words[w + 3]);
}

/** A batch as it is sent, once or twice. */
interface Cut {
  number: number;
  rows: Uint32Array;
  /** The greatest end of a record so far: a clock for what has none. */
  receivedAtMs: number;
}

function* cutsOf({ endMs }: FlowBatch, order: Uint32Array, records: number): Generator<Cut> {
  let receivedAtMs = 0;
  for (let from = 0; from < order.length; from += records) {
    const rows = order.subarray(from, from + records);
    receivedAtMs = rows.reduce((latest, row) => Math.max(latest, endMs[row]), receivedAtMs);
    yield { number: from / records, rows, receivedAtMs };
  }
}

/** A repeat comes at once or up to so many batches later. */
const repeatBatchesMax = 5;
/** It comes at most so much later by the clock: shards know a batch for two hours. */
const repeatMsMax = 3_600_000;

function* withRepeats(cuts: Iterable<Cut>, share: number, random: Random): Generator<Cut> {
  let waiting: { cut: Cut; before: number }[] = [];
  for (const cut of cuts) {
    const isDue = (repeat: (typeof waiting)[number]) =>
      repeat.before <= cut.number || cut.receivedAtMs - repeat.cut.receivedAtMs > repeatMsMax;
    for (const repeat of waiting.filter(isDue)) yield repeat.cut;
    waiting = waiting.filter((repeat) => !isDue(repeat));
    yield cut;
    if (random.next() < share) waiting.push({ cut, before: cut.number + 1 + random.below(repeatBatchesMax + 1) });
  }
  for (const { cut } of waiting) yield cut;
}

/** How often a batch is tried that comes while a shard has too much to store. */
const attemptsMax = 5;

/** The way of batches through the core, and the count of what became of their records. */
class Run {
  readonly #parts: ProcessParts;
  readonly #clock: LocalClock;
  readonly #tenant: Tenant;
  readonly #balance: Balance;
  readonly #flows = new FlowBatch();
  readonly #sent = new Set<number>();

  constructor(parts: ProcessParts, clock: LocalClock, tenant: Tenant, balance: Balance) {
    this.#parts = parts;
    this.#clock = clock;
    this.#tenant = tenant;
    this.#balance = balance;
  }

  async learn(records: FlowBatch, cut: Cut): Promise<void> {
    const flows = this.#flows;
    flows.clear();
    for (const row of cut.rows) append(flows, records, row);
    orient(flows);
    this.#clock.set(cut.receivedAtMs);
    const learnt = await this.#learnt(cut);
    const second = await askModels(this.#parts, learnt);
    await storeVerdicts(this.#parts, { ...learnt, tenant: this.#tenant, second }, outboxDelayMs);
    const { isDuplicate, late, duplicates } = learnt;

    const balance = this.#balance;
    if (this.#sent.has(cut.number)) balance.received += cut.rows.length;
    this.#sent.add(cut.number);
    if (isDuplicate) {
      balance.duplicate += cut.rows.length;
      return;
    }
    balance.accepted += cut.rows.length - late - duplicates;
    balance.late += late;
    balance.duplicate += duplicates;
  }

  async #learnt({ number, receivedAtMs }: Cut): Promise<LearntBatch> {
    const key = createHash("sha256").update(`replay ${number}`).digest("hex");
    const named = {
      tenant: this.#tenant,
      key,
      isNamedByShipper: false,
      bodyDigest: key,
      flows: this.#flows,
      receivedAtMs,
    };
    for (let attempt = 1; ; attempt++) {
      const learnt = await learnBatch(this.#parts, named);
      if (!("reason" in learnt)) return learnt;
      if (learnt.reason !== "overloaded" || attempt === attemptsMax)
        throw new Failure(`Batch ${number} was not learnt: ${learnt.reason}.`);
      // As a shipper does: later, when the shard has stored what it had to.
      this.#clock.set(this.#clock.nowMs() + outboxDelayMs + 1);
    }
  }

  /** Declares the input ended; the final verdicts, by window. */
  async end(): Promise<StoredAnomaly[]> {
    const ended = await endInput(this.#parts, this.#tenant);
    if ("reason" in ended) throw new Failure(`The input could not be ended: ${ended.reason}.`);
    const everything = { threats: [], severityMin: "info", sinceMs: -Infinity, untilMs: Infinity } as const;
    const query = { ...everything, order: "oldest_first", limit: Infinity } as const;
    const { anomalies } = await this.#parts.anomalies.list(this.#tenant, query);
    return anomalies.filter(({ state }) => state === "final").sort(byWindow);
  }
}

function byWindow(a: StoredAnomaly, b: StoredAnomaly): number {
  return a.window.startMs - b.window.startMs || a.window.endMs - b.window.endMs || (a.id < b.id ? -1 : 1);
}

function balanceText(balance: Balance, verdicts: number): string {
  const counts = (["received", "accepted", "rejected", "skipped", "duplicate", "late"] as const).map(
    (name) => `${name} ${thousands(balance[name])}`,
  );
  return `${counts.join(", ")}; verdicts ${thousands(verdicts)}`;
}

function lateText(late: number): string {
  return (
    `late ${thousands(late)}: these records end further than the allowance below the newest that their slot has seen, ` +
    "so they were not learnt. In another order others would be; --allowance may cover them."
  );
}

/** A seeded stream of chances (mulberry32): the same seed gives the same numbers on every machine. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 ≤ x < 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** A whole number, 0 included. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }
}

/** In place (Fisher and Yates). */
function shuffle(order: Uint32Array, random: Random): void {
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
}
