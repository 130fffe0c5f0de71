import type { Configuration } from "../detectors/configuration.ts";
import { StateReader, StateWriter } from "../slots/state-bytes.ts";
import type { Acknowledgement } from "../slots/slot.ts";

/** What a shard did, as its log tells it: enough to do it again. */
export type Entry = EntryHead & { payload: Uint8Array<ArrayBuffer> };

interface Common {
  receivedAtMs: number;
  /** Verdicts that were known to be stored by then. */
  acknowledged: readonly Acknowledgement[];
  /** Versions in force, for whoever reads the log: a replay decides by what the contacts themselves say. */
  detectors: { readonly [id: string]: number };
}

interface Configured {
  /** What came with it; its slots judge by it unless they know a newer one. */
  configuration?: Configuration | undefined;
}

export type EntryHead =
  /** Learnt a batch; the payload is its packed contacts. */
  | (Common & Configured & { kind: "batch"; key: string; digest: string; slots: number[]; allowanceBuckets: number })
  /** The input was declared ended. */
  | (Common & Configured & { kind: "end" })
  /** Grew too fast for its slots to wait until they settle: those over their bound forgot at once. */
  | (Common & { kind: "forget" })
  /** Was restored: what it says from here on outranks what may have been stored. */
  | (Common & { kind: "outrank"; revision: number })
  /** Stopped to own slots, whose state somebody else took over. */
  | (Common & { kind: "release"; slots: number[] })
  /** Took slots over; the payload is what `exportSlots` gave. */
  | (Common & { kind: "adopt"; slots: number[]; move: number });

/** The head as JSON, then the payload. */
export function entryBytes(head: EntryHead, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const writer = new StateWriter(payload.length + 2048);
  writer.text(JSON.stringify(head));
  writer.u32(payload.length);
  writer.append(payload);
  return writer.bytes();
}

/** @throws RangeError or SyntaxError if it is not what `entryBytes` made. */
export function entryOf(bytes: Uint8Array): Entry {
  const reader = new StateReader(bytes);
  const head = JSON.parse(reader.text()) as EntryHead;
  return { ...head, payload: reader.block().slice() };
}
