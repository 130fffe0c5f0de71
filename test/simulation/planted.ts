/** A bug, planted by changing one place of the source while it is loaded. */
export interface PlantedBug {
  file: string;
  find: string;
  replace: string;
}

/** What the simulation must find, each within 200 seeds. */
export const plantedBugs = {
  log_skipped: {
    file: "src/core/shard/journal.ts",
    find: 'this.#storage.write("log", place, frame);',
    replace: "void frame;",
  },
  key_forgotten: {
    file: "src/core/shard/batch-ledger.ts",
    find: "const isOld = receivedAtMs < nowMs - rememberedMs;",
    replace: "const isOld = receivedAtMs < nowMs - 100;",
  },
  mask_ignored: {
    file: "src/core/shard/shard.ts",
    find: "if (before && wanted.isEmpty)",
    replace: "if (before)",
  },
  wall_clock_in_a_detector: {
    file: "src/core/detectors/port-scan/finding.ts",
    find: "score: rounded(scoreOf(hit.value, hit.threshold)),",
    replace: "score: rounded(scoreOf(hit.value, hit.threshold) * (1 - (Date.now() % 1000) / 1000)),",
  },
  field_missing_in_the_snapshot: {
    file: "src/core/detectors/port-scan/states.ts",
    find: "writer.f64(records);",
    replace: "writer.f64(0);",
  },
  lateness_per_shard: {
    file: "src/core/slots/slots.ts",
    find: "slots.at(slot).watermark - allowanceBuckets;",
    replace: "Math.max(...slots.used().map((one) => one.watermark), 0) - allowanceBuckets;",
  },
  cap_per_shard: {
    file: "src/core/slots/slots.ts",
    find: "const { detectors, bounds = slotBounds } = this.#options;",
    replace: `const { detectors, bounds: own = slotBounds } = this.#options;
    const bounds = { ...own, stateBytesMax: (own.stateBytesMax * (8 + this.used().length)) / 16 };`,
  },
  two_writers_without_revision: {
    file: "src/storage/d1-anomaly-store.ts",
    find: "WHERE excluded.revision > anomalies.revision",
    replace: "",
  },
} as const satisfies { [name: string]: PlantedBug };
