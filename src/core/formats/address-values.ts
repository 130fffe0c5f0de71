import { hexDigit } from "./number-values.ts";

const DOT = 46;
const COLON = 58;
const PERCENT = 37;

/**
 * Reads the IPv4 or IPv6 address at `bytes[start, end)` as four big-endian words (IPv4 as ::ffff:a.b.c.d) into
 * `words[at .. at + 3]`. A zone (`fe80::1%eth0`) is dropped: it names an interface of the logging host.
 */
export function readAddress(bytes: Uint8Array, start: number, end: number, words: Uint32Array, at: number): boolean {
  const v4 = readV4(bytes, start, end);
  if (v4 < 0) return readV6(bytes, start, end, words, at);
  words[at] = 0;
  words[at + 1] = 0;
  words[at + 2] = 0xffff;
  words[at + 3] = v4;
  return true;
}

/** Like inet_pton: four octets without leading zeros, which some read as octal. -1 where it is none. */
function readV4(bytes: Uint8Array, start: number, end: number): number {
  if (end - start > 15) return -1;
  let address = 0;
  let octet = -1;
  let dots = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i];
    if (byte === DOT) {
      if (octet < 0 || ++dots > 3) return -1;
      address = address * 256 + octet;
      octet = -1;
    } else {
      const digit = byte - 48;
      if (digit < 0 || digit > 9 || octet === 0) return -1;
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) return -1;
    }
  }
  return dots === 3 && octet >= 0 ? address * 256 + octet : -1;
}

const groups = new Uint16Array(8);

function readV6(bytes: Uint8Array, start: number, end: number, words: Uint32Array, at: number): boolean {
  const zone = zoneStart(bytes, start, end);
  const stop = zone < 0 ? end : zone;
  if (zone >= 0 && zone + 1 >= end) return false;
  const count = readGroups(bytes, start, stop);
  if (count < 0) return false;
  for (let i = 0; i < 4; i++) words[at + i] = groups[2 * i] * 65_536 + groups[2 * i + 1];
  return true;
}

function zoneStart(bytes: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) if (bytes[i] === PERCENT) return i;
  return -1;
}

/** Fills `groups`; -1 where the text is no IPv6 address. */
function readGroups(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  let gap = -1;
  let i = start;
  if (end - start < 2) return -1;
  if (bytes[i] === COLON) {
    if (bytes[i + 1] !== COLON) return -1;
    gap = 0;
    i += 2;
  }
  while (i < end) {
    if (count === 8) return -1;
    const groupEnd = readGroup(bytes, i, end, count);
    if (groupEnd < 0) {
      const v4 = count <= 6 ? readV4(bytes, i, end) : -1;
      if (v4 < 0) return -1;
      groups[count++] = v4 / 65_536;
      groups[count++] = v4 % 65_536;
      break;
    }
    count++;
    i = groupEnd;
    if (i === end) break;
    if (++i === end) return -1;
    if (bytes[i] !== COLON) continue;
    if (gap >= 0) return -1;
    gap = count;
    i++;
  }
  return expandGap(count, gap);
}

/** Reads one to four hexadecimal digits before a colon or the end into `groups[index]`. */
function readGroup(bytes: Uint8Array, start: number, end: number, index: number): number {
  let value = 0;
  let i = start;
  for (; i < end && bytes[i] !== COLON; i++) {
    const digit = hexDigit(bytes[i]);
    if (digit < 0 || i - start === 4) return -1;
    value = value * 16 + digit;
  }
  groups[index] = value;
  return i === start ? -1 : i;
}

/** Moves the groups behind `::` to the end. */
function expandGap(count: number, gap: number): number {
  if (gap < 0) return count === 8 ? 8 : -1;
  if (count > 7) return -1;
  const behind = count - gap;
  groups.copyWithin(8 - behind, gap, count);
  groups.fill(0, gap, 8 - behind);
  return 8;
}
