/** The ETag of a numbered version. */
export function etagOf(version: number): string {
  return `"${version}"`;
}

/** The version that an ETag of ours names; undefined for any other one, for lists and `*`. */
export function versionOf(ifMatch: string): number | undefined {
  const [, digits] = /^"(0|[1-9]\d{0,14})"$/.exec(ifMatch.trim()) ?? [];
  return digits === undefined ? undefined : Number(digits);
}
