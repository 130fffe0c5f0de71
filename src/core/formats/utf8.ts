/** Whether a byte of the chunk is not ASCII. Four bytes at a time where they are aligned. */
export function hasHighByte(chunk: Uint8Array): boolean {
  const length = chunk.length;
  const lead = Math.min(length, (4 - (chunk.byteOffset & 3)) & 3);
  const words = (length - lead) >> 2;
  const tail = lead + words * 4;
  if (anyHigh(chunk, 0, lead) || anyHigh(chunk, tail, length)) return true;
  return words > 0 && anyHighWord(new Uint32Array(chunk.buffer, chunk.byteOffset + lead, words));
}

function anyHigh(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] >= 0x80) return true;
  return false;
}

function anyHighWord(words: Uint32Array): boolean {
  for (let i = 0; i < words.length; i++) if ((words[i] & 0x80808080) !== 0) return true;
  return false;
}

/** Whether `bytes[start, end)` is UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let i = start;
  while (i < end) {
    if (bytes[i] < 0x80) {
      i++;
      continue;
    }
    const length = sequenceLength(bytes, i, end);
    if (length === 0) return false;
    i += length;
  }
  return true;
}

/** Length of the well-formed sequence at `at`, 0 where there is none (Unicode 16, table 3-7). */
function sequenceLength(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at];
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (at + length > end) return 0;
  const second = bytes[at + 1];
  const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  for (let k = 2; k < length; k++) if ((bytes[at + k] & 0xc0) !== 0x80) return 0;
  return length;
}
