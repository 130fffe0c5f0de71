import { describe, expect, it } from "vitest";
import {
  replaces,
  settingsIn,
  thresholdsOf,
  unconfigured,
  type Configuration,
} from "../../../src/core/detectors/configuration.ts";
import type { Detector } from "../../../src/core/detectors/detector.ts";
import { portScan } from "../../../src/core/detectors/port-scan.ts";
import { apiName, settingsOf } from "../../../src/core/detectors/thresholds.ts";
import { Outcome } from "../../../src/core/flow/flow-batch.ts";
import { MemoryStorage } from "../../../src/core/shard/memory-storage.ts";
import { Shard } from "../../../src/core/shard/shard.ts";
import { slotsOf } from "../../../src/core/slots/slots.ts";
import { applyRequest, contactsOf, traceStartMs, type TraceFlow } from "../../support/trace.ts";

const kind = portScan as unknown as Detector;

/** Ports of one host, tried by one source, a second each. */
const probes = (from: number, to: number): TraceFlow[] =>
  Array.from({ length: to - from }, (_, i) => ({
    source: "198.51.100.7",
    target: "10.0.0.5",
    targetPort: from + i,
    startMs: traceStartMs + (from + i) * 1000,
    outcome: Outcome.Refused,
    targetPackets: 1,
  }));

function configured(version: number, portScanThresholds: { [name: string]: number }): Configuration {
  return { version, name: `${version}-x`, preset: "balanced", thresholds: { port_scan: portScanThresholds } };
}

/** Every threshold where it keeps the detector quietest. */
const quietest = Object.entries(thresholdsOf(kind)).map(([name, { min, max, raising }]) => {
  return [apiName(name), raising === "quieter" ? max : min] as const;
});
const deaf = configured(1, Object.fromEntries(quietest));
const keen = configured(2, { ports_min: 20, slow_ports_min: 20 });

const ended = { receivedAtMs: 0, acknowledged: [] };
/** All of the log is done again, or, with few rows, hardly any of it. */
const longLog = { rowsMax: 1000, bytesMax: 1 << 24 };
const shortLog = { rowsMax: 2, bytesMax: 1 << 20 };

class Run {
  readonly #storage = new MemoryStorage();
  readonly #log: typeof longLog;
  shard: Shard;

  constructor(log: typeof longLog) {
    this.#log = log;
    this.shard = this.#started();
  }

  /** One batch of ten ports; what it changed. */
  learn(from: number, configuration?: Configuration) {
    const request = applyRequest(`batch ${from}`, contactsOf(probes(from, from + 10)));
    const result = this.shard.apply({ ...request, configuration }, 0);
    if (result.status !== "applied") throw new Error(result.status);
    return result.verdicts.map(({ verdict }) => [verdict.state, verdict.configVersion]);
  }

  /** The last word on every window, and what it names. */
  end(configuration?: Configuration) {
    this.shard.end({ ...ended, configuration });
    return this.shard.pending().map(({ verdict }) => [verdict.state, verdict.configVersion]);
  }

  restart(): void {
    this.shard = this.#started();
  }

  #started(): Shard {
    return new Shard({ storage: this.#storage, detectors: [kind], log: this.#log });
  }
}

describe("settingsIn", () => {
  it("takes the preset's where nothing is chosen", () => {
    for (const preset of ["quiet", "balanced", "sensitive"] as const) {
      expect(settingsIn(kind, { preset, thresholds: {} })).toEqual(settingsOf(portScan.thresholds, preset));
    }
  });

  it("passes over what it does not know, and brings into range what an older version let in", () => {
    const { portsMin } = portScan.thresholds;
    const thresholds = { rain: { drops: 1 }, port_scan: { ports_min: 1e9, local_targets_min: 12.4, wings: 2 } };
    const settings = settingsIn(kind, { preset: "balanced", thresholds });
    const defaults = settingsOf(portScan.thresholds);
    expect(settings).toEqual({ ...defaults, portsMin: portsMin.max, localTargetsMin: 12 });
  });
});

describe("a configuration", () => {
  it("takes the place of an older one, and of one of the same version under another name", () => {
    expect(replaces(deaf, unconfigured)).toBe(true);
    expect(replaces(keen, deaf)).toBe(true);
    expect(replaces(deaf, keen)).toBe(false);
    expect(replaces(deaf, deaf)).toBe(false);
    expect(replaces({ ...deaf, name: "1-other" }, deaf)).toBe(true);
  });
});

describe.each([
  ["the log", longLog],
  ["snapshots", shortLog],
])("slots that come back from %s", (_, log) => {
  it("judge by what was in force, and say so", () => {
    const run = new Run(log);
    expect(run.learn(1, deaf)).toEqual([]);
    expect(run.learn(11, deaf)).toEqual([]);
    run.restart();
    // Nobody tells them anew.
    expect(run.learn(21)).toEqual([]);
    expect(run.learn(31, keen)).toEqual([["provisional", keen.name]]);
    run.restart();
    expect(run.end()).toEqual([["final", keen.name]]);
  });

  it("do not go back to an older one", () => {
    const run = new Run(log);
    run.learn(1, deaf);
    run.learn(11, keen);
    run.restart();
    run.learn(21, deaf);
    expect(run.end(deaf)).toEqual([["final", keen.name]]);
  });

  it("close windows as they did before, each by what was in force then", () => {
    const hour = 3600;
    const once = new Run(longLog);
    const again = new Run(log);
    const said = [once, again].map((run) => {
      const all: unknown[] = [];
      all.push(run.learn(1, keen), run.learn(11, keen), run.learn(21, keen));
      // An hour later: the first hour closes by the configuration that comes with this batch.
      all.push(
        run.learn(hour + 1000, deaf),
        run.learn(hour + 1010, configured(3, { ports_min: 6, slow_ports_min: 6 })),
      );
      all.push(run.learn(hour + 1020, deaf));
      if (run === again) run.restart();
      all.push(run.end());
      return all;
    });
    expect(said[1]).toEqual(said[0]);
    expect(JSON.stringify(said[0])).toContain("3-x");
  });

  it("take it along when they move", () => {
    const [from, to] = [new Run(log), new Run(log)];
    from.learn(1, deaf);
    const slots = slotsOf(contactsOf(probes(1, 40)));
    to.shard.importSlots(slots, from.shard.exportSlots(slots, 0), 1, 0);
    expect(to.learn(11)).toEqual([]);
    to.restart();
    expect(to.learn(21)).toEqual([]);
    expect(to.end(keen)).toEqual([["final", keen.name]]);
  });
});
