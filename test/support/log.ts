/** A log as a sensor writes it: `lines[i]` ends at `endMs[i]`, and these never fall. */
export interface Log {
  header: string[];
  lines: string[];
  endMs: number[];
}

export function logBytes({ header, lines }: Log): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode([...header, ...lines, ""].join("\n"));
}

/** The log in pieces of at most `records` lines and `spanMs` of event time, each with the header. */
export function pieces(log: Log, records: number, spanMs: number): { endMs: number; log: Log }[] {
  const out: { endMs: number; log: Log }[] = [];
  for (let from = 0, to = 0; from < log.lines.length; from = to) {
    while (to < log.lines.length && to - from < records && log.endMs[to] - log.endMs[from] <= spanMs) to++;
    const piece = { header: log.header, lines: log.lines.slice(from, to), endMs: log.endMs.slice(from, to) };
    out.push({ endMs: log.endMs[to - 1], log: piece });
  }
  return out;
}
