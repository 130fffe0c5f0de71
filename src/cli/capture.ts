import type { FlowBatch } from "../core/flow/flow-batch.ts";
import { addressAt } from "./flow.ts";
import { readLog } from "./read-log.ts";
import { canonical } from "./score.ts";
import type { TruthEvent } from "./truth.ts";

/** What the eval knows of a capture beside the Worker's answers: its size, and where each event begins. */
export class CaptureFacts {
  readonly #entities = new Set<string>();
  #earliestMs = Infinity;
  /** Greatest end of the batches up to each one. */
  readonly latestMs: number[] = [];
  /** Of each event: the batch of its first record, and when that began. */
  readonly begins = new Map<TruthEvent, { batch: number; startMs: number }>();
  readonly #events: readonly TruthEvent[];

  constructor(events: readonly TruthEvent[]) {
    this.#events = events;
  }

  /** Reads the next batch. */
  async read(body: Uint8Array): Promise<void> {
    const batch = this.latestMs.length;
    let latestMs = this.latestMs.at(-1) ?? -Infinity;
    await readLog([body], { format: "auto" }, (rows) => {
      const indexes = new Map<string, number>();
      for (let index = 0; index < rows.addresses.count; index++) indexes.set(addressAt(rows, index), index);
      for (const address of indexes.keys()) this.#entities.add(address);
      for (let row = 0; row < rows.length; row++) {
        this.#earliestMs = Math.min(this.#earliestMs, rows.startMs[row]);
        latestMs = Math.max(latestMs, rows.endMs[row]);
      }
      for (const event of this.#events) {
        if (this.begins.has(event)) continue;
        const startMs = firstStartMs(rows, event, indexes);
        if (startMs < Infinity) this.begins.set(event, { batch, startMs });
      }
    });
    this.latestMs.push(latestMs);
  }

  get size(): { entities: number; days: number } {
    const spanMs = (this.latestMs.at(-1) ?? 0) - this.#earliestMs;
    return { entities: this.#entities.size, days: Math.max(0, spanMs) / 86_400_000 };
  }
}

/** When the first row of an event began: one of its entities, and its peer and port if it names them. */
function firstStartMs(rows: FlowBatch, { entity, peer, port }: TruthEvent, indexes: Map<string, number>): number {
  const entities = indexesOf(entity, indexes);
  const peers = peer === undefined ? undefined : indexesOf(peer, indexes);
  const isEvent = (row: number, one: number, other: number) =>
    entities.has(one) &&
    (peers === undefined || peers.has(other)) &&
    (port === undefined || rows.sourcePort[row] === port || rows.targetPort[row] === port);
  let startMs = Infinity;
  for (let row = 0; row < rows.length; row++) {
    const source = rows.source[row];
    const target = rows.target[row];
    if (isEvent(row, source, target) || isEvent(row, target, source)) startMs = Math.min(startMs, rows.startMs[row]);
  }
  return startMs;
}

function indexesOf(addresses: string | string[], indexes: Map<string, number>): Set<number> {
  const found = [addresses].flat().map((address) => indexes.get(canonical(address)));
  return new Set(found.filter((index) => index !== undefined));
}
