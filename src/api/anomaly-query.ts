import * as v from "valibot";
import { parseAddress } from "../core/flow/address.ts";
import { networkMatcher } from "../core/flow/networks.ts";
import { severities, threats } from "../core/verdict.ts";
import type { AnomalyQuery, Position } from "../storage/anomalies.ts";

/** Anomalies of a page: a page of 500 is about 2 MB. */
const limitMax = 500;
const limitByDefault = 100;

/** The last ms that RFC 3339 can write. */
const timeMsMax = Date.parse("9999-12-31T23:59:59.999Z");
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;

const time = v.pipe(
  v.string("must be given once"),
  v.transform((text) => (/^\d{1,15}$/.test(text) ? Number(text) : rfc3339.test(text) ? Date.parse(text) : Number.NaN)),
  v.check((ms) => ms <= timeMsMax, "must be a time as in RFC 3339, or milliseconds since 1970"),
);

const wholeNumber = (message: string, min: number, max: number) =>
  v.pipe(
    v.string("must be given once"),
    v.regex(/^\d{1,16}$/, message),
    v.transform(Number),
    v.minValue(min, message),
    v.maxValue(max, message),
  );

const threat = v.picklist(threats, `must be one of ${threats.join(", ")}`);

/** The parameters of a list of anomalies. */
export const anomalyParameters = v.strictObject({
  threat: v.optional(v.union([threat, v.array(threat)], `must be one of ${threats.join(", ")}`)),
  severity: v.optional(v.picklist(severities, `must be one of ${severities.join(", ")}`)),
  entity: v.optional(
    v.pipe(v.string("must be given once"), v.check(isNetwork, "must be an address or a prefix, as in 10.0.0.0/8")),
  ),
  since: v.optional(time),
  until: v.optional(time),
  after: v.optional(wholeNumber("must be a stored_revision", 0, Number.MAX_SAFE_INTEGER)),
  limit: v.optional(wholeNumber(`must be 1 to ${limitMax}`, 1, limitMax)),
  cursor: v.optional(
    v.pipe(
      v.string("must be given once"),
      v.check((text) => !!parseCursor(text), "must be the next of a page"),
    ),
  ),
});

/** What the parameters ask of the store; undefined if the cursor belongs to a list of the other order. */
export function anomalyQuery(given: v.InferOutput<typeof anomalyParameters>): AnomalyQuery | undefined {
  const order = given.after === undefined ? "newest_first" : "oldest_first";
  const cursor = given.cursor === undefined ? undefined : parseCursor(given.cursor);
  if (cursor && cursor.order !== order) return undefined;
  const start = given.after === undefined ? undefined : { storedRevision: given.after, id: behindEveryId };
  return {
    threats: given.threat === undefined ? [] : [given.threat].flat(),
    severityMin: given.severity ?? "info",
    matchesEntity: given.entity === undefined ? undefined : entityMatcher(given.entity),
    sinceMs: given.since ?? 0,
    untilMs: given.until ?? Number.MAX_SAFE_INTEGER,
    order,
    behind: cursor?.position ?? start,
    limit: given.limit ?? limitByDefault,
  };
}

/** Sorts behind 32 hex digits. */
const behindEveryId = "g";

/** Opaque to clients: order, stored revision and id of the last row of the page before. */
export function cursorOf(order: AnomalyQuery["order"], { storedRevision, id }: Position): string {
  return Buffer.from(`${order}:${storedRevision}:${id}`).toString("base64url");
}

function parseCursor(text: string): { order: AnomalyQuery["order"]; position: Position } | undefined {
  const parts = /^(newest_first|oldest_first):(\d{1,16}):([0-9a-f]{32})$/.exec(
    Buffer.from(text, "base64url").toString(),
  );
  if (!parts) return undefined;
  const [, order, storedRevision, id] = parts;
  return { order: order as AnomalyQuery["order"], position: { storedRevision: Number(storedRevision), id } };
}

function isNetwork(text: string): boolean {
  try {
    networkMatcher([text]);
    return true;
  } catch {
    return false;
  }
}

/** Whether an entity, an address or a prefix, lies in a network. */
function entityMatcher(network: string): (entity: string) => boolean {
  const matches = networkMatcher([network]);
  return (entity) => {
    const words = parseAddress(entity.split("/")[0]);
    return words !== undefined && matches(...words);
  };
}
