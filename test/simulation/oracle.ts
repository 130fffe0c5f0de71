import {
  slotContacts,
  type Detector,
  type SlotContacts,
  type SlotDetector,
} from "../../src/core/detectors/detector.ts";
import { explained } from "../../src/core/detectors/explain.ts";
import { settingsOf } from "../../src/core/detectors/thresholds.ts";
import { parseAddress } from "../../src/core/flow/address.ts";
import { bucketMs, type Contacts } from "../../src/core/flow/contacts.ts";
import { allowanceBuckets } from "../../src/core/flow/fold.ts";
import { hashAddress, noSlot, slotOf, type HashKey } from "../../src/core/flow/keyed-hash.ts";
import type { NetworkMatcher } from "../../src/core/flow/networks.ts";
import { unpackContacts } from "../../src/core/flow/pack-contacts.ts";
import { homePrefixOf, neighbourhoodOf } from "../../src/core/flow/prefixes.ts";
import type { ApplyRequest } from "../../src/core/shard/rpc.ts";
import { NetworkFacts } from "../../src/core/slots/network-facts.ts";
import { SlotSet } from "../../src/core/slots/slot-set.ts";
import { atMostLow, type SlotBounds } from "../../src/core/slots/slot.ts";
import { Slots, slotsOf } from "../../src/core/slots/slots.ts";
import type { Finding } from "../../src/core/verdict.ts";
import { contactsOf, type TraceFlow } from "../support/trace.ts";
import type { PlannedBatch } from "./plan.ts";

type Role = "source" | "target" | "prefix";
const roles: readonly Role[] = ["source", "target", "prefix"];

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
        for (const role of roles) if (this.#slotOf(flow, role) === slot) this.#learn(history, flow, role);
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
        if (this.#slotOf(flow, role) === noSlot) continue;
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
    const facts = new NetworkFacts();
    const learnt = [...this.#slots].map(([slot, { flows }]) => ({ slot, detectors: this.#learnt(slot, flows) }));
    for (const { slot, detectors } of learnt) for (const one of detectors) one.tell?.(facts.ofSlot(slot), true);
    return learnt.flatMap(({ detectors }) => detectors.flatMap((one, i) => this.#said(i, one, facts)));
  }

  /** What a detector says at last, as it is published. */
  #said(i: number, detector: SlotDetector, facts: NetworkFacts): Finding[] {
    const { thresholds, isExperimental } = this.#parts.detectors[i];
    const final = detector.findings(Number.POSITIVE_INFINITY, facts).filter((opinion) => opinion.final);
    return final.map(({ finding, judge }) =>
      explained(isExperimental ? atMostLow(finding) : finding, settingsOf(thresholds), thresholds, judge),
    );
  }

  /** The same from the real slots, which have caps, record by record: where caps bite, they decide. */
  boundedFindings(bounds: SlotBounds): Finding[] {
    const { detectors, allowanceMs } = this.#parts;
    const facts = new NetworkFacts();
    const learnt = [...this.#slots].map(([slot, { flows }]) => {
      const wanted = new SlotSet();
      wanted.add(slot);
      const slots = new Slots({ detectors, bounds });
      const options = { wanted, allowanceBuckets: allowanceBuckets(allowanceMs), receivedAtMs: 0 };
      const verdicts = flows.flatMap(({ flow, role }) => slots.learn(only(this.#fold([flow]), role), options).verdicts);
      for (const one of slots.used()) one.tell(facts);
      facts.merge(slots.facts);
      return { slots, verdicts: verdicts.map(({ verdict }) => verdict) };
    });
    return learnt.flatMap(({ slots, verdicts }) => {
      slots.facts.merge(facts);
      const last = slots.used().flatMap((one) => one.end(0));
      return [...verdicts, ...last].filter(({ state }) => state === "final");
    });
  }

  /** Every detector, with what the slot has learnt. */
  #learnt(slot: number, flows: History["flows"]): SlotDetector[] {
    const timely = (role: Role) => flows.filter((one) => one.role === role && !one.isLate).map(({ flow }) => flow);
    const learnt = roles.map((role) => this.#slotContacts(slot, this.#fold(timely(role)), role));
    return this.#parts.detectors.map((kind) => {
      const detector = kind.create(settingsOf(kind.thresholds));
      for (const contacts of learnt) detector.learn(contacts);
      return detector;
    });
  }

  #slotContacts(slot: number, contacts: Contacts, role: Role): SlotContacts {
    const { pairs, targets, prefixes, sessions, addressHash } = contacts;
    const of = (wanted: Role, column: Uint32Array, length: number) =>
      Uint32Array.from({ length: role === wanted ? length : 0 }, (_, i) => i).filter(
        (i) => slotOf(addressHash[column[i]]) === slot,
      );
    return slotContacts(contacts, {
      pairs: of("source", pairs.source, pairs.length),
      targets: of("target", targets.target, targets.length),
      prefixes: of("prefix", prefixes.prefix, prefixes.length),
      sessions: of("source", sessions.source, sessions.length),
    });
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

  /** The slot that learns this role of a flow; `noSlot` where none does. */
  #slotOf(flow: TraceFlow, role: Role): number {
    const { isInternal, hashKey } = this.#parts;
    const words = parseAddress(role === "source" ? flow.source : flow.target)!;
    const isOwn = isInternal(...words);
    if (role !== "prefix") return slotOf(hashAddress(hashKey, ...(isOwn ? words : neighbourhoodOf(...words))));
    const isFromOutside = !isInternal(...parseAddress(flow.source)!);
    return isOwn && isFromOutside ? slotOf(hashAddress(hashKey, ...homePrefixOf(...words))) : noSlot;
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
  const none = <Group extends object>(group: Group, wanted: Role): Group =>
    role === wanted ? group : { ...group, length: 0 };
  return {
    ...contacts,
    pairs: none(contacts.pairs, "source"),
    targets: none(contacts.targets, "target"),
    prefixes: none(contacts.prefixes, "prefix"),
    sessions: none(contacts.sessions, "source"),
    records: { ...contacts.records, length: 0 },
  };
}
