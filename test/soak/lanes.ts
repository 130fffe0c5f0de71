import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { NotAcknowledged, type ShippedBatch, type Shipper } from "./shipper.ts";
import type { Traffic } from "./traffic.ts";

export interface LaneOptions {
  lanes: number;
  /** From one body to the next; 0: as fast as they are taken. */
  everyMs: number;
  /** A body waits until fewer than so many before it are without an answer: it keeps records from being late. */
  aheadMax: number;
  /** Whether another body is wanted. */
  goesOn: (bodies: number) => boolean;
}

/** What became of the bodies that were sent. */
export interface Shipped {
  bodies: number;
  flows: number;
  accepted: number;
  late: number;
  /** Batches that needed more than one try. */
  retried: number;
  /** Of those: applied before, the answer was lost; and applied in part before. */
  duplicates: number;
  repaired: number;
  notAcknowledged: string[];
}

const compress = promisify(gzip);
/** Bodies made before they are due. */
const preparedMax = 4;

/** Sends bodies in order over some lanes, each when it is due, and sees each through. */
export async function ship(traffic: Traffic, shipper: Shipper, options: LaneOptions): Promise<Shipped> {
  const { lanes, everyMs, aheadMax, goesOn } = options;
  const shipped: Shipped = {
    bodies: 0,
    flows: 0,
    accepted: 0,
    late: 0,
    retried: 0,
    duplicates: 0,
    repaired: 0,
    notAcknowledged: [],
  };
  const prepared = new Map<number, Promise<Uint8Array>>();
  const prepare = (index: number) => {
    const body = prepared.get(index) ?? compress(traffic.body(index), { level: 1 });
    prepared.set(index, body);
    return body;
  };
  const open = new Set<number>();
  const startMs = performance.now();
  const lane = async () => {
    for (;;) {
      const index = shipped.bodies;
      if (!goesOn(index)) return;
      const waitMs = startMs + index * everyMs - performance.now();
      if (waitMs > 0 || index - Math.min(index, ...open) >= aheadMax) {
        await sleep(Math.max(2, waitMs));
        continue;
      }
      shipped.bodies++;
      open.add(index);
      const body = await prepare(index);
      prepared.delete(index);
      const answering = shipper.ingest(body).then(
        (answer) => count(shipped, answer),
        (error: unknown) => {
          if (!(error instanceof NotAcknowledged)) throw error;
          shipped.notAcknowledged.push(`body ${index}: ${error.message}`);
        },
      );
      // While it is on its way, what comes next is made.
      const next = Math.max(index + 1, shipped.bodies);
      for (let i = next; i < next + preparedMax; i++) if (!prepared.has(i)) void (await prepare(i));
      await answering;
      open.delete(index);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return shipped;
}

function count(shipped: Shipped, answer: ShippedBatch): void {
  shipped.flows += answer.received;
  shipped.accepted += answer.accepted;
  shipped.late += answer.late;
  if (answer.tries === 1) return;
  shipped.retried++;
  if (answer.duplicate === answer.received) shipped.duplicates++;
  else if (answer.repaired) shipped.repaired++;
}
