import { setTimeout as sleep } from "node:timers/promises";
import { digestedOf, digestLines, digestOf } from "../../src/tiers/digest.ts";
import type { Pipeline } from "../../src/tiers/pipeline.ts";
import type { Shipper } from "./shipper.ts";

type AnomalyJson = Parameters<typeof digestedOf>[0];

/** What a run came to. */
export interface Conclusion {
  digest: string;
  /** A line for each final verdict: what the digest is of. */
  lines: string[];
  withdrawn: number;
  /** Not yet final, though the input has ended. */
  provisional: number;
  by_threat: { [threat: string]: number };
  end_ms: number;
  /** How long after the end the last verdict was stored. */
  settled_ms: number;
}

const settleMsMax = 60_000;

/** Ends the input, waits until every verdict is stored, and reads them all. */
export async function conclude(shipper: Shipper): Promise<Conclusion> {
  const startMs = performance.now();
  await shipper.end();
  const endedMs = performance.now();
  await settle(shipper, endedMs + settleMsMax);
  const settledMs = performance.now();
  const anomalies = (await allAnomalies(shipper)).map(digestedOf);
  const by_threat: { [threat: string]: number } = {};
  for (const { threat, state } of anomalies) if (state === "final") by_threat[threat] = (by_threat[threat] ?? 0) + 1;
  return {
    digest: digestOf(anomalies),
    lines: digestLines(anomalies),
    withdrawn: anomalies.filter(({ state }) => state === "withdrawn").length,
    provisional: anomalies.filter(({ state }) => state === "provisional").length,
    by_threat,
    end_ms: endedMs - startMs,
    settled_ms: settledMs - endedMs,
  };
}

/** Verdicts whose storing nobody saw are written again by their shard, some seconds later. */
async function settle(shipper: Shipper, untilMs: number): Promise<void> {
  for (;;) {
    const { shards } = await shipper.get<Pipeline>("/v1/pipeline");
    const pending = shards.reduce((sum, { pending_verdicts }) => sum + pending_verdicts, 0);
    if (pending === 0) return;
    if (performance.now() > untilMs) throw new Error(`${pending} verdicts are not stored a minute after the end.`);
    await sleep(250);
  }
}

async function allAnomalies(shipper: Shipper): Promise<AnomalyJson[]> {
  const all: AnomalyJson[] = [];
  for (let cursor = ""; ;) {
    const page = await shipper.get<{ anomalies: AnomalyJson[]; next: string | null }>(
      `/v1/anomalies?after=0&limit=500${cursor}`,
    );
    all.push(...page.anomalies);
    if (page.next === null) return all;
    cursor = `&cursor=${encodeURIComponent(page.next)}`;
  }
}

/** The verdicts that only one of two runs came to, or came to otherwise. */
export function differences(a: Conclusion, b: Conclusion): { only_killed: string[]; only_undisturbed: string[] } {
  const [linesA, linesB] = [new Set(a.lines), new Set(b.lines)];
  return {
    only_killed: a.lines.filter((line) => !linesB.has(line)),
    only_undisturbed: b.lines.filter((line) => !linesA.has(line)),
  };
}
