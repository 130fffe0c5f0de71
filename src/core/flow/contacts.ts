/**
 * What a shard learns from a batch: its flows folded into contacts, as columns whose indexes point into `addresses`.
 *
 * A contact covers one 10-second bucket of event time, by the *end* of its records, and is a sum: learning the folds
 * of two batches equals learning the fold of their concatenation (promise 3, rule 4).
 */
export interface Contacts {
  /** Four big-endian words each. */
  addresses: Uint32Array<ArrayBuffer>;
  /** Keyed hash of each address: its chance in every sample, and its slot. */
  addressHash: Uint32Array<ArrayBuffer>;
  /** 1 where the address lies in the tenant's internal networks. */
  internal: Uint8Array<ArrayBuffer>;
  pairs: PairContacts;
  targets: TargetContacts;
  prefixes: PrefixContacts;
  sessions: SessionContacts;
  records: RecordIds;
}

/** By source: (source, target, target's port, protocol, bucket). */
export interface PairContacts {
  length: number;
  source: Uint32Array<ArrayBuffer>;
  target: Uint32Array<ArrayBuffer>;
  port: Uint16Array<ArrayBuffer>;
  protocol: Uint8Array<ArrayBuffer>;
  /** Event time of the records' ends, in units of `bucketMs` since 1970. */
  bucket: Uint32Array<ArrayBuffer>;
  /** Union of `Refused`: whose slot must not learn it, and why. */
  refused: Uint8Array<ArrayBuffer>;
  /** Greatest period of event time that the source's slot had reached, in this batch, when these records came. */
  period: Uint32Array<ArrayBuffer>;
  /** Records in which the source sent, and those in which only the target did. */
  requests: Uint32Array<ArrayBuffer>;
  replies: Uint32Array<ArrayBuffer>;
  /** Of the requests, those so small that they may be a scan's: TCP of any size, datagrams within `probe…Max`. */
  probes: Uint32Array<ArrayBuffer>;
  /** Records that show an answer, and records that show its lack: unanswered, refused, blocked. */
  answered: Uint32Array<ArrayBuffer>;
  failed: Uint32Array<ArrayBuffer>;
  sourceBytes: Float64Array<ArrayBuffer>;
  targetBytes: Float64Array<ArrayBuffer>;
  sourcePackets: Float64Array<ArrayBuffer>;
  targetPackets: Float64Array<ArrayBuffer>;
  /** Sum of the records' lives, in ms. */
  durationMs: Float64Array<ArrayBuffer>;
  /** Greatest sampling rate, that is packets for each that was seen; counts of bytes and packets are scaled by it. */
  samplingRate: Uint32Array<ArrayBuffer>;
  /** What crossed in the last minute of each record's life, if evenly spread: for rates of what ends in this bucket. */
  minuteSourceBytes: Float64Array<ArrayBuffer>;
  minuteSourcePackets: Float64Array<ArrayBuffer>;
  minuteTargetBytes: Float64Array<ArrayBuffer>;
  minuteTargetPackets: Float64Array<ArrayBuffer>;
  /** A 64-bit set of the source ports seen (port mod 64): few bits for many records are slices of one connection. */
  sourcePortsLow: Uint32Array<ArrayBuffer>;
  sourcePortsHigh: Uint32Array<ArrayBuffer>;
  /** The `startsMax` earliest requests, by (start, bytes): `startCount[i]` entries from `startsAt[i]` on. */
  startsAt: Uint32Array<ArrayBuffer>;
  startCount: Uint8Array<ArrayBuffer>;
  startMs: Float64Array<ArrayBuffer>;
  startBytes: Float64Array<ArrayBuffer>;
}

/** By target: (target, port, protocol, bucket), over all its sources. */
export interface TargetContacts {
  length: number;
  target: Uint32Array<ArrayBuffer>;
  port: Uint16Array<ArrayBuffer>;
  protocol: Uint8Array<ArrayBuffer>;
  bucket: Uint32Array<ArrayBuffer>;
  /** As that of a pair, for the target's slot. */
  period: Uint32Array<ArrayBuffer>;
  /** Requests, and of all records those that show an answer or its lack. */
  requests: Uint32Array<ArrayBuffer>;
  answered: Uint32Array<ArrayBuffer>;
  failed: Uint32Array<ArrayBuffer>;
  /** Of the answered, those whose source is not one of the tenant's own. */
  externalAnswered: Uint32Array<ArrayBuffer>;
  /** What the tenant's own sent to the target. */
  internalBytes: Float64Array<ArrayBuffer>;
  samplingRate: Uint32Array<ArrayBuffer>;
  /** What reached the target in the last minute of each record's life. */
  minuteBytes: Float64Array<ArrayBuffer>;
  minutePackets: Float64Array<ArrayBuffer>;
  /** A 64-bit set of all sources, as of a prefix. */
  sourcesLow: Uint32Array<ArrayBuffer>;
  sourcesHigh: Uint32Array<ArrayBuffer>;
  /** The `sourcesKept` sources of lowest keyed hash: `sourceCount[i]` address indexes from `sourcesAt[i]` on. */
  sourcesAt: Uint32Array<ArrayBuffer>;
  sourceCount: Uint8Array<ArrayBuffer>;
  sources: Uint32Array<ArrayBuffer>;
}

/**
 * What came from outside to the tenant's own networks, by prefix (/24, /48): (prefix, protocol, bucket). The prefix is an
 * address of its own in the table: `prefixAddress`.
 */
export interface PrefixContacts {
  length: number;
  prefix: Uint32Array<ArrayBuffer>;
  protocol: Uint8Array<ArrayBuffer>;
  bucket: Uint32Array<ArrayBuffer>;
  /** As that of a pair, for the prefix' slot. */
  period: Uint32Array<ArrayBuffer>;
  requests: Uint32Array<ArrayBuffer>;
  answered: Uint32Array<ArrayBuffer>;
  failed: Uint32Array<ArrayBuffer>;
  minuteBytes: Float64Array<ArrayBuffer>;
  minutePackets: Float64Array<ArrayBuffer>;
  samplingRate: Uint32Array<ArrayBuffer>;
  /** 64-bit sets of the targets and of the sources, by keyed hash without its low byte, mod 64: neighbours share that. */
  targetsLow: Uint32Array<ArrayBuffer>;
  targetsHigh: Uint32Array<ArrayBuffer>;
  sourcesLow: Uint32Array<ArrayBuffer>;
  sourcesHigh: Uint32Array<ArrayBuffer>;
}

/**
 * Records of at least `sessionMsMin`, one by one and with their source port: slices of long connections, for the slot of
 * the source.
 */
export interface SessionContacts {
  length: number;
  source: Uint32Array<ArrayBuffer>;
  target: Uint32Array<ArrayBuffer>;
  sourcePort: Uint16Array<ArrayBuffer>;
  port: Uint16Array<ArrayBuffer>;
  protocol: Uint8Array<ArrayBuffer>;
  bucket: Uint32Array<ArrayBuffer>;
  /** As those of a pair. */
  refused: Uint8Array<ArrayBuffer>;
  period: Uint32Array<ArrayBuffer>;
  startMs: Float64Array<ArrayBuffer>;
  endMs: Float64Array<ArrayBuffer>;
  sourceBytes: Float64Array<ArrayBuffer>;
  targetBytes: Float64Array<ArrayBuffer>;
}

/** The records that have an id of their own, which each of their slots remembers for a while. */
export interface RecordIds {
  length: number;
  /** Row of the batch. */
  row: Uint32Array<ArrayBuffer>;
  /** 64-bit hash of the id and of what the record says. */
  high: Uint32Array<ArrayBuffer>;
  low: Uint32Array<ArrayBuffer>;
  /** Of the record's end, as in contacts. */
  bucket: Uint32Array<ArrayBuffer>;
  sourceSlot: Uint8Array<ArrayBuffer>;
  targetSlot: Uint8Array<ArrayBuffer>;
  /** `noSlot` where the record concerns no prefix. */
  prefixSlot: Uint16Array<ArrayBuffer>;
  /** Union of `Refused`. */
  refused: Uint8Array<ArrayBuffer>;
}

/** Width of a bucket. Slow networks' batches span hours: without it, one contact would span windows. */
export const bucketMs = 10_000;

/** From so long on a record may be a slice of a long connection: most of the shortest interval of aggregation, a minute. */
export const sessionMsMin = 50_000;

/** Starts kept per pair and bucket: enough to time what repeats more than once a second and a quarter. */
export const startsMax = 8;

/** Sources kept per target contact, and elements by the detectors: distinct counts are exact up to here, ±13 % beyond. */
export const sourcesKept = 64;

/** Packets and bytes of a record up to which it may be a probe; a flood's records hold more. */
export const probePacketsMax = 10;
export const probeBytesMax = 600;

/**
 * Buckets of a period, five minutes: slots settle when their event time enters a new one. Shorter ones cost time, in
 * longer ones a slot grows more before it forgets.
 */
export const periodBuckets = 30;

/**
 * Why a slot must not learn a record. Late: it lay further than the allowance below what its own batch had shown the
 * slot. Known: the slot has learnt it from another batch.
 */
export const Refused = {
  LateForSource: 1,
  LateForTarget: 2,
  KnownToSource: 4,
  KnownToTarget: 8,
  LateForPrefix: 16,
  KnownToPrefix: 32,
} as const;
export const refusedBySource = Refused.LateForSource | Refused.KnownToSource;
export const refusedByTarget = Refused.LateForTarget | Refused.KnownToTarget;
export const refusedByPrefix = Refused.LateForPrefix | Refused.KnownToPrefix;

/**
 * Contacts of one fold: a flood from as many sources as flows makes a contact of each. So many take 3 MB on their way
 * and 50 ms in a shard; a batch that has more is folded and applied in parts, each of which is remembered by itself.
 */
export const contactsMax = 20_000;

/** The order of starts: by time, then by bytes. */
export function isBefore(startMs: number, bytes: number, otherStartMs: number, otherBytes: number): boolean {
  return startMs < otherStartMs || (startMs === otherStartMs && bytes < otherBytes);
}
