import type { Detector, SlotContacts } from "../../src/core/detectors/detector.ts";
import { parseAddress } from "../../src/core/flow/address.ts";
import { bucketMs, type Contacts } from "../../src/core/flow/contacts.ts";
import { allowanceBuckets } from "../../src/core/flow/fold.ts";
import { hashAddress, slotOf, type HashKey } from "../../src/core/flow/keyed-hash.ts";
import type { NetworkMatcher } from "../../src/core/flow/networks.ts";
import { unpackContacts } from "../../src/core/flow/pack-contacts.ts";
import type { ApplyRequest } from "../../src/core/shard/rpc.ts";
import { SlotSet } from "../../src/core/slots/slot-set.ts";
import type { SlotBounds } from "../../src/core/slots/slot.ts";
import { Slots, slotsOf } from "../../src/core/slots/slots.ts";
import type { Finding } from "../../src/core/verdict.ts";
import { contactsOf, type TraceFlow } from "../support/trace.ts";
import type { PlannedBatch } from "./plan.ts";

type Role = "source" | "target";
const roles: readonly Role[] = ["source", "target"];

export interface OracleParts {
  hashKey: HashKey;
  isInternal: NetworkMatcher;
  allowanceMs: number;
  detectors: readonly Detector[];
}

/** What one slot has learnt, in order, as far as nothing of it came twice. */
interface History {
  flows: { flow: TraceFlow; role: Role; isLate: boolean }[];
  batches: Set<string>;
  /** By role. */
  recordIds: Set<string>;
  watermark: number;
}

/**
 * What final verdicts must be: plain, slow and unbounded. It is told only which batch became durable in which slots,
 * keeps every flow, and knows no logs, snapshots, shards, parts or caps.
 */
export class Oracle {
  readonly #parts: OracleParts;
  readonly #batches = new Map<string, PlannedBatch>();
  readonly #slots = new Map<number, History>();

  constructor(parts: OracleParts) {
    this.#parts = parts;
  }

  /** A batch that may be posted, under the key that shards will see. */
  knows(batchKey: string, batch: PlannedBatch): void {
    this.#batches.set(batchKey, batch);
  }

  applied({ batchKey, contacts }: ApplyRequest): void {
    const batch = this.#batches.get(batchKey)!;
    for (const slot of slotsOf(unpackContacts(contacts))) {
      const history = this.#historyOf(slot);
      if (history.batches.has(batchKey)) continue;
      history.batches.add(batchKey);
      for (const flow of batch.flows) {
        for (const role of roles) if (this.#slotOf(flow[role]) === slot) this.#learn(history, flow, role);
      }
    }
  }

  /** Late in the slots of their sources. */
  get late(): number {
    const all = [...this.#slots.values()].flatMap(({ flows }) => flows);
    return all.filter(({ role, isLate }) => role === "source" && isLate).length;
  }

  /** Flows that some slot learnt more or less than once, in words. */
  miscounted(flows: readonly TraceFlow[]): string[] {
    const counts = new Map<string, number>();
    for (const { flows: learnt } of this.#slots.values()) {
      for (const { flow, role } of learnt) {
        const key = `${role} ${JSON.stringify(flow)}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    }
    const wanted = new Map<string, number>();
    for (const flow of flows) {
      for (const role of roles) {
        const key = `${role} ${JSON.stringify(flow)}`;
        wanted.set(key, (wanted.get(key) ?? 0) + 1);
      }
    }
    return [...wanted]
      .filter(([key, times]) => counts.get(key) !== times)
      .map(([key, times]) => {
        return `${key}: ${counts.get(key) ?? 0} times instead of ${times}`;
      });
  }

  /** The final verdicts. */
  findings(): Finding[] {
    return [...this.#slots].flatMap(([slot, { flows }]) => this.#judge(slot, flows));
  }

  /** The same from the real slots, which have caps, record by record: where caps bite, they decide. */
  boundedFindings(bounds: SlotBounds): Finding[] {
    const { detectors, allowanceMs } = this.#parts;
    return [...this.#slots].flatMap(([slot, { flows }]) => {
      const wanted = new SlotSet();
      wanted.add(slot);
      const slots = new Slots({ detectors, bounds });
      const options = { wanted, allowanceBuckets: allowanceBuckets(allowanceMs), receivedAtMs: 0 };
      const verdicts = flows.flatMap(({ flow, role }) => slots.learn(only(this.#fold([flow]), role), options).verdicts);
      const last = slots.used().flatMap((one) => one.end(0));
      return [...verdicts.map(({ verdict }) => verdict), ...last].filter(({ state }) => state === "final");
    });
  }

  #judge(slot: number, flows: History["flows"]): Finding[] {
    const timely = (role: Role) => flows.filter((one) => one.role === role && !one.isLate).map(({ flow }) => flow);
    const learnt = roles.map((role) => this.#slotContacts(slot, this.#fold(timely(role)), role));
    return this.#parts.detectors.flatMap((kind) => {
      const detector = kind.create(kind.defaults);
      for (const contacts of learnt) detector.learn(contacts);
      const opinions = detector.findings(Number.POSITIVE_INFINITY);
      return opinions.filter(({ final }) => final).map(({ finding }) => finding);
    });
  }

  #slotContacts(slot: number, contacts: Contacts, role: Role): SlotContacts {
    const { pairs, targets, addressHash } = contacts;
    const of = (column: Uint32Array, length: number) =>
      Uint32Array.from({ length }, (_, i) => i).filter((i) => slotOf(addressHash[column[i]]) === slot);
    return {
      contacts,
      pairs: role === "source" ? of(pairs.source, pairs.length) : new Uint32Array(),
      targets: role === "target" ? of(targets.target, targets.length) : new Uint32Array(),
    };
  }

  #fold(flows: readonly TraceFlow[]): Contacts {
    const { hashKey, isInternal } = this.#parts;
    const plain = flows.map((flow) => ({ ...flow, recordId: 0 }));
    return contactsOf(plain, { hashKey, isInternal, allowanceMs: 1e12 });
  }

  #learn(history: History, flow: TraceFlow, role: Role): void {
    const recordId = `${role} ${flow.recordId}`;
    if (flow.recordId !== undefined && history.recordIds.has(recordId)) return;
    const bucket = Math.floor((flow.startMs + (flow.durationMs ?? 100)) / bucketMs);
    const isLate = bucket + allowanceBuckets(this.#parts.allowanceMs) < history.watermark;
    history.watermark = Math.max(history.watermark, bucket);
    history.flows.push({ flow, role, isLate });
    if (flow.recordId !== undefined) history.recordIds.add(recordId);
  }

  #slotOf(address: string): number {
    return slotOf(hashAddress(this.#parts.hashKey, ...parseAddress(address)!));
  }

  #historyOf(slot: number): History {
    let history = this.#slots.get(slot);
    if (!history) {
      history = { flows: [], batches: new Set(), recordIds: new Set(), watermark: 0 };
      this.#slots.set(slot, history);
    }
    return history;
  }
}

/** What one role of a flow lets a slot learn. */
function only(contacts: Contacts, role: Role): Contacts {
  const { pairs, targets, records } = contacts;
  return role === "source"
    ? { ...contacts, targets: { ...targets, length: 0 }, records: { ...records, length: 0 } }
    : { ...contacts, pairs: { ...pairs, length: 0 }, records: { ...records, length: 0 } };
}
