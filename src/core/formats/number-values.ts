/** The unsigned decimal at `bytes[start, end)`, inexact above 2^53; -1 where there is none. */
export function readUnsigned(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i] - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** The hexadecimal number at `bytes[start, end)`, with or without `0x`; -1 where there is none. */
export function readHex(bytes: Uint8Array, start: number, end: number): number {
  const from = isHexPrefixed(bytes, start, end) ? start + 2 : start;
  if (from >= end) return -1;
  let value = 0;
  for (let i = from; i < end; i++) {
    const digit = hexDigit(bytes[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

export function isHexPrefixed(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start > 2 && bytes[start] === 48 && (bytes[start + 1] | 32) === 120;
}

export function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
