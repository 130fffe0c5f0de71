import { describe, expect, it } from "vitest";
import { unconfigured } from "../../../src/core/detectors/configuration.ts";
import type { Candidate } from "../../../src/core/features/candidate.ts";
import { featureCount } from "../../../src/core/features/features.ts";
import type { PendingVerdict } from "../../../src/core/slots/slot.ts";
import type { ModelOpinion, Severity } from "../../../src/core/verdict.ts";
import type { Inference } from "../../../src/inference/inference.ts";
import { openDoors } from "../../../src/tiers/admission.ts";
import { askModels } from "../../../src/tiers/ask-models.ts";
import { sampleTrace, traceStartMs, verdictsOf } from "../../support/trace.ts";

function candidate(entity: string, more: Partial<Candidate> = {}): Candidate {
  const window = { startMs: traceStartMs, endMs: traceStartMs + 3_600_000 };
  const vectors = [new Uint8Array(featureCount)];
  return { entity, slot: 0, reason: "sample", window, isClosed: true, vectors, peers: [], receivedAtMs: 7, ...more };
}

function opinion(model: string, p_value: number): ModelOpinion {
  return { model, version: "0123456789ab", score: 0.6, p_value, contributions: [] };
}

/** The forest says these p-values, the other model has warmed up for as long as need be. */
function saying(...pValues: number[]): Inference {
  return {
    async score(name) {
      if (name !== "isolation_forest") return { ran: false, reason: "warming_up" };
      return { ran: true, opinions: pValues.map((p) => opinion(name, p)), instance: "inline" };
    },
  };
}

const [anyVerdict] = verdictsOf(sampleTrace(5)).slice(-1);

function pending(entity: string, severity: Severity): PendingVerdict {
  return { slot: 0, verdict: { ...anyVerdict, entity, severity }, receivedAtMs: 0 };
}

const question = (candidates: Candidate[], ...verdicts: PendingVerdict[]) => {
  return { candidates, verdicts: [{ verdicts }], configuration: unconfigured };
};

describe("tier 2", () => {
  it("says of each entity what the models said, and which did not", async () => {
    const parts = { inference: saying(0.4, 0.02), doors: openDoors() };
    const second = await askModels(parts, question([candidate("10.0.0.1"), candidate("10.0.0.2")]));
    expect(second.of("10.0.0.2").opinions).toEqual([opinion("isolation_forest", 0.02)]);
    expect(second.of("10.0.0.1").report).toEqual({
      tier: 2,
      ran: true,
      reason: null,
      models: [
        { model: "isolation_forest", ran: true, reason: null },
        { model: "lstm_autoencoder", ran: false, reason: "warming_up" },
      ],
    });
    expect(second.of("198.51.100.7")).toEqual({
      report: { tier: 2, ran: false, reason: "no_window" },
      opinions: [],
    });
    expect(second.novelties).toEqual([]);
  });

  it("finds what is new about a host on which statistics raise no alarm, and supports them where they do", async () => {
    const parts = { inference: saying(1e-4, 1e-4, 1e-4), doors: openDoors() };
    const hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((host) => candidate(host));
    const second = await askModels(parts, question(hosts, pending("10.0.0.1", "high"), pending("10.0.0.2", "low")));
    expect(second.novelties.map(({ verdict }) => [verdict.threat, verdict.entity, verdict.state])).toEqual([
      ["anomaly", "10.0.0.2", "final"],
      ["anomaly", "10.0.0.3", "final"],
    ]);
    expect(second.novelties[0].receivedAtMs).toBe(7);
    expect(second.of("10.0.0.1").opinions).toHaveLength(1);
  });

  it("gives what is stranger the higher revision, so that it stands", async () => {
    const revisionAt = async (p: number) => {
      const parts = { inference: saying(p), doors: openDoors() };
      const { novelties } = await askModels(parts, question([candidate("10.0.0.1")]));
      return novelties[0].verdict.revision;
    };
    expect(await revisionAt(5e-4)).toBeLessThan(await revisionAt(1e-4));
  });

  it("never throws, whatever the models do", async () => {
    const broken: Inference = { score: () => Promise.reject(new Error("broken")) };
    const second = await askModels({ inference: broken, doors: openDoors() }, question([candidate("10.0.0.1")]));
    expect(second.of("10.0.0.1").report).toMatchObject({ ran: false, reason: "failed" });
    const nobody = await askModels({ doors: openDoors() }, question([candidate("10.0.0.1")]));
    expect(nobody.of("10.0.0.1").report).toEqual({ tier: 2, ran: false, reason: "no_models" });
  });

  it("skips batches whose candidates find the line full", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const inference: Inference = {
      async score(name, all) {
        await promise;
        return { ran: true, opinions: all.map(() => opinion(name, 1)), instance: "inline" };
      },
    };
    const parts = { inference, doors: openDoors() };
    const asked = Array.from({ length: 7 }, () => askModels(parts, question([candidate("10.0.0.1")])));
    const many = Array.from({ length: 1000 }, (_, i) => candidate(`10.0.${i >> 8}.${i & 255}`));
    const turnedAway = await askModels(parts, question(many));
    expect(turnedAway.of("10.0.0.1").report).toEqual({ tier: 2, ran: false, reason: "queue_full" });
    resolve();
    const answers = await Promise.all(asked);
    expect(answers.map((one) => one.of("10.0.0.1").report.ran)).toEqual(Array.from({ length: 7 }, () => true));
  });
});
