import type { AddressWords } from "../verdict.ts";

/** Reads an IPv4 or IPv6 address, without zone or port; undefined if the text is none. */
export function parseAddress(text: string): AddressWords | undefined {
  return text.includes(":") ? parseV6(text) : mapped(parseV4(text));
}

function mapped(v4: number | undefined): AddressWords | undefined {
  return v4 === undefined ? undefined : [0, 0, 0xffff, v4];
}

function parseV4(text: string): number | undefined {
  const octets = text.split(".");
  if (octets.length !== 4) return undefined;
  let value = 0;
  for (const octet of octets) {
    if (!/^\d{1,3}$/.test(octet) || Number(octet) > 255) return undefined;
    value = value * 256 + Number(octet);
  }
  return value;
}

function parseV6(text: string): AddressWords | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groups(halves[0]);
  const tail = groups(halves[1] ?? "");
  if (!head || !tail) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...Array<number>(missing).fill(0), ...tail];
  const word = (i: number) => ((all[2 * i] << 16) | all[2 * i + 1]) >>> 0;
  return [word(0), word(1), word(2), word(3)];
}

/** The 16-bit groups of one side of `::`; the last may be an IPv4 address. */
function groups(text: string): number[] | undefined {
  if (text === "") return [];
  const out: number[] = [];
  for (const part of text.split(":")) {
    if (part.includes(".")) {
      const v4 = parseV4(part);
      if (v4 === undefined) return undefined;
      out.push(v4 >>> 16, v4 & 0xffff);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      out.push(Number.parseInt(part, 16));
    }
  }
  return out;
}

/** The address as text: dotted where it is IPv4-mapped, else as RFC 5952 wants it. */
export function formatAddress([a, b, c, d]: AddressWords): string {
  if (a === 0 && b === 0 && c === 0xffff) {
    return `${d >>> 24}.${(d >>> 16) & 255}.${(d >>> 8) & 255}.${d & 255}`;
  }
  const all = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff, c >>> 16, c & 0xffff, d >>> 16, d & 0xffff];
  const gap = longestZeros(all);
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (gap.length < 2) return hex(all);
  return `${hex(all.slice(0, gap.start))}::${hex(all.slice(gap.start + gap.length))}`;
}

function longestZeros(all: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && all[end] === 0) end++;
    if (end - start > best.length) best = { start, length: end - start };
  }
  return best;
}

/** The address at `index` of a column of four-word addresses. */
export function wordsAt(words: Uint32Array, index: number): AddressWords {
  const w = index * 4;
  return [words[w], words[w + 1], words[w + 2], words[w + 3]];
}

/** Multicast (224/4, ff00::/8) and limited broadcast: silence from these proves nothing. */
export function isGroupAddress(words: Uint32Array, index: number): boolean {
  const w = index * 4;
  if (words[w] >>> 24 === 0xff) return true;
  if (words[w] !== 0 || words[w + 1] !== 0 || words[w + 2] !== 0xffff) return false;
  return words[w + 3] >>> 28 === 0xe || words[w + 3] === 0xffffffff;
}
