import type { Contacts, PairContacts, PrefixContacts, RecordIds, SessionContacts, TargetContacts } from "./contacts.ts";

/**
 * Contacts in one buffer: what crosses to a shard, and lies in its log. All their numbers are whole, and those of a
 * column are of a kind, so each column is written as distances from its least value, as wide as the greatest of them
 * asks for: less than half of the memory that the columns themselves take.
 *
 *     magic "WCON" | version | counts of addresses, pairs, starts, targets, sources, prefixes, sessions, records: 10
 *         words, little-endian
 *     per column of `layout`: least value (8 bytes), bytes of a distance: 0 (all alike), 1, 2, 4, or 8 (as they are)
 *     the columns, each from a multiple of eight bytes on
 */
export type PackedContacts = ArrayBuffer;

const magic = 0x4e_4f_43_57;
const version = 3;

const counts = ["addresses", "pairs", "starts", "targets", "sources", "prefixes", "sessions", "records"] as const;
const countsBytes = 4 * (2 + counts.length);
type Count = (typeof counts)[number];
type Lengths = Record<Count, number>;
type Column = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;
interface ColumnType {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer, at: number, length: number): Column;
}
interface Placed {
  group: "top" | "pairs" | "targets" | "prefixes" | "sessions" | "records";
  name: string;
  type: ColumnType;
  count: Count;
  /** Elements for each of the count. */
  width: number;
}

/** Wide elements first, so that each unpacked column begins where its type may. */
const layout: readonly Placed[] = [
  ...columns("pairs", Float64Array, "pairs", ["sourceBytes", "targetBytes", "sourcePackets", "minuteSourceBytes"]),
  ...columns("pairs", Float64Array, "pairs", ["minuteSourcePackets", "minuteTargetBytes", "minuteTargetPackets"]),
  ...columns("pairs", Float64Array, "pairs", ["targetPackets", "durationMs"]),
  ...columns("pairs", Float64Array, "starts", ["startMs", "startBytes"]),
  ...columns("targets", Float64Array, "targets", ["internalBytes", "minuteBytes", "minutePackets"]),
  ...columns("prefixes", Float64Array, "prefixes", ["minuteBytes", "minutePackets"]),
  ...columns("sessions", Float64Array, "sessions", ["startMs", "endMs", "sourceBytes", "targetBytes"]),
  ...columns("top", Uint32Array, "addresses", ["addresses"], 4),
  ...columns("top", Uint32Array, "addresses", ["addressHash"]),
  ...columns("pairs", Uint32Array, "pairs", ["source", "target", "bucket", "period", "requests", "replies", "probes"]),
  ...columns("pairs", Uint32Array, "pairs", ["answered", "failed", "sourcePortsLow", "sourcePortsHigh"]),
  ...columns("pairs", Uint32Array, "pairs", ["samplingRate"]),
  ...columns("targets", Uint32Array, "targets", ["target", "bucket", "period", "requests", "answered", "failed"]),
  ...columns("targets", Uint32Array, "targets", ["externalAnswered", "samplingRate", "sourcesLow", "sourcesHigh"]),
  ...columns("targets", Uint32Array, "sources", ["sources"]),
  ...columns("prefixes", Uint32Array, "prefixes", ["prefix", "bucket", "period", "requests", "answered", "failed"]),
  ...columns("prefixes", Uint32Array, "prefixes", ["samplingRate", "targetsLow", "targetsHigh"]),
  ...columns("prefixes", Uint32Array, "prefixes", ["sourcesLow", "sourcesHigh"]),
  ...columns("sessions", Uint32Array, "sessions", ["source", "target", "bucket", "period"]),
  ...columns("records", Uint32Array, "records", ["row", "high", "low", "bucket"]),
  ...columns("pairs", Uint16Array, "pairs", ["port"]),
  ...columns("targets", Uint16Array, "targets", ["port"]),
  ...columns("sessions", Uint16Array, "sessions", ["sourcePort", "port"]),
  ...columns("records", Uint16Array, "records", ["prefixSlot"]),
  ...columns("top", Uint8Array, "addresses", ["internal"]),
  ...columns("pairs", Uint8Array, "pairs", ["protocol", "refused", "startCount"]),
  ...columns("targets", Uint8Array, "targets", ["protocol", "sourceCount"]),
  ...columns("prefixes", Uint8Array, "prefixes", ["protocol"]),
  ...columns("sessions", Uint8Array, "sessions", ["protocol", "refused"]),
  ...columns("records", Uint8Array, "records", ["sourceSlot", "targetSlot", "refused"]),
];

/** Of the buffer: where the columns begin. */
const headBytes = countsBytes + 16 * layout.length;

function columns(group: Placed["group"], type: ColumnType, count: Count, names: string[], width = 1): Placed[] {
  return names.map((name) => ({ group, name, type, count, width }));
}

/** What is used of the contacts. */
export function packContacts(contacts: Contacts): PackedContacts {
  const { pairs, targets, prefixes, sessions, records, addressHash } = contacts;
  const lengths: Lengths = {
    addresses: addressHash.length,
    pairs: pairs.length,
    starts: sum(pairs.startCount, pairs.length),
    targets: targets.length,
    sources: sum(targets.sourceCount, targets.length),
    prefixes: prefixes.length,
    sessions: sessions.length,
    records: records.length,
  };
  const { startMs, startBytes } = startsOf(pairs, lengths.starts);
  const sources = sourcesOf(targets, lengths.sources);
  const moved = { ...contacts, pairs: { ...pairs, startMs, startBytes }, targets: { ...targets, sources } };
  const used = layout.map(({ group, name, count, width }) => {
    const column = columnOf(moved, group, name);
    return column.subarray(0, width * lengths[count]);
  });
  const ranges = used.map(rangeOf);
  const bytes = used.reduce((at, column, i) => at + aligned(ranges[i].width * column.length), headBytes);
  const buffer = new ArrayBuffer(bytes);
  new Uint32Array(buffer, 0, 2 + counts.length).set([magic, version, ...counts.map((count) => lengths[count])]);
  const head = new Float64Array(buffer, countsBytes, 2 * layout.length);
  let at = headBytes;
  used.forEach((column, i) => {
    const { least, width } = ranges[i];
    head[2 * i] = least;
    head[2 * i + 1] = width;
    narrow(column, least, width, buffer, at);
    at += aligned(width * column.length);
  });
  return buffer;
}

/**
 * The contacts as columns of their own.
 *
 * @throws RangeError if it is not what `packContacts` made.
 */
export function unpackContacts(buffer: PackedContacts): Contacts {
  if (buffer.byteLength < headBytes) throw new RangeError("not contacts");
  const counted = new Uint32Array(buffer, 0, 2 + counts.length);
  if (counted[0] !== magic || counted[1] !== version) throw new RangeError(`not contacts of version ${version}`);
  const lengths = Object.fromEntries(counts.map((count, i) => [count, counted[2 + i]])) as Lengths;
  const head = new Float64Array(buffer, countsBytes, 2 * layout.length);
  const contacts = emptyContacts(lengths);
  let at = headBytes;
  layout.forEach(({ group, name }, i) => {
    const column = columnOf(contacts, group, name);
    widen(buffer, at, head[2 * i], head[2 * i + 1], column);
    at += aligned(head[2 * i + 1] * column.length);
  });
  if (at !== buffer.byteLength) throw new RangeError("contacts of another length");
  runningSums(contacts.pairs.startCount, contacts.pairs.startsAt);
  runningSums(contacts.targets.sourceCount, contacts.targets.sourcesAt);
  return contacts;
}

/** Columns in one piece of memory: one is made several times faster than dozens. */
function emptyContacts(lengths: Lengths): Contacts {
  const bytes = layout.reduce(
    (total, { type, count, width }) => total + type.BYTES_PER_ELEMENT * width * lengths[count],
    0,
  );
  const memory = new ArrayBuffer(bytes);
  const groups: { [group: string]: { [name: string]: Column } } = {
    top: {},
    pairs: {},
    targets: {},
    prefixes: {},
    sessions: {},
    records: {},
  };
  let at = 0;
  for (const { group, name, type, count, width } of layout) {
    const view = new type(memory, at, width * lengths[count]);
    groups[group][name] = view;
    at += view.byteLength;
  }
  const { top, pairs, targets, prefixes, sessions, records }: { [group: string]: unknown } = groups;
  return {
    ...(top as Pick<Contacts, "addresses" | "addressHash" | "internal">),
    pairs: { ...(pairs as PairContacts), startsAt: new Uint32Array(lengths.pairs), length: lengths.pairs },
    targets: { ...(targets as TargetContacts), sourcesAt: new Uint32Array(lengths.targets), length: lengths.targets },
    prefixes: { ...(prefixes as PrefixContacts), length: lengths.prefixes },
    sessions: { ...(sessions as SessionContacts), length: lengths.sessions },
    records: { ...(records as RecordIds), length: lengths.records },
  };
}

function columnOf(contacts: Contacts, group: Placed["group"], name: string): Column {
  const columnsOfGroup: unknown = group === "top" ? contacts : contacts[group];
  return (columnsOfGroup as { [name: string]: Column })[name];
}

interface Range {
  /** What is taken from each value: nothing, unless that makes them narrower. */
  least: number;
  /** Bytes of what is left. */
  width: number;
}

/** How narrow a column can be written. Narrow ones stay as they are: a look at each of them would cost more. */
function rangeOf(column: Column): Range {
  if (column.length === 0) return { least: 0, width: 0 };
  if (column instanceof Float64Array) return rangeOfNumbers(column);
  if (column instanceof Uint32Array) return rangeOfWords(column);
  return { least: 0, width: column.BYTES_PER_ELEMENT };
}

/** The same as the next, apart from it so that each is compiled for one type. */
function rangeOfNumbers(column: Float64Array): Range {
  let [least, greatest] = [column[0], column[0]];
  for (let i = 1; i < column.length; i++) {
    const value = column[i];
    if (value < least) least = value;
    else if (value > greatest) greatest = value;
  }
  return narrowest(least, greatest);
}

function rangeOfWords(column: Uint32Array): Range {
  let [least, greatest] = [column[0], column[0]];
  for (let i = 1; i < column.length; i++) {
    const value = column[i];
    if (value < least) least = value;
    else if (value > greatest) greatest = value;
  }
  return narrowest(least, greatest);
}

function narrowest(least: number, greatest: number): Range {
  const width = widthOf(greatest - least);
  if (width === 8) return { least: 0, width };
  return { least: widthOf(greatest) === width && least >= 0 ? 0 : least, width };
}

function widthOf(greatest: number): number {
  if (greatest < 256) return greatest === 0 ? 0 : 1;
  if (greatest < 65_536) return 2;
  return greatest < 2 ** 32 ? 4 : 8;
}

function narrow(column: Column, least: number, width: number, buffer: ArrayBuffer, at: number): void {
  if (width === 0) return;
  const distances = new typeOf[width as keyof typeof typeOf](buffer, at, column.length);
  distances.set(least === 0 ? column : column.map((value) => value - least));
}

function widen(buffer: ArrayBuffer, at: number, least: number, width: number, column: Column): void {
  if (width > 0) column.set(new typeOf[width as keyof typeof typeOf](buffer, at, column.length));
  if (least === 0) return;
  for (let i = 0; i < column.length; i++) column[i] += least;
}

const typeOf = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: Float64Array } as const;

function aligned(bytes: number): number {
  return (bytes + 7) & ~7;
}

function sum(values: Uint8Array, length: number): number {
  let total = 0;
  for (let i = 0; i < length; i++) total += values[i];
  return total;
}

/** Where each begins that has so many. */
function runningSums(values: Uint8Array, sums: Uint32Array): void {
  for (let i = 1; i < values.length; i++) sums[i] = sums[i - 1] + values[i - 1];
}

/** The starts side by side, out of the room that each pair had. */
function startsOf(
  pairs: PairContacts,
  count: number,
): { startMs: Float64Array<ArrayBuffer>; startBytes: Float64Array<ArrayBuffer> } {
  const [startMs, startBytes] = [new Float64Array(count), new Float64Array(count)];
  let written = 0;
  for (let c = 0; c < pairs.length; c++) {
    const from = pairs.startsAt[c];
    for (let i = from; i < from + pairs.startCount[c]; i++, written++) {
      startMs[written] = pairs.startMs[i];
      startBytes[written] = pairs.startBytes[i];
    }
  }
  return { startMs, startBytes };
}

function sourcesOf(targets: TargetContacts, count: number): Uint32Array<ArrayBuffer> {
  const sources = new Uint32Array(count);
  let written = 0;
  for (let c = 0; c < targets.length; c++) {
    const from = targets.sourcesAt[c];
    for (let i = from; i < from + targets.sourceCount[c]; i++) sources[written++] = targets.sources[i];
  }
  return sources;
}
