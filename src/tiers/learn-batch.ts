import type { Configuration } from "../core/detectors/configuration.ts";
import type { Candidate } from "../core/features/candidate.ts";
import { KnownRows } from "../core/flow/known-rows.ts";
import type { Contacts } from "../core/flow/contacts.ts";
import type { FlowBatch } from "../core/flow/flow-batch.ts";
import { fold } from "../core/flow/fold.ts";
import { packContacts, type PackedContacts } from "../core/flow/pack-contacts.ts";
import { splitContacts } from "../core/flow/split-contacts.ts";
import type { ApplyResult } from "../core/shard/rpc.ts";
import type { PendingVerdict } from "../core/slots/slot.ts";
import type { Tenant } from "../security/tenant.ts";
import { callShard, isShardFailure, shardName, shardsOf, type ShardFailure, type ShardRef } from "./shard-call.ts";
import type { ProcessParts } from "./store-verdicts.ts";

/** An oriented batch with a name. */
export interface NamedBatch {
  tenant: Tenant;
  /** 64 hex digits. */
  key: string;
  /** Whether the shipper chose the key: then another body under the same one must change nothing. */
  isNamedByShipper: boolean;
  bodyDigest: string;
  flows: FlowBatch;
  receivedAtMs: number;
}

/** What became of a batch. */
export interface LearntBatch {
  /** Every part of it had been applied before; nothing changed. */
  isDuplicate: boolean;
  /** Some of it had been applied before, and now the rest was. */
  repaired: boolean;
  late: number;
  /** Rows that their slots knew from other batches, or that repeat another row. */
  duplicates: number;
  /** New revisions, by shard. */
  verdicts: { shard: ShardRef; verdicts: PendingVerdict[] }[];
  /** Hosts that models should look at. */
  candidates: Candidate[];
  configuration: Configuration;
  decidedAtMs: number;
}

/** The shipper used the name for another body. */
export type Conflict = { reason: "conflict" };

/** Times that a part is folded again since slots knew some of its records; more only if batches race each other. */
const roundsMax = 4;

/** Has the shards of a tenant learn a batch: in parts if it is big, each by all shards that it concerns. */
export async function learnBatch(
  parts: ProcessParts,
  batch: NamedBatch,
): Promise<LearntBatch | ShardFailure | Conflict> {
  const learning = new Learning(parts, batch, await parts.configurations.inForce(batch.tenant));
  let start = 0;
  let part = 0;
  do {
    const end = await learning.part(part++, start);
    if (typeof end !== "number") return end;
    start = end;
  } while (start < batch.flows.length);
  return learning.result();
}

interface Call {
  index: number;
  result: ApplyResult;
}

type Applied = Extract<ApplyResult, { status: "applied" | "duplicate" }>;

class Learning {
  readonly #parts: ProcessParts;
  readonly #batch: NamedBatch;
  readonly #configuration: Configuration;
  readonly #known: KnownRows;
  readonly #shards: readonly ShardRef[];
  readonly #applied: Applied[] = [];
  readonly #verdicts: LearntBatch["verdicts"] = [];
  readonly #candidates: Candidate[] = [];
  #decidedAtMs = 0;

  constructor(parts: ProcessParts, batch: NamedBatch, configuration: Configuration) {
    this.#parts = parts;
    this.#batch = batch;
    this.#configuration = configuration;
    this.#known = new KnownRows(batch.flows);
    this.#shards = shardsOf(batch.tenant);
  }

  /** Learns the rows from `start` on that make one part; answers where it ends. */
  async part(part: number, start: number): Promise<number | ShardFailure | Conflict> {
    let [folded, end] = this.#fold(start);
    let open = [...folded.keys()];
    for (let round = 0; round < roundsMax; round++) {
      const calls = await this.#call(part, folded, open);
      if (!Array.isArray(calls)) return calls;
      for (const { result } of calls) if (result.status === "known_records") this.#known.add(result.records);
      open = calls.filter(({ result }) => result.status === "known_records").map(({ index }) => index);
      if (open.length === 0) return end;
      [folded] = this.#fold(start, end);
    }
    return { reason: "shard_unavailable" };
  }

  result(): LearntBatch {
    const isDuplicate = this.#applied.every(({ status }) => status === "duplicate");
    return {
      isDuplicate,
      repaired: !isDuplicate && this.#applied.some((one) => one.status === "duplicate" || one.repaired),
      late: this.#applied.reduce((sum, { late }) => sum + late, 0),
      duplicates: this.#known.duplicates,
      verdicts: this.#verdicts,
      candidates: this.#candidates,
      configuration: this.#configuration,
      decidedAtMs: this.#decidedAtMs,
    };
  }

  /** The contacts of each shard, packed before anything is awaited: the fold uses its columns again. */
  #fold(start: number, wantedEnd?: number): [contacts: (PackedContacts | undefined)[], end: number] {
    const { tenant, flows, isNamedByShipper } = this.#batch;
    const { config } = this.#parts;
    const options = {
      hashKey: tenant.keys.entityHash,
      isInternal: tenant.isInternal,
      allowanceMs: config.allowanceMs,
      known: this.#known.rows,
    };
    const { contacts, end } = fold(flows, options, start, wantedEnd);
    const packed = splitContacts(contacts, this.#shards.length).map((own) => own && packContacts(own));
    // The first shard that is asked sees every batch of a name, even if it has nothing else to learn from it.
    if (isNamedByShipper) packed[this.#first] ??= packContacts(emptied(contacts));
    return [packed, end];
  }

  /** Which shard tells whether the shipper's name was used for another body. */
  get #first(): number {
    return Number.parseInt(this.#batch.key.slice(0, 2), 16) % this.#shards.length;
  }

  /** Calls those of the shards `open` that have something to learn. */
  async #call(
    part: number,
    folded: readonly (PackedContacts | undefined)[],
    open: readonly number[],
  ): Promise<Call[] | ShardFailure | Conflict> {
    const wanted = open.filter((index) => folded[index] !== undefined);
    const call = async (index: number) => ({ index, result: await this.#apply(part, index, folded[index]!) });
    const calls: { index: number; result: ApplyResult | ShardFailure }[] = [];
    if (this.#batch.isNamedByShipper && wanted.includes(this.#first)) {
      calls.push(await call(this.#first));
      const failure = failureOf(calls[0].result);
      if (failure) return failure;
    }
    calls.push(...(await Promise.all(wanted.filter((index) => index !== calls[0]?.index).map(call))));
    for (const { index, result } of calls) this.#note(index, result);
    for (const { result } of calls) {
      const failure = failureOf(result);
      if (failure) return failure;
    }
    return calls as Call[];
  }

  async #apply(part: number, index: number, contacts: PackedContacts): Promise<ApplyResult | ShardFailure> {
    const { clock, acknowledgements, config, facts, shardOf } = this.#parts;
    const { key, bodyDigest, receivedAtMs } = this.#batch;
    const shard = this.#shards[index];
    const name = shardName(shard);
    const acknowledged = acknowledgements.take(name);
    const request = {
      batchKey: key,
      part,
      bodyDigest,
      contacts,
      allowanceMs: config.allowanceMs,
      receivedAtMs,
      acknowledged,
      configuration: this.#configuration,
      ...facts.newsFor(shard),
    };
    const result = await callShard(this.#parts, () => shardOf(shard).apply({ ...request, sentAtMs: clock.nowMs() }));
    if (isShardFailure(result) || result.status !== "applied") {
      acknowledgements.add(name, acknowledged);
      facts.lost(shard);
    } else if (this.#shards.length > 1 && facts.hasNews(shard, result.factsRevision)) {
      this.#parts.waitUntil(hearFacts(this.#parts, shard, result.factsRevision));
    }
    return result;
  }

  #note(index: number, result: ApplyResult | ShardFailure): void {
    if (!isDone(result)) return;
    this.#applied.push(result);
    if (result.status === "duplicate") return;
    this.#verdicts.push({ shard: this.#shards[index], verdicts: result.verdicts });
    this.#candidates.push(...result.candidates);
    this.#decidedAtMs = Math.max(this.#decidedAtMs, result.decidedAtMs);
  }
}

/** What a shard has learnt of the network is for all of them. */
async function hearFacts(parts: ProcessParts, shard: ShardRef, revision: number): Promise<void> {
  const told = await callShard(parts, () => parts.shardOf(shard).facts(false));
  if (!isShardFailure(told)) parts.facts.hear(shard, revision, told.facts);
}

function isDone(result: ApplyResult | ShardFailure): result is Applied {
  return "status" in result && (result.status === "applied" || result.status === "duplicate");
}

function failureOf(result: ApplyResult | ShardFailure): ShardFailure | Conflict | undefined {
  if (isShardFailure(result)) return result;
  switch (result.status) {
    case "conflict":
      return { reason: "conflict" };
    case "overloaded":
      return { reason: "overloaded" };
    case "moved":
      return { reason: "shard_unavailable" };
    default:
      return undefined;
  }
}

function emptied({ pairs, targets, prefixes, sessions, records, ...addresses }: Contacts): Contacts {
  return {
    ...addresses,
    pairs: { ...pairs, length: 0 },
    targets: { ...targets, length: 0 },
    prefixes: { ...prefixes, length: 0 },
    sessions: { ...sessions, length: 0 },
    records: { ...records, length: 0 },
  };
}
