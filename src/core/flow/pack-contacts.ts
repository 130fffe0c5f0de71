import type { Contacts, PairContacts, RecordIds, TargetContacts } from "./contacts.ts";

/**
 * Contacts in one buffer: what crosses to a shard, and lies in its log.
 *
 *     magic "WCON" | version | counts of addresses, pairs, starts, targets, sources, records: 8 words, little-endian
 *     the columns of `layout`, in its order, each as long as its count says
 *
 * Columns of wide elements come first, so that each begins where its type may.
 */
export type PackedContacts = ArrayBuffer;

const magic = 0x4e_4f_43_57;
const version = 1;
const headBytes = 32;

const counts = ["addresses", "pairs", "starts", "targets", "sources", "records"] as const;
type Count = (typeof counts)[number];
type Column = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;
interface ColumnType {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer, at: number, length: number): Column;
}
interface Placed {
  group: "top" | "pairs" | "targets" | "records";
  name: string;
  type: ColumnType;
  count: Count;
  /** Elements for each of the count. */
  width: number;
}

const layout: readonly Placed[] = [
  ...columns("pairs", Float64Array, "pairs", ["sourceBytes", "targetBytes", "sourcePackets", "minuteSourceBytes"]),
  ...columns("pairs", Float64Array, "pairs", ["minuteSourcePackets", "minuteTargetBytes", "minuteTargetPackets"]),
  ...columns("pairs", Float64Array, "starts", ["startMs", "startBytes"]),
  ...columns("targets", Float64Array, "targets", ["minuteBytes", "minutePackets"]),
  ...columns("top", Uint32Array, "addresses", ["addresses"], 4),
  ...columns("top", Uint32Array, "addresses", ["addressHash"]),
  ...columns("pairs", Uint32Array, "pairs", ["source", "target", "bucket", "minute", "requests", "replies", "probes"]),
  ...columns("pairs", Uint32Array, "pairs", ["answered", "failed", "sourcePortsLow", "sourcePortsHigh", "startsAt"]),
  ...columns("targets", Uint32Array, "targets", ["target", "bucket", "minute", "requests", "answered", "failed"]),
  ...columns("targets", Uint32Array, "targets", ["sourcesAt"]),
  ...columns("targets", Uint32Array, "sources", ["sources"]),
  ...columns("records", Uint32Array, "records", ["row", "high", "low", "bucket"]),
  ...columns("pairs", Uint16Array, "pairs", ["port"]),
  ...columns("targets", Uint16Array, "targets", ["port"]),
  ...columns("top", Uint8Array, "addresses", ["internal"]),
  ...columns("pairs", Uint8Array, "pairs", ["protocol", "refused", "startCount"]),
  ...columns("targets", Uint8Array, "targets", ["protocol", "sourceCount"]),
  ...columns("records", Uint8Array, "records", ["sourceSlot", "targetSlot", "refused"]),
];

function columns(group: Placed["group"], type: ColumnType, count: Count, names: string[], width = 1): Placed[] {
  return names.map((name) => ({ group, name, type, count, width }));
}

/** A copy of the contacts, of what is used of their columns. */
export function packContacts(contacts: Contacts): PackedContacts {
  const { pairs, targets, records, addressHash } = contacts;
  const lengths: Record<Count, number> = {
    addresses: addressHash.length,
    pairs: pairs.length,
    starts: sum(pairs.startCount, pairs.length),
    targets: targets.length,
    sources: sum(targets.sourceCount, targets.length),
    records: records.length,
  };
  const buffer = new ArrayBuffer(bytesOf(lengths));
  new Uint32Array(buffer, 0, 8).set([magic, version, ...counts.map((count) => lengths[count])]);
  const packed = viewsOf(buffer, lengths);
  for (const { group, name, count, width } of layout) {
    if (count === "starts" || count === "sources") continue;
    const [from, to] = [columnOf(contacts, group, name), columnOf(packed, group, name)];
    to.set(from.subarray(0, width * lengths[count]));
  }
  packStarts(pairs, packed.pairs);
  packSources(targets, packed.targets);
  return buffer;
}

/**
 * The contacts as views of the buffer.
 *
 * @throws RangeError if it is not what `packContacts` made.
 */
export function unpackContacts(buffer: PackedContacts): Contacts {
  if (buffer.byteLength < headBytes) throw new RangeError("not contacts");
  const head = new Uint32Array(buffer, 0, 8);
  if (head[0] !== magic || head[1] !== version) throw new RangeError("not contacts of version 1");
  const lengths = Object.fromEntries(counts.map((count, i) => [count, head[2 + i]])) as Record<Count, number>;
  if (buffer.byteLength !== bytesOf(lengths)) throw new RangeError("contacts of another length");
  return viewsOf(buffer, lengths);
}

function bytesOf(lengths: Record<Count, number>): number {
  return layout.reduce(
    (bytes, { type, count, width }) => bytes + type.BYTES_PER_ELEMENT * width * lengths[count],
    headBytes,
  );
}

function viewsOf(buffer: ArrayBuffer, lengths: Record<Count, number>): Contacts {
  const groups: { [group: string]: { [name: string]: Column } } = { top: {}, pairs: {}, targets: {}, records: {} };
  let at = headBytes;
  for (const { group, name, type, count, width } of layout) {
    const view = new type(buffer, at, width * lengths[count]);
    groups[group][name] = view;
    at += view.byteLength;
  }
  const { top, pairs, targets, records }: { [group: string]: unknown } = groups;
  return {
    ...(top as Pick<Contacts, "addresses" | "addressHash" | "internal">),
    pairs: { ...(pairs as PairContacts), length: lengths.pairs },
    targets: { ...(targets as TargetContacts), length: lengths.targets },
    records: { ...(records as RecordIds), length: lengths.records },
  };
}

function columnOf(contacts: Contacts, group: Placed["group"], name: string): Column {
  const columnsOfGroup: unknown = group === "top" ? contacts : contacts[group];
  return (columnsOfGroup as { [name: string]: Column })[name];
}

function sum(values: Uint8Array, length: number): number {
  let total = 0;
  for (let i = 0; i < length; i++) total += values[i];
  return total;
}

/** Moves the starts together, out of the room that each pair had. */
function packStarts(from: PairContacts, to: PairContacts): void {
  let written = 0;
  for (let c = 0; c < from.length; c++) {
    const at = from.startsAt[c];
    to.startsAt[c] = written;
    for (let i = at; i < at + from.startCount[c]; i++, written++) {
      to.startMs[written] = from.startMs[i];
      to.startBytes[written] = from.startBytes[i];
    }
  }
}

function packSources(from: TargetContacts, to: TargetContacts): void {
  let written = 0;
  for (let c = 0; c < from.length; c++) {
    const at = from.sourcesAt[c];
    to.sourcesAt[c] = written;
    for (let i = at; i < at + from.sourceCount[c]; i++) to.sources[written++] = from.sources[i];
  }
}
