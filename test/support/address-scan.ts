import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAddress } from "../../src/core/flow/address.ts";
import type { FlowBatch } from "../../src/core/flow/flow-batch.ts";
import type { AddressWords } from "../../src/core/verdict.ts";
import { Random } from "./random.ts";

/** Distinct addresses of a log, and who stood beside whom; without those that name nobody, as 0.0.0.0 and ::1. */
export class SeenAddresses {
  /** IPv4 by number, IPv6 by its words as text. */
  readonly v4 = new Set<number>();
  readonly v6 = new Set<string>();
  /** First words of IPv6 addresses, in either order of bytes: few places are worth a closer look. */
  readonly v6Starts = new Set<number>();
  /** `source‖target` of IPv4, as one number. */
  readonly pairs = new Set<number>();

  add(batch: FlowBatch): void {
    for (let row = 0; row < batch.length; row++) {
      const [source, target] = [batch.source[row], batch.target[row]].map((i) => this.#addAddress(batch, i));
      if (source === undefined || target === undefined) continue;
      this.pairs.add(pairOf(source, target));
      this.pairs.add(pairOf(target, source));
    }
  }

  #addAddress({ addresses }: FlowBatch, index: number): number | undefined {
    const [a, b, c, d] = addresses.words.subarray(4 * index, 4 * index + 4);
    if (a === 0 && b === 0 && c === 0xffff) {
      if (d === 0 || d === 0xffffffff) return undefined;
      this.v4.add(d);
      return d;
    }
    if (a === 0 && b === 0 && c === 0) return undefined;
    this.v6.add(keyOf([a, b, c, d]));
    this.v6Starts.add(a);
    this.v6Starts.add(swapped(a));
    return undefined;
  }
}

/** How often addresses stand in files, by the form in which they do. */
export interface Occurrences {
  bytes: number;
  text: number;
  /** The 16 bytes of ::ffff:a.b.c.d, or of an IPv6 address. */
  sixteenBytes: number;
  pairs: number;
  /** The four bytes of IPv4, in either order, where they tell anything. */
  fourBytes: number;
  /**
   * The same of equally many addresses that were not in the log, but lie near one that was; the mean
   * of several such sets.
   */
  fourBytesOfOthers: number;
}

const otherSets = 4;

/** Looks through every file below a folder. */
export function occurrencesIn(folder: string, seen: SeenAddresses): Occurrences {
  const others = othersThan(seen.v4);
  const found = { bytes: 0, text: 0, sixteenBytes: 0, pairs: 0, fourBytes: 0, fourBytesOfOthers: 0 };
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const bytes = readFileSync(join(entry.parentPath, entry.name));
    found.bytes += bytes.length;
    found.text += textIn(bytes, seen);
    countBinary(bytes, seen, others, found);
  }
  found.fourBytesOfOthers /= otherSets;
  return found;
}

function textIn(bytes: Buffer, seen: SeenAddresses): number {
  // Both of the ways in which programs write text: a byte for a character, or two.
  const texts = [bytes.toString("latin1"), bytes.toString("utf16le"), bytes.subarray(1).toString("utf16le")];
  return texts.reduce((sum, text) => {
    const words = text.match(
      /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d])|(?<![\w:])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}/gi,
    );
    return sum + (words ?? []).filter((word) => isSeen(parseAddress(word), seen)).length;
  }, 0);
}

function isSeen(address: AddressWords | undefined, seen: SeenAddresses): boolean {
  if (!address) return false;
  const [a, b, c, d] = address;
  return a === 0 && b === 0 && c === 0xffff ? seen.v4.has(d) : seen.v6.has(keyOf(address));
}

function countBinary(bytes: Buffer, seen: SeenAddresses, others: ReadonlySet<number>, found: Occurrences): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 4 <= bytes.length; at++) {
    for (const isLittle of [false, true]) {
      const word = view.getUint32(at, isLittle);
      if (others.has(word)) found.fourBytesOfOthers++;
      if (!seen.v4.has(word)) continue;
      if (isTelling(word)) found.fourBytes++;
      if (at + 8 <= bytes.length && seen.pairs.has(pairOf(word, view.getUint32(at + 4, isLittle)))) found.pairs++;
      if (at >= 12 && isMapped(view, at, isLittle)) found.sixteenBytes++;
    }
    if (seen.v6Starts.has(view.getUint32(at)) && isSixteen(view, at, seen)) found.sixteenBytes++;
  }
}

/**
 * Whether its four bytes say anything by themselves: small numbers, runs of one byte and four characters of text stand in
 * every database.
 */
function isTelling(word: number): boolean {
  const bytes = [word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff];
  if (bytes[0] === 0 || bytes.every((byte) => byte === bytes[0])) return false;
  return bytes.some((byte) => byte < 0x20 || byte > 0x7e);
}

function isMapped(view: DataView, at: number, isLittle: boolean): boolean {
  return view.getUint32(at - 4, isLittle) === 0xffff && view.getUint32(at - 8) === 0 && view.getUint32(at - 12) === 0;
}

function isSixteen(view: DataView, at: number, seen: SeenAddresses): boolean {
  if (at + 16 > view.byteLength) return false;
  const words = (isLittle: boolean) => keyOf([0, 4, 8, 12].map((w) => view.getUint32(at + w, isLittle)));
  return seen.v6.has(words(false)) || seen.v6.has(words(true));
}

function othersThan(seen: ReadonlySet<number>): Set<number> {
  const random = new Random(1).fork("others");
  const others = new Set<number>();
  for (const address of [...seen].filter(isTelling)) {
    for (let set = 0; set < otherSets; set++) {
      let other = address;
      // Where a flood has filled the neighbourhood, farther and farther off.
      for (
        let low = 0xffff;
        seen.has(other) || others.has(other) || !isTelling(other);
        low = Math.min(0xffffff, 2 * low + 1)
      ) {
        other = ((address & ~low) | random.int(0, low)) >>> 0;
      }
      others.add(other);
    }
  }
  return others;
}

function swapped(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}

function pairOf(one: number, other: number): number {
  // A double holds 53 bits: of the first address the lower 21 are enough to tell pairs apart by.
  return (one & 0x1fffff) * 2 ** 32 + other;
}

function keyOf(words: readonly number[]): string {
  return words.join(",");
}
