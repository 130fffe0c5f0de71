import { mixKey, tableSize } from "./contact-index.ts";
import {
  bucketMs,
  contactsMax,
  isBefore,
  periodBuckets,
  Refused,
  refusedByPrefix,
  refusedBySource,
  refusedByTarget,
  probeBytesMax,
  probePacketsMax,
  sessionMsMin,
  startsMax,
  type Contacts,
  type PairContacts,
  type RecordIds,
  type SessionContacts,
} from "./contacts.ts";
import { EntityTable } from "./entity-table.ts";
import { foldPrefixes } from "./fold-prefixes.ts";
import { foldTargets } from "./fold-targets.ts";
import { Outcome, Protocol, Tcp, type FlowBatch } from "./flow-batch.ts";
import { noSlot, slotCount, slotOf, type HashKey } from "./keyed-hash.ts";
import type { NetworkMatcher } from "./networks.ts";

export interface FoldOptions {
  /** The tenant's. */
  hashKey: HashKey;
  isInternal: NetworkMatcher;
  /** A record is late when its end lies further than this below the greatest end that its slot has seen. */
  allowanceMs: number;
  /** Per row, union of `Refused`: what the slots said that they know. */
  known?: Uint8Array | undefined;
}

/** The contacts of some rows, in columns that the next fold uses again: `packContacts` keeps them. */
export interface Fold {
  contacts: Contacts;
  /** The first row that is not in them; the number of rows where all are. */
  end: number;
}

/**
 * Folds rows of an oriented batch into contacts, once by (source, target, service), and from there by target: those
 * from `start` up to `end`, or, where no end is given, until there are `contactsMax` contacts.
 */
export function fold(batch: FlowBatch, options: FoldOptions, start = 0, end?: number): Fold {
  const entities = new EntityTable(batch.addresses, options.hashKey, options.isInternal);
  const rows = (end ?? batch.length) - start;
  const folding = new PairFold(batch, entities, options, end === undefined ? Math.min(rows, contactsMax) : rows);
  const folded = folding.run(start, start + rows);
  const { pairs, targetPeriod, prefixPeriod, sessions, records } = folding;
  const targets = foldTargets(pairs, targetPeriod, entities);
  const prefixes = foldPrefixes(pairs, prefixPeriod, entities);
  return { contacts: { ...entities.columns(), pairs, targets, prefixes, sessions, records }, end: folded };
}

/** One pass over the rows; a row goes to the contact that open addressing finds for its key. */
class PairFold {
  readonly pairs: PairContacts;
  /** Per pair, as its `period`, for the target's slot. */
  readonly targetPeriod: Uint32Array;
  /** The same for the prefix' slot; 0 where there is none. */
  readonly prefixPeriod: Uint32Array;
  readonly sessions = scratchSessions;
  records: RecordIds = emptyRecords(0);
  readonly #batch: FlowBatch;
  readonly #entities: EntityTable;
  readonly #allowanceBuckets: number;
  readonly #known: Uint8Array | undefined;
  readonly #contactsMax: number;
  readonly #index: Uint32Array;
  /** Of the row at hand: its bucket, and the slots of its source, its target and its target's prefix (or `noSlot`). */
  #bucket = 0;
  #sourceSlot = 0;
  #targetSlot = 0;
  #prefixSlot = 0;
  /** Greatest bucket seen so far, per slot. */
  readonly #slotBucket = new Uint32Array(slotCount);

  constructor(batch: FlowBatch, entities: EntityTable, options: FoldOptions, contacts: number) {
    this.#batch = batch;
    this.#entities = entities;
    this.#allowanceBuckets = allowanceBuckets(options.allowanceMs);
    this.#known = options.known;
    this.#contactsMax = contacts;
    this.pairs = scratchPairs(contacts);
    this.targetPeriod = scratchPeriods[0];
    this.prefixPeriod = scratchPeriods[1];
    this.#index = new Uint32Array(tableSize(contacts));
    this.sessions.length = 0;
  }

  /** Returns the first row that found no room. */
  run(start: number, end: number): number {
    for (let row = start; row < end; row++) {
      if (this.pairs.length === this.#contactsMax || this.sessions.length >= sessionsMax) return row;
      this.#addRow(row);
    }
    return end;
  }

  #addRow(row: number): void {
    const batch = this.#batch;
    this.#locate(row);
    const refused = this.#refusal(row);
    const contact = this.#contactOf(row, refused);
    if (batch.recordIdHigh[row] !== 0 || batch.recordIdLow[row] !== 0) this.#addRecordId(row, refused);
    const durationMs = batch.endMs[row] - batch.startMs[row];
    if (durationMs >= sessionMsMin) this.#addSession(row, refused);
    const pairs = this.pairs;
    const isReply = batch.sourcePackets[row] === 0 && batch.targetPackets[row] > 0;
    const outcome = batch.outcome[row] as Outcome;
    if (hasFailed(batch, row, outcome, isReply)) pairs.failed[contact]++;
    else if (outcome === Outcome.Answered || batch.targetPackets[row] > 0 || wentOn(batch, row)) {
      pairs.answered[contact]++;
    }
    pairs.durationMs[contact] += durationMs;
    this.#addVolume(contact, row, durationMs);
    if (isReply) {
      pairs.replies[contact]++;
      return;
    }
    pairs.requests[contact]++;
    if (mayBeProbe(batch, row)) pairs.probes[contact]++;
    const port = batch.sourcePort[row] & 63;
    if (port < 32) pairs.sourcePortsLow[contact] |= 1 << port;
    else pairs.sourcePortsHigh[contact] |= 1 << (port - 32);
    this.#addStart(contact, batch.startMs[row], batch.sourceBytes[row]);
  }

  /** Finds the bucket of a row, and the slots that it concerns. */
  #locate(row: number): void {
    const { hash, internal } = this.#entities;
    const source = this.#batch.source[row];
    const target = this.#batch.target[row];
    this.#bucket = Math.floor(this.#batch.endMs[row] / bucketMs);
    this.#sourceSlot = slotOf(hash[source]);
    this.#targetSlot = slotOf(hash[target]);
    this.#prefixSlot = internal[source] === 0 && internal[target] === 1 ? this.#entities.prefixSlot(target) : noSlot;
  }

  /** Whose slot must not learn the row: it knows it, or by what this batch alone has shown it came too late. */
  #refusal(row: number): number {
    const slotBucket = this.#slotBucket;
    const bucket = this.#bucket;
    const first = bucket + this.#allowanceBuckets;
    const source = this.#sourceSlot;
    const target = this.#targetSlot;
    const prefix = this.#prefixSlot;
    let refused = this.#known ? this.#known[row] : 0;
    if (prefix === noSlot) refused &= ~Refused.KnownToPrefix;
    else if (first < slotBucket[prefix]) refused |= Refused.LateForPrefix;
    if (first < slotBucket[source]) refused |= Refused.LateForSource;
    if (first < slotBucket[target]) refused |= Refused.LateForTarget;
    if (bucket > slotBucket[source]) slotBucket[source] = bucket;
    if (bucket > slotBucket[target]) slotBucket[target] = bucket;
    if (prefix !== noSlot && bucket > slotBucket[prefix]) slotBucket[prefix] = bucket;
    return refused;
  }

  /** The period that a slot has reached; 0 for who does not learn the row, so that it makes no contact of its own. */
  #periodOf(slot: number, isRefused: boolean): number {
    return isRefused || slot === noSlot ? 0 : Math.floor(this.#slotBucket[slot] / periodBuckets);
  }

  #addSession(row: number, refused: number): void {
    const batch = this.#batch;
    const sessions = this.sessions;
    const rate = Math.max(1, batch.samplingRate[row]);
    const at = sessions.length++;
    sessions.source[at] = batch.source[row];
    sessions.target[at] = batch.target[row];
    sessions.sourcePort[at] = batch.sourcePort[row];
    sessions.port[at] = batch.targetPort[row];
    sessions.protocol[at] = batch.protocol[row];
    sessions.bucket[at] = this.#bucket;
    sessions.refused[at] = refused;
    sessions.period[at] = this.#periodOf(this.#sourceSlot, (refused & refusedBySource) !== 0);
    sessions.startMs[at] = batch.startMs[row];
    sessions.endMs[at] = batch.endMs[row];
    sessions.sourceBytes[at] = rate * batch.sourceBytes[row];
    sessions.targetBytes[at] = rate * batch.targetBytes[row];
  }

  #addRecordId(row: number, refused: number): void {
    const { recordIdHigh, recordIdLow } = this.#batch;
    if (this.records.row.length === 0) this.records = emptyRecords(this.#batch.length);
    const records = this.records;
    const at = records.length++;
    records.row[at] = row;
    records.high[at] = recordIdHigh[row];
    records.low[at] = recordIdLow[row];
    records.bucket[at] = this.#bucket;
    records.sourceSlot[at] = this.#sourceSlot;
    records.targetSlot[at] = this.#targetSlot;
    records.prefixSlot[at] = this.#prefixSlot;
    records.refused[at] = refused;
  }

  #contactOf(row: number, refused: number): number {
    const { source, target, targetPort, protocol } = this.#batch;
    const pairs = this.pairs;
    const index = this.#index;
    const s = source[row];
    const t = target[row];
    const port = targetPort[row];
    const proto = protocol[row];
    const bucket = this.#bucket;
    const period = this.#periodOf(this.#sourceSlot, (refused & refusedBySource) !== 0);
    const targetPeriod = this.#periodOf(this.#targetSlot, (refused & refusedByTarget) !== 0);
    const prefixPeriod = this.#periodOf(this.#prefixSlot, (refused & refusedByPrefix) !== 0);
    let at = mixKey(s, t, (port << 8) | proto, bucket) & (index.length - 1);
    for (;;) {
      const found = index[at];
      if (found === 0) break;
      const c = found - 1;
      if (
        pairs.source[c] === s &&
        pairs.target[c] === t &&
        pairs.port[c] === port &&
        pairs.bucket[c] === bucket &&
        pairs.protocol[c] === proto &&
        pairs.refused[c] === refused &&
        pairs.period[c] === period &&
        this.targetPeriod[c] === targetPeriod &&
        this.prefixPeriod[c] === prefixPeriod
      ) {
        return c;
      }
      at = (at + 1) & (index.length - 1);
    }
    const contact = pairs.length++;
    index[at] = contact + 1;
    pairs.source[contact] = s;
    pairs.target[contact] = t;
    pairs.port[contact] = port;
    pairs.protocol[contact] = proto;
    pairs.bucket[contact] = bucket;
    pairs.refused[contact] = refused;
    pairs.period[contact] = period;
    this.targetPeriod[contact] = targetPeriod;
    this.prefixPeriod[contact] = prefixPeriod;
    pairs.startsAt[contact] = contact * startsMax;
    clearSums(pairs, contact);
    return contact;
  }

  #addVolume(contact: number, row: number, durationMs: number): void {
    const batch = this.#batch;
    const pairs = this.pairs;
    const rate = Math.max(1, batch.samplingRate[row]);
    const share = durationMs > 60_000 ? 60_000 / durationMs : 1;
    const sourceBytes = rate * batch.sourceBytes[row];
    const targetBytes = rate * batch.targetBytes[row];
    const sourcePackets = rate * batch.sourcePackets[row];
    const targetPackets = rate * batch.targetPackets[row];
    pairs.sourceBytes[contact] += sourceBytes;
    pairs.targetBytes[contact] += targetBytes;
    pairs.sourcePackets[contact] += sourcePackets;
    pairs.targetPackets[contact] += targetPackets;
    pairs.minuteSourceBytes[contact] += Math.floor(sourceBytes * share);
    pairs.minuteSourcePackets[contact] += Math.floor(sourcePackets * share);
    pairs.minuteTargetBytes[contact] += Math.floor(targetBytes * share);
    pairs.minuteTargetPackets[contact] += Math.floor(targetPackets * share);
    if (rate > pairs.samplingRate[contact]) pairs.samplingRate[contact] = rate;
  }

  /** Keeps the earliest starts sorted by (start, bytes), in the room for `startsMax` that each contact has. */
  #addStart(contact: number, startMs: number, bytes: number): void {
    const pairs = this.pairs;
    const base = contact * startsMax;
    const count = pairs.startCount[contact];
    let at = base + count;
    while (at > base && isBefore(startMs, bytes, pairs.startMs[at - 1], pairs.startBytes[at - 1])) at--;
    if (at === base + startsMax) return;
    const end = count < startsMax ? base + count : base + startsMax - 1;
    for (let i = end; i > at; i--) {
      pairs.startMs[i] = pairs.startMs[i - 1];
      pairs.startBytes[i] = pairs.startBytes[i - 1];
    }
    pairs.startMs[at] = startMs;
    pairs.startBytes[at] = bytes;
    if (count < startsMax) pairs.startCount[contact] = count + 1;
  }
}

/** Sessions of one fold, 60 bytes each, as contacts are bounded. */
const sessionsMax = contactsMax;

/** TCP without an answer sends SYNs and no more; a flood of datagrams is no series of probes. */
function mayBeProbe(batch: FlowBatch, row: number): boolean {
  if (batch.protocol[row] === Protocol.Tcp) return true;
  return batch.sourcePackets[row] <= probePacketsMax && batch.sourceBytes[row] <= probeBytesMax;
}

/** SYNs that a stack sends before it gives up: Linux's 7 are the most among the common ones. */
const synPacketsMax = 7;

/** Of a connection, a source sends at least a SYN, its acknowledgement and a request. */
const exchangePacketsMin = 3;

/** A TCP source that goes on to acknowledge, or sends more than SYNs, was answered, though the log shows one side. */
function wentOn(batch: FlowBatch, row: number): boolean {
  if (batch.protocol[row] !== Protocol.Tcp) return false;
  const flags = batch.tcpFlags[row];
  const packets = batch.sourcePackets[row];
  const acknowledged = (flags & Tcp.Ack) !== 0 && (flags & (Tcp.Syn | Tcp.Psh)) !== 0;
  return (acknowledged && packets >= exchangePacketsMin) || packets > synPacketsMax;
}

/** IP header + TCP header without options: a reset carries no more, a SYN+ACK nearly always does. */
const bareTcpPacketBytes = 40;

/** A record that shows a failed attempt; of a one-way log, a lone SYN or a bare reset coming back. */
function hasFailed(batch: FlowBatch, row: number, outcome: Outcome, isReply: boolean): boolean {
  if (outcome !== Outcome.Unknown) return outcome !== Outcome.Answered;
  if (batch.protocol[row] !== Protocol.Tcp) return false;
  if (isReply) {
    const packets = batch.targetPackets[row];
    return packets <= 2 && batch.targetBytes[row] > 0 && batch.targetBytes[row] <= bareTcpPacketBytes * packets;
  }
  return (batch.tcpFlags[row] & (Tcp.Syn | Tcp.Ack)) === Tcp.Syn && batch.targetPackets[row] === 0;
}

/** In buckets, rounded up: the fold and the shard must judge alike. */
export function allowanceBuckets(allowanceMs: number): number {
  return Math.ceil(allowanceMs / bucketMs);
}

/** Columns to fold into, with whatever the batch before left in them: zeroing fresh ones costs more than folding. */
let scratch = emptyPairs(0);
let scratchPeriods = [new Uint32Array(0), new Uint32Array(0)] as const;

const scratchSessions = emptySessions(sessionsMax);

function scratchPairs(contacts: number): PairContacts {
  if (contacts > scratch.source.length) {
    scratch = emptyPairs(contacts);
    scratchPeriods = [new Uint32Array(contacts), new Uint32Array(contacts)];
  }
  scratch.length = 0;
  return scratch;
}

function clearSums(pairs: PairContacts, contact: number): void {
  pairs.requests[contact] = 0;
  pairs.probes[contact] = 0;
  pairs.replies[contact] = 0;
  pairs.answered[contact] = 0;
  pairs.failed[contact] = 0;
  pairs.sourceBytes[contact] = 0;
  pairs.targetBytes[contact] = 0;
  pairs.sourcePackets[contact] = 0;
  pairs.targetPackets[contact] = 0;
  pairs.durationMs[contact] = 0;
  pairs.samplingRate[contact] = 1;
  pairs.minuteSourceBytes[contact] = 0;
  pairs.minuteSourcePackets[contact] = 0;
  pairs.minuteTargetBytes[contact] = 0;
  pairs.minuteTargetPackets[contact] = 0;
  pairs.sourcePortsLow[contact] = 0;
  pairs.sourcePortsHigh[contact] = 0;
  pairs.startCount[contact] = 0;
}

function emptyPairs(n: number): PairContacts {
  return {
    length: 0,
    source: new Uint32Array(n),
    target: new Uint32Array(n),
    port: new Uint16Array(n),
    protocol: new Uint8Array(n),
    bucket: new Uint32Array(n),
    refused: new Uint8Array(n),
    period: new Uint32Array(n),
    requests: new Uint32Array(n),
    probes: new Uint32Array(n),
    replies: new Uint32Array(n),
    answered: new Uint32Array(n),
    failed: new Uint32Array(n),
    sourceBytes: new Float64Array(n),
    targetBytes: new Float64Array(n),
    sourcePackets: new Float64Array(n),
    targetPackets: new Float64Array(n),
    durationMs: new Float64Array(n),
    samplingRate: new Uint32Array(n),
    minuteSourceBytes: new Float64Array(n),
    minuteSourcePackets: new Float64Array(n),
    minuteTargetBytes: new Float64Array(n),
    minuteTargetPackets: new Float64Array(n),
    sourcePortsLow: new Uint32Array(n),
    sourcePortsHigh: new Uint32Array(n),
    startsAt: new Uint32Array(n),
    startCount: new Uint8Array(n),
    startMs: new Float64Array(n * startsMax),
    startBytes: new Float64Array(n * startsMax),
  };
}

function emptyRecords(n: number): RecordIds {
  return {
    length: 0,
    row: new Uint32Array(n),
    high: new Uint32Array(n),
    low: new Uint32Array(n),
    bucket: new Uint32Array(n),
    sourceSlot: new Uint8Array(n),
    targetSlot: new Uint8Array(n),
    prefixSlot: new Uint16Array(n),
    refused: new Uint8Array(n),
  };
}

function emptySessions(n: number): SessionContacts {
  return {
    length: 0,
    source: new Uint32Array(n),
    target: new Uint32Array(n),
    sourcePort: new Uint16Array(n),
    port: new Uint16Array(n),
    protocol: new Uint8Array(n),
    bucket: new Uint32Array(n),
    refused: new Uint8Array(n),
    period: new Uint32Array(n),
    startMs: new Float64Array(n),
    endMs: new Float64Array(n),
    sourceBytes: new Float64Array(n),
    targetBytes: new Float64Array(n),
  };
}
