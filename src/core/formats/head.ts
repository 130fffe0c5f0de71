/** Enough of a body to recognise its format. */
export const HEAD_BYTES = 4096;

const HASH = 35;
const NEWLINE = 10;

export function bomLength(bytes: Uint8Array): number {
  return bytes.length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
}

/** Where the first line begins that is neither blank nor a `#` comment; the length of `head` where there is none. */
export function contentStart(head: Uint8Array): number {
  let at = bomLength(head);
  while (at < head.length) {
    const byte = head[at];
    if (byte === HASH) {
      const newline = head.indexOf(NEWLINE, at);
      if (newline < 0) return head.length;
      at = newline + 1;
    } else if (isSpace(byte)) at++;
    else return at;
  }
  return at;
}

export function isSpace(byte: number): boolean {
  return byte === 32 || byte === 9 || byte === 10 || byte === 13;
}

/** The first line with content as text, one character a byte. */
export function firstContentLine(head: Uint8Array): string {
  const start = contentStart(head);
  const newline = head.indexOf(NEWLINE, start);
  return asciiText(head, start, newline < 0 ? head.length : newline).trimEnd();
}

export function asciiText(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, Math.min(end, start + HEAD_BYTES)));
}

/** A line's column names. */
export function splitNames(bytes: Uint8Array, start: number, end: number, separator: string): string[] {
  const names = asciiText(bytes, start, end).split(separator);
  return names.map((name) => name.trim().replace(/^"(.*)"$/, "$1"));
}

/** Which of the JSON formats a body is, by the keys that only one of them has. */
export function jsonKind(head: Uint8Array): "zeek" | "suricata" | "nfdump" | "other" | undefined {
  const text = asciiText(head, contentStart(head), head.length);
  if (!/^(\{|\[\s*(\{|\]|$))/.test(text)) return undefined;
  if (/"(src[46]_addr|export_sysid)"\s*:/.test(text)) return "nfdump";
  if (/"(id[._])?orig_h"\s*:|"_path"\s*:/.test(text)) return "zeek";
  if (/"event_type"\s*:/.test(text) && /"flow_id"\s*:|"dest_ip"\s*:|"stats"/.test(text)) return "suricata";
  return "other";
}
