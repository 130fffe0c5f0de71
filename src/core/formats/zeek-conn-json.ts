import type { FlowBatch } from "../flow/flow-batch.ts";
import { FieldReader } from "./field-values.ts";
import { FlowRow } from "./flow-row.ts";
import { ACCEPTED, type Format, type Parsed, type RecordParser, SKIPPED } from "./format.ts";
import { jsonKind } from "./head.ts";
import { JsonScanner, KeyPaths } from "./json-scanner.ts";
import { blankOrMalformed } from "./json-record.ts";
import { CONN_STATE, readZeekFlow, zeekNames } from "./zeek-flow.ts";

const PATH = zeekNames.length;
const OTHER_STREAM = zeekNames.length + 1;

const paths = new KeyPaths([
  ...zeekNames,
  ["_path"],
  // Fields of Zeek's other logs, for records that do not name theirs.
  ["query", "host", "server_name", "method", "fuid", "trans_id", "note", "mac", "auth_success", "cipher", "analyzer"],
]);

/** Zeek's conn.log as JSON. */
export const zeekConnJson: Format = {
  id: "zeek-conn-json",
  framing: "json",
  recognise: (head) => jsonKind(head) === "zeek",
  parser: () => new ZeekConnJsonParser(),
};

class ZeekConnJsonParser implements RecordParser {
  readonly #fields = new FieldReader(paths.slotNames);
  readonly #scanner = new JsonScanner(paths, this.#fields);
  readonly #row = new FlowRow();

  parse(bytes: Uint8Array, start: number, end: number, batch: FlowBatch): Parsed {
    if (!this.#scanner.scan(bytes, start, end)) return blankOrMalformed(bytes, start, end);
    if (this.#isOfOtherStream()) return SKIPPED;
    const parsed = readZeekFlow(this.#fields, this.#row, batch);
    if (parsed === ACCEPTED) return parsed;
    // Once more, now that it is worth while to look up what the record calls its fields.
    this.#scanner.nameFields();
    return readZeekFlow(this.#fields, this.#row, batch);
  }

  #isOfOtherStream(): boolean {
    const fields = this.#fields;
    if (fields.has(PATH)) return !fields.text(PATH).startsWith("conn");
    return fields.starts[OTHER_STREAM] >= 0 && fields.starts[CONN_STATE] < 0;
  }
}
