import { describe, expect, it } from "vitest";
import { settingsIn, unconfigured, type Configuration } from "../../../src/core/detectors/configuration.ts";
import { anomaly, type AnomalySettings } from "../../../src/core/detectors/anomaly.ts";
import { allDetectors } from "../../../src/core/detectors/index.ts";
import type { Candidate } from "../../../src/core/features/candidate.ts";
import {
  featureCount,
  features,
  levelMax,
  levelOf,
  valueOf,
  windowMs,
  windowsKept,
} from "../../../src/core/features/features.ts";
import { HostPast } from "../../../src/core/features/host-past.ts";
import { combinedPValue, noveltyOf } from "../../../src/core/features/novelty.ts";
import { Outcome, Protocol } from "../../../src/core/flow/flow-batch.ts";
import { MemoryStorage } from "../../../src/core/shard/memory-storage.ts";
import { Shard } from "../../../src/core/shard/shard.ts";
import { StateReader, StateWriter } from "../../../src/core/slots/state-bytes.ts";
import type { ModelOpinion } from "../../../src/core/verdict.ts";
import { splitContacts } from "../../../src/core/flow/split-contacts.ts";
import { Random } from "../../support/random.ts";
import { applyRequest, contactsOf, endOf, sampleTrace, traceStartMs, type TraceFlow } from "../../support/trace.ts";

const minuteMs = 60_000;

interface Play {
  cut?: number;
  shards?: number;
  /** Whether each shard loses its memory after every batch. */
  evict?: boolean;
  sampleShare?: number;
}

/** What models are shown of flows, by order of window and host. */
function candidatesOf(flows: readonly TraceFlow[], { cut = 1000, shards = 1, evict, sampleShare = 1 }: Play = {}) {
  const configuration: Configuration = {
    ...unconfigured,
    version: 1,
    thresholds: { anomaly: { sample_share: sampleShare } },
  };
  const storages = Array.from({ length: shards }, () => new MemoryStorage());
  const made = (storage: MemoryStorage) => new Shard({ storage, detectors: allDetectors });
  const all = storages.map(made);
  const shown: Candidate[] = [];
  for (let from = 0; from < flows.length; from += cut) {
    splitContacts(contactsOf(flows.slice(from, from + cut)), shards).forEach((part, i) => {
      if (!part) return;
      const result = all[i].apply({ ...applyRequest(`batch ${from}`, part), configuration }, 0);
      if (result.status !== "applied") throw new Error(result.status);
      shown.push(...result.candidates);
      if (evict) all[i] = made(storages[i]);
    });
  }
  for (const shard of all) {
    shard.end({ receivedAtMs: 0, acknowledged: [], configuration });
    shown.push(...shard.takeCandidates());
  }
  return shown.sort((a, b) => a.window.startMs - b.window.startMs || (a.entity < b.entity ? -1 : 1));
}

/** The windows of one host that closed, with values by name, in their own units. */
function closedOf(shown: readonly Candidate[], host: string) {
  return shown
    .filter(({ entity, isClosed }) => entity === host && isClosed)
    .map(({ vectors, window, reason, peers }) => {
      const values = features.map((feature, i) => [feature.name, valueOf(feature, vectors.at(-1)![i])]);
      return { window, reason, peers, vectors, values: Object.fromEntries(values) as Record<string, number> };
    });
}

/** `count` requests an hour, evenly, from the hour `from` on. */
function hourly(host: string, hours: number, count: number, more: Partial<TraceFlow> = {}, from = 0): TraceFlow[] {
  return Array.from({ length: hours * count }, (_, i) => ({
    source: host,
    target: "203.0.113.5",
    targetPort: 443,
    startMs: traceStartMs + from * windowMs + Math.floor((i * windowMs) / count),
    ...more,
  }));
}

/** A dozen hosts that call what everybody calls: in a smaller network nobody can say what is rare. */
function others(hours = 1): TraceFlow[] {
  return Array.from({ length: 12 }, (_, i) => hourly(`10.0.4.${i + 1}`, hours, 6, { target: "203.0.113.99" })).flat();
}

function inOrder(...flows: TraceFlow[][]): TraceFlow[] {
  return flows.flat().sort((a, b) => endOf(a) - endOf(b));
}

describe("levels", () => {
  it("give back the value that they stand for", () => {
    for (const feature of features) {
      for (let level = 0; level <= levelMax; level++) expect(levelOf(feature, valueOf(feature, level))).toBe(level);
    }
  });

  it("take what lies outside the range as its bound", () => {
    expect(features.map((feature) => levelOf(feature, 1e15))).toEqual(features.map(() => levelMax));
    expect(features.map((feature) => levelOf(feature, 0))).toEqual(features.map(() => 0));
  });
});

describe("vectors", () => {
  it("say what a host did in an hour", () => {
    const refused = { outcome: Outcome.Refused, target: "10.0.1.1", targetPort: 22 };
    const served: TraceFlow = { source: "10.0.0.8", target: "10.0.0.7", targetPort: 80, startMs: traceStartMs + 5 };
    const [{ values, peers }] = closedOf(
      candidatesOf(
        inOrder(
          hourly("10.0.0.7", 1, 60, { sourceBytes: 1000, targetBytes: 3000 }),
          hourly("10.0.0.7", 1, 20, { target: "203.0.113.6", targetPort: 4444, protocol: Protocol.Udp }),
          hourly("10.0.0.7", 1, 20, refused),
          Array.from({ length: 9 }, () => served),
          others(),
        ),
      ),
      "10.0.0.7",
    );
    const near = (name: string, value: number) => {
      expect(Math.abs(values[name] - value), `${name} ${values[name]}`).toBeLessThanOrEqual(0.05 * value + 0.01);
    };
    near("requests", 100);
    near("outside_peers", 2);
    near("inside_peers", 1);
    near("services", 3);
    near("failed_share", 0.2);
    near("outside_share", 0.8);
    near("udp_share", 0.2);
    near("uncommon_share", 0.25);
    near("sent_bytes", 60 * 1000 + 40 * 500);
    near("active_share", 1);
    near("served_requests", 9);
    near("rare_peers", 2);
    near("rare_requests", 60);
    near("rare_active_share", 1);
    near("rare_size_spread", 0);
    near("rare_answer_bytes", 3000);
    near("rare_uncommon", 0);
    expect(peers).toEqual([{ address: "203.0.113.5", port: 443, protocol: "tcp" }]);
  });

  it("say what is new to the host, and how long it was idle", () => {
    const flows = inOrder(
      hourly("10.0.0.7", 3, 10),
      hourly("10.0.0.7", 1, 10, { target: "203.0.113.9" }, 7),
      hourly("10.0.0.7", 1, 10, {}, 7),
      others(8),
    );
    // In small batches: what is known of the network comes with each.
    const values = closedOf(candidatesOf(flows, { cut: 20 }), "10.0.0.7").map((one) => one.values);
    expect(values.map(({ new_peer_share: share }) => Math.round(10 * share))).toEqual([0, 0, 0, 5]);
    expect(values.map(({ rare_windows: windows }) => Math.round(windows))).toEqual([0, 1, 2, 3]);
    expect(values.map(({ idle_windows: windows }) => Math.round(windows))).toEqual([0, 0, 0, 4]);
  });

  it("are the same for any cut, any number of shards, and after any loss of memory", () => {
    const flows = inOrder(sampleTrace(5), hourly("10.0.0.30", 5, 40), hourly("2001:db8:1::7", 4, 12));
    const shown = (play: Play) => candidatesOf(flows, play).filter(({ isClosed }) => isClosed);
    const whole = shown({});
    expect(whole.length).toBeGreaterThan(40);
    // What is known of the network comes an epoch late: which hour knows it first depends on cuts and restores.
    const isOfRarity = features.map(({ name }) => name.startsWith("rare_"));
    const withoutRarity = ({ vectors, entity, window }: Candidate) => {
      return [entity, window, vectors.map((vector) => vector.filter((_, i) => !isOfRarity[i]))];
    };
    for (const play of [{ cut: 97 }, { evict: true }, { cut: 313, evict: true }, { cut: 500, shards: 8 }]) {
      expect(shown(play).map(withoutRarity)).toEqual(whole.map(withoutRarity));
    }
  });

  it("are not made of outsiders, and not of those who did next to nothing", () => {
    const flows = inOrder(hourly("198.51.100.9", 1, 50, { target: "10.0.0.1" }), hourly("10.0.0.9", 1, 3));
    expect(candidatesOf(flows).filter(({ entity }) => entity !== "10.0.0.1")).toEqual([]);
  });
});

describe("the choice of candidates", () => {
  const calm = (host: string, hours: number) => hourly(host, hours, 30, { target: "203.0.113.80" });
  const reasonsOf = (flows: TraceFlow[], host: string) =>
    closedOf(candidatesOf(flows, { sampleShare: 0, cut: 20 }), host).map(({ reason, window }) => [
      (window.startMs - traceStartMs) / windowMs,
      reason,
    ]);

  it("takes hosts that do what they did not do before", () => {
    const burst = hourly("10.0.0.7", 1, 60, { target: "10.0.2.2", sourceBytes: 5e6 }, 30);
    expect(reasonsOf(inOrder(calm("10.0.0.7", 32), burst), "10.0.0.7")).toEqual([[30, "unlike_itself"]]);
    // Even where a detector's last word on the same hour makes it suspect.
    const scan = hourly("10.0.0.7", 1, 200, { targetPort: 445, outcome: Outcome.Unanswered }, 30);
    const knocks = scan.map((flow, i) => ({ ...flow, target: `10.0.9.${i + 1}`, sourcePackets: 1, sourceBytes: 40 }));
    expect(reasonsOf(inOrder(calm("10.0.0.7", 32), knocks), "10.0.0.7")).toContainEqual([30, "unlike_itself"]);
    const early = hourly("10.0.0.7", 1, 60, { target: "10.0.2.2", sourceBytes: 5e6 }, 23);
    expect(reasonsOf(inOrder(calm("10.0.0.7", 25), early), "10.0.0.7")).toEqual([]);
  });

  it("takes hosts that keep calling a peer that nobody else calls, and no others", () => {
    const alone = reasonsOf(inOrder(calm("10.0.0.7", 6), others(6)), "10.0.0.7");
    expect(alone).toEqual([
      [3, "rare_peer"],
      [4, "rare_peer"],
      [5, "rare_peer"],
    ]);
    const crowd = Array.from({ length: 40 }, (_, i) => calm(`10.0.3.${i + 1}`, 6));
    expect(reasonsOf(inOrder(...crowd), "10.0.3.7").filter(([hour]) => hour !== 3)).toEqual([]);
  });

  it("takes hosts on which there is a finding, while their window is open", () => {
    const shown = candidatesOf(sampleTrace(5), { sampleShare: 0 }).filter(({ reason }) => reason === "finding");
    expect(shown.map(({ entity }) => entity)).toEqual(expect.arrayContaining(["10.0.0.66", "10.0.0.20"]));
    expect(shown.some(({ isClosed }) => !isClosed)).toBe(true);
    expect(shown.every(({ vectors }) => vectors.every((vector) => vector.length === featureCount))).toBe(true);
  });

  it("takes of the others about as many as it should, the same ones each time", () => {
    const random = new Random(3);
    const crowd = Array.from({ length: 1000 }, (_, i) =>
      hourly(`10.4.${i >> 8}.${i & 255}`, 1, 5, { target: `203.0.113.${random.int(1, 20)}` }),
    );
    const flows = inOrder(...crowd);
    const shown = (cut: number) => candidatesOf(flows, { cut, sampleShare: 0.2 }).map(({ entity }) => entity);
    expect(shown(700)).toEqual(shown(5000));
    expect(shown(700).length).toBeGreaterThan(150);
    expect(shown(700).length).toBeLessThan(250);
  });
});

describe("a host's past", () => {
  it("holds the latest windows and services, and comes back as it was", () => {
    const past = new HostPast();
    for (let window = 0; window < 100; window++) {
      past.learn(window, new Uint8Array(featureCount).fill(window), [window, window + 1, 7]);
    }
    expect(past.vectors.map(([level]) => level)).toEqual(Array.from({ length: windowsKept }, (_, i) => 68 + i));
    expect([past.windowsOf(7), past.windowsOf(99), past.windowsOf(3)]).toEqual([100, 2, 0]);
    const writer = new StateWriter();
    HostPast.codec.save(past, writer);
    const copy = HostPast.codec.load(new StateReader(writer.bytes()));
    expect(copy).toEqual(past);
    expect(HostPast.codec.bytes(past)).toBeLessThan(2_100);
  });
});

describe("novelty", () => {
  const settings = settingsIn(anomaly, unconfigured) as unknown as AnomalySettings;
  const opinion = (model: string, p_value: number): ModelOpinion => {
    const contributions = [{ feature: "requests", value: 1234.5, share: 0.7 }];
    return { model, version: "0123456789ab", score: 0.7, p_value, contributions };
  };
  const [last] = candidatesOf(hourly("10.0.0.7", 3, 10)).slice(-1);
  const shown: Candidate = { ...last, reason: "unlike_itself" };

  it("counts the least p-value once for each model", () => {
    expect(combinedPValue([])).toBe(1);
    expect(combinedPValue([opinion("a", 0.2)])).toBe(0.2);
    expect(combinedPValue([opinion("a", 0.2), opinion("b", 0.01)])).toBe(0.02);
    expect(combinedPValue([opinion("a", 0.9), opinion("b", 0.8)])).toBe(1);
  });

  it("is a finding up to the tenant's share, and none above", () => {
    const at = settings.pValueMax / 2;
    const finding = noveltyOf(shown, [opinion("a", at), opinion("b", 0.5)], settings)!;
    expect(finding).toMatchObject({ threat: "anomaly", entity: "10.0.0.7", severity: "medium", score: 0.5 });
    expect(finding.window).toEqual({ startMs: Date.UTC(2026, 0, 5), endMs: Date.UTC(2026, 0, 6) });
    expect(finding.summary).toContain("requests that it made (1230)");
    expect(noveltyOf(shown, [opinion("a", 1.01 * at), opinion("b", 0.5)], settings)).toBeUndefined();
    expect(noveltyOf(shown, [], settings)).toBeUndefined();
  });

  it("wakes nobody about a host that does what it always did", () => {
    for (const reason of ["sample", "rare_peer", "finding"] as const) {
      expect(noveltyOf({ ...shown, reason }, [opinion("a", 1e-5)], settings)!.severity).toBe("low");
    }
  });

  it("waits until the hour is over", () => {
    expect(noveltyOf({ ...shown, isClosed: false }, [opinion("a", 1e-6)], settings)).toBeUndefined();
  });

  it("scores what is stranger higher, and never above medium", () => {
    const findings = [5e-4, 1e-4, 2e-5].map((p) => noveltyOf(shown, [opinion("a", p)], settings)!);
    expect(findings.map(({ severity }) => severity)).toEqual(["medium", "medium", "medium"]);
    const scores = findings.map(({ score }) => score);
    expect(scores).toEqual(scores.toSorted((a, b) => a - b));
    expect(new Set(scores).size).toBe(3);
  });
});

it("keeps its hour apart from the minutes of a batch", () => {
  const [first, second] = closedOf(candidatesOf(hourly("10.0.0.7", 2, 60)), "10.0.0.7");
  expect(second.window.startMs - first.window.startMs).toBe(60 * minuteMs);
});
