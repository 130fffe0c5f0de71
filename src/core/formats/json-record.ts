import { NOT_A_RECORD, type Parsed } from "./format.ts";
import { isSpace } from "./head.ts";
import { JSON_DEPTH_MAX } from "./json-scanner.ts";

/** What a line is that is not one JSON object. */
export function blankOrMalformed(bytes: Uint8Array, start: number, end: number): Parsed {
  let at = start;
  while (at < end && isSpace(bytes[at])) at++;
  if (at === end) return NOT_A_RECORD;
  return { reason: "malformed", detail: `not one JSON object, or nested deeper than ${JSON_DEPTH_MAX}` };
}
