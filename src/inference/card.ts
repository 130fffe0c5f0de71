/** A table of a model card, all of it text. */
export interface CardTable {
  columns: string[];
  rows: string[][];
}

/** Of what is taken over into lists: a card says more in itself. */
const rowsMax = 64;
const columnsMax = 16;
const cellCharsMax = 100;

/** The Markdown table under the heading "Metrics"; null where the card has none. */
export function metricsIn(card: string): CardTable | null {
  const [, section] = card.split(/^#+ *Metrics *$/m);
  const lines = section?.split(/^#/m)[0].split("\n") ?? [];
  const first = lines.findIndex((line) => line.startsWith("|"));
  if (first < 0 || !/^\|[\s:|-]+$/.test(lines[first + 1] ?? "")) return null;
  const rows: string[][] = [];
  for (const line of lines.slice(first + 2, first + 2 + rowsMax)) {
    if (!line.startsWith("|")) break;
    rows.push(cellsOf(line));
  }
  return { columns: cellsOf(lines[first]), rows };
}

function cellsOf(line: string): string[] {
  const inner = line.trim().replace(/^\||\|$/g, "");
  return inner.split("|", columnsMax).map((cell) => cell.trim().slice(0, cellCharsMax));
}
