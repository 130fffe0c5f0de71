/** How many bits of a 32-bit word are set. */
export function bitCount(word: number): number {
  let count = 0;
  for (let rest = word >>> 0; rest !== 0; rest &= rest - 1) count++;
  return count;
}
