import { setTimeout as sleep } from "node:timers/promises";
import { severities, threats } from "../core/verdict.ts";
import type { AnomalyQuery, StoredAnomaly } from "./client.ts";
import { command, oneOf, wholeNumber } from "./command.ts";
import { connect, connectionArgs } from "./connect.ts";
import { Failure } from "./failure.ts";
import { table } from "./table.ts";

const followEveryMs = 1000;

export const anomalies = command({
  meta: { name: "anomalies", description: "List what was found" },
  args: {
    ...connectionArgs,
    threat: { type: "string", description: `${threats.join(", ")}; several by commas` },
    severity: { type: "string", description: `The least: ${severities.join(", ")}` },
    entity: { type: "string", description: "An address or a prefix" },
    peer: { type: "string", description: "Likewise, of any of its peers" },
    sealed: { type: "boolean", description: "Leave addresses and evidence as they are stored; with --json" },
    since: { type: "string", description: "Window ends at or after: RFC 3339, or ms since 1970" },
    until: { type: "string", description: "Window ends before" },
    limit: { type: "string", default: "100", description: "At most so many" },
    follow: { type: "boolean", description: "Go on with what is stored from now on, until Ctrl-C" },
    json: { type: "boolean", description: "NDJSON with --follow, else one JSON document" },
  },
  async run({ args }) {
    const limit = wholeNumber("limit", args.limit, 1, 100_000);
    const { entity, peer } = args;
    const query: AnomalyQuery = {
      threat: args.threat?.split(",").map((threat) => oneOf("threat", threat, threats)),
      severity: args.severity && oneOf("severity", args.severity, severities),
      entity,
      peer,
      as: args.sealed ? "sealed" : undefined,
      since: timeOf("since", args.since),
      until: timeOf("until", args.until),
    };
    const client = connect(args);
    const found = await client.anomalies(query, limit);
    if (!args.follow) {
      console.log(args.json ? JSON.stringify({ anomalies: found }, null, 1) : anomalyTable(found));
      return;
    }
    const show = (some: StoredAnomaly[]) => {
      if (args.json) for (const anomaly of some) console.log(JSON.stringify(anomaly));
      else for (const anomaly of some) console.log(cells(anomaly).join("  "));
    };
    // What follows is newer still.
    show(found.toReversed());
    for (let after = newest(found, 0); ;) {
      await sleep(followEveryMs);
      const more = await client.anomalies({ ...query, after });
      show(more);
      after = newest(more, after);
    }
  },
});

export function newest(some: readonly StoredAnomaly[], after: number): number {
  return some.reduce((most, anomaly) => Math.max(most, anomaly.stored_revision), after);
}

function timeOf(name: string, text: string | undefined): string | undefined {
  if (text !== undefined && !/^\d+$/.test(text) && Number.isNaN(Date.parse(text)))
    throw new Failure(`--${name} takes RFC 3339 or milliseconds since 1970, not ${text}.`, 2);
  return text;
}

function cells({ window, severity, threat, entity, summary, state }: StoredAnomaly): string[] {
  // To keys that see addresses sealed it is an object, and there is no summary.
  const shown = typeof (entity as unknown) === "string" ? [entity, summary] : ["(sealed)", ""];
  return [windowText(window), severity, threat, ...shown, state];
}

/** `2026-11-22 17:00–18:00`; the date of the end only if it is another one. */
function windowText({ start, end }: StoredAnomaly["window"]): string {
  const [startText, endText] = [start, end].map((time) => time.slice(0, 16).replace("T", " "));
  const isSameDay = startText.slice(0, 10) === endText.slice(0, 10);
  return `${startText}–${isSameDay ? endText.slice(11) : endText}`;
}

export function anomalyTable(found: StoredAnomaly[]): string {
  if (found.length === 0) return "Nothing was found.";
  return table(["window (UTC)", "severity", "threat", "entity", "summary", "state"], found.map(cells));
}
