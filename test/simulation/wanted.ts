import type { Finding } from "../../src/core/verdict.ts";
import { anomalyOf } from "../../src/tiers/anomaly.ts";
import { unasked } from "../../src/tiers/ask-models.ts";
import { digestLines } from "../../src/tiers/digest.ts";

/** What D1 must hold at last, in lines, if an oracle came to these findings. */
export function wantedLines(findings: readonly Finding[], tenant: string, idKey: Uint8Array): string[] {
  const completeness = { late_records: 0, evicted_entities: 0, folded_contacts: 0, warming_up: false };
  const context = { tenant, idKey, receivedAtMs: 0, decidedAtMs: 0 };
  return digestLines(
    findings.map((finding) =>
      anomalyOf(
        { ...finding, configVersion: "", state: "final", revision: 0, completeness },
        unasked("no_models"),
        context,
      ),
    ),
  );
}
