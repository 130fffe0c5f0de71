import { allDetectors } from "../../src/core/detectors/index.ts";
import { FlowBatch } from "../../src/core/flow/flow-batch.ts";
import { allowanceBuckets, fold } from "../../src/core/flow/fold.ts";
import { networkMatcher } from "../../src/core/flow/networks.ts";
import { orient } from "../../src/core/flow/orient.ts";
import { RecordReader } from "../../src/core/formats/record-reader.ts";
import { Slots, slotsOf } from "../../src/core/slots/slots.ts";
import { StateWriter } from "../../src/core/slots/state-bytes.ts";

export interface StateSize {
  entities: number;
  flows: number;
  /** Of the saved state, open windows and all, per distinct address. */
  bytes_per_entity: number;
}

const allowanceMs = 600_000;

/** What a shard remembers of these logs, as it would save it. */
export function stateSize(logs: Iterable<string>, internal: readonly string[]): StateSize {
  const slots = new Slots({ detectors: allDetectors });
  const options = { hashKey: [1, 2], isInternal: networkMatcher(internal), allowanceMs } as const;
  const entities = new Set<string>();
  let flows = 0;
  for (const log of logs) {
    const batch = new FlowBatch();
    const reader = new RecordReader({ format: "auto", batch, recordsMax: Infinity, latestEndMs: Infinity });
    reader.push(new TextEncoder().encode(log));
    flows += reader.end().accepted;
    orient(batch);
    const { contacts } = fold(batch, options);
    for (let i = 0; i < contacts.addressHash.length; i++)
      entities.add(contacts.addresses.subarray(4 * i, 4 * i + 4).join());
    const learning = { wanted: slotsOf(contacts), allowanceBuckets: allowanceBuckets(allowanceMs), receivedAtMs: 0 };
    slots.learn(contacts, learning);
  }
  const writer = new StateWriter();
  for (const slot of slots.used()) slot.save(writer);
  return { entities: entities.size, flows, bytes_per_entity: Math.round(writer.length / entities.size) };
}
