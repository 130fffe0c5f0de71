import {
  slotContacts,
  type Detector,
  type SlotContacts,
  type SlotDetector,
} from "../../src/core/detectors/detector.ts";
import { detectors } from "../../src/core/detectors/index.ts";
import { settingsOf } from "../../src/core/detectors/thresholds.ts";
import { parseAddress } from "../../src/core/flow/address.ts";
import type { Contacts } from "../../src/core/flow/contacts.ts";
import { FlowBatch, Initiator, Outcome, Protocol } from "../../src/core/flow/flow-batch.ts";
import { fold, type FoldOptions } from "../../src/core/flow/fold.ts";
import { networkMatcher } from "../../src/core/flow/networks.ts";
import { orient } from "../../src/core/flow/orient.ts";
import { packContacts, unpackContacts } from "../../src/core/flow/pack-contacts.ts";
import { splitContacts } from "../../src/core/flow/split-contacts.ts";
import { MemoryStorage } from "../../src/core/shard/memory-storage.ts";
import { Shard } from "../../src/core/shard/shard.ts";
import type { ApplyRequest } from "../../src/core/shard/rpc.ts";
import type { SlotBounds } from "../../src/core/slots/slot.ts";
import type { StateReader } from "../../src/core/slots/state-bytes.ts";
import type { Verdict } from "../../src/core/verdict.ts";
import { Random } from "./random.ts";

/** One flow, as a test writes it; what is left out is a small TCP exchange that was answered. */
export interface TraceFlow {
  source: string;
  target: string;
  targetPort: number;
  startMs: number;
  durationMs?: number;
  sourcePort?: number;
  protocol?: number;
  outcome?: Outcome;
  sourceBytes?: number;
  targetBytes?: number;
  sourcePackets?: number;
  targetPackets?: number;
  initiator?: Initiator;
  tcpFlags?: number;
  /** Packets for each that was seen. */
  samplingRate?: number;
  /** An id of its own, above 0; none unless told. */
  recordId?: number;
}

export function batchOf(flows: readonly TraceFlow[]): FlowBatch {
  const batch = new FlowBatch(Math.max(1, flows.length));
  for (const flow of flows) {
    const outcome = flow.outcome ?? Outcome.Answered;
    const row = batch.add();
    batch.source[row] = batch.addresses.intern(...parseAddress(flow.source)!);
    batch.target[row] = batch.addresses.intern(...parseAddress(flow.target)!);
    batch.sourcePort[row] = flow.sourcePort ?? 40_000 + (flow.startMs % 20_000);
    batch.targetPort[row] = flow.targetPort;
    batch.protocol[row] = flow.protocol ?? Protocol.Tcp;
    batch.startMs[row] = flow.startMs;
    batch.endMs[row] = flow.startMs + (flow.durationMs ?? 100);
    batch.sourceBytes[row] = flow.sourceBytes ?? 500;
    batch.targetBytes[row] = flow.targetBytes ?? (outcome === Outcome.Answered ? 2_000 : 0);
    batch.sourcePackets[row] = flow.sourcePackets ?? 3;
    batch.targetPackets[row] = flow.targetPackets ?? (outcome === Outcome.Answered ? 4 : 0);
    batch.tcpFlags[row] = flow.tcpFlags ?? 0;
    batch.outcome[row] = outcome;
    batch.initiator[row] = flow.initiator ?? Initiator.Source;
    batch.samplingRate[row] = flow.samplingRate ?? 1;
    batch.recordIdHigh[row] = 0;
    batch.recordIdLow[row] = flow.recordId ?? 0;
  }
  orient(batch);
  return batch;
}

const foldOptions: FoldOptions = {
  hashKey: [0x01234567, 0x89abcdef],
  isInternal: networkMatcher(["10.0.0.0/8", "2001:db8:1::/48"]),
  allowanceMs: 600_000,
};

export function contactsOf(flows: readonly TraceFlow[], options: Partial<FoldOptions> = {}): Contacts {
  return unpackContacts(packContacts(fold(batchOf(flows), { ...foldOptions, ...options }).contacts));
}

/** All contacts, as if they were of one slot. */
export function wholeSlot(contacts: Contacts): SlotContacts {
  const all = ({ length }: { length: number }) => Uint32Array.from({ length }, (_, i) => i);
  const { pairs, targets, prefixes, sessions } = contacts;
  const indexes = { pairs: all(pairs), targets: all(targets), prefixes: all(prefixes), sessions: all(sessions) };
  return slotContacts(contacts, indexes);
}

/** A detector's memory of one slot, by its default settings. */
export function slotOfDetector(detector: Detector, saved?: StateReader): SlotDetector {
  return detector.create(settingsOf(detector.thresholds), saved);
}

export interface RunOptions {
  /** Flows per batch; all in one by default. */
  cut?: number;
  /** Objects among which the slots are dealt. */
  shards?: number;
  detectors?: readonly Detector[];
  bounds?: SlotBounds;
  /** Whether each shard loses its memory and is restored from its bytes after every batch. */
  evict?: boolean;
  /** Of fold and shards alike. */
  allowanceMs?: number;
  /** Of the fold alone: to break a rule on purpose. */
  foldOptions?: Partial<FoldOptions>;
  /** Changes contacts on their way: to break a rule on purpose. */
  tamper?: (contacts: Contacts) => Contacts;
}

/** Everything that the slots said, in order. */
export function verdictsOf(flows: readonly TraceFlow[], options: RunOptions = {}): Verdict[] {
  const { cut = flows.length, shards: shardCount = 1, tamper = (contacts) => contacts } = options;
  const { allowanceMs = foldOptions.allowanceMs } = options;
  const storages = Array.from({ length: shardCount }, () => new MemoryStorage());
  const made = (storage: MemoryStorage) =>
    new Shard({ storage, detectors, ...pickDefined(options.detectors, options.bounds) });
  const shards = storages.map(made);
  const verdicts: Verdict[] = [];
  for (let from = 0; from < flows.length; from += cut) {
    const contacts = tamper(contactsOf(flows.slice(from, from + cut), { allowanceMs, ...options.foldOptions }));
    splitContacts(contacts, shardCount).forEach((part, index) => {
      if (!part) return;
      const result = shards[index].apply(applyRequest(`batch ${from}`, part, allowanceMs), 0);
      if (result.status !== "applied") throw new Error(`a batch was ${result.status}`);
      verdicts.push(...result.verdicts.map(({ verdict }) => verdict));
      if (options.evict) shards[index] = made(storages[index]);
    });
  }
  for (const shard of shards) {
    verdicts.push(...shard.end({ receivedAtMs: 0, acknowledged: [] }).map(({ verdict }) => verdict));
  }
  return verdicts;
}

function pickDefined(kinds: readonly Detector[] | undefined, bounds: SlotBounds | undefined) {
  return { ...(kinds && { detectors: kinds }), ...(bounds && { bounds }) };
}

/** A request that nobody waited for. */
export function applyRequest(name: string, contacts: Contacts, allowanceMs = foldOptions.allowanceMs): ApplyRequest {
  const batchKey = Buffer.from(name.padEnd(32, "\0")).toString("hex");
  return {
    batchKey: batchKey.slice(0, 64),
    part: 0,
    bodyDigest: batchKey,
    contacts: packContacts(contacts),
    allowanceMs,
    receivedAtMs: 0,
    sentAtMs: 0,
    acknowledged: [],
  };
}

/** What promise 3 speaks of, sorted: final verdicts without revisions. */
export function finalVerdicts(flows: readonly TraceFlow[], options: RunOptions = {}): string[] {
  return verdictsOf(flows, options)
    .filter(({ state }) => state === "final")
    .map((verdict) => JSON.stringify({ ...verdict, revision: undefined, completeness: undefined }))
    .sort();
}

/** 2026-01-05T08:00Z: a whole hour, far from midnight. */
export const traceStartMs = Date.UTC(2026, 0, 5, 8);

/**
 * An hour and a half of an office with every threat in it, by order of end: scans up and across (one of IPv6), a slow
 * scan, a SYN flood from many sources, a reflection, beacons with and without answers; thousands of flows.
 */
export function sampleTrace(seed: number): TraceFlow[] {
  const random = new Random(seed);
  const at = (minutes: number) => Math.floor(traceStartMs + minutes * 60_000 + random.next() * 1000);
  const flows: TraceFlow[] = [];
  for (let i = 0; i < 1500; i++) {
    flows.push({
      source: `10.0.0.${random.int(10, 40)}`,
      target: `203.0.113.${random.int(1, 200)}`,
      targetPort: random.pick([80, 443, 443, 8443]),
      startMs: at(random.next() * 90),
      durationMs: random.int(1, 60_000),
      sourceBytes: random.int(100, 9000),
    });
  }
  const failed = { outcome: Outcome.Unanswered, sourcePackets: 1, sourceBytes: 40 };
  for (let port = 1; port <= 300; port++) {
    flows.push({
      source: "198.51.100.7",
      target: "10.0.0.5",
      targetPort: port,
      startMs: at(10 + port / 100),
      ...failed,
    });
  }
  for (let host = 1; host <= 90; host++) {
    flows.push({
      source: "10.0.0.66",
      target: `10.0.7.${host}`,
      targetPort: 445,
      startMs: at(20 + host / 20),
      ...failed,
    });
  }
  for (let host = 1; host <= 60; host++) {
    const target = `2001:db8:1::${host.toString(16)}`;
    flows.push({ source: "2001:db8:bad::1", target, targetPort: 22, startMs: at(30 + host / 20), ...failed });
  }
  for (let port = 0; port < 14; port++) {
    flows.push({
      source: "192.0.2.9",
      target: "10.0.0.6",
      targetPort: 7000 + port,
      startMs: at(5 + port * 6),
      ...failed,
    });
  }
  for (let i = 0; i < 2500; i++) {
    const source = `198.18.${random.int(0, 255)}.${random.int(1, 254)}`;
    flows.push({ source, target: "10.0.0.80", targetPort: 443, startMs: at(40 + i / 2500), durationMs: 0, ...failed });
  }
  const reply = { sourcePackets: 0, sourceBytes: 0, targetPackets: 2, targetBytes: 2800, outcome: Outcome.Unknown };
  for (let i = 0; i < 1500; i++) {
    const target = `192.0.2.${random.int(1, 254)}`;
    flows.push({
      source: "10.0.0.81",
      target,
      targetPort: 53,
      protocol: Protocol.Udp,
      startMs: at(50 + i / 2000),
      ...reply,
    });
  }
  // What is small and what is large, asked and answered, falls into the same contacts.
  for (let host = 1; host <= 50; host++) {
    const probe = { source: "198.51.100.8", target: `10.0.8.${host}`, targetPort: 5000, protocol: Protocol.Udp };
    const startMs = at(35 + host / 20);
    flows.push({ ...probe, startMs, ...failed, sourcePackets: 5, sourceBytes: 100 });
    flows.push({ ...probe, startMs: startMs + 20, ...failed, sourcePackets: 90, sourceBytes: 90_000 });
  }
  const lookup = { target: "10.0.0.82", targetPort: 53, protocol: Protocol.Udp, outcome: Outcome.Unknown };
  for (let i = 0; i < 1800; i++) {
    const source = `198.19.${i >> 8}.${i & 255}`;
    const startMs = at(60 + i / 2000);
    flows.push({ ...lookup, source, startMs, sourcePackets: 1, sourceBytes: 70, targetPackets: 0 });
    if (i % 3 === 0) flows.push({ ...lookup, source, startMs, sourcePackets: 0, sourceBytes: 0, targetPackets: 1 });
    if (i % 3 === 1) flows.push({ ...lookup, source, startMs: startMs + 10, ...failed });
  }
  for (let i = 0; i < 80; i++) {
    const beacon = {
      source: "10.0.0.20",
      target: "203.0.113.250",
      targetPort: 4444,
      sourceBytes: 240,
      targetBytes: 300,
    };
    flows.push({ ...beacon, startMs: at(i + 0.2 * random.next()) });
    flows.push({
      source: "10.0.0.21",
      target: "203.0.113.251",
      targetPort: 6667,
      startMs: at(i + random.next() / 2),
      ...failed,
    });
  }
  return flows.sort((a, b) => endOf(a) - endOf(b));
}

export function endOf(flow: TraceFlow): number {
  return flow.startMs + (flow.durationMs ?? 100);
}
