import { argusBinetflow } from "./argus-binetflow.ts";
import { awsVpc } from "./aws-vpc.ts";
import type { Format } from "./format.ts";
import { contentStart, HEAD_BYTES } from "./head.ts";
import { json } from "./json.ts";
import { nfdumpCsv } from "./nfdump-csv.ts";
import { nfdumpJson } from "./nfdump-json.ts";
import { suricataEve } from "./suricata-eve.ts";
import { zeekConnJson } from "./zeek-conn-json.ts";
import { zeekConn } from "./zeek-conn.ts";

/** Every format, in the order in which `auto` asks them; `json` takes what JSON is left. */
export const formats: readonly Format[] = [
  awsVpc,
  zeekConn,
  zeekConnJson,
  suricataEve,
  argusBinetflow,
  nfdumpCsv,
  nfdumpJson,
  json,
];

export function formatById(id: string): Format | undefined {
  return formats.find((format) => format.id === id);
}

/** The format of a body that begins with these bytes. */
export function recogniseFormat(head: Uint8Array): Format | undefined {
  const bytes = head.subarray(0, HEAD_BYTES);
  return formats.find((format) => format.recognise(bytes));
}

/** Whether these bytes hold anything but blank and comment lines. */
export function hasContent(head: Uint8Array): boolean {
  return contentStart(head) < head.length;
}
