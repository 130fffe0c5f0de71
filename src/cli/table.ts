/** Rows as aligned text. Numbers stand to the right; the last column is not padded. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const text = rows.map((row) => row.map(String));
  const wide = head.map((title, c) => Math.max(title.length, ...text.map((row) => row[c].length)));
  const numeric = head.map(
    (_, c) => rows.length > 0 && rows.every((row) => /^(|-|<?-?[\d.,]+( ?%)?|\d+\/\d+)$/.test(String(row[c]))),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, c) => (numeric[c] ? cell.padStart(wide[c]) : c === row.length - 1 ? cell : cell.padEnd(wide[c])))
      .join("  ")
      .trimEnd();
  return [line(head), ...text.map(line)].join("\n");
}

export function thousands(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** `0.9123` as `0.912`, null as `-`. */
export function shown(value: number | null | undefined, digits = 3): string {
  return value === null || value === undefined ? "-" : value.toFixed(digits);
}
