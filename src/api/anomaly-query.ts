import * as v from "valibot";
import { severities, threats } from "../core/verdict.ts";
import { isTold } from "../security/mask.ts";
import type { View } from "../security/permissions.ts";
import { parsePrefix } from "../security/prefix.ts";
import type { AnomalyQuery, Position } from "../storage/anomalies.ts";
import type { ParameterError } from "./problem.ts";

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

const networkDetail = "must be an address or a prefix, as in 10.0.0.0/8";
const network = v.pipe(
  v.string("must be given once"),
  v.check((text) => parsePrefix(text) !== undefined, networkDetail),
  v.transform((text) => parsePrefix(text)!),
);

/** How anomalies are shown, where that is less than the key may see. */
const shownAs = v.optional(v.picklist(["sealed"], "must be sealed"));

/** The parameters of one anomaly. */
export const oneAnomalyParameters = v.strictObject({ as: shownAs });

/** The parameters of a list of anomalies. */
export const anomalyParameters = v.strictObject({
  threat: v.optional(v.union([threat, v.array(threat)], `must be one of ${threats.join(", ")}`)),
  severity: v.optional(v.picklist(severities, `must be one of ${severities.join(", ")}`)),
  entity: v.optional(network),
  peer: v.optional(network),
  since: v.optional(time),
  until: v.optional(time),
  after: v.optional(wholeNumber("must be a stored_revision", 0, Number.MAX_SAFE_INTEGER)),
  limit: v.optional(wholeNumber(`must be 1 to ${limitMax}`, 1, limitMax)),
  as: shownAs,
  cursor: v.optional(
    v.pipe(
      v.string("must be given once"),
      v.check((text) => !!parseCursor(text), "must be the next of a page"),
    ),
  ),
});

/** What the parameters ask of the store, or what is wrong with them. */
export function anomalyQuery(
  given: v.InferOutput<typeof anomalyParameters>,
  view: View,
): AnomalyQuery | { errors: ParameterError[] } {
  const order = given.after === undefined ? "newest_first" : "oldest_first";
  const cursor = given.cursor === undefined ? undefined : parseCursor(given.cursor);
  const errors: ParameterError[] = [];
  if (cursor && cursor.order !== order) errors.push({ parameter: "cursor", detail: otherOrder });
  // A search tells whether something is there: nobody learns more by it than answers would show.
  for (const parameter of ["entity", "peer"] as const) {
    const asked = given[parameter];
    if (asked && !isTold(asked, view)) errors.push({ parameter, detail: notTold[view] });
  }
  if (errors.length > 0) return { errors };
  const start = given.after === undefined ? undefined : { storedRevision: given.after, id: behindEveryId };
  return {
    threats: given.threat === undefined ? [] : [given.threat].flat(),
    severityMin: given.severity ?? "info",
    entity: given.entity,
    peer: given.peer,
    sinceMs: given.since ?? 0,
    untilMs: given.until ?? Number.MAX_SAFE_INTEGER,
    order,
    behind: cursor?.position ?? start,
    limit: given.limit ?? limitByDefault,
  };
}

const otherOrder = "belongs to a list of the other order: give after with all of its pages, or with none";

const notTold: { readonly [view in View]: string } = {
  clear: "",
  masked: "the key sees prefixes: search for one of at most /24, or /48 of IPv6",
  sealed: "the key sees addresses sealed, and cannot search for them",
};

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
