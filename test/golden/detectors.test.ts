import { describe, expect, it } from "vitest";
import { detectors } from "../../src/core/detectors/index.ts";
import type { Verdict } from "../../src/core/verdict.ts";
import { traceOf } from "../support/detector-traces.ts";
import { verdictsOf } from "../support/trace.ts";

/** A trace in, verdicts out. A change of these files is a change of verdicts: review it like code, raise `version`. */
describe("golden verdicts", () => {
  for (const detector of detectors) {
    it(detector.id, async () => {
      const verdicts = verdictsOf(traceOf(detector.id, 20), { detectors: [detector] }).filter(
        ({ state }) => state === "final",
      );
      const text = verdicts
        .map(readable)
        .sort((a, b) => (a < b ? -1 : 1))
        .join("\n");
      await expect(text).toMatchFileSnapshot(`${detector.id}.v${detector.version}.txt`);
    });
  }
});

function readable(verdict: Verdict): string {
  const { entity, severity, score, confidence, window, summary, peerCount, evidence } = verdict;
  const span = `${new Date(window.startMs).toISOString()} / ${new Date(window.endMs).toISOString()}`;
  const head = `${entity} ${severity} score ${score} confidence ${confidence}\n  ${span}\n  ${summary}; ${peerCount} peers`;
  return `${head}\n${JSON.stringify(evidence, null, 2).replaceAll(/^/gm, "  ")}\n`;
}
